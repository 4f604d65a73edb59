"""What a bundle that measures poses decides by."""

import dataclasses
from typing import Literal

import pydantic

from inspection_tf import config
from inspection_tf.projection.pose_ranges import PoseRange
from inspection_tf.projection.poses import Pose
from inspection_tf.tasks.pose.difference import DifferenceSpec
from inspection_tf.tasks.pose.refinement.refusals import RefusalLimits
from inspection_tf.tasks.pose.refinement.spec import RefinementSpec

NAMES = tuple(field.name for field in dataclasses.fields(Pose))
"""Of the numbers of a pose: phi, theta, psi, x, y, z."""
ANGLES = NAMES[:3]
UNITS = {name: "deg" if name in ANGLES else "mm" for name in NAMES}
"""Of each of these numbers."""
_Span = tuple[pydantic.FiniteFloat, pydantic.FiniteFloat]


class Tolerances(config.Section):
    """Within which a part must lie: lowest and highest number of each; none: it may be any."""

    phi: _Span | None = None
    """Degrees; from the first on upwards to the second, over 360 if need be: 350 and 10."""
    theta: _Span | None = None
    """Degrees."""
    psi: _Span | None = None
    """Degrees."""
    x: _Span | None = None
    """mm."""
    y: _Span | None = None
    """mm."""
    z: _Span | None = None
    """mm."""

    @pydantic.model_validator(mode="after")
    def _spans_rise(self) -> "Tolerances":
        for name in NAMES[1:]:
            span = getattr(self, name)
            if span is not None and not span[0] < span[1]:
                raise ValueError(
                    f"{name} must be two numbers, the smaller one first, got {span[0]:g} and "
                    f"{span[1]:g}"
                )
        if self.phi is not None and self.phi[0] % 360 == self.phi[1] % 360:
            raise ValueError(
                "phi must be two directions, the first one before the second, got "
                f"{self.phi[0]:g} and {self.phi[1]:g}"
            )
        return self


class DifferenceRules(DifferenceSpec):
    """When a part is not as its model: where it differs surely, and over how much."""

    min_significance: float = pydantic.Field(default=5.5, gt=0, allow_inf_nan=False)
    """Standard deviations of noise that a place must differ by to be NG. Of some 20,000 places that
    are independent, noise alone brings one to 5.5 in less than one of a thousand images."""
    min_area_px: int = pydantic.Field(default=1, ge=1)
    """Pixels together that differ so."""
    max_left_out: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Share of the image that may differ, so that the pose is measured by the rest of it; where
    more does, the part does not fit its model and is left to a person."""


class Settings(config.Section):
    """What a bundle that measures poses decides by."""

    poses: PoseRange = PoseRange()
    """In which poses a part may lie; one that is found outside of them is left to a person."""
    range_margin: float = pydantic.Field(default=0.05, ge=0, allow_inf_nan=False)
    """How far outside, as a share of each range."""
    symmetry: int = pydantic.Field(default=1, ge=1)
    """n, how often the part looks alike in a turn about its vertical axis: phi is known up to
    360 / n degrees, and told from 0 to that."""
    refine: bool = True
    """Make the network's poses exact; false: the likeliest of them is the answer."""
    refinement: RefinementSpec = RefinementSpec()
    """How they are made exact."""
    apart_deg: float = pydantic.Field(default=15.0, gt=0, le=180)
    """Poses of the network that are nearer count as one."""
    min_probability: float = pydantic.Field(default=0.05, ge=0, lt=1)
    """Poses of the network that are less likely are not refined, but for the likeliest."""
    refusals: RefusalLimits = RefusalLimits()
    """Within which a pose is trusted; else it is left to a person."""
    deviation_scale: tuple[float, float, float, float, float, float] = (1.0,) * 6
    """By what the deviations of phi, theta, psi, x, y and z that photons set are multiplied, so
    that the stated ones hold: chosen on tune, or out of fold."""
    compare: bool = True
    """Look whether the part is as its model."""
    difference: DifferenceRules = DifferenceRules()
    """When it is not."""
    tolerances: Tolerances = Tolerances()
    """Within which it must lie."""
    sure: float = pydantic.Field(default=2.0, ge=0, allow_inf_nan=False)
    """Standard deviations by which a number must lie inside or outside of its tolerance; nearer to
    it a part is left to a person."""
    decide_by: Literal["limits", "threshold"] = "limits"
    """limits: NG where a limit of the difference or a tolerance is broken; threshold: where the
    score reaches the threshold that was chosen for a promise. By limits a threshold that is set by
    hand makes them stricter where it is under 0.5, and else changes nothing."""

    @pydantic.model_validator(mode="after")
    def _measured_before_compared(self) -> "Settings":
        if self.compare and not self.refine:
            raise ValueError(
                "compare must be false where refine is: a part is compared in the pose that is "
                "refined, got true"
            )
        return self
