"""`inspection threshold`: another operating point for a bundle that is already out."""

from pathlib import Path
from typing import Annotated

import tyro

from inspection_tf import errors, process

Bundle = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BUNDLE")]


def threshold(
    bundle: Bundle,
    /,
    *,
    set: float | None = None,
    escape_rate: float | None = None,
    confidence: float = 0.95,
    data: Path | None = None,
    reason: str = "",
) -> int:
    """Choose another threshold for a bundle: it is noted in its audit.

    Engines of the bundle must then pass the gate again.

    Args:
        bundle: folder of the bundle.
        set: the threshold of the score that decides, 0 to 1; it promises nothing.
        escape_rate: promised share of defects that are judged OK; the threshold follows from the
            tune images.
        confidence: of that promise.
        data: folder of the images the bundle was made from; by default where they lay.
        reason: noted in the audit.
    """
    from inspection_tf.export import rethreshold

    if (set is None) == (escape_rate is None):
        raise errors.ConfigError(
            "threshold needs either --set or --escape-rate. Got "
            f"{'none' if set is None else 'both'}. Give one."
        )
    if set is not None:
        manifest = rethreshold.set_threshold(bundle, set, reason=reason)
    else:
        manifest = rethreshold.promise(
            bundle, float(escape_rate or 0.0), confidence=confidence, data=data, reason=reason
        )
    edit = manifest.audit[-1]
    before, after = edit["before"], edit["after"]
    borders = [point["review_from"] for point in (before, after)]
    review = ""
    if any(border is not None for border in borders):
        told = ("none" if border is None else f"{border:.6g}" for border in borders)
        review = f", review from {' -> '.join(told)}"
    process.say(
        f"{manifest.model_id}: threshold {before['threshold']:.6g} -> {after['threshold']:.6g}"
        f"{review}; {len(edit['golden_changed'])} golden verdicts changed"
    )
    for name in edit["engines_stopped"]:
        process.say(f"engines/{name} must pass the gate again: inspection convert")
    return errors.OK
