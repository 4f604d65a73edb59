"""Records whose pixels are drawn when they are read: surfaces, and defects on good images."""

import dataclasses
import functools
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images
from inspection_tf.datasets.records import Record, Records, Source
from inspection_tf.synthesis import surface

# Raised whenever the same spec and seed begin to give other pixels.
DRAWING_VERSION = 1


@functools.lru_cache(maxsize=8)
def _surface(
    index: int, seed: int, spec: surface.SurfaceSpec, defective_fraction: float
) -> surface.Sample:
    return surface.draw(index, seed=seed, spec=spec, defective_fraction=defective_fraction)


@dataclasses.dataclass(frozen=True, slots=True)
class SurfaceSource:
    """Sample `index` of a synthetic set.

    Attributes:
        index: place in the set, from 0.
        seed: of the set.
        spec: what the set is drawn from.
        defective_fraction: share of defective images.
        weak_labels: the covering ellipse instead of the exact mask.
    """

    index: int
    seed: int
    spec: surface.SurfaceSpec
    defective_fraction: float
    weak_labels: bool = False

    def _sample(self) -> surface.Sample:
        return _surface(self.index, self.seed, self.spec, self.defective_fraction)

    @property
    def shows_own_part(self) -> bool:
        """Whether no other image shows the same part: it is drawn for this one."""
        return True

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Draw the image, which no orientation turns."""
        return self._sample().image

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Draw its label."""
        sample = self._sample()
        return sample.ellipse if self.weak_labels else sample.mask

    def identity(self) -> bytes:
        """Return everything the pixels follow from."""
        return repr(
            (
                DRAWING_VERSION,
                dataclasses.astuple(self)[:2],
                self.defective_fraction,
                self.weak_labels,
                self.spec.model_dump_json(),
            )
        ).encode()


@dataclasses.dataclass(frozen=True, slots=True)
class ComposedSource:
    """A good image with synthetic defects on it; the label is the covering ellipse or the mask.

    Attributes:
        base: reads the good image.
        key: seed of the defects.
        spec: what they are drawn from.
        weak_labels: the covering ellipse instead of the exact mask.
    """

    base: Source
    key: tuple[int, ...]
    spec: surface.SurfaceSpec
    weak_labels: bool

    def _sample(self, orientation: images.Orientation) -> surface.Sample:
        rng = np.random.default_rng(list(self.key))
        return surface.on_image(rng, self.base.read_image(orientation=orientation), self.spec)

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Draw defects onto the good image."""
        return self._sample(orientation).image

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Draw their label."""
        sample = self._sample(orientation)
        return sample.ellipse if self.weak_labels else sample.mask

    @property
    def has_ignored(self) -> bool:
        """Whether the good image may have pixels that count for nothing."""
        return Record("", False, self.base).has_ignored

    def read_ignored(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.bool_] | None:
        """Return those of the good image, wherever the defects are drawn."""
        return Record("", False, self.base).read_ignored(orientation=orientation)

    @property
    def has_template(self) -> bool:
        """Whether the good image has one."""
        return Record("", False, self.base).has_template

    def read_template(self, *, orientation: images.Orientation = "apply") -> images.Image | None:
        """Return the template of the good image, which shows no defect either."""
        return Record("", False, self.base).read_template(orientation=orientation)

    def identity(self) -> bytes:
        """Return everything the pixels follow from."""
        text = repr((DRAWING_VERSION, self.key, self.weak_labels, self.spec.model_dump_json()))
        return self.base.identity() + text.encode()


def surfaces(
    *,
    count: int,
    defective_fraction: float,
    spec: surface.SurfaceSpec,
    seed: int,
    weak_labels: bool = False,
) -> Records:
    """Return records of a synthetic set.

    Args:
        count: number of images.
        defective_fraction: share of defective images, 0..1.
        spec: what to draw from.
        seed: of the set; image `i` follows from (seed, i).
        weak_labels: the covering ellipse instead of the exact mask.
    """
    found = []
    for index in range(count):
        source = SurfaceSource(index, seed, spec, defective_fraction, weak_labels)
        is_defect = int((index + 1) * defective_fraction) > int(index * defective_fraction)
        found.append(Record(id=f"surface/{index:06d}", is_defect=is_defect, source=source))
    return Records.of(found, origin="the synthetic surfaces")


def _drawn_classes(
    good: Records, spec: surface.SurfaceSpec, classes: Mapping[str, surface.Families]
) -> list[tuple[int, surface.SurfaceSpec]]:
    """Return the id of each class that is drawn, and what it is drawn from."""
    unknown = sorted(set(classes) - set(good.classes))
    if unknown or (len(good.classes) > 1 and not classes):
        raise errors.DataError(
            "Composed defects need data.compose.classes to say how each class is drawn, of "
            f"{', '.join(good.classes)} in {good.origin}. Got {', '.join(unknown) or 'none'}. "
            "Name classes of the set, or set data.compose.per_image: 0."
        )
    if not classes:
        return [(1, spec)]
    return [
        (1 + good.classes.index(name), spec.model_copy(update={"defects": tuple(families)}))
        for name, families in classes.items()
    ]


def compose(
    good: Records,
    *,
    per_image: float,
    spec: surface.SurfaceSpec,
    seed: int,
    weak_labels: bool,
    classes: Mapping[str, surface.Families] | None = None,
) -> Records:
    """Return defective records made of good ones; each shares the group of its base.

    Args:
        good: defect-free records.
        per_image: defective records for each of them; the rest of a division by 1 is a chance.
        spec: what the defects are drawn from; its size and textures are not used.
        seed: with the base's id and the number it fixes the defects.
        weak_labels: the covering ellipse instead of the exact mask.
        classes: what each class is drawn from, by its name; needed where there are several.

    Raises:
        errors.DataError: the set tells classes of defects apart, and which of them is drawn how is
            not said, or is said of a class it does not have.
    """
    drawn = _drawn_classes(good, spec, classes or {})
    found = []
    for record in good.where(is_defect=False):
        name = zlib.crc32(record.id.encode())
        further = np.random.default_rng([seed, name]).uniform() < per_image % 1
        for number in range(int(per_image) + further):
            key = (seed, name, number)
            class_id, families = drawn[sum(key) % len(drawn)]
            found.append(
                Record(
                    id=f"{record.id}+defect{number}",
                    is_defect=True,
                    source=ComposedSource(record.source, key, families, weak_labels),
                    group=record.group or record.id,
                    class_id=class_id,
                )
            )
    return Records.of(found, origin=f"defects composed onto {good.origin}", classes=good.classes)
