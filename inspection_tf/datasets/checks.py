"""A check of a data set before it costs a night of training: every image and mask is read once."""

import concurrent.futures
import dataclasses
import logging
import os
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images, process
from inspection_tf.datasets.records import Record, Records

_LOG = logging.getLogger("inspection_tf")
Kind = Literal[
    "unreadable", "mask", "class", "empty_mask", "template", "unfit", "leak", "large_mask"
]
KINDS: dict[Kind, str] = {
    "unreadable": "images that cannot be read",
    "mask": "masks that cannot be read, have another size than their image or mark a good one",
    "class": "masks with the id of a class that the data set does not have",
    "empty_mask": "defective images whose mask is empty: they train as good ones",
    "template": "templates that are missing, cannot be read or have another size than their image",
    "unfit": "images that the preprocessing refuses",
    "leak": "images with the pixels of one in another group: a split may part them",
    "large_mask": "masks that mark more than half of their image, as black on white would: see "
    "data.mask_values",
}
SUSPECT: frozenset[Kind] = frozenset({"large_mask"})
"""What may be right: it is reported, and refused by nobody."""


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one image.

    Attributes:
        kind: see `KINDS`.
        id: of the record.
        detail: a sentence that names the file where there is one.
    """

    kind: Kind
    id: str
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Findings:
    """What a check found.

    Attributes:
        origin: what messages call the set.
        images: number of images.
        defective: those the data set calls defective.
        problems: by kind, then in the order of ids.
        repeats: ids of images with equal pixels, each tuple sorted; in one group they are harmless.
        suspects: what may be right, as `problems`; see `SUSPECT`.
    """

    origin: str
    images: int
    defective: int
    problems: tuple[Problem, ...] = ()
    repeats: tuple[tuple[str, ...], ...] = ()
    suspects: tuple[Problem, ...] = ()

    def summary(self) -> tuple[str, ...]:
        """Return lines of text: the class balance, then each kind of problem with its first."""
        share = self.defective / self.images if self.images else 0.0
        lines = [f"{self.images} images of {self.origin}, {self.defective} defective ({share:.0%})"]
        for kind, meaning in KINDS.items():
            found = [p for p in (*self.problems, *self.suspects) if p.kind == kind]
            if found:
                lines.append(f"{len(found)} {meaning}; the first is {found[0].id}")
        if self.repeats:
            first = " = ".join(self.repeats[0])
            lines.append(f"{len(self.repeats)} pictures stored repeatedly; the first is {first}")
        is_clean = not self.problems and not self.suspects
        return (*lines, *(("no problem found",) if is_clean else ()))

    def require(self, tolerate: frozenset[Kind] = frozenset()) -> None:
        """Refuse a data set with problems.

        Args:
            tolerate: kinds of problems that only cost a logged warning.

        Raises:
            errors.DataError: there is another one; the first is named, and how many there are.
        """
        if not self.images:
            raise errors.DataError(
                f"A data set must hold an image. Got none in {self.origin}. Check data.root."
            )
        for kind in KINDS:
            passed = [p for p in self.problems if p.kind == kind and kind in tolerate]
            if passed:
                _LOG.warning(
                    "tolerated: %d %s; the first is %s", len(passed), KINDS[kind], passed[0].id
                )
        for kind in SUSPECT:
            seen = [p for p in self.suspects if p.kind == kind]
            if seen:
                _LOG.warning(
                    "look at %d %s; the first is %s: %s",
                    len(seen),
                    KINDS[kind],
                    seen[0].id,
                    seen[0].detail,
                )
        refused = [problem for problem in self.problems if problem.kind not in tolerate]
        if refused:
            first = refused[0]
            raise errors.DataError(
                f"{first.id}: every image of {self.origin} must be fit for use. "
                f"Got {len(refused)} problems, the first: {first.detail} "
                "Correct these images or leave them out."
            )


def check(
    records: Records,
    *,
    preprocessing: images.Preprocessing | None = None,
    progress: process.Progress | None = None,
) -> Findings:
    """Read every image, mask and template once and collect what is wrong, not stopping at it.

    Pictures are compared pixel by pixel: the same part under another exposure is not recognised.

    Args:
        records: the data set.
        preprocessing: also check that each image fits it, such as its size under `exact`.
        progress: called with (done, of).
    """
    found: list[Problem] = []
    seen: dict[str, list[Record]] = {}
    paired = any(record.has_template for record in records)
    of_classes = len(records.classes)
    workers = min(8, os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        results = pool.map(
            lambda record: _examine(record, preprocessing, of_classes, paired), records
        )
        for done, (record, (digest, problems)) in enumerate(
            zip(records, results, strict=True), start=1
        ):
            found += problems
            if digest:
                seen.setdefault(digest, []).append(record)
            if progress:
                progress(done, len(records))
    repeats = [same for same in seen.values() if len(same) > 1]
    found += [problem for same in repeats for problem in _leaks(same)]
    order = list(KINDS)
    found.sort(key=lambda problem: (order.index(problem.kind), problem.id))
    return Findings(
        origin=records.origin,
        images=len(records),
        defective=records.counts()["defective"],
        problems=tuple(problem for problem in found if problem.kind not in SUSPECT),
        repeats=tuple(sorted(tuple(record.id for record in same) for same in repeats)),
        suspects=tuple(problem for problem in found if problem.kind in SUSPECT),
    )


def _examine(
    record: Record, preprocessing: images.Preprocessing | None, of_classes: int, paired: bool
) -> tuple[str, list[Problem]]:
    """Return the digest of the pixels ("" where unreadable) and the problems of one record."""
    turn = preprocessing.orientation if preprocessing else "apply"
    try:
        image = record.read_image(orientation=turn)
    except errors.ImageError as problem:
        return "", [Problem("unreadable", record.id, str(problem))]
    found = _fitting(record, image, preprocessing)
    if record.has_mask:  # corners were looked at by their reader, a class has no pixels
        found += _mask_problems(record, image, turn, of_classes)
    if record.has_evidence:
        found += _evidence_problems(record, turn)
    if paired:
        found += _template_problems(record, image, turn, preprocessing)
    return images.digest(image), found


def _fitting(
    record: Record, image: images.Image, preprocessing: images.Preprocessing | None
) -> list[Problem]:
    try:
        if preprocessing:
            images.preprocess(image, preprocessing)
    except errors.ImageError as problem:
        return [Problem("unfit", record.id, str(problem))]
    return []


def _require_size(name: str, array: NDArray[np.generic], image: images.Image) -> None:
    if array.shape[:2] != image.shape[:2]:
        raise errors.ImageError(
            f"The {name} must be {image.shape[0]} x {image.shape[1]} px (height x width). "
            f"Got {array.shape[0]} x {array.shape[1]}. Export it in the size of its image."
        )


def _evidence_problems(record: Record, turn: images.Orientation) -> list[Problem]:
    try:
        record.read_evidence(orientation=turn)
    except errors.ImageError as problem:
        return [Problem("mask", record.id, str(problem))]
    return []


def _mask_problems(
    record: Record, image: images.Image, turn: images.Orientation, of_classes: int
) -> list[Problem]:
    try:
        ids = record.read_classes(orientation=turn)
        _require_size("mask", ids, image)
    except errors.ImageError as problem:
        return [Problem("mask", record.id, str(problem))]
    except errors.DataError as problem:
        return [Problem("class", record.id, str(problem))]
    highest = int(ids.max())
    if highest > of_classes:
        detail = f"Ids in a mask must be 0 to {of_classes}. Got {highest}. Name all classes."
        return [Problem("class", record.id, detail)]
    if record.is_defect and not highest:
        detail = "The mask of a defective image must mark it. Got an empty one. Draw it."
        return [Problem("empty_mask", record.id, detail)]
    if highest and not record.is_defect:
        detail = "The mask of a good image must be empty. Got marked pixels. Correct mask or label."
        return [Problem("mask", record.id, detail)]
    marked = np.count_nonzero(ids)
    if 2 * marked > ids.size:
        detail = (
            f"A mask should mark less than half of its image. Got {marked / ids.size:.0%}. If the "
            "dark part is the defect, set data.mask_values to {0: defect, 255: background}."
        )
        return [Problem("large_mask", record.id, detail)]
    return []


def _template_problems(
    record: Record,
    image: images.Image,
    turn: images.Orientation,
    preprocessing: images.Preprocessing | None,
) -> list[Problem]:
    try:
        template = record.read_template(orientation=turn)
        if template is None:
            raise errors.ImageError(
                "Each image must have a template, as others of the set do. Got none. Add it."
            )
        _require_size("template", template, image)
        if preprocessing and image.dtype != template.dtype:
            images.preprocess(template, preprocessing)  # a window refuses 8 bit
    except errors.ImageError as problem:
        return [Problem("template", record.id, str(problem))]
    return []


def _leaks(same: list[Record]) -> list[Problem]:
    """Name each record that lies in another group than the first of its picture."""
    first, *others = same
    home = first.group or first.id
    return [
        Problem(
            "leak",
            other.id,
            f"Equal pictures must share a group. Got those of {first.id} (group {home}) in group "
            f"{other.group or other.id}. Remove one, or give both one group.",
        )
        for other in others
        if (other.group or other.id) != home
    ]


def require_two_classes(records: Records, *, purpose: str) -> None:
    """Refuse a set whose images are all of one class; the good ones are a class too.

    Args:
        records: the labels are classes of whole images.
        purpose: what needs them, as a sentence begins.

    Raises:
        errors.DataError: they are.
    """
    found = sorted({record.label for record in records})
    if len(found) < 2:
        names = ", ".join(_class_name(records, number) for number in found) or "none"
        raise errors.DataError(
            f"{purpose} needs images of at least two classes. Got {len(records)} of "
            f"{records.origin}, all of one: {names}. Add images of another, such as good ones."
        )


def require_classes_in_folds(records: Records, *, count: int) -> None:
    """Refuse a set of which a fold would train without a class, or test too little of it.

    Folds of whole groups may test no image of a class, which is logged: each image is still tested
    once.

    Args:
        records: the labels are classes of whole images.
        count: number of folds.

    Raises:
        errors.DataError: a class has fewer images than there are folds, or all of them in one
            group.
    """
    of_class: dict[int, list[str]] = {}
    for record, group in zip(records, records.groups, strict=True):
        of_class.setdefault(record.label, []).append(group)
    for number, groups in sorted(of_class.items()):
        name, parts = _class_name(records, number), len(set(groups))
        if len(groups) < count or parts < 2:
            raise errors.DataError(
                "Cross-validation needs as many images of each class as folds, in two groups or "
                f"more. Got {len(groups)} of the class {name} in {parts} "
                f"group{'s' if parts > 1 else ''} of {records.origin}, for {count} folds. "
                "Lower data.folds, or add images of the class."
            )
        if parts < count:
            _LOG.warning(
                "%d groups show the class %s: of %d folds some test no image of it",
                parts,
                name,
                count,
            )


def _class_name(records: Records, number: int) -> str:
    """Return what a message calls a class of whole images; 0 is the good one."""
    return records.classes[number - 1] if number else "good"
