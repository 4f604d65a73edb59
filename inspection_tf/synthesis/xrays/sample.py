"""One drawn X-ray and what is true of it."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from inspection_tf.projection import Exposure, Pose, Setup
from inspection_tf.synthesis.xrays import flaws
from inspection_tf.synthesis.xrays.parts import MATERIAL
from inspection_tf.synthesis.xrays.spec import Span, XraySpec

_FLAW = 1  # keeps these draws apart from others of the image


@dataclasses.dataclass(frozen=True)
class XraySample:
    """A drawn X-ray.

    Attributes:
        image: (height, width), of the bits of the exposure.
        pose: of the part.
    """

    image: NDArray[np.uint8] | NDArray[np.uint16]
    pose: Pose


def draw(
    index: int,
    *,
    seed: int,
    spec: XraySpec,
    nominal: Setup | None = None,
    is_flawed: bool = False,
) -> XraySample:
    """Return X-ray `index` of a set: it follows from (seed, index) and the spec alone.

    Args:
        index: of the image.
        seed: of the set.
        spec: what to draw from.
        nominal: `spec.nominal()`, where it was computed already.
        is_flawed: whether something is wrong with the part: see `flaws`. The rest is the same.

    Raises:
        errors.DataError: see `XraySpec.nominal`.
    """
    setup = spec.nominal() if nominal is None else nominal
    rng = np.random.default_rng([seed, index])
    pose = spec.poses.drawn(rng)
    seen = spec.conditions(
        setup.part, setup.scanner, kv=_between(rng, spec.kv), copper=_between(rng, spec.copper_mm)
    )
    exposure = Exposure(
        **spec.detector.model_dump(),
        focal_spot_mm=_between(rng, spec.focal_spot_mm),
        scatter=_between(rng, spec.scatter),
        scatter_px=_between(rng, spec.scatter_px),
    )
    if is_flawed:
        of_flaw = np.random.default_rng([seed, index, _FLAW])
        size = _between(of_flaw, spec.flaw_mm)
        seen = flaws.flawed(of_flaw, seen, pose, diameter_mm=size, material=MATERIAL)
    expected = exposure.expected(seen, pose, samples=spec.samples)
    return XraySample(exposure.render(rng, expected), pose)


def _between(rng: np.random.Generator, span: Span) -> float:
    return float(rng.uniform(*span))
