"""From a decoded image to what networks take: the steps that most tasks share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.tasks.base import Context, OperatingPoints, Pixels, Prepared

if TYPE_CHECKING:
    from inspection_tf import images, thresholds
    from inspection_tf.datasets.records import Record, Records
    from inspection_tf.tasks.base import Networks, Task

_NO_MAP = 0.5  # what a pixel needs does not matter where there is no map


def require_template(template: Pixels | None, context: Context) -> None:
    """Refuse a template that is missing, or not wanted.

    Raises:
        errors.ImageError: it is.
    """
    if (template is not None) != (context.alignment is not None):
        raise errors.ImageError(
            "This bundle compares each image with its template. Got an image without one. "
            "Give its template."
            if template is None
            else "This bundle inspects images alone. Got a template too. Leave it out."
        )


def one_image(
    image: Pixels, spec: "images.Preprocessing", *, keeps_pixels: bool = False
) -> Prepared:
    """Preprocess an image that is inspected by itself; what comes out may share its memory.

    Args:
        image: of the source.
        spec: how it is preprocessed.
        keeps_pixels: a network sees parts of the source in their own resolution.

    Raises:
        errors.ImageError: the image does not fit.
    """
    from inspection_tf import images

    # The steps of `images.preprocess`, of which a network that sees parts needs the first.
    image = images.read(image)
    placement = images.locate(image, spec)
    pixels = images.in_channels(image, spec)
    prepared = images.lay(pixels, placement)
    return Prepared(prepared[None], None, placement, pixels if keeps_pixels else None)


def whole_image(image: Pixels, template: Pixels | None, context: Context) -> Prepared:
    """Preprocess all of an image, with its template if the bundle compares.

    Raises:
        errors.ImageError: the image does not fit, or a template is missing or not wanted.
    """
    require_template(template, context)
    if template is None:
        return one_image(image, context.preprocessing)
    return with_template(image, template, context)


def from_record(record: "Record", context: Context) -> Prepared:
    """Read an image, with its template if the bundle compares, and preprocess it.

    Raises:
        errors.ImageError: it cannot be read, or does not fit.
    """
    image, template = record.read_pair(orientation=context.preprocessing.orientation)
    return whole_image(image, template, context)


def parts_of(tuned: "Sequence[tuple[Networks, Records]]") -> tuple[str, ...] | None:
    """Return the part that every image shows; None where nothing is known of any."""
    if all(chosen.parts is None for _, chosen in tuned):
        return None
    return tuple(group for _, chosen in tuned for group in chosen.groups)


def choose_by_score(
    task: "Task",
    tuned: "Sequence[tuple[Networks, Records]]",
    spec: "thresholds.ThresholdSpec",
    context: Context,
) -> OperatingPoints:
    """Choose the threshold of a task with one score for each image, and no map.

    Args:
        task: which prepares, runs and scores the images.
        tuned: networks and images whose scores they may give.
        spec: the method.
        context: of the bundle to be, whose thresholds do not matter yet.

    Raises:
        errors.DataError: the images do not allow the method.
    """
    from inspection_tf import thresholds

    turn = context.preprocessing.orientation
    score, is_defect = [], []
    for networks, chosen in tuned:
        for record in chosen:
            prepared = task.prepare(*record.read_pair(orientation=turn), context)
            (output,) = task.run(networks, [prepared], context)
            score.append(task.scores(output, prepared, context)["score"])
            is_defect.append(record.is_defect)
    point = thresholds.choose(
        np.array(score),
        np.array(is_defect, np.bool_),
        spec,
        mask_threshold=_NO_MAP,
        groups=parts_of(tuned),
    )
    return OperatingPoints(point)


def given_point(
    tuned: "Sequence[tuple[Networks, Records]]", *, threshold: float, method: str
) -> OperatingPoints:
    """Return a threshold that was not chosen, and what it was not chosen on.

    Args:
        tuned: networks and images whose scores they may give.
        threshold: of the score.
        method: what it is called.
    """
    from inspection_tf import thresholds

    records = [record for _, chosen in tuned for record in chosen]
    defective = sum(record.is_defect for record in records)
    counts = {"images": len(records), "defective": defective}
    return OperatingPoints(
        thresholds.OperatingPoint(threshold=threshold, method=method, counts=counts)
    )


def with_template(image: Pixels, template: Pixels, context: Context) -> Prepared:
    """Lay a template onto its image and preprocess both.

    Raises:
        errors.ImageError: one does not fit, or they have not one size.
    """
    from inspection_tf.images import registration

    alignment = context.alignment or registration.AlignSpec()
    prepared, laid, placement = registration.prepare(
        image, template, context.preprocessing, alignment
    )
    return Prepared(prepared[None], laid[None], placement)


def gray_span(prepared: Prepared) -> int:
    """Return the 99th less the 1st percentile of an image's values, 0..255: 0 where it is even.

    So the darkest and the brightest percent, dead and hot pixels, do not count, nor does the rim of
    a letterbox. Of RGB it is the span of the channel that spans most: an even colour has none.
    """
    x0, y0, x1, y1 = prepared.placement.box_xyxy
    seen = prepared.image[0, y0:y1, x0:x1]
    return max(_span(seen[..., channel]) for channel in range(seen.shape[-1]))


def _span(values: NDArray[np.uint8]) -> int:
    counts = np.cumsum(np.bincount(values.ravel(), minlength=256))
    low = np.searchsorted(counts, 0.01 * counts[-1], side="right")
    high = np.searchsorted(counts, 0.99 * counts[-1])
    return max(0, int(high - low))


def batched(
    batch: Sequence[Prepared],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return the images of a batch as one array each, and their templates if they have some."""
    image = np.concatenate([item.image for item in batch])
    templates = [item.template for item in batch if item.template is not None]
    return image, np.concatenate(templates) if templates else None
