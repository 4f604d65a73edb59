"""What a verdict says of a pose, and of where a part differs from its model."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from inspection_tf.projection.poses import Pose
from inspection_tf.tasks.pose.difference import Region
from inspection_tf.tasks.pose.modes import Mode
from inspection_tf.tasks.pose.settings import NAMES, UNITS

if TYPE_CHECKING:
    from inspection_tf.decision.results import Colour

_STRONGEST = 10.0  # standard deviations that a picture of differences shows as full colour
_SEEN = 99.5  # percentile of an image that is shown as white


@dataclass(frozen=True, slots=True)
class PoseFound:
    """How a part lies, and where it differs from its model.

    Attributes:
        pose: of the part; None where none was found.
        deviations: stated standard deviations of phi, theta, psi, degrees, and x, y, z, mm.
        modes: poses that the network found, the likeliest first.
        residual: mean squared residual of the refinement, 1 where the model is right; None without.
        margin: by how much the next best pose fits worse; likewise.
        differences: where the part differs, the surest first.
        differs: (height, width), True in these places; None where nothing was compared.
        significance: (height, width), standard deviations of noise that a place differs by;
            likewise.
        light: (height, width), what the image should show, as shares of the open beam; likewise.
    """

    kind: ClassVar[str] = "pose"

    pose: Pose | None
    deviations: tuple[float, ...] = ()
    modes: tuple[Mode, ...] = ()
    residual: float | None = None
    margin: float | None = None
    differences: tuple[Region, ...] = ()
    differs: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)
    significance: NDArray[np.floating] | None = field(default=None, repr=False, compare=False)
    light: NDArray[np.floating] | None = field(default=None, repr=False, compare=False)

    @property
    def defect_count(self) -> int:
        """Number of places where the part differs from its model."""
        return len(self.differences)

    @property
    def needs_no_score(self) -> bool:
        """Whether the network told poses, and none of them is in the image."""
        return self.pose is None and bool(self.modes)

    def to_dict(self) -> dict[str, object]:
        """Return pose, deviations, what the network found, and differences."""
        return {
            "pose": None if self.pose is None else _named(asdict(self.pose)),
            "pose_deviation": _named(dict(zip(NAMES, self.deviations, strict=False))) or None,
            "pose_residual": _finite(self.residual),
            "pose_margin": _finite(self.margin),
            "pose_modes": [
                {**_named(asdict(mode.pose)), "probability": mode.probability}
                for mode in self.modes
            ],
            "differences": [
                {
                    "area_px": region.area_px,
                    "xy": list(region.xy),
                    "depth_mm": region.depth_mm,
                    "significance": region.significance,
                }
                for region in self.differences
            ],
        }

    def mask(self, image_size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return where the part differs from its model, (height, width)."""
        return np.zeros(image_size, np.bool_) if self.differs is None else self.differs.copy()

    def backdrop(self) -> NDArray[np.floating] | None:
        """Return what the image should show."""
        return None if self.light is None else np.clip(self.light.astype(np.float32), 0, 1)

    def pictures(self, image: NDArray[np.generic] | None) -> dict[str, NDArray[np.generic]]:
        """Return `difference`: what was measured, what should be, and how they differ.

        Side by side, (height, 3 width, 3) RGB. Of the last, grey is no difference and red the more
        the surer one.
        """
        if image is None or self.light is None or self.significance is None:
            return {}  # see `picture_names`
        found = np.asarray(image, np.float64)
        span = max(float(np.percentile(found, _SEEN)), 1.0)
        light = np.asarray(self.light, np.float64)
        grey = [_grey(found / span), _grey(light / max(float(np.percentile(light, _SEEN)), 1e-9))]
        sure = np.clip(np.asarray(self.significance, np.float64) / _STRONGEST, 0, 1)[..., None]
        third = (1 - sure) * grey[1] * 0.5 + sure * np.array([255.0, 0.0, 0.0])
        return {"difference": np.concatenate([*grey, np.rint(third).astype(np.uint8)], axis=1)}

    def picture_names(self, image: NDArray[np.generic] | None) -> tuple[str, ...]:
        """Return `difference` where the image is at hand and was compared."""
        is_compared = self.light is not None and self.significance is not None
        return ("difference",) if image is not None and is_compared else ()

    def mark(self, picture: NDArray[np.uint8], colour: "Colour", width: int) -> None:
        """Draw nothing: the outline of the mask tells all."""

    def without_pixels(self) -> "PoseFound":
        """Return it without its maps."""
        return replace(self, differs=None, significance=None, light=None)


def _named(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers by names that say their units; null where one is not finite."""
    return {f"{name}_{UNITS[name]}": _finite(value) for name, value in numbers.items()}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _grey(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    levels = np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)
