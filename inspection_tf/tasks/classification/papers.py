"""What the papers of a bundle say of a network that classifies images."""

from inspection_tf.tasks.base import Context, Papers
from inspection_tf.tasks.classification.settings import Settings

CARD = """# {model_id}

Tells of which class an image is, {ok_name} (OK) or {classes}, at {height} x {width} px
({channels}, fit: {fit}), and decides OK, NG or REVIEW. Written by the recipe `{recipe}` from
{origin}.

## Decision

An image is NG when its score is at or above **{threshold:.6g}**{review}. Chosen by `{method}` on
{tune_images} images, {tune_defective} of them defective{tune_parts}. {promise}
{stages}
Settings: {rules}.

## Measured on the {split} split ({images} images, {defective} defective{parts})

| metric | value | 95 % interval |
|---|---|---|
{metrics}
{edits}
`class_accuracy` and `balanced_accuracy` are about the likeliest class, whatever was decided;
`calibration_error` says how far its probability is from how often it is right. An escape is a
defective image that was judged OK.

## Check

`inspection verify BUNDLE` reads every hash and runs the golden samples. The export was compared
with the trained model on {parity_images} images: largest difference of a probability \
{parity[max_class_probability_difference]:.2g},
of a score {parity_score:.2g}, {parity_flips} changed verdicts.
{engines}
## Where it fails

It knows parts, lights, cameras and backgrounds like those it was trained on, and no class but its
own: what it never saw gets the class that it resembles most{unless_novel}.
A classifier can be right for a wrong reason; look at what speaks for its answers before you trust
them.
"""


def papers(context: Context) -> Papers:
    """Return what a bundle says that classifies images."""
    settings, point = context.settings_as(Settings), context.operating_point
    score = (
        "the sum of the probabilities of all classes but the first"
        if settings.decide_by == "threshold"
        else "the largest probability but the first, over itself and the first together"
    )
    evidence = (
        " Evidence: how far each cell of the image speaks for each class. Where the head pools "
        "features, the sum over all cells is the logit; where it pools the answers of cells, the "
        "mean is that of their logits before the temperature. Nothing is decided by it."
        if settings.has_evidence
        else ""
    )
    review = ""
    if settings.min_margin:
        margin = f"{settings.min_margin:g}"
        review += f"; REVIEW where the two largest probabilities differ by less than {margin}"
    if settings.max_novelty is not None:
        review += f"; REVIEW where the novelty is over {settings.max_novelty:g}"
    if settings.min_gray_span:
        review += (
            "; REVIEW where the 1st and the 99th percentile of the input's values, of each "
            f"channel and without the rim of a letterbox, are less than {settings.min_gray_span} "
            "apart"
        )
    unless = ", unless its novelty leaves it to a person" if settings.has_novelty else ""
    of_novelty = (
        " Novelty: how far the features of the image are from those of the nearest training image, "
        "1 where it is as far as nearly all training images keep from those of other groups."
        if settings.has_novelty
        else ""
    )
    names = ", ".join((settings.ok_name, *context.classes))
    good = settings.ok_name.replace("{", "{{").replace("}", "}}")  # the card is a format
    return Papers(
        card=CARD.replace("{unless_novel}", unless).replace("{ok_name}", good),
        rules=settings.model_dump(mode="json"),
        decision=f"the score is {score}; NG when it is >= {point.threshold:.6g}; else OK{review}",
        stages=f"\nThe score is {score}{review}.\n",
        output_note=f" Classes in this order: {names}.{evidence}{of_novelty}",
    )
