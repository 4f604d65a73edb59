"""What a classification decides by."""

from typing import Literal

import pydantic

from inspection_tf import config


class Settings(config.Section):
    """What a classification decides by, and what its network returns."""

    ok_name: str = pydantic.Field(default="OK", min_length=1)
    """What the class of good images is called; the others are the classes of the bundle."""
    decide_by: Literal["threshold", "likeliest"] = "threshold"
    """threshold: NG where the probabilities of all classes but OK together reach the threshold that
    was chosen for a promise; likeliest: NG where the likeliest class is not OK."""
    min_margin: float = pydantic.Field(default=0.0, ge=0, le=1)
    """REVIEW where the likeliest class is ahead of the next by less, in probability; 0: never. An
    engine whose probabilities cross it changes a verdict far from the threshold, so its gate says
    no."""
    has_evidence: bool = True
    """The network also returns what each place of the image adds to each class."""
    max_novelty: float | None = pydantic.Field(default=None, gt=0)
    """The network also returns how unlike the training images an image is: 1 where it is as far
    from them as nearly all of them keep to those of other groups. REVIEW over this; none: it
    returns no novelty."""

    min_gray_span: int | None = pydantic.Field(default=None, ge=1, le=255)
    """REVIEW where the 1st and the 99th percentile of the grey values, or of each channel, lie less
    apart, 0..255: behind a closed lens, in a flooded frame, or where 8 bits came in 16. None: never
    for that."""

    @pydantic.model_serializer(mode="wrap")
    def _omit_span_of_none(
        self, write: pydantic.SerializerFunctionWrapHandler
    ) -> dict[str, object]:
        values: dict[str, object] = write(self)
        if self.min_gray_span is None:  # as bundles were written before there was one
            values.pop("min_gray_span", None)
        return values

    @property
    def has_novelty(self) -> bool:
        """Whether the network returns the novelty of an image."""
        return self.max_novelty is not None
