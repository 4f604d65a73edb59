"""Records: what is known of each image, and splits in which no group straddles.

A record points to its image and mask; nothing is decoded until `read_image` or `read_mask`.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images

Split = Literal["train", "tune", "test"]
SPLITS: tuple[Split, ...] = ("train", "tune", "test")


class Source(Protocol):
    """Where pixels come from when they are not in a file of their own."""

    def read_image(self, *, orientation: images.Orientation = "apply") -> NDArray[Any]:
        """Return (height, width) or (height, width, 3) RGB, uint8 or uint16."""
        ...

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return (height, width), True on defects, lying as the image of this orientation."""
        ...

    def identity(self) -> bytes:
        """Return bytes that differ whenever the pixels may differ."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class FileSource:
    """An image file and, for a defective image, the file of its mask.

    Attributes:
        image_path: PNG, JPEG, BMP, TIFF or WebP.
        mask_path: None where the whole image is defect-free.
    """

    image_path: Path
    mask_path: Path | None = None

    def read_image(self, *, orientation: images.Orientation = "apply") -> NDArray[Any]:
        """Return the decoded image.

        Raises:
            errors.ImageError: the file cannot be read.
        """
        return images.read(self.image_path, orientation=orientation)

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return the mask in the size of the image as it is read.

        Raises:
            errors.ImageError: the mask cannot be read or has another size.
        """
        header = images.read_header(self.image_path)
        size = (header.height, header.width)
        if orientation == "apply" and header.orientation >= 5:  # turned by a quarter
            size = (header.width, header.height)
        if self.mask_path is None:
            return np.zeros(size, dtype=np.bool_)
        return images.read_mask(self.mask_path, size=size)

    def identity(self) -> bytes:
        """Return the SHA-256 of the image's bytes and the mask's.

        Raises:
            errors.ImageError: a file is absent.
        """
        digest = hashlib.sha256()
        for path in (self.image_path, self.mask_path):
            try:
                digest.update(hashlib.sha256(path.read_bytes() if path else b"").digest())
            except OSError as problem:
                raise errors.ImageError(
                    f"{path}: the file must be readable. Got {problem.strerror}. "
                    "Restore it or leave it out of the data set."
                ) from problem
        return digest.digest()


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One image of a data set.

    Attributes:
        id: unique in the data set and stable: the path under the root, without its suffix.
        is_defect: what the data set says of the whole image.
        source: reads the pixels.
        group: images of one part share a group; a split never parts them.
        split: fixed by the data set itself (`Train` and `Test` folders), or None.
    """

    id: str
    is_defect: bool
    source: Source
    group: str = ""
    split: Split | None = None

    def read_image(self, *, orientation: images.Orientation = "apply") -> NDArray[Any]:
        """Return (height, width) or (height, width, 3) RGB, uint8 or uint16."""
        return self.source.read_image(orientation=orientation)

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return (height, width), True on defects, lying as the image of this orientation."""
        return self.source.read_mask(orientation=orientation)


@dataclasses.dataclass(frozen=True, slots=True)
class Records(Sequence[Record]):
    """An immutable sequence of records in the order of their ids, whatever order came in.

    Attributes:
        items: sorted by id.
        origin: what messages call the set, such as its folder.
    """

    items: tuple[Record, ...]
    origin: str = "the data set"

    @classmethod
    def of(cls, items: Iterable[Record], *, origin: str = "the data set") -> "Records":
        """Sort records by id.

        Raises:
            errors.DataError: two records share an id.
        """
        ordered = tuple(sorted(items, key=lambda record: record.id))
        for first, second in itertools.pairwise(ordered):
            if first.id == second.id:
                raise errors.DataError(
                    f"Every image of {origin} must have an id of its own. Got {first.id!r} twice. "
                    "Rename one of the files."
                )
        return cls(ordered, origin)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.items)

    def __iter__(self) -> Iterator[Record]:
        """Iterate in the order of ids."""
        return iter(self.items)

    def __getitem__(self, index: Any) -> Any:
        """Return a record, or `Records` for a slice."""
        chosen = self.items[index]
        return Records(chosen, self.origin) if isinstance(index, slice) else chosen

    def where(self, *, is_defect: bool) -> "Records":
        """Return the defective records, or the good ones."""
        return Records(tuple(r for r in self.items if r.is_defect == is_defect), self.origin)

    def select(self, ids: Iterable[str]) -> "Records":
        """Return the records with these ids.

        Raises:
            errors.DataError: an id is not in the set.
        """
        by_id = {record.id: record for record in self.items}
        wanted = list(ids)
        missing = [name for name in wanted if name not in by_id]
        if missing:
            raise errors.DataError(
                f"{self.origin} must hold every image that is asked for. "
                f"Got {len(missing)} absent, the first {missing[0]!r}. Use the data set of the run."
            )
        return Records.of((by_id[name] for name in wanted), origin=self.origin)

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

    def counts(self) -> dict[str, int]:
        """Return `{"images": ..., "defective": ...}`."""
        return {"images": len(self), "defective": int(self.is_defect.sum())}

    def sha256(self) -> str:
        """Return a hash of ids, labels, groups and all pixels' files."""
        digest = hashlib.sha256()
        for record in self.items:
            head = f"{record.id}\0{int(record.is_defect)}\0{record.group}\0{record.split}\0"
            digest.update(head.encode() + record.source.identity())
        return digest.hexdigest()

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


def _group_table(records: Records) -> list[tuple[str, list[int], bool]]:
    members: dict[str, list[int]] = {}
    for index, group in enumerate(records.groups):
        members.setdefault(group, []).append(index)
    labels = records.is_defect
    return [(group, rows, bool(labels[rows].any())) for group, rows in sorted(members.items())]


def _assign(records: Records, shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Give each record a part, group by group, the same shares among defective and good groups."""
    part_of = np.full(len(records), -1, dtype=np.int64)
    held = np.zeros(len(shares))
    share = np.asarray(shares, dtype=np.float64) / np.sum(shares)
    table = _group_table(records)
    for stratum in (True, False):
        groups = [entry for entry in table if entry[2] == stratum]
        rng = np.random.default_rng([seed, int(stratum)])
        # Large groups first: the small ones then even out what is left.
        order = sorted(rng.permutation(len(groups)), key=lambda row: -len(groups[row][1]))
        total = sum(len(entry[1]) for entry in groups)
        filled = np.zeros(len(share))
        for row in order:
            rows = groups[row][1]
            # The part that lacks most; of equal ones the emptiest, or small folds stay empty.
            part = int(np.lexsort((held, filled - share * total))[0])
            part_of[rows] = part
            filled[part] += len(rows)
            held[part] += len(rows)
    return part_of


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
    """Split into train, tune and test: stratified by defect, no group in two of them.

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
    free = Records(tuple(r for r in records if r.split is None), records.origin)
    fixed = {name: [r for r in records if r.split == name] for name in SPLITS}
    shares = (
        1 - tune - test,
        0.0 if fixed["tune"] else tune,
        0.0 if fixed["test"] else test,
    )
    parts = _assign(free, shares, seed)
    chosen: dict[str, Records] = {
        name: Records.of(
            (*fixed[name], *(free.items[row] for row in np.flatnonzero(parts == number))),
            origin=records.origin,
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
    parts = _assign(records, (1.0,) * count, seed)

    def pick(rows: NDArray[np.bool_]) -> Records:
        return Records(tuple(records.items[row] for row in np.flatnonzero(rows)), records.origin)

    return [{"train": pick(parts != part), "test": pick(parts == part)} for part in range(count)]


def split_ids(chosen: Mapping[str, Records]) -> dict[str, list[str]]:
    """Return the ids of each split, for the provenance of a bundle."""
    return {name: list(part.ids) for name, part in chosen.items()}
