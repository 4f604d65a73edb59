"""Records: what is known of each image, and splits in which no group straddles.

A record points to its image and mask; nothing is decoded until `read_image` or `read_mask`.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, files
from inspection_tf.datasets import dealing, file_source, image_record

FileSource = file_source.FileSource
IGNORED = image_record.IGNORED
LabelKind = image_record.LabelKind
Record = image_record.Record
Source = image_record.Source
Split = image_record.Split
SPLITS: tuple[Split, ...] = ("train", "tune", "test")
CLASSES = ("defect",)  # of a data set that does not tell its defects apart
MEAN = "mean"  # no class: a metric over all of them is called so


@dataclasses.dataclass(frozen=True, slots=True)
class Records(Sequence[Record]):
    """An immutable sequence of records in the order of their ids, whatever order came in.

    Attributes:
        items: sorted by id.
        origin: what messages call the set, such as its folder.
        classes: names of the defect classes; id k of a mask is `classes[k - 1]`.
    """

    items: tuple[Record, ...]
    origin: str = "the data set"
    classes: tuple[str, ...] = CLASSES

    @classmethod
    def of(
        cls,
        items: Iterable[Record],
        *,
        origin: str = "the data set",
        classes: Sequence[str] = CLASSES,
    ) -> "Records":
        """Sort records by id.

        Raises:
            errors.DataError: two records share an id, two classes a name, or a record's class has
                no name.
        """
        ordered = tuple(sorted(items, key=lambda record: record.id))
        for first, second in itertools.pairwise(ordered):
            if first.id == second.id:
                told = "" if first.id.isascii() else ", also if composed otherwise in Unicode"
                raise errors.DataError(
                    f"Every image of {origin} must have an id of its own{told}. "
                    f"Got {first.id!r} twice. Rename one of the files."
                )
        _require_classes(ordered, tuple(classes), origin=origin)
        return cls(ordered, origin, tuple(classes))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.items)

    def __iter__(self) -> Iterator[Record]:
        """Iterate in the order of ids."""
        return iter(self.items)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> "Records": ...

    def __getitem__(self, index: SupportsIndex | slice) -> "Record | Records":
        """Return a record, or `Records` for a slice."""
        return self._with(self.items[index]) if isinstance(index, slice) else self.items[index]

    def where(self, *, is_defect: bool) -> "Records":
        """Return the defective records, or the good ones."""
        return self._with(r for r in self.items if r.is_defect == is_defect)

    def select(self, ids: Iterable[str]) -> "Records":
        """Return the records with these ids.

        Raises:
            errors.DataError: an id is not in the set.
        """
        by_id = {record.id: record for record in self.items}
        wanted = [files.composed(name) for name in ids]
        missing = [name for name in wanted if name not in by_id]
        if missing:
            raise errors.DataError(
                f"{self.origin} must hold every image that is asked for. "
                f"Got {len(missing)} absent, the first {missing[0]!r}. Use the data set of the run."
            )
        chosen = (by_id[name] for name in wanted)
        return Records.of(chosen, origin=self.origin, classes=self.classes)

    def joined(self, others: "Records") -> "Records":
        """Return these records and others of the same classes, as one set."""
        return Records.of((*self, *others), origin=self.origin, classes=self.classes)

    def _with(self, items: Iterable[Record]) -> "Records":
        """Return some of these records, in the same order."""
        return dataclasses.replace(self, items=tuple(items))

    @property
    def is_defect(self) -> NDArray[np.bool_]:
        """(images,) labels."""
        return np.array([record.is_defect for record in self.items], dtype=np.bool_)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(record.id for record in self.items)

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each record; an image without one is its own."""
        return tuple(record.group or record.id for record in self.items)

    @property
    def parts(self) -> tuple[str, ...] | None:
        """The part that each image shows: its `groups`; None where nothing is known of any."""
        return self.groups if any(record.knows_part for record in self.items) else None

    @property
    def has_template(self) -> bool:
        """Whether each image has a template.

        Raises:
            errors.DataError: some have one and some have none.
        """
        without = [record.id for record in self.items if not record.has_template]
        if 0 < len(without) < len(self):
            raise errors.DataError(
                f"Every image of {self.origin} must have a template, or none. "
                f"Got {len(without)} of {len(self)} without one, the first {without[0]!r}. "
                "Add the templates, or leave these images out."
            )
        return bool(self.items) and not without

    @property
    def has_ignored(self) -> bool:
        """Whether an image may have pixels that count for nothing."""
        return any(record.has_ignored for record in self.items)

    @property
    def label_kind(self) -> LabelKind:
        """What the labels are: masks, classes of whole images, or corners.

        Raises:
            errors.DataError: they are of several kinds.
        """
        found: dict[LabelKind, str] = {}
        for record in self.items:
            found.setdefault(record.label_kind, record.id)
        if len(found) > 1:
            examples = " and ".join(f"{kind} ({name})" for kind, name in sorted(found.items()))
            raise errors.DataError(
                f"The labels of {self.origin} must all be corners, or all masks, or all classes. "
                f"Got {examples}. Read one data set."
            )
        return next(iter(found), "masks")

    @property
    def has_masks(self) -> bool:
        """Whether the labels are masks.

        Raises:
            errors.DataError: the labels are of several kinds.
        """
        return self.label_kind == "masks"

    def counts(self) -> dict[str, int]:
        """Return `{"images": ..., "defective": ...}`."""
        return {"images": len(self), "defective": int(self.is_defect.sum())}

    def sha256(self) -> str:
        """Return a hash of ids, labels, groups, classes and all pixels' files."""
        digest = hashlib.sha256()
        # What is left at its default stays out of it: bundles hold hashes from before it was there.
        if self.classes != CLASSES:
            digest.update(_bytes("\0".join(("classes", *self.classes, ""))))
        for record in self.items:
            digest.update(_identity(record))
        return digest.hexdigest()

    def sha256_of_each(self) -> dict[str, str]:
        """Return, for each id, a hash of label, group and all pixels' files of that image."""
        return {record.id: hashlib.sha256(_identity(record)).hexdigest() for record in self.items}

    def require_names(self) -> None:
        """Refuse names that a bundle cannot hold, or that a metric has already.

        Raises:
            errors.DataError: a class is called `mean`, or a name holds bytes that are no text.
        """
        if MEAN in self.classes:
            raise errors.DataError(
                f"Each class of {self.origin} must have a name of its own, and not {MEAN!r}, which "
                "is another metric. Got a class of that name. Rename it."
            )
        for name in (self.origin, *self.classes, *(record.id for record in self.items)):
            if any("\ud800" <= character <= "\udfff" for character in name):
                raise errors.DataError(
                    f"{name}: names must be text, in UTF-8. Got bytes that are none. Rename it."
                )

    def require_defects(self, *, purpose: str) -> None:
        """Refuse a set without defective images.

        Raises:
            errors.DataError: there is none.
        """
        if not self.is_defect.any():
            raise errors.DataError(
                f"{purpose} needs defective images. Got {len(self)} images of {self.origin}, "
                "no defect among them. Add some, or train on composed defects "
                "(data.defects: composed)."
            )


def _bytes(text: str) -> bytes:
    """Return UTF-8; of the name of a file that is none, its bytes."""
    return text.encode(errors="surrogateescape")


def _identity(record: Record) -> bytes:
    """Return bytes that differ whenever something of a record may differ."""
    head = f"{record.id}\0{int(record.is_defect)}\0{record.group}\0{record.split}\0"
    if record.class_id != 1:
        head += f"class {record.class_id}\0"
    return _bytes(head) + record.source.identity()


def _require_classes(items: Sequence[Record], classes: tuple[str, ...], *, origin: str) -> None:
    if not 1 <= len(classes) <= 255 or len(set(classes)) != len(classes) or not all(classes):
        raise errors.DataError(
            f"The classes of {origin} must be 1 to 255 names, each once. Got {list(classes)}. "
            "Correct them."
        )
    for record in items:
        if not 1 <= record.class_id <= len(classes):
            raise errors.DataError(
                f"{record.id}: class id out of range, {origin} has 1 to {len(classes)}. "
                f"Got {record.class_id}. Pass the classes of the set."
            )


def assign(records: Records, shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Give each record a part, group by group, the same shares of every class and of good ones.

    Args:
        records: any order gives the same parts.
        shares: (parts,) in any unit.
        seed: of the draw.

    Returns:
        (records,) numbers of parts.
    """
    if len(records.classes) > 1:
        class_ids = [record.class_ids() for record in records]
    else:
        class_ids = [(1,) if record.is_defect else () for record in records]
    return dealing.deal(records.groups, class_ids, shares, seed=seed)


def _require_apart(chosen: Mapping[str, Records], *, origin: str) -> None:
    """Refuse a group in two parts: what is fixed by the data set may part it."""
    part_of: dict[str, str] = {}
    for name, part in chosen.items():
        for group in part.groups:
            if part_of.setdefault(group, name) != name:
                raise errors.DataError(
                    f"All images of a group must be in one split. Got group {group!r} of {origin} "
                    f"in {part_of[group]} and {name}, as the data set fixes it. "
                    "Move its images into one of them."
                )


def split(
    records: Records, *, tune: float, test: float, seed: int, require_defects: bool = True
) -> dict[str, Records]:
    """Split into train, tune and test: stratified by class, no group in two of them.

    A split that records fix themselves is kept, and the others fill the splits nobody fixed: beside
    a `Test` folder they part into train and tune only.

    Args:
        records: any order gives the same split.
        tune: share of all images for choosing thresholds, 0..1.
        test: share of all images that is touched once, at the end, 0..1.
        seed: of the draw.
        require_defects: refuse a train split without defects.

    Raises:
        errors.DataError: a part would be empty, train would hold no defect, or the data set itself
            fixes one group to two parts.
        errors.ConfigError: the shares leave nothing for training.
    """
    if not (0 <= tune < 1 and 0 <= test < 1 and tune + test < 1):
        raise errors.ConfigError(
            f"tune and test must be shares that leave some images for training. "
            f"Got {tune} and {test}. Use for example 0.2 and 0.2."
        )
    free = dataclasses.replace(records, items=tuple(r for r in records if r.split is None))
    fixed = {name: [r for r in records if r.split == name] for name in SPLITS}
    shares = (
        1 - tune - test,
        0.0 if fixed["tune"] else tune,
        0.0 if fixed["test"] else test,
    )
    parts = assign(free, shares, seed)
    chosen: dict[str, Records] = {
        name: Records.of(
            (*fixed[name], *(free.items[row] for row in np.flatnonzero(parts == number))),
            origin=records.origin,
            classes=records.classes,
        )
        for number, name in enumerate(SPLITS)
    }
    _require_apart(chosen, origin=records.origin)
    for name, share in zip(SPLITS, (1.0, tune, test), strict=True):
        if share > 0 and not len(chosen[name]):
            raise errors.DataError(
                f"Each of train, tune and test must receive an image. Got none for {name} from "
                f"{len(records)} images of {records.origin}. Add images or groups, or change the "
                "shares."
            )
    if require_defects:
        chosen["train"].require_defects(purpose="Training a segmentation")
    return chosen


def folds(records: Records, *, count: int, seed: int) -> list[dict[str, Records]]:
    """Return `count` splits into train and test in which every image is tested exactly once.

    Args:
        records: any order gives the same folds.
        count: at least 2.
        seed: of the draw.

    Raises:
        errors.DataError: fewer groups than folds.
    """
    if len(set(records.groups)) < count or count < 2:
        raise errors.DataError(
            f"Cross-validation needs at least 2 folds and a group for each. Got {count} folds and "
            f"{len(set(records.groups))} groups. Change data.folds or add images."
        )
    parts = assign(records, (1.0,) * count, seed)

    def pick(rows: NDArray[np.bool_]) -> Records:
        chosen = tuple(records.items[row] for row in np.flatnonzero(rows))
        return dataclasses.replace(records, items=chosen)

    return [{"train": pick(parts != part), "test": pick(parts == part)} for part in range(count)]


def split_ids(chosen: Mapping[str, Records]) -> dict[str, list[str]]:
    """Return the ids of each split, for the provenance of a bundle."""
    return {name: list(part.ids) for name, part in chosen.items()}
