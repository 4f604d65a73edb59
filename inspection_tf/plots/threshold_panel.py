"""A threshold that can be dragged: what it makes of the tune images, in Jupyter and elsewhere.

`threshold_panel.mjs` draws it and counts as `decision.TuneScores` does; the service's page, the
report of a run and this widget show the same file.
"""

import base64
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from inspection_tf import errors
from inspection_tf.engines import installed
from inspection_tf.thresholds import parts

if TYPE_CHECKING:
    import anywidget

    from inspection_tf import decision, thresholds

PANEL_FILES = {
    "threshold_panel.mjs": "text/javascript; charset=utf-8",
    "threshold_panel.css": "text/css; charset=utf-8",
}
"""What draws the panel, with the type of each file."""
_CONFIDENCE = 0.95  # where nothing is promised


class Scored(Protocol):
    """What a panel shows: `bundle.chosen_threshold(root)`, or what `export.ship` returns."""

    @property
    def root(self) -> str | Path:
        """Return the bundle's folder, for the command."""
        ...

    @property
    def operating_point(self) -> "thresholds.OperatingPoint":
        """Return the threshold of the score that decides, and what it promises."""
        ...

    @property
    def scores(self) -> "decision.TuneScores | None":
        """Return the scores of the tune images; None: the bundle carries none."""
        ...


def panel_file(name: str) -> str:
    """Return the text of one of `PANEL_FILES`."""
    return (resources.files("inspection_tf.plots") / name).read_text(encoding="utf-8")


def panel_contents(chosen: Scored) -> dict[str, Any] | None:
    """Return what the panel shows, ready for JSON; None where the bundle has no scores.

    Args:
        chosen: a bundle's threshold and the scores that it was chosen on.
    """
    scores, point = chosen.scores, chosen.operating_point
    if scores is None:
        return None
    place = {name: number for number, name in enumerate(scores.ids)}
    return {
        "bundle": str(chosen.root),
        "threshold": point.threshold,
        "review_from": point.review_from,
        "confidence": _CONFIDENCE if point.promise is None else point.promise.confidence,
        "mask_threshold": scores.mask_threshold,
        "mask_range": scores.mask_range,
        "pixel_threshold": None if scores.mask_range is None else point.mask_threshold,
        "further_thresholds": scores.further_thresholds,
        "part_escapes": scores.part_escapes,
        "ids": list(scores.ids),
        "is_defect": list(scores.is_defect),
        "scores": list(scores.scores),
        "parts": parts.numbered(scores.parts, len(scores.ids)).of.tolist(),
        "bounds": {str(place[name]): list(both) for name, both in scores.bounds.items()},
    }


def threshold_panel(
    chosen: Scored, *, pictures: "Mapping[str, np.ndarray[Any, Any]] | None" = None
) -> "anywidget.AnyWidget":
    """Return a widget: drag the threshold, read what it promises, copy the command that sets it.

    It changes nothing of the bundle.

    Args:
        chosen: `bundle.chosen_threshold(root)`, or what `export.ship` returns.
        pictures: images by their ids, uint8; shown where their cell of the table is opened.

    Raises:
        errors.DataError: the bundle was written by a version that kept no scores.
        errors.BundleError: anywidget is not installed.
    """
    from inspection_tf import images

    contents = panel_contents(chosen)
    if contents is None:
        raise errors.DataError(
            f"{chosen.root}: a bundle must carry the scores of its tune images. Got one of an "
            "earlier version. Choose its threshold again by a method, such as inspection "
            "threshold BUNDLE --escape-rate 0.05."
        )
    try:
        import anywidget
        import traitlets
    except ImportError as problem:
        raise installed.missing("anywidget", "notebooks", "The panel") from problem

    class Panel(anywidget.AnyWidget):
        _esm = panel_file("threshold_panel.mjs")
        _css = panel_file("threshold_panel.css")
        tuned = traitlets.Dict().tag(sync=True)
        pictures = traitlets.Dict().tag(sync=True)

    place = {name: str(number) for number, name in enumerate(contents["ids"])}
    given = {
        place[name]: _address(images.encode_png(picture))
        for name, picture in (pictures or {}).items()
        if name in place
    }
    return Panel(tuned=contents, pictures=given)


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
