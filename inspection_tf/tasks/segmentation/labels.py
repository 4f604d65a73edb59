"""Labels of a segmentation: masks of defects, and pixels that count for nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspection_tf import images
from inspection_tf.datasets.records import Record


@dataclass(frozen=True, slots=True)
class MaskLabels:
    """What is true of the pixels of an image.

    Attributes:
        ids: (height, width), class k of defects is k, 0 is background. Where a mask file says only
            where a defect is, its pixels have the class of the record.
        ignored: (height, width), True where a pixel counts for nothing; None where all count.
    """

    ids: NDArray[np.uint8]
    ignored: NDArray[np.bool_] | None = None


def read(record: Record, orientation: images.Orientation = "apply") -> MaskLabels:
    """Return the labels of an image.

    Raises:
        errors.ImageError: its mask cannot be read.
    """
    ids = record.read_classes(orientation=orientation)
    return MaskLabels(ids, read_ignored(record, orientation))


def read_ignored(
    record: Record, orientation: images.Orientation = "apply"
) -> NDArray[np.bool_] | None:
    """Return the pixels that count for nothing, (height, width); None where all count."""
    return record.read_ignored(orientation=orientation)
