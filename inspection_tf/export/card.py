"""MODEL_CARD.md: what a bundle is for, how it was measured, where it fails."""

from collections.abc import Mapping
from typing import Any

from inspection_tf import bundle, process, tasks
from inspection_tf.bundle import looks


def _edits(manifest: bundle.Manifest) -> str:
    """Say that thresholds were edited since: the metrics above are those of before."""
    return "".join(
        f"\nEdited on {edit['at']}, after these were measured: {edit_in_words(edit)}"
        f"{': ' + process.markdown(edit['reason']) if edit.get('reason') else ''}. "
        "`inspection evaluate` measures it anew.\n"
        for edit in manifest.audit
        if edit["what"] == "threshold"
    )


def _looks(manifest: bundle.Manifest) -> str:
    """Return what was found on sealed images, look by look; "" where nobody has looked."""
    return "".join(
        f"\n{look.heading()}.{' ' if look.warning else ''}{process.markdown(look.warning)}\n\n"
        "| metric | sealed | 95 % interval |\n|---|---|---|\n"
        + "".join(f"{line}\n" for line in _metric_lines(look.metrics))
        for look in looks.looks(manifest)
    )


def _metric_lines(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table of metrics."""
    return [
        f"| {process.markdown(name)} | {_number(entry['value'])} | "
        f"{_number(entry['low'])} to {_number(entry['high'])} |"
        for name, entry in metrics.items()
    ]


def edit_in_words(edit: Mapping[str, Any]) -> str:
    """Return what an entry of the audit has changed."""
    if edit["what"] != "threshold":
        return str(edit["what"])
    numbers = [f"{point['threshold']:.6g}" for point in (edit["before"], edit["after"])]
    band = _band_edit(edit)
    return f"threshold {' became '.join(dict.fromkeys(numbers))}{band}"


def _band_edit(edit: Mapping[str, Any]) -> str:
    """Say where REVIEW begins, if an edit of the threshold changed how wide it is."""
    before, after = edit["before"], edit["after"]
    starts = [point.get("review_from") for point in (before, after)]
    if starts == [None, None]:
        return ""
    words = ("none" if start is None else f"{start:.6g}" for start in starts)
    return f", REVIEW from {' became '.join(words)}"


def _engines(manifest: bundle.Manifest) -> str:
    """Return a table of what the bundle was converted to."""
    if not manifest.engines:
        return ""
    lines = [
        "",
        "Engines, compared with the float32 ONNX files:",
        "",
        "| engine | precision | state | images | changed verdicts | ms an image |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in manifest.engines.items():
        parity, spent = entry.parity, entry.speed.get("engine_ms", {}).values()
        lines.append(
            f"| {name} | {entry.precision} | {entry.state} | {parity.get('images', '-')} | "
            f"{len(parity['changed_verdicts']) if parity else '-'} | "
            f"{f'{min(spent):.2f}' if spent else '-'} |"
        )
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _parts(counts: Mapping[str, int]) -> str:
    """Return how many parts some images show, to follow after their number; "" if one each."""
    if "groups" not in counts:
        return ""
    return f"; {counts['groups']} parts, {counts['defective_groups']} of these defective"


def render(manifest: bundle.Manifest) -> str:
    """Return the card of a bundle as Markdown."""
    point, spec = manifest.operating_point, manifest.inputs[0].preprocessing
    report = manifest.metrics
    papers = tasks.get(manifest.task).papers(manifest.context)
    if manifest.promise:
        promise = f"Promise: {manifest.promise}. {point.note}"
    elif point.promise_needs is None:
        promise = f"Promise: none. {point.note}"
    else:
        promise = (
            f"Promise: none; one would need {point.promise_needs} {manifest.unit_of_promise}. "
            f"{point.note}"
        )
    review = point.review_after(", and ")
    return papers.card.format(
        classes=", ".join(map(process.markdown, manifest.classes)),
        template=", each compared with its template," if manifest.has_template else "",
        stages=papers.stages,
        model_id=manifest.model_id,
        height=spec.size[0],
        width=spec.size[1],
        channels=spec.channels,
        fit=spec.fit,
        recipe=manifest.provenance.recipe,
        origin=f"{manifest.provenance.data.format} data",
        threshold=point.threshold,
        review=review,
        mask_threshold=point.mask_threshold,
        method=point.method,
        tune_images=point.counts.get("images", 0),
        tune_defective=point.counts.get("defective", 0),
        tune_parts=_parts(point.counts),
        parts=_parts(report["counts"]),
        promise=promise.strip(),
        rules=process.markdown(", ".join(f"{name} {value}" for name, value in papers.rules.items()))
        or "none",
        split=process.markdown(report["split"]),
        images=report["counts"]["images"],
        defective=report["counts"]["defective"],
        metrics="\n".join(_metric_lines(report["metrics"])),
        edits=_edits(manifest) + _looks(manifest),
        engines=_engines(manifest),
        parity_images=manifest.parity["images"],
        parity_score=manifest.parity["max_score_difference"],
        parity_flips=len(manifest.parity["changed_verdicts"]),
        parity=manifest.parity,
    )
