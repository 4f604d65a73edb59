"""What both builders serve: features, and the example of a record."""

import numpy as np
import tensorflow_datasets as tfds
from numpy.typing import NDArray

from inspection_tf import errors, images
from inspection_tf.datasets.records import Record

Example = dict[str, str | NDArray[np.generic]]
LABELS = ("good", "defect")


def _gray() -> tfds.features.Image:
    return tfds.features.Image(shape=(None, None, 1), encoding_format="png")


def info(
    builder: tfds.core.DatasetBuilder,
    *,
    description: str,
    homepage: str,
    citation: str | None = None,
) -> tfds.core.DatasetInfo:
    """Return the `DatasetInfo` of a builder.

    Features: `image` (height, width, 1) uint8 gray; `mask` (height, width, 1) uint8, 0 or 255;
    `label` good or defect; `id` and `group`, texts as in `Record`.
    """
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        features=tfds.features.FeaturesDict(
            {
                "image": _gray(),
                "mask": _gray(),
                "label": tfds.features.ClassLabel(names=list(LABELS)),
                "id": tfds.features.Text(),
                "group": tfds.features.Text(),
            }
        ),
        homepage=homepage,
        citation=citation,
        # Stored in the order of ids, so that a loader deals the same batches as from records.
        disable_shuffling=True,
    )


def example(record: Record) -> Example:
    """Return the features of a record.

    Raises:
        errors.ImageError: image or mask cannot be read, or the image has 16 bits.
    """
    image, mask = images.to_gray(record.read_image()), record.read_mask()
    if image.dtype.itemsize > 1:
        raise errors.ImageError(
            f"{record.id}: the image must have 8 bits. Got {image.dtype.name}. "
            "Train on the folder itself (data.format), which windows 16 bits."
        )
    return {
        "image": image[..., None],
        "mask": mask[..., None].astype("uint8") * 255,
        "label": LABELS[record.is_defect],
        "id": record.id,
        "group": record.group or record.id,
    }
