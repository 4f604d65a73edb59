"""What the papers of a bundle say of networks that segment defects."""

from inspection_tf import decision
from inspection_tf.tasks.base import Context, Papers

CARD = """# {model_id}

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


_WEAR = """
Over a limit of flank wear (`wear` among the rules) an image is NG whatever its score{within}.
Thresholds and their promises are about the score alone.
"""


def papers(context: Context, rules: decision.Rules) -> Papers:
    """Return what all bundles say whose segmenter decides.

    Args:
        context: of the bundle.
        rules: on regions and on the image.
    """
    point = context.operating_point
    limited = (
        rules.measured_wear
        if rules.measured_wear is not None and rules.measured_wear.limits_um
        else None
    )
    within = ", and within them it is OK" if limited is not None and limited.acquits else ""
    return Papers(
        card=CARD,
        rules=rules.model_dump(mode="json", exclude_defaults=True),
        decision=(
            f"a pixel is defective from {point.mask_threshold:.6g}; the score is the peak of the "
            f"regions that survive the rules; NG when it is >= {point.threshold:.6g}"
            + (", and over a limit of flank wear whatever the score" if limited else "")
        ),
        stages=_WEAR.format(within=within) if limited else "",
        input_note=_laid(context),
    )


def _laid(context: Context) -> str:
    """Return how a template comes to lie on its image."""
    alignment = context.alignment
    if alignment is None or alignment.method == "none":
        return ""
    return (
        f" The template is laid onto the image first, by at most {alignment.max_shift_px:g} px "
        f"(method {alignment.method}), as `inspection_tf.images.registration` does."
    )
