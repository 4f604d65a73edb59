"""When a refined pose is not to be trusted: one reason in words for each limit that it breaks."""

from collections.abc import Iterator

import cv2
import numpy as np
import pydantic

from inspection_tf import config
from inspection_tf.projection import Setup
from inspection_tf.projection.radiographs import cut_share
from inspection_tf.tasks.pose.refinement.measurement import Pixels
from inspection_tf.tasks.pose.refinement.search import Refined

_SHADOW = 0.98  # share of the open beam that passes beside the part, at least
_LEAST = 1e-3  # likewise: light whose noise is the least there is
_FAR = 8.0  # standard deviations from the model
_BLACK = 0.02  # share of the open beam that some pixel of any image has


class RefusalLimits(config.Section):
    """Within which a refined pose is trusted."""

    max_chi2: float = pydantic.Field(default=1.1, gt=1, allow_inf_nan=False)
    """Of the mean squared residual, in shares of what photons explain: over it the model is not
    what the image shows."""
    min_chi2: float = pydantic.Field(default=0.8, ge=0, lt=1)
    """Likewise: under it the image has less noise than its photons would make, so that they were
    stated wrongly, and nothing else that is stated holds."""
    max_structure: float = pydantic.Field(default=1.3, gt=1, allow_inf_nan=False)
    """Of the same of residuals that are averaged over a few pixels: it shows a border that is
    off all along."""
    min_margin: float = pydantic.Field(default=100.0, ge=0, allow_inf_nan=False)
    """Of what the next best pose fits worse, in squares of standard deviations: under it two poses
    fit alike."""
    max_angle_sd_deg: float = pydantic.Field(default=0.1, gt=0, allow_inf_nan=False)
    """Of the standard deviation of an angle."""
    max_position_sd_mm: float = pydantic.Field(default=1.0, gt=0, allow_inf_nan=False)
    """Of the standard deviation of a place."""
    max_cut: float = pydantic.Field(default=0.01, ge=0, le=1)
    """Of the share of the part's attenuation that lies beside the image."""
    max_saturated: float = pydantic.Field(default=0.001, ge=0, le=1)
    """Of the share of pixels at the end of their range."""
    max_dead_px: int = pydantic.Field(default=2, ge=0)
    """Of the dead pixels that touch before the part: they are not compared, and more of them may
    be a flaw. A scanner with such a group needs its values filled in, or a larger limit."""


def reasons(
    refined: Refined, image: Pixels, setup: Setup, limits: RefusalLimits
) -> tuple[str, ...]:
    """Return why a refined pose is refused; empty where it is trusted.

    Args:
        refined: what was found.
        image: in which.
        setup: part, scanner and beam.
        limits: to keep within.
    """
    return tuple(_reasons(refined, image, setup, limits))


def _reasons(refined: Refined, image: Pixels, setup: Setup, limits: RefusalLimits) -> Iterator[str]:
    fit = refined.fit
    brightest = float(refined.measured.values.max())
    if not brightest >= _BLACK:
        yield (
            f"the brightest pixel has {brightest:.2%} of the open beam, under {_BLACK:.0%}: it is "
            "black, or rules.refinement.open_value is that of other images"
        )
        return
    saturated = float(np.mean(image == np.iinfo(image.dtype).max))
    if not saturated <= limits.max_saturated:
        yield (
            f"{saturated:.2%} of the pixels are at the end of their range, "
            f"over {limits.max_saturated:.2%}"
        )
    if not fit.chi2 <= limits.max_chi2:
        yield (
            f"the part does not fit: mean squared residual {fit.chi2:.3g}, "
            f"over {limits.max_chi2:.3g}"
        )
    if not fit.chi2 >= limits.min_chi2:
        yield (
            f"the image has less noise than the stated photons make: mean squared residual "
            f"{fit.chi2:.3g}, under {limits.min_chi2:.3g}"
        )
    if not refined.structure <= limits.max_structure:
        yield (
            f"the part does not fit in places: residuals of neighbours agree by "
            f"{refined.structure:.3g}, over {limits.max_structure:.3g}"
        )
    deviations = fit.deviations
    angle = max(deviations.phi, deviations.theta, deviations.psi)
    if not angle <= limits.max_angle_sd_deg:
        yield (
            f"an angle is known to {_known(angle, 'deg')}, over {limits.max_angle_sd_deg:.3g} deg"
        )
    sees_depth = setup.scanner.beam == "cone"
    place = max(deviations.x, deviations.y, deviations.z if sees_depth else 0.0)
    if not place <= limits.max_position_sd_mm:
        yield (
            f"the place is known to {_known(place, 'mm')}, over {limits.max_position_sd_mm:.3g} mm"
        )
    if not refined.margin >= limits.min_margin:
        yield (
            f"two poses fit alike: the next is worse by {refined.margin:.3g}, "
            f"under {limits.min_margin:.3g}"
        )
    dead = _largest_dead_group(refined)
    if not dead <= limits.max_dead_px:
        yield (
            f"{dead} px of the part that touch were not compared, as they differ from all around "
            f"them: over {limits.max_dead_px}"
        )
    cut = cut_share(setup, fit.pose)
    if not cut <= limits.max_cut:
        yield f"{cut:.1%} of the part lies beside the image, over {limits.max_cut:.1%}"


def _largest_dead_group(refined: Refined) -> int:
    """Return how many pixels of the part's shadow touch that were left out as dead.

    Those that are as the model do not count: at sharp borders there are some.
    """
    measured, light = refined.measured, refined.fit.light
    seen = measured.noise > 0
    if not seen.any():
        return int(seen.size)
    # Noise grows with the root of the light.
    root = np.sqrt(np.maximum(light, _LEAST))
    noise = root * float(np.median(measured.noise[seen] / root[seen]))
    is_off = np.abs(measured.values - light) > _FAR * noise
    unseen = (~seen & is_off & (light < _SHADOW)).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(unseen, connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max(initial=0))


def _known(deviation: float, unit: str) -> str:
    return f"{deviation:.3g} {unit}" if np.isfinite(deviation) else "no extent"
