"""What the data sections of formats share whose labels are masks of defects."""

import abc
from collections.abc import Mapping
from typing import Literal

import pydantic

from inspection_tf import config
from inspection_tf.datasets import mask_meaning
from inspection_tf.datasets.sections.base import DataSpec, StoredSpec
from inspection_tf.synthesis.surface import Families, SurfaceSpec


class ComposeSpec(config.Section):
    """Synthetic defects on good images."""

    per_image: float = pydantic.Field(default=0, ge=0, allow_inf_nan=False)
    """Defective images made of each good training image; 0.5: of every second one."""
    weak_labels: bool = True
    """Label with a covering ellipse, as DAGM does, instead of the exact mask."""
    classes: dict[str, Families] = pydantic.Field(default_factory=dict)
    """Where a set tells classes apart: the families of defect that each class is drawn from, in
    place of `surface.defects`; a class that is not named is not drawn. The classes take turns."""
    surface: SurfaceSpec = SurfaceSpec()
    """What the defects are drawn from."""

    @pydantic.model_serializer(mode="wrap")
    def _without_classes_where_none_are_named(
        self, write: pydantic.SerializerFunctionWrapHandler
    ) -> dict[str, object]:
        values: dict[str, object] = write(self)
        if not self.classes:  # as every bundle and configuration without them was written
            values.pop("classes", None)
        return values


class MasksSpec(DataSpec, abc.ABC):
    """Images whose defects are marked by masks."""

    defects: Literal["real", "composed"] = "real"
    """Defects that train and tune: those of the data set, or synthetic ones on its good images;
    the real ones are then all kept for the test."""
    compose: ComposeSpec = ComposeSpec()
    """Synthetic defects on good training images: all there are (`defects: composed`) or besides."""

    @pydantic.model_validator(mode="after")
    def _require_composed_defects(self) -> "MasksSpec":
        if self.defects == "composed" and (not self.compose.per_image or self.folds):
            raise ValueError(
                "defects: composed needs compose.per_image of at least 1 and folds of 0"
            )
        return self


class StoredMasksSpec(MasksSpec, StoredSpec, abc.ABC):
    """Images in the files of a folder that says where their defects are."""

    empty_masks: Literal["refuse", "accept"] = "refuse"
    """Defective images whose mask is empty: refuse the data set, or accept them as NG images of
    which nothing is known but that."""


class MaskFilesSpec(StoredMasksSpec, abc.ABC):
    """Images whose masks are files."""

    mask_values: dict[str, str] = pydantic.Field(default_factory=dict)
    """What the values in mask files mean, where they are not 0 and 255, 0 and 1, or the ids of
    classes.txt: from a gray value, the entry of a palette, or a colour ("#800000" or 128,0,0) to
    background, ignore, defect, or the name or id of a class. 0 and black are background unless
    they are named. Such as {0: defect, 255: background}, or {1: scratch, 2: dent, 255: ignore},
    whose names are the classes where the data set names none. On the command line in pairs:
    1 scratch 2 dent 255 ignore."""
    mask_ignore: tuple[str, ...] = ()
    """Further values in mask files that are to be ignored, such as 255: their pixels count neither
    for loss nor for metrics."""

    @pydantic.field_validator("mask_values", mode="before")
    @classmethod
    def _values_are_text(cls, values: object) -> object:
        # YAML reads 255 as a number.
        if not isinstance(values, Mapping):
            return values
        return {str(value): str(meaning) for value, meaning in values.items()}

    @pydantic.field_validator("mask_ignore", mode="before")
    @classmethod
    def _ignored_are_text(cls, values: object) -> tuple[str, ...]:
        several = values if isinstance(values, list | tuple) else [values]
        return tuple(str(value) for value in several)

    @pydantic.model_validator(mode="after")
    def _values_can_be_stored(self) -> "MaskFilesSpec":
        named = set()
        for text in (*self.mask_values, *self.mask_ignore):
            value = mask_meaning.parse(text)
            colour = (value,) * 3 if isinstance(value, int) else value  # 255 is #ffffff too
            if colour in named:
                raise ValueError(
                    "a value of a mask must be named once in mask_values and mask_ignore together, "
                    f"got {text!r} again"
                )
            named.add(colour)
        return self
