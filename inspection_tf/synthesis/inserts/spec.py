"""What photos of cutting inserts are drawn from."""

import pydantic

from inspection_tf import config
from inspection_tf.synthesis.surface import Margin as Interval
from inspection_tf.synthesis.surface import Share, Side


class InsertSpec(config.Section):
    """What photos of cutting inserts are drawn from."""

    size: tuple[Side, Side] = (192, 256)
    """Height and width of an image, px."""
    mm_per_px: float = pydantic.Field(default=0.005, ge=0.0005, le=0.1)
    """Scale of the images, mm per px."""
    rotation_deg: float = pydantic.Field(default=8.0, ge=0, le=30)
    """Largest rotation of the cutting edge either way, degrees."""
    shift: float = pydantic.Field(default=0.08, ge=0, le=0.2)
    """Largest shift of the cutting edge either way, as a share of the image's height and width."""
    corner_share: Share = 0.6
    """Share of images that show a corner of the insert, at the left or at the right."""
    corner_radius_um: Interval = (120.0, 400.0)
    """Range of the corner's radius, um."""
    unworn_share: Share = 0.15
    """Share of images whose edge is not worn."""
    vb_um: Interval = (25.0, 280.0)
    """Range of the wear land's mean width in zone B (VB_B in ISO 3685) of a worn edge, um."""
    vb_variation: float = pydantic.Field(default=0.22, ge=0, le=0.4)
    """Standard deviation of the land's width along the edge, as a share of its mean."""
    engaged: Interval = (0.65, 1.15)
    """Range of the part of the visible straight edge that has cut; from 1 on the land ends outside
    the image."""
    roughness_um: float = pydantic.Field(default=18.0, ge=0)
    """Largest depth of the micro-roughness that every edge has, um."""
    chipping_tolerance_um: float = pydantic.Field(default=30.0, ge=0)
    """An edge from which no more is missing than this is not broken, um."""
    chipping_um: Interval = (90.0, 340.0)
    """Range of the depth of the deepest chip of a broken edge, um."""
    coating: Interval = (24.0, 100.0)
    """Range of the grey value of the coated flank."""
    background: Interval = (75.0, 225.0)
    """Range of the grey value of the tool holder behind the insert, out of focus."""
    grain: Interval = (3.0, 9.0)
    """Range of the contrast of grinding marks and speckle on the flank, grey values."""
    dirt: int = pydantic.Field(default=4, ge=0)
    """Most pieces of swarf, spots of oil and patches of dust on an image; each number up to it is
    equally likely."""
    shading: Share = 0.45
    """Largest loss of light from one side of the image to the other."""
    highlight: float = pydantic.Field(default=60.0, ge=0, le=255)
    """Largest brightness of the specular highlight, grey values."""
    vignetting: Share = 0.3
    """Largest loss of light in the corners of the image."""
    blur_px: float = pydantic.Field(default=3.0, ge=0, le=12)
    """Largest blur of what lies far from the focal plane, standard deviation in px."""
    noise: float = pydantic.Field(default=5.0, ge=0, le=50)
    """Largest standard deviation of the sensor's noise, grey values."""

    @pydantic.model_validator(mode="after")
    def _require_decidable(self) -> "InsertSpec":
        if not self.roughness_um <= self.chipping_tolerance_um < self.chipping_um[0]:
            raise ValueError(
                "roughness_um may not exceed chipping_tolerance_um, and chipping_um must lie above "
                "it, or a label could not be told from an image"
            )
        if self.corner_radius_um[0] <= 0:
            raise ValueError("corner_radius_um must be above 0")
        if self.engaged[0] < 0.2:
            raise ValueError("engaged must be at least 0.2")
        return self

    def px(self, length_um: float) -> float:
        """Return a length on the insert in px of its image."""
        return length_um / (1000 * self.mm_per_px)

    def um(self, length_px: float) -> float:
        """Return a length on an image in um of its insert."""
        return length_px * 1000 * self.mm_per_px
