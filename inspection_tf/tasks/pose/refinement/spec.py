"""What a refinement may change besides the pose, and how images are taken."""

from typing import Literal

import pydantic

from inspection_tf import config


class RefinementSpec(config.Section):
    """How a pose is refined by the part's own model."""

    photons: float = pydantic.Field(default=1e4, ge=1, le=1e12)
    """A pixel counts where nothing is in the way; sets the noise."""
    open_value: float = pydantic.Field(default=49151.25, ge=1, le=65535)
    """What a pixel of a source image shows where nothing is in the way."""
    moves: tuple[Literal["turn_x", "turn_y", "turn_z", "x", "y", "z"], ...] = pydantic.Field(
        default=("turn_x", "turn_y", "turn_z", "x", "y", "z"), min_length=1
    )
    """What a part may do between its start and its pose: turn about axes of the scanner, and move
    along them. A parallel beam shows no z."""
    starts: int = pydantic.Field(default=3, ge=1, le=10)
    """Poses that are tried, the likeliest first."""
    spectrum_sd: float = pydantic.Field(default=0.3, ge=0, allow_inf_nan=False)
    """How far the share of an energy may be from that of the model; 0: it is known."""
    scatter_sd: float = pydantic.Field(default=0.3, ge=0, allow_inf_nan=False)
    """How much of what the part takes may come back as scatter; 0: there is none."""
    blur_px: float = pydantic.Field(default=0.5, ge=0, allow_inf_nan=False)
    """Standard deviation of the blur."""
    blur_sd: float = pydantic.Field(default=0.5, ge=0, allow_inf_nan=False)
    """How far its square may be from that, px2; 0: it is known."""
    change_rays: int = pydantic.Field(default=3, ge=1, le=89)
    """Rays in each pixel for how the image changes with the pose. 8 come nearer to what photons
    allow where all but the pose is known, and take half as long again."""
