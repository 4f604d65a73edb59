"""MODEL_CARD.md: what a bundle is for, how it was measured, where it fails."""

from collections.abc import Mapping

from inspection_tf import bundle, process

_TEMPLATE = """# {model_id}

Segments defects ({classes}) in images of {height} x {width} px ({channels}, fit: {fit}){template}
and decides OK, NG or REVIEW. Written by the recipe `{recipe}` from {origin}.

## Decision

An image is NG when its score is at or above **{threshold:.6g}**{review}. The score is the peak
probability of the regions that survive the rules; a pixel belongs to a region from a probability
of **{mask_threshold:.3g}**. Chosen by `{method}` on {tune_images} images, {tune_defective} of them
defective{tune_parts}. {promise}
{stages}
Rules: {rules}.

## Measured on the {split} split ({images} images, {defective} defective{parts})

| metric | value | 95 % interval |
|---|---|---|
{metrics}
{edits}
`dice_defective` is the mean over defective images, `iou_pooled` counts all pixels together, and
`dice_all_images` counts a good image without a region as 1. Rates: a defective image judged OK is
an escape, a good image judged NG an overkill.

## Check

`inspection verify BUNDLE` reads every hash and runs the golden samples. The export was compared
with the trained model on {parity_images} images: largest score difference {parity_score:.2g},
{parity_flips} changed verdicts.
{engines}
## Where it fails

It knows the surfaces and defects it was trained on. Other parts, cameras, lenses, lights or
scales need new images and a new measurement; so does any change of thresholds or rules. The metrics
above hold for images like the measured ones, within their intervals, and say nothing about kinds of
defect that were not among them.
"""


_FIELD_TEMPLATE = """# {model_id}

Locates the four corners of one field in photos ({channels}, brought to {height} x {width} px, fit:
{fit}) and decides OK, NG ({classes}) or REVIEW. Written by the recipe `{recipe}` from {origin}.

## Decision

A photo is NG, there is no field on it, when its score, 1 minus the confidence, is at or above
**{threshold:.6g}**{review}. It is REVIEW when the four corners cannot be those of a field: {rules}.
Chosen by `{method}` on {tune_images} photos, {tune_defective} of them without the
field{tune_parts}. {promise}
{stages}
Corners are px of the photo, (0, 0) in the centre of its first pixel, in the order top left, top
right, bottom right, bottom left of the field as it reads.

## Measured on the {split} split ({images} photos, {defective} without the field{parts})

| metric | value | 95 % interval |
|---|---|---|
{metrics}
{edits}
Errors of corners are distances, of all photos that show the field, whatever was decided; relative
ones are shares of the photo's width. An escape is a photo without the field that was judged OK.

## Check

`inspection verify BUNDLE` reads every hash and runs the golden samples. The export was compared
with the trained model on {parity_images} photos: largest difference of a corner {parity_px:.2g} px,
of a score {parity_score:.2g}, {parity_flips} changed verdicts.
{engines}
## Where it fails

It knows documents, backgrounds, cameras and lights like those it was trained on. Others need new
photos and a new measurement. It finds one field in a photo: of two it shows one.
"""


def _edits(manifest: bundle.Manifest) -> str:
    """Say that thresholds were edited since: the metrics above are those of before."""
    return "".join(
        f"\nEdited on {edit['at']}, after these were measured: threshold "
        f"{edit['before']['threshold']:.6g} became {edit['after']['threshold']:.6g}"
        f"{': ' + process.markdown(edit['reason']) if edit.get('reason') else ''}. "
        "`inspection evaluate` measures it anew.\n"
        for edit in manifest.audit
        if edit["what"] == "threshold"
    )


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
    of_field = manifest.is_located
    lines = [
        f"| {process.markdown(name)} | {_number(entry['value'])} | "
        f"{_number(entry['low'])} to {_number(entry['high'])} |"
        for name, entry in report["metrics"].items()
    ]
    if manifest.promise:
        promise = f"Promise: {manifest.promise}. {point.note}"
    else:
        promise = (
            f"Promise: none; one would need {point.promise_needs} {manifest.unit_of_promise}. "
            f"{point.note}"
        )
    if of_field:
        rules = manifest.field_rules.model_dump(mode="json")
    else:
        rules = manifest.rules.model_dump(mode="json", exclude_defaults=True)
    review = "" if point.review_from is None else f", and REVIEW from {point.review_from:.6g}"
    stages = "".join(
        f"\nBefore it the {name} looks at each image: one whose score is under "
        f"**{stage.threshold:.6g}** is OK, and the segmenter does not run. Both thresholds were "
        "chosen together, and the promise is that of the whole.\n"
        for name, stage in manifest.stage_points.items()
    )
    if manifest.closeups is not None:
        stages = (
            f"\nA second network then looks at each corner in the photo's own pixels, "
            f"{manifest.closeups.size_px} x {manifest.closeups.size_px} of them; the confidence is "
            "the lowest of the five looks.\n"
        )
    return (_FIELD_TEMPLATE if of_field else _TEMPLATE).format(
        classes=", ".join(map(process.markdown, manifest.classes)),
        template=", each compared with its template," if manifest.has_template else "",
        stages=stages,
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
        rules=process.markdown(", ".join(f"{name} {value}" for name, value in rules.items()))
        or "none",
        split=process.markdown(report["split"]),
        images=report["counts"]["images"],
        defective=report["counts"]["defective"],
        metrics="\n".join(lines),
        edits=_edits(manifest),
        engines=_engines(manifest),
        parity_images=manifest.parity["images"],
        parity_px=manifest.parity.get("max_corner_difference_px", 0.0),
        parity_score=manifest.parity["max_score_difference"],
        parity_flips=len(manifest.parity["changed_verdicts"]),
    )
