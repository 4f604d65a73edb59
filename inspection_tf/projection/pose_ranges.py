"""Which poses a part may have."""

import numpy as np
import pydantic

from inspection_tf import config
from inspection_tf.projection.poses import Pose


class PoseRange(config.Section):
    """From which poses a part is drawn, and within which it is looked for."""

    phi_deg: tuple[pydantic.FiniteFloat, pydantic.FiniteFloat] = (0.0, 360.0)
    """First and last angle about the vertical axis."""
    theta_deg: float = pydantic.Field(default=10.0, ge=0, lt=90)
    """Largest angle about the part's x axis, to either side."""
    psi_deg: float = pydantic.Field(default=10.0, ge=0, le=180)
    """Largest angle about the part's z axis, likewise."""
    xy_mm: float = pydantic.Field(default=3.0, ge=0, allow_inf_nan=False)
    """Largest distance from the middle, to the right or the left and up or down."""
    z_mm: float = pydantic.Field(default=10.0, ge=0, allow_inf_nan=False)
    """Likewise along the beam."""

    @pydantic.model_validator(mode="after")
    def _phi_rises(self) -> "PoseRange":
        first, last = self.phi_deg
        if not first < last <= first + 360:
            raise ValueError(
                "phi_deg must rise, by no more than a whole turn, "
                f"got {first:g} and {last:g}: use for example 0 and 360, or -20 and 20 across 0"
            )
        return self

    def drawn(self, rng: np.random.Generator) -> Pose:
        """Return a pose at random, each value of it alike within its range."""
        theta, psi = (rng.uniform(-most, most) for most in (self.theta_deg, self.psi_deg))
        x, y, z = (rng.uniform(-most, most) for most in (self.xy_mm, self.xy_mm, self.z_mm))
        return Pose(rng.uniform(*self.phi_deg) % 360, theta, psi, x, y, z)

    def grid(self, *, phi_step: float, tilt_step: float) -> list[Pose]:
        """Return poses at the origin that are evenly spread over the angles.

        Args:
            phi_step: degrees, at most, between neighbours.
            tilt_step: likewise, of theta and psi.
        """
        phis = _middles(*self.phi_deg, step=phi_step)
        thetas = _middles(-self.theta_deg, self.theta_deg, step=tilt_step)
        psis = _middles(-self.psi_deg, self.psi_deg, step=tilt_step)
        return [Pose(phi % 360, theta, psi) for phi in phis for theta in thetas for psi in psis]


def _middles(low: float, high: float, *, step: float) -> list[float]:
    """Return the middles of as many even parts of a range as a step needs."""
    count = max(1, int(np.ceil((high - low) / step - 1e-9)))
    return [low + (high - low) * (index + 0.5) / count for index in range(count)]
