"""Corrections as a service keeps them, without a service."""

import json

import numpy as np

from inspection_tf import decision, images
from inspection_tf.decision.results import Field, Region, Regions
from inspection_tf.service import labels
from inspection_tf.service.results import Entry


def regions_of(mask, classes=("defect",)):
    """Return a region for each class in a mask of ids, whatever its pieces."""
    found = []
    for number, name in enumerate(classes, start=1):
        rows, columns = np.nonzero(mask == number)
        if not rows.size:
            continue
        x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        box, inside = tuple(map(int, (x0, y0, x1, y1))), mask[y0:y1, x0:x1] == number
        found.append(Region(name, box, (0.0, 0.0), rows.size, 1.0, 0.5, 0.5, mask=inside))
    return tuple(found)


def result_of(mask=None, classes=("defect",), corners=None):
    """Return the result of a verdict: the regions of a mask, or a field."""
    if corners is not None:
        return Field(corners, 0.9)
    return Regions(() if mask is None else regions_of(np.asarray(mask), classes))


def keep(
    folder, pixels, label, *, mask=None, classes=("defect",), result=None, kind="masks",
    note="", outcome="NG", score=0.75, model="line", **verdict,
):  # fmt: skip
    """Keep a correction of an image as a service does; returns what its line says first."""
    pixels = np.asarray(pixels)
    found = decision.Verdict(
        outcome=outcome,
        score=score,
        threshold=0.5,
        reasons=("1 region",),
        result=result_of(mask, classes) if result is None else result,
        image_size=pixels.shape[:2],
        image_sha256=images.digest(pixels),
        classes=classes,
        image=pixels,
        **verdict,
    )
    beside = {"id": "one", "model": model, "version": "1"}
    return labels.Labels(folder).keep(Entry(found, beside, "", 0, kind), label=label, note=note)


def lines(folder):
    return [json.loads(line) for line in (folder / "labels.jsonl").read_text().splitlines()]


def grey(number, size=(6, 8)):
    """Return an image that no other number gives."""
    return np.full(size, number, np.uint8)
