"""Another operating point for a bundle that is already out; the edit is noted in its audit."""

import json
from collections.abc import Mapping
from pathlib import Path

from inspection_tf import (
    bench,
    bundle,
    config,
    decision,
    errors,
    files,
    runtime,
    tasks,
    thresholds,
)
from inspection_tf.editing import rewrite
from inspection_tf.engines.entry import EngineEntry
from inspection_tf.engines.names import PASSED
from inspection_tf.export import kit, networks, onnx_metadata, source_data, tune_scores
from inspection_tf.runtime import golden
from inspection_tf.tasks.base import OperatingPoints

_NOT_CHOSEN = {"likeliest": "the likeliest class", "limits": "limits that were given"}
"""Methods by which no threshold is chosen, in words."""


def set_threshold(
    root: str | Path, threshold: float, *, review_band: float | None = None, reason: str = ""
) -> bundle.Manifest:
    """Set the threshold of the score that decides; of a cascade, the second one.

    The pixel threshold is that of the export, or this one where it is lower.

    Args:
        root: the bundle's folder.
        threshold: 0 to 1, both excluded.
        review_band: scores this far under the threshold are REVIEW; 0: none are; None: the band
            stays as wide as it was exported.
        reason: noted in the audit.

    Returns:
        The manifest as it is now; its operating point promises nothing.

    Raises:
        errors.ConfigError: the threshold or the band is none.
        errors.BundleError: the bundle is not as it was written, or the package onnx is absent.
        errors.StorageError: the disk is full; the bundle is as it was.
    """
    if not 0 < threshold < 1:
        raise errors.ConfigError(
            f"A threshold must lie between 0 and 1. Got {threshold}. Use for example 0.5."
        )
    _require_band(review_band, threshold)
    files.require_editable(root)
    onnx_metadata.require_library()
    manifest = runtime.Inspector.load(root).manifest
    first = _exported(manifest)
    band = _review_band(first) if review_band is None else review_band
    task = tasks.get(manifest.task)
    point = thresholds.OperatingPoint(
        threshold=threshold,
        review_from=threshold - band if band else None,
        mask_threshold=task.pixel_threshold(first.mask_threshold, threshold),
        method="fixed",
        note="Set by hand after the export; nothing is promised.",
    )
    return _edit(Path(root), manifest, OperatingPoints(point, manifest.stage_points), reason)


def promise(
    root: str | Path,
    escape_rate: float,
    *,
    confidence: float = 0.95,
    part_escapes: thresholds.PartEscapes | None = None,
    data: str | Path | None = None,
    reason: str = "",
) -> bundle.Manifest:
    """Choose the thresholds for a promised escape rate, from the tune images of the bundle.

    Args:
        root: the bundle's folder.
        escape_rate: at most this share of defective parts escapes, 0 to 1.
        confidence: of the promise, 0 to 1.
        part_escapes: see `choose`.
        data: folder of the images that the bundle was made from; None: where they lay.
        reason: noted in the audit.

    Returns:
        The manifest as it is now.

    Raises:
        errors.ConfigError: a number is out of range.
        errors.DataError: the images are absent or not what they were, the bundle has no tune
            split, or it holds too few defects for the promise.
        errors.BundleError: the bundle is not as it was written.
        errors.StorageError: the disk is full; the bundle is as it was.
    """
    require_promisable(escape_rate, confidence)
    spec = thresholds.ThresholdSpec(
        method="escape_rate", max_escape_rate=escape_rate, confidence=confidence
    )
    return choose(root, spec, part_escapes=part_escapes, data=data, reason=reason)


def require_promisable(escape_rate: float, confidence: float) -> None:
    """Refuse what is no escape rate, or no confidence.

    Raises:
        errors.ConfigError: a number is out of range.
    """
    if not (0 < escape_rate < 1 and 0 < confidence < 1):
        raise errors.ConfigError(
            "Escape rate and confidence must lie between 0 and 1. "
            f"Got {escape_rate} and {confidence}. Use for example 0.05 and 0.95."
        )


def choose(
    root: str | Path,
    spec: thresholds.ThresholdSpec,
    *,
    part_escapes: thresholds.PartEscapes | None = None,
    review_band: float | None = None,
    data: str | Path | None = None,
    reason: str = "",
) -> bundle.Manifest:
    """Choose the thresholds by one of the methods of a recipe, from the tune images of the bundle.

    Where a recipe falls back to another method, or promises nothing, this refuses. Of images that
    are all defective F-beta is that of regions, as in a recipe.

    Args:
        root: the bundle's folder.
        spec: the method and its numbers.
        part_escapes: in place of that of `spec`: a part escapes when any of its defective images is
            judged OK, or only when each is; None: as the bundle was exported.
        review_band: in place of that of `spec`: scores this far under the threshold are REVIEW;
            None: the band stays as wide as it was exported, unless `spec` has a `review_share`.
        data: folder of the images that the bundle was made from; None: where they lay.
        reason: noted in the audit.

    Returns:
        The manifest as it is now.

    Raises:
        errors.ConfigError: both costs are 0, or the band is none.
        errors.DataError: the images are absent or not what they were, the bundle has no tune
            split, or it does not allow the method or the promise.
        errors.BundleError: the bundle is not as it was written.
        errors.StorageError: the disk is full; the bundle is as it was.
    """
    if spec.method == "cost" and not spec.escape_cost + spec.overkill_cost:
        raise errors.ConfigError(
            "An escape or an overkill must cost something. Got 0 for both. Use for example 10 and "
            "1."
        )
    _require_band(review_band, 1.0)
    root = Path(root)
    files.require_editable(root)
    onnx_metadata.require_library()
    manifest = runtime.Inspector.load(root).manifest
    parts = source_data.parts(manifest, None if data is None else Path(data))
    if not len(parts.get("tune", ())):
        raise errors.DataError(
            "A threshold is chosen on images that did not teach the network. Got a bundle without "
            "a tune split: it was cross-validated. Use --set, or train with data.tune."
        )
    exported = _exported(manifest)
    if review_band is None:
        review_band = 0.0 if spec.review_share else _review_band(exported)
    spec = spec.model_copy(
        update={
            "review_band": review_band,
            "part_escapes": part_escapes or _part_escapes(manifest, exported),
        }
    )
    models = {graph.name: (root / graph.file).read_bytes() for graph in manifest.graphs}
    started = networks.started(models)
    points = tasks.get(manifest.task).choose([(started, parts["tune"])], spec, manifest.context)
    _require_as_asked(points.whole, spec)
    _require_band(review_band, points.whole.threshold)
    changed = manifest.model_copy(update=_fields(points))
    inspector = runtime.Inspector(changed, started, model_sha256="")
    scores = tune_scores.measured(
        [(inspector, parts["tune"])], part_escapes=spec.part_escapes, exported=exported
    )
    return _edit(root, manifest, points, reason, scores=scores)


def _require_as_asked(point: thresholds.OperatingPoint, spec: thresholds.ThresholdSpec) -> None:
    """Refuse what a recipe would fall back to."""
    if point.method in _NOT_CHOSEN:
        raise errors.ConfigError(
            "A threshold is chosen where it decides. Got a bundle that decides by "
            f"{_NOT_CHOSEN[point.method]}. Train with rules.decide_by: threshold."
        )
    unit = "parts" if "defective_groups" in point.counts else "images"
    defective = point.counts.get("defective", 0)
    if spec.method == "escape_rate" and point.promise is None:
        raise errors.DataError(
            f"An escape rate of at most {spec.max_escape_rate:g} at {spec.confidence:g} confidence "
            f"must be promised on {point.promise_needs} defective {unit}. Got "
            f"{point.counts.get('defective_groups', defective)} in the tune split. Promise less, "
            "or train with more of them."
        )
    if point.method.removeprefix("region_") != spec.method:
        raise errors.DataError(
            f"The method {spec.method} needs good and defective images. Got a tune split of "
            f"{point.counts.get('images', 0)} images of which {defective} are defective. Use "
            "another method, or train with both."
        )
    if spec.method == "overkill_rate" and not thresholds.promises_overkill(point, spec):
        raise errors.DataError(
            f"An overkill rate of at most {spec.max_overkill_rate:g} at {spec.confidence:g} "
            f"confidence must be promised on enough good {unit}. Got too few: {point.note} Promise "
            "less, or train with more of them."
        )


def _exported(manifest: bundle.Manifest) -> thresholds.OperatingPoint:
    """Return the operating point that the bundle was exported with: edits follow from it alone."""
    for edit in manifest.audit:
        if edit.get("what") == "threshold":
            told = {name: value for name, value in edit["before"].items() if name != "stages"}
            return config.validate(thresholds.OperatingPoint, told, origin="the bundle's audit")
    return manifest.operating_point


def _part_escapes(
    manifest: bundle.Manifest, exported: thresholds.OperatingPoint
) -> thresholds.PartEscapes:
    """Return when a part escaped at the export: as was promised, or without a promise as asked."""
    if exported.promise is not None:
        return exported.promise.part_escapes
    told = manifest.provenance.config.get("threshold")
    asked = told.get("part_escapes") if isinstance(told, dict) else None
    return "each" if asked == "each" else "any"


def _require_band(width: float | None, threshold: float) -> None:
    """Refuse a review band that does not fit under a threshold."""
    is_lost = width is not None and width > 0 and threshold - width == threshold  # in rounding
    if width is not None and (not 0 <= width < threshold or is_lost):
        raise errors.ConfigError(
            "A review band must be 0 or wider, and narrower than the threshold. Got "
            f"{width:.6g} under {threshold:.6g}. Use for example {threshold / 4:.2g}, or 0 for "
            "none."
        )


def _review_band(point: thresholds.OperatingPoint) -> float:
    """Return how far under the threshold scores are REVIEW; 0: none are."""
    return 0.0 if point.review_from is None else point.threshold - point.review_from


def _edit(
    root: Path,
    manifest: bundle.Manifest,
    points: OperatingPoints,
    reason: str,
    *,
    scores: decision.TuneScores | None = None,
) -> bundle.Manifest:
    """Write thresholds, metadata, golden verdicts and audit; or leave the bundle as it is.

    Args:
        root: the bundle's folder.
        manifest: of the bundle.
        points: its thresholds from now on.
        reason: noted in the audit.
        scores: of the tune images, under these thresholds; None: those that the bundle has stay.
    """
    samples = golden.read(root)
    frames = bench.golden_frames(root)
    audit = rewrite.note(
        "threshold",
        reason=reason,
        before=_in_audit(manifest.operating_point, manifest.stage_points),
        after=_in_audit(points.whole, points.stages),
        engines_stopped=[name for name, entry in manifest.engines.items() if _is_stopped(entry)],
    )
    change = rewrite.Change(_fields(points), audit, stops=_is_stopped)
    with rewrite.rewriting(root, manifest, change) as edit:
        named = [(sample["id"], *frame) for sample, frame in zip(samples, frames, strict=True)]
        kit.write_golden(edit.draft, networks.inspector(edit.models(), edit.manifest), named)
        if scores is not None:
            bundle.write_tune_scores(edit.draft, scores)
        rewritten = json.loads(edit.draft.path(runtime.GOLDEN).read_bytes())
        edit.found["golden_changed"] = [
            after["id"]
            for before, after in zip(samples, rewritten, strict=True)
            if before["outcome"] != after["outcome"]
        ]
    return edit.manifest


def _fields(points: OperatingPoints) -> dict[str, object]:
    """Return the fields of a manifest that hold thresholds."""
    return {"operating_point": points.whole, "stage_points": dict(points.stages)}


def _is_stopped(entry: EngineEntry) -> bool:
    """Return whether an engine was judged at a threshold, or holds a copy of it."""
    return entry.state == PASSED or entry.of_kind.copies_manifest


def _in_audit(
    point: thresholds.OperatingPoint, stages: Mapping[str, thresholds.OperatingPoint]
) -> dict[str, object]:
    return {
        **point.model_dump(mode="json", exclude={"counts", "tune"}),
        "stages": {name: stage.threshold for name, stage in stages.items()},
    }
