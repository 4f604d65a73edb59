"""From poses that an image may show to the one that it does, and where the part differs from it."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection import Deviations, Pose, Setup, setup_files
from inspection_tf.tasks.pose.difference import Region, difference
from inspection_tf.tasks.pose.refinement import Refined, RefinementSpec, refine, refusals
from inspection_tf.tasks.pose.refinement.measurement import Pixels
from inspection_tf.tasks.pose.refinement.search import without
from inspection_tf.tasks.pose.settings import DifferenceRules, Settings

_Map = NDArray[np.float16]
_AGAIN = 3  # times that what differs is left out
_MOST = 6e4  # of a half-precision number


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a refinement found on an image.

    Attributes:
        pose: of the part.
        deviations: of phi, theta, psi, degrees, and x, y, z, mm, as photons and residuals set them.
        chi2: mean squared residual: 1 where the model is right.
        margin: by how much the next best pose fits worse.
        refused: why it is not trusted; empty where it is.
        regions: where the part differs from its model, the surest first; none without rules.
        differs: (height, width), True in these regions.
        significance: (height, width), standard deviations of noise that a place differs by.
        light: (height, width), what the image should show, as shares of the open beam.
    """

    pose: Pose
    deviations: tuple[float, ...]
    chi2: float
    margin: float
    refused: tuple[str, ...]
    regions: tuple[Region, ...]
    differs: NDArray[np.bool_]
    significance: _Map
    light: _Map

    def __post_init__(self) -> None:
        """Let nobody change what others may be told too."""
        for array in (self.differs, self.significance, self.light):
            array.flags.writeable = False

    @property
    def most_significant(self) -> float:
        """What the surest place differs by, 0 where nothing was compared."""
        return float(self.significance.max())


@functools.lru_cache(maxsize=8)
def setup_of(data: bytes) -> Setup:
    """Return part, scanner and beam from the file of a bundle.

    Raises:
        errors.BundleError: it is no such file.
    """
    return setup_files.parsed(data, setup_files.NAME)


@functools.cache
def _libraries() -> threadpoolctl.ThreadpoolController:
    """Return what sets the threads of libraries; finding them takes some milliseconds."""
    return threadpoolctl.ThreadpoolController()


@dataclasses.dataclass(frozen=True)
class Job:
    """An image to be measured.

    Attributes:
        image: (height, width), of the size of the scanner.
        part: the file of a bundle with part, scanner and beam.
        starts: poses that it may show, the likeliest first.
        settings: of the bundle, which refines.
    """

    image: Pixels
    part: bytes
    starts: Sequence[Pose]
    settings: Settings

    @functools.cached_property
    def key(self) -> bytes:
        """Everything that the result hangs on."""
        # Deviations are scaled after they were measured, by what was measured.
        used = self.settings.model_dump_json(exclude={"deviation_scale"})
        text = repr((self.image.shape, self.image.dtype.str, self.starts, used)).encode()
        digest = hashlib.sha256(np.ascontiguousarray(self.image).tobytes())
        digest.update(text)
        digest.update(hashlib.sha256(self.part).digest())
        return digest.digest()

    def done(self) -> "Measured | str":
        """Return what a refinement finds on the image, or why it finds nothing."""
        # With one thread of BLAS, in whichever process: more of them round otherwise.
        with _libraries().limit(limits=1, user_api="blas"):
            setup, spec = setup_of(self.part), self.settings.refinement
            try:
                found = refine(self.image, setup, self.starts, spec)
            except errors.DataError as problem:
                return errors.first_line(problem)
            if self.settings.compare:
                found, differing = _compared(found, spec, self.settings.difference)
            else:
                blank = np.zeros(self.image.shape, np.float16)
                differing = _Differing((), blank > 0, blank)
            return _result(found, self.image, setup, self.settings, differing)

    def size_of(self, result: "Measured | str") -> int:
        """Return the bytes of the maps of a result."""
        if isinstance(result, str):
            return len(result)
        return result.differs.nbytes + result.significance.nbytes + result.light.nbytes


@dataclasses.dataclass(frozen=True, slots=True)
class _Differing:
    """Where a part differs from its model: regions, the pixels in them, and how surely."""

    regions: tuple[Region, ...]
    mask: NDArray[np.bool_]
    significance: _Map


def _compared(
    found: Refined, spec: RefinementSpec, rules: DifferenceRules
) -> tuple[Refined, _Differing]:
    """Return the pose by what does not differ, and what does."""
    seen, left_out = difference(found, rules), np.zeros(found.measured.values.shape, np.bool_)
    for _ in range(_AGAIN):
        differs = seen.significance > rules.min_significance
        if not differs.any():
            break
        if np.mean(left_out | differs) > rules.max_left_out:
            # A large flaw bends the pose, so that all differs: first what differs most.
            differs = seen.significance > seen.significance.max() / 2
        more = left_out | differs
        if np.mean(more) > rules.max_left_out or not (more & ~left_out).any():
            break
        left_out = more
        found = without(found, left_out, spec)
        seen = difference(found, rules)
    regions, mask = seen.regions_and_mask(rules.min_significance, least_px=rules.min_area_px)
    significance = np.minimum(seen.significance, _MOST).astype(np.float16)
    return found, _Differing(tuple(regions), mask, significance)


def _result(
    found: Refined, image: Pixels, setup: Setup, settings: Settings, differing: _Differing
) -> Measured:
    fit = found.fit
    scale = max(1.0, fit.chi2) ** 0.5
    pose = fit.pose.first_alike(settings.symmetry)
    deviations = fit.deviations if pose == fit.pose else Deviations.of(pose, fit.covariance)
    return Measured(
        pose=pose,
        deviations=tuple(scale * one for one in dataclasses.astuple(deviations)),
        chi2=fit.chi2,
        margin=found.margin,
        refused=refusals.reasons(found, image, setup, settings.refusals),
        regions=differing.regions,
        differs=differing.mask,
        significance=differing.significance,
        light=fit.light.astype(np.float16),
    )
