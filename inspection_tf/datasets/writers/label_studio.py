"""Label Studio: tasks with pre-labels, and the labelling configuration that they fit.

A region is there twice, as a polygon and as pixels of the brush: some versions do not show the
pixels of pre-labels, and a polygon has no holes. Sources: labelstud.io/guide/predictions and
labelstud.io/guide/storage (local files).
"""

import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any
from xml.sax import saxutils

import numpy as np

from inspection_tf.datasets.records import LabelKind
from inspection_tf.datasets.writers import brush, segments
from inspection_tf.datasets.writers.labels_file import Line, Sample
from inspection_tf.datasets.writers.segments import Segment

_IMAGE = "image"
_POLYGON, _BRUSH = "polygon", "brush"
_CLASS, _OUTCOME = "class", "outcome"
_OUTCOMES = ("OK", "NG")
CONTROLS: dict[LabelKind, tuple[str, ...]] = {
    "masks": (_POLYGON, _BRUSH),
    "corners": (_POLYGON,),
    "classes": (_CLASS,),
    "pose": (),
}
"""What a person labels with beside OK and NG."""
_TAGS = {_POLYGON: "PolygonLabels", _BRUSH: "BrushLabels"}
_WITHIN_PX = 0.75  # a slanted edge is a staircase of 0.71 px else


def configuration(kind: LabelKind, names: Sequence[str]) -> str:
    """Return the labelling configuration.

    Args:
        kind: of the labels.
        names: of classes, or of what is outlined.
    """
    lines = [
        "<View>",
        f'  <Image name="{_IMAGE}" value="$image" zoom="true" zoomControl="true"/>',
        '  <Text name="said" value="$said"/>',
        *_choices(_OUTCOME, _OUTCOMES),
    ]
    for control in CONTROLS[kind]:
        if control == _CLASS:
            lines += _choices(_CLASS, names)
            continue
        lines += [
            f'  <{_TAGS[control]} name="{control}" toName="{_IMAGE}">',
            *(f"    <Label value={saxutils.quoteattr(name)}/>" for name in names),
            f"  </{_TAGS[control]}>",
        ]
    return "\n".join([*lines, "</View>", ""])


def _choices(control: str, names: Sequence[str]) -> list[str]:
    return [
        f'  <Choices name="{control}" toName="{_IMAGE}" choice="single" showInline="true">',
        *(f"    <Choice value={saxutils.quoteattr(name)}/>" for name in names),
        "  </Choices>",
    ]


def task(sample: Sample, path: PurePosixPath, found: Iterable[Segment]) -> dict[str, Any]:
    """Return the task of an image.

    Args:
        sample: the image.
        path: of its file, relative to the root of local files.
        found: its segments.
    """
    line = sample.line
    results = list(_choice(line, _OUTCOME, _outcome(line)))
    controls = CONTROLS[line.label_kind]
    if _CLASS in controls and line.label != "OK" and line.class_name in line.classes:
        results += _choice(line, _CLASS, line.class_name)
    if _POLYGON in controls:
        results += _regions(line, found, with_pixels=_BRUSH in controls)
    prediction = {"model_version": f"{line.model} {line.version}", "result": results}
    return {
        "data": {
            _IMAGE: f"/data/local-files/?d={urllib.parse.quote(str(path))}",
            "said": _said(line),
            "label": line.label,
            "note": line.note,
            "time": line.time.isoformat(),
            "image_sha256": line.image_sha256,
        },
        "predictions": [prediction if line.score is None else {**prediction, "score": line.score}],
    }


def _said(line: Line) -> str:
    """Return what model and person said, for who labels."""
    told = {"OK": "OK", "NG": "NG", "region": "the region is wrong"}[line.label]
    reasons = f" ({'; '.join(line.reasons)})" if line.reasons else ""
    note = f": {line.note}" if line.note else ""
    return f"{line.model} said {line.outcome}{reasons}; a person said {told}{note}"


def _outcome(line: Line) -> str | None:
    """Return OK or NG, as the person said, or else the verdict; None where neither did."""
    said = line.outcome if line.label == "region" else line.label
    return said if said in _OUTCOMES else None


def _choice(line: Line, control: str, chosen: str | None) -> Iterator[dict[str, Any]]:
    if chosen is not None:
        yield _result(line, control, control, "choices", {"choices": [chosen]})


def _regions(
    line: Line, found: Iterable[Segment], *, with_pixels: bool
) -> Iterator[dict[str, Any]]:
    """Yield the polygon of each segment, and its pixels."""
    height, width = line.image_size
    for number, segment in enumerate(found, start=1):
        points = segment.outline
        if segment.pixels is not None:
            points = segments.simplified(points, within_px=_WITHIN_PX)
        percent = np.clip(100 * points / np.array([width, height]), 0, 100)
        value = {"points": percent.tolist(), "closed": True, "polygonlabels": [segment.class_name]}
        yield _result(line, f"{_POLYGON}-{number}", _POLYGON, "polygonlabels", value)
        if with_pixels and segment.pixels is not None:
            rle = brush.encode(segment.pixels)
            value = {"format": "rle", "rle": rle, "brushlabels": [segment.class_name]}
            yield _result(line, f"{_BRUSH}-{number}", _BRUSH, "brushlabels", value)


def _result(
    line: Line, name: str, control: str, kind: str, value: dict[str, Any]
) -> dict[str, Any]:
    height, width = line.image_size
    return {
        "id": f"{line.image_sha256[:12]}-{name}",
        "from_name": control,
        "to_name": _IMAGE,
        "type": kind,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": value,
    }
