"""Images that nothing reads until a finished bundle is measured on them.

What is chosen on some images flatters itself on them, and after the tenth configuration on the test
images too. A sealed image keeps its place among the records: its id, group and label are known, so
that it is dealt and counted. Its pixels and masks are not to be had: whoever asks is refused, and
that is noted at the image itself.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

import numpy as np

from inspection_tf import errors, images
from inspection_tf.datasets import image_record, records
from inspection_tf.datasets.records import Records

NAME = "sealed"
"""What the part is called, beside train, tune and test."""


class SealedSource:
    """A source that tells what is known of an image, and reads nothing of it.

    It has the attributes of the source that it stands for, so that whatever asks what kind of label
    or whether there is a template learns it; each method that reads is replaced.

    Attributes:
        tried: names of the methods that were refused, in order.
    """

    def __init__(self, source: image_record.Source) -> None:
        """Seal a source."""
        self._source = source
        self.tried: list[str] = []

    def identity(self) -> bytes:
        """Return the identity of what is sealed: the bytes of its files, which tell no figure."""
        return self._source.identity()

    def read_image(self, *, orientation: images.Orientation = "apply") -> NoReturn:
        """Refuse.

        Raises:
            errors.SealedError: always.
        """
        self._refuse("read_image")

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NoReturn:
        """Refuse.

        Raises:
            errors.SealedError: always.
        """
        self._refuse("read_mask")

    def class_ids(self) -> NoReturn:
        """Refuse: of a mask with ids this reads it.

        Raises:
            errors.SealedError: always.
        """
        self._refuse("class_ids")

    def __getattr__(self, name: str) -> object:
        """Return what the sealed source has of this name; a method that reads refuses."""
        if name.startswith("__") or name == "_source":  # while it is copied or unpickled
            raise AttributeError(name)
        found = getattr(self._source, name)
        return self._refusal(name) if name.startswith("read_") else found

    def opened(self) -> image_record.Source:
        """Return the source that was sealed."""
        return self._source

    def _refusal(self, name: str) -> Callable[..., NoReturn]:
        def refuse(*_: object, **__: object) -> NoReturn:
            self._refuse(name)

        return refuse

    def _refuse(self, name: str) -> NoReturn:
        self.tried.append(name)
        raise errors.SealedError(
            "A sealed image is read by nothing before the bundle is finished. Got a call of "
            f"{name} on one. Measure on it with: inspection unseal RUN."
        )


def seal(found: Records, ids: Iterable[str]) -> Records:
    """Return all records, those with these ids sealed.

    Raises:
        errors.DataError: an id is not in the set.
    """
    chosen = {record.id for record in found.select(ids)}
    items = (
        dataclasses.replace(record, source=SealedSource(record.source))
        if record.id in chosen and not is_sealed(record)
        else record
        for record in found
    )
    return dataclasses.replace(found, items=tuple(items)) if chosen else found


def share(found: Records, part: float, *, seed: int) -> Records:
    """Return all records, a share of them sealed: by groups, the same share of every class.

    Which classes each image holds is read before, as by any split; of a mask with ids that decodes
    it.

    Args:
        found: any order gives the same.
        part: share of all images, 0..1, both excluded.
        seed: of the draw; that of the data, so that every run on them seals the same images.

    Raises:
        errors.DataError: no image would be sealed, or none would be left.
    """
    parts = records.assign(found, (1 - part, part), seed=seed)
    chosen = [found[int(row)].id for row in np.flatnonzero(parts == 1)]
    if not 0 < len(chosen) < len(found):
        raise errors.DataError(
            f"Both the sealed images and the others must be some. Got {len(chosen)} of "
            f"{len(found)} images of {found.origin} to be sealed. Change data.sealed, or add "
            "images or groups."
        )
    return seal(found, chosen)


def is_sealed(record: image_record.Record) -> bool:
    """Return whether a record is sealed."""
    return isinstance(record.source, SealedSource)


def without(found: Records) -> Records:
    """Return the records that are not sealed."""
    return _some(found, (record for record in found if not is_sealed(record)))


def only(found: Records) -> Records:
    """Return the sealed records, sealed as they are."""
    return _some(found, (record for record in found if is_sealed(record)))


def opened(found: Records) -> Records:
    """Return the sealed records as they can be read: for who measures a finished bundle alone."""
    return _some(found, _opened(found))


def _opened(found: Records) -> Iterator[image_record.Record]:
    for record in found:
        if isinstance(record.source, SealedSource):
            yield dataclasses.replace(record, source=record.source.opened())


def _some(found: Records, items: Iterable[image_record.Record]) -> Records:
    return dataclasses.replace(found, items=tuple(items))
