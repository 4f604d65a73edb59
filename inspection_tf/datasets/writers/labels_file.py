"""The file in which a service keeps what people say of results: written by it, read here.

`DIR/labels.jsonl` holds a line of JSON for each correction, `DIR/images` the pixels that were
inspected, `DIR/masks` those of the regions that a verdict found. Several lines may be about one
image: the last of them counts.
"""

import dataclasses
import operator
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import errors, images
from inspection_tf.datasets import tables
from inspection_tf.datasets.records import LabelKind

Label = Literal["OK", "NG", "region"]
"""What a result should have been: OK; NG, as it was marked; or otherwise marked."""
LABELS: tuple[Label, ...] = get_args(Label)
NAME, IMAGES, MASKS = "labels.jsonl", "images", "masks"
LONGEST_NOTE = 2000  # characters

_Point = tuple[float, float]


class Line(pydantic.BaseModel):
    """What a line says; further keys of a verdict are left out.

    Attributes:
        time: when a person said it.
        label: what the result should have been.
        note: in that person's words.
        label_kind: what the model's task is measured on.
        model: which decided.
        version: of it.
        image: path of the pixels, relative to the file.
        image_sha256: of the pixels, see `images.digest`.
        image_size: (height, width), px.
        mask: path of the pixels of the regions, likewise; None where none were found.
        mask_sha256: of them.
        outcome: of the verdict.
        score: likewise; None where it was not finite.
        reasons: likewise.
        classes: of the model.
        class_name: of the image, where the verdict says one.
        corners_xy: of a field, px, where the verdict says them.
        pose: of a part, by names with units, where the verdict says one.
        wear: of a cutting edge, where it was measured.
    """

    model_config = pydantic.ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    time: pydantic.AwareDatetime
    label: Label
    note: str
    label_kind: LabelKind
    model: str
    version: str
    image: str
    image_sha256: str
    image_size: tuple[pydantic.PositiveInt, pydantic.PositiveInt]
    mask: str | None
    mask_sha256: str | None
    outcome: Literal["OK", "NG", "REVIEW"]
    score: float | None
    reasons: tuple[str, ...]
    classes: tuple[str, ...] = pydantic.Field(min_length=1)
    class_name: str | None = None
    corners_xy: tuple[_Point, _Point, _Point, _Point] | None = None
    pose: dict[str, float | None] | None = None
    wear: dict[str, Any] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """A corrected image with its files.

    Attributes:
        line: what is said of it.
        image: the bytes of its file.
        mask: (height, width) ids of classes, 0 for the background; None where nothing was found.
    """

    line: Line
    image: bytes
    mask: NDArray[np.uint8] | None

    @property
    def name(self) -> str:
        """Return what its files are called, without a suffix."""
        return self.line.image_sha256


@dataclasses.dataclass(frozen=True, slots=True)
class Correction:
    """A line and where it stands.

    Attributes:
        line: what it says.
        folder: that its paths are relative to.
        where: file and line, for messages.
    """

    line: Line
    folder: Path
    where: str

    def load(self) -> Sample:
        """Return it with its files.

        Raises:
            errors.DataError: one is missing, damaged, or not as it was when it was corrected.
        """
        line = self.line
        pixels, data = self._read(line.image, line.image_sha256)
        if pixels.shape[:2] != line.image_size:
            raise self._refuse(line.image, "an image of another size than its line says")
        if line.mask is None:
            return Sample(line, data, None)
        mask, _ = self._read(line.mask, line.mask_sha256 or "")
        if mask.shape != line.image_size or mask.dtype != np.uint8:
            raise self._refuse(line.mask, "a mask of another size than its image")
        ids = mask > 0 if len(line.classes) == 1 else mask
        if int(ids.max()) > len(line.classes):
            raise self._refuse(line.mask, f"a mask with more than {len(line.classes)} classes")
        return Sample(line, data, np.asarray(ids, np.uint8))

    def _read(self, name: str, sha256: str) -> tuple[NDArray[Any], bytes]:
        """Return pixels and bytes of a file."""
        path = self.folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise self._refuse(name, "a path that leads out of the folder")
        try:
            data = path.read_bytes()
        except (OSError, ValueError) as problem:
            raise self._refuse(name, errors.first_line(problem)) from problem
        try:
            pixels = images.read(data)
        except errors.ImageError as problem:
            raise self._refuse(name, "a file that cannot be read as an image") from problem
        if images.digest(pixels) != sha256:
            raise self._refuse(name, "other pixels than were corrected")
        return pixels, data

    def _refuse(self, name: str, got: str) -> errors.DataError:
        return errors.DataError(
            f"{self.where}: {name} must be the file that the service wrote. Got {got}. Restore "
            "it, or remove the line."
        )


def read(words: Iterable[Path], *, model: str | None = None) -> tuple[Correction, ...]:
    """Read corrections; of several of one image the last counts, in a file by the order of lines.

    Args:
        words: files of corrections, or folders that hold one as `labels.jsonl`.
        model: whose corrections are read; None: of all.

    Returns:
        By their time, at least one.

    Raises:
        errors.DataError: a file is missing, a line is none, there is no correction, or not all are
            of one kind of label and of the same classes.
    """
    paths = [path / NAME if path.is_dir() else path for path in words]
    chosen, models = list[Correction](), set[str]()
    for path in paths:
        lines = list(_lines(path))
        models |= {one.line.model for one in lines}
        wanted = (one for one in lines if model in (None, one.line.model))
        # A clock may be set back: in a file the order of its lines counts.
        chosen += {one.line.image_sha256: one for one in wanted}.values()
    if not chosen:
        got = f"some of {', '.join(sorted(models))} alone" if models else "none"
        raise errors.DataError(
            f"There must be a correction{f' of {model}' if models else ''} in "
            f"{', '.join(map(str, paths))}. Got {got}. Correct results on the page of the service."
        )
    chosen.sort(key=lambda one: one.line.time)
    last = {one.line.image_sha256: one for one in chosen}
    kept = sorted(last.values(), key=lambda one: (one.line.time, one.line.image_sha256))
    _require_alike(kept)
    return tuple(kept)


def _lines(path: Path) -> Iterable[Correction]:
    for number, text in tables.read_lines(path):
        where = f"{path}, line {number}"
        try:
            line = Line.model_validate_json(text)
        except pydantic.ValidationError as problem:
            wrong = problem.errors(include_url=False)[0]
            field = ".".join(map(str, wrong["loc"]))
            raise errors.DataError(
                f"{where}: a correction must be JSON as the service writes it. Got "
                f"{f'{field}: ' if field else ''}{wrong['msg']}. Restore the line, or remove it."
            ) from problem
        yield Correction(line, path.parent, where)


def _require_alike(found: Sequence[Correction]) -> None:
    """Refuse corrections that do not fit into one data set.

    Raises:
        errors.DataError: there are several kinds of labels, or of classes.
    """
    about = operator.attrgetter("label_kind", "classes")
    first = found[0]
    other = next((one for one in found if about(one.line) != about(first.line)), None)
    if other is not None:
        told = (
            f"{one.line.label_kind} of {', '.join(one.line.classes)} ({one.where}, model "
            f"{one.line.model})"
            for one in (first, other)
        )
        raise errors.DataError(
            "The corrections of one data set must have the same classes and kind of label. Got "
            f"{' and '.join(told)}. Collect each model alone, with --model NAME."
        )
