"""The section of a manifest on tiles: how images larger than the network are cut."""

from typing import Literal

import pydantic

from inspection_tf import config

_DECIDED = 16
"""Bytes a pixel that stitching and deciding take at most, beside map and image; measured."""


class TilePlan(config.Section):
    """How images that are larger than the network are cut; nothing is resized."""

    stride: int = pydantic.Field(ge=1)
    """px from tile to tile, a multiple of the network's total stride."""
    margin: int = pydantic.Field(ge=0)
    """px at each border of a tile that are not used; at least half the receptive field."""
    total_stride: int = pydantic.Field(ge=1)
    """px of the image for one cell of the network's coarsest map; tiles start at its multiples."""
    blending: Literal["crop", "linear"] = "crop"
    """Where tiles overlap beyond their margins: one of them, or a mean that fades over."""
    edges: Literal["reflect", "replicate", "zero"] = "reflect"
    """What lies beyond the image, where it ends within a tile."""
    batch: int = pydantic.Field(default=1, ge=1)
    """Tiles a call of the network."""
    network_bytes: int = pydantic.Field(default=0, ge=0)
    """Memory of a process that runs a batch of tiles, measured where the plan was made."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> "TilePlan":
        if self.stride % self.total_stride:
            raise ValueError(f"stride must be a multiple of total_stride, {self.total_stride}")
        return self

    def problem(self, size: tuple[int, int]) -> str:
        """Return what does not fit tiles of (height, width) px; "" if all does."""
        side = min(size)
        if self.stride + 2 * self.margin > side:
            return f"stride and twice the margin must fit into {side} px"
        # Else a tile would fade in and out at once.
        least = 2 * (max(size) - 2 * self.margin) / 3
        if self.blending == "linear" and self.stride < least:
            return f"linear blending needs a stride of {least:.0f} px"
        return ""

    def memory_bytes(self, size: tuple[int, int], *, channels: int, classes: int) -> int:
        """Return the most memory that a process needs for an image of (height, width) px."""
        maps = 2 if self.blending == "linear" else 1
        each = 3 * channels + 4 * classes * (1 + maps) + _DECIDED
        return self.network_bytes + size[0] * size[1] * each
