"""An inspector and labelled records -> one row per image.

Everything is measured on verdicts, after the rules, in pixels of the source images: what is
reported is what is shipped. Which task an inspector has, only the task itself knows.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from inspection_tf import decision, errors, images, process
from inspection_tf.datasets import records
from inspection_tf.evaluation.image_results import ImageResult, Measures
from inspection_tf.images import Image

_LOG = logging.getLogger("inspection_tf")

Labels: TypeAlias = object
"""What is true of an image, as its task has it: a value of the task's."""
LabelsT = TypeVar("LabelsT")


class Context(Protocol):
    """What a task decides by, as far as it concerns the reading of images."""

    @property
    def preprocessing(self) -> images.Preprocessing:
        """Of every image; it says whether EXIF turns are applied."""
        ...


ContextT = TypeVar("ContextT", bound=Context)
ContextT_contra = TypeVar("ContextT_contra", bound=Context, contravariant=True)


class Task(Protocol[ContextT_contra]):
    """What `evaluation` asks a task, such as one of `tasks`."""

    @property
    def measures(self) -> Measures:
        """What is measured on the rows of `compare`."""
        ...

    def labels(self, record: records.Record, context: ContextT_contra) -> Labels:
        """Read what is true of an image, lying as the context says.

        Raises:
            errors.ImageError: the labels cannot be read.
        """
        ...

    def compare(
        self,
        record: records.Record,
        verdict: decision.Verdict,
        context: ContextT_contra,
        *,
        audit: bool = False,
    ) -> ImageResult:
        """Compare a verdict with the labels of its image.

        Args:
            record: of the image.
            verdict: on it.
            context: by which it was reached.
            audit: also find out which true defects the rules hide, where the task has such rules.

        Raises:
            errors.ImageError: the labels cannot be read.
            errors.DataError: the labels do not fit the image, or are those of another task.
        """
        ...


class Inspects(Protocol):
    """Anything that turns an image into a verdict."""

    def inspect(self, source: Image, /, *, template: Image | None = None) -> decision.Verdict:
        """Return the verdict on one image, (H, W) or (H, W, 3) RGB, in its own pixels.

        The template is only named where a record has one.
        """
        ...


class Inspector(Inspects, Protocol[ContextT]):
    """What inspects images for a task, such as `runtime.Inspector`."""

    @property
    def task(self) -> Task[ContextT]:
        """What it inspects for."""
        ...

    @property
    def context(self) -> ContextT:
        """What its task decides by."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """One record as an inspector sees it.

    Attributes:
        image: (height, width) or (height, width, 3) RGB.
        labels: what is true of it, as its task has it.
        verdict: on the image.
        template: in the size of the image; None where the record has none.
    """

    image: Image
    labels: Labels
    verdict: decision.Verdict
    template: Image | None = None

    def labels_as(self, kind: type[LabelsT]) -> LabelsT:
        """Return the labels, which are of the task that asks.

        Raises:
            TypeError: they are of another task.
        """
        if not isinstance(self.labels, kind):
            raise TypeError(f"labels of {kind.__module__}, got {self.labels!r}")
        return self.labels


def _inspect(
    inspector: Inspects, record: records.Record, orientation: images.Orientation
) -> tuple[Image, Image | None, decision.Verdict]:
    """Return image, template (None where the record has none) and verdict of one record."""
    image, template = record.read_pair(orientation=orientation)
    try:
        if template is None:
            return image, None, inspector.inspect(image)
        return image, template, inspector.inspect(image, template=template)
    except errors.ImageError as problem:
        raise errors.ImageError(f"{record.id}: {problem}") from problem


def inspect_records(
    inspector: Inspects,
    labelled: Sequence[records.Record],
    *,
    task: Task[ContextT],
    context: ContextT,
    audit: bool = False,
    progress: process.Progress | None = None,
) -> list[ImageResult]:
    """Inspect every record, none left out, and compare verdict and truth in source pixels.

    Args:
        inspector: usually a bundle's; see `measure`.
        labelled: the records; the rows keep their order.
        task: compares.
        context: by which the inspector decides.
        audit: also find out which true defects the rules hide, where the task has such rules.
        progress: called with (done, of).

    Raises:
        errors.ImageError: an image or its labels cannot be read.
        errors.DataError: labels do not fit their image, or are those of another task.
    """
    rows = []
    for index, record in enumerate(labelled):
        _, _, verdict = _inspect(inspector, record, context.preprocessing.orientation)
        rows.append(task.compare(record, verdict, context, audit=audit))
        if progress is not None:
            progress(index + 1, len(labelled))
    if warning := task.measures.warning(rows):
        _LOG.warning("%s", warning)
    return rows


def measure(
    inspector: Inspector[ContextT],
    labelled: Sequence[records.Record],
    *,
    progress: process.Progress | None = None,
) -> list[ImageResult]:
    """Inspect records as the task of a bundle says, and audit its rules on them.

    Args:
        inspector: of the bundle.
        labelled: the records; the rows keep their order.
        progress: called with (done, of).

    Raises:
        errors.ImageError: an image or its labels cannot be read.
        errors.DataError: labels do not fit their image, or are those of another task.
    """
    return inspect_records(
        inspector,
        labelled,
        task=inspector.task,
        context=inspector.context,
        audit=True,
        progress=progress,
    )


def look(inspector: Inspector[ContextT], record: records.Record) -> Look:
    """Return image, labels and verdict of one record, turned as the preprocessing says.

    Raises:
        errors.ImageError: the image or its labels cannot be read.
    """
    context = inspector.context
    image, template, verdict = _inspect(inspector, record, context.preprocessing.orientation)
    return Look(image, inspector.task.labels(record, context), verdict, template)
