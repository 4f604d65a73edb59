"""COCO: one file of images, annotations and categories.

A region's `segmentation` is its run lengths, exact to the pixel: a polygon cannot have holes, and
readers fill polygons differently. A field's is the polygon of its corners. Source:
https://cocodataset.org/#format-data.
"""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf.datasets.writers import segments
from inspection_tf.datasets.writers.labels_file import Sample
from inspection_tf.datasets.writers.segments import Segment


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return how many pixels in a row are not marked, marked, not marked, ...; column by column.

    Args:
        mask: (height, width).
    """
    flat = np.concatenate([[False], mask.ravel(order="F")])  # they begin with what is not marked
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(length) for length in np.diff(np.concatenate([[0], changes, [mask.size]]))]


class Coco:
    """The content of a file, image by image."""

    def __init__(self, classes: Sequence[str]) -> None:
        """Begin without images.

        Args:
            classes: the categories.
        """
        self._ids = {name: number for number, name in enumerate(classes, start=1)}
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, sample: Sample, path: PurePosixPath, found: Iterable[Segment]) -> None:
        """Add an image whose label can be trusted.

        Args:
            sample: the image.
            path: of its file, relative to the file of COCO.
            found: its segments.
        """
        height, width = sample.line.image_size
        number = 1 + len(self._images)
        self._images.append(
            {"id": number, "file_name": str(path), "height": height, "width": width}
        )
        for segment in found:
            self._annotations.append(
                {
                    "id": 1 + len(self._annotations),
                    "image_id": number,
                    "category_id": self._ids[segment.class_name],
                    "iscrowd": 0,
                    **_shape(segment),
                }
            )

    def content(self) -> dict[str, Any]:
        """Return what the file holds."""
        categories = [{"id": number, "name": name} for name, number in self._ids.items()]
        return {
            "images": self._images,
            "annotations": self._annotations,
            "categories": categories,
        }


def _shape(segment: Segment) -> dict[str, Any]:
    """Return segmentation, area (px) and box (left, top, width, height)."""
    low, high = segment.outline.min(axis=0), segment.outline.max(axis=0)
    box = [float(value) for value in (*low, *(high - low))]
    if segment.pixels is None:
        points = [float(value) for value in segment.outline.ravel()]
        area = segments.area_px(segment.outline)
        return {"segmentation": [points], "area": area, "bbox": box}
    return {
        "segmentation": {
            "size": list(segment.pixels.shape),
            "counts": run_lengths(segment.pixels),
        },
        "area": int(np.count_nonzero(segment.pixels)),
        "bbox": box,
    }
