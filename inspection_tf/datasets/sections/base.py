"""The data section of a recipe, which is another one for each format, and what they share."""

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pydantic

from inspection_tf import config
from inspection_tf.datasets.records import Records
from inspection_tf.datasets.sections import group_patterns


class DataSpec(config.TaggedSection):
    """Which images, and how they are split."""

    TAG: ClassVar[str] = "format"
    EARLIER: ClassVar[frozenset[str]] = frozenset({"root", "count", "surface", "compose", "folds"})

    format: str = "synthetic"
    """What is drawn, or the layout of a folder: see `datasets.readers`."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Of the synthetic images and the composed defects."""
    group_pattern: str | None = None
    """Regular expression that is searched for in the path of each image under the root, without
    suffix: its first group, or the one named group, is the part that the image shows. A split never
    parts the images of a part. None: as groups.csv in the root says, or the format."""
    tune: float = pydantic.Field(default=0.2, ge=0, lt=1)
    """Share of images that choose thresholds."""
    test: float = pydantic.Field(default=0.25, ge=0, lt=1)
    """Share of images that are looked at once, at the end."""
    sealed: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Share of images, by groups, that nothing reads while the run lasts: `inspection unseal RUN`
    measures its bundle on them. Drawn by the seed of the data, so that all runs on them, whatever
    their own seed and splits, seal the same. 0: none."""
    folds: int = pydantic.Field(default=0, ge=0)
    """0: train, tune and test. Else cross-validation: every image is tested by a network that did
    not see it, thresholds come from these scores, and the shipped network trains on all."""

    @pydantic.field_validator("group_pattern")
    @classmethod
    def _require_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            group_patterns.compiled(pattern)
        return pattern

    @pydantic.model_validator(mode="after")
    def _require_folds(self) -> "DataSpec":
        if self.folds == 1:
            raise ValueError("folds must be 0 or at least 2")
        return self


class DrawnSpec(DataSpec, abc.ABC):
    """Images that are drawn: no file can be wrong."""

    @abc.abstractmethod
    def draw(self) -> Records:
        """Return the records, whose pixels are drawn when they are read."""


class StoredSpec(DataSpec, abc.ABC):
    """Images in the files of a folder."""

    root: Path | None = None
    """Folder of the images."""

    @classmethod
    def how_read(cls, source: Mapping[str, object]) -> dict[str, object]:
        """Return the values of a section's fields that its format alone has.

        Which images, and how they are split, is said by fields that formats share. What one has for
        itself says how its folders are read, so it holds for another folder too.

        Args:
            source: values of a section of this format, by their names.
        """
        own = cls.__annotations__.keys() - {cls.TAG}
        return {name: value for name, value in source.items() if name in own}

    @abc.abstractmethod
    def read_from(self, root: Path) -> Records:
        """Read the records of a folder, whatever `root` says.

        Raises:
            layouts.OtherLayout: it does not look like a set of this format.
            errors.DataError: it does, and cannot be read.
        """


class PairedSpec(StoredSpec, abc.ABC):
    """Images that may each have a template."""

    templates: bool = True
    """Compare each image with its template, where the data set has them; false: leave them out."""
