"""What the papers of a bundle say of networks that locate a field."""

from inspection_tf.tasks.base import Context, Papers
from inspection_tf.tasks.fields.settings import Settings

CARD = """# {model_id}

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
with the trained model on {parity_images} photos: largest difference of a corner \
{parity[max_corner_difference_px]:.2g} px,
of a score {parity_score:.2g}, {parity_flips} changed verdicts.
{engines}
## Where it fails

It knows documents, backgrounds, cameras and lights like those it was trained on. Others need new
photos and a new measurement. It finds one field in a photo: of two it shows one.
"""


def papers(context: Context) -> Papers:
    """Return what a bundle says that locates a field."""
    settings = context.settings_as(Settings)
    spec = settings.closeups
    stages, seen = "", ""
    if spec is not None:
        stages = (
            f"\nA second network then looks at each corner in the photo's own pixels, "
            f"{spec.size_px} x {spec.size_px} of them; the confidence is the lowest of the five "
            "looks.\n"
        )
        seen = (
            " The refiner sees four close-ups of the photo, one centred on each corner, "
            f"{spec.size_px} px for {spec.span:g} times the square root of the field's area, its x "
            "axis along the text and its y axis across it, both into the field, and returns that "
            "corner in shares of the close-up, as `inspection_tf.closeups` cuts them; of all "
            "confidences the lowest counts."
        )
    return Papers(
        card=CARD,
        rules=settings.rules.model_dump(mode="json"),
        decision=f"NG when 1 - confidence >= {context.operating_point.threshold:.6g}; else OK",
        stages=stages,
        output_note=(
            " Corners: x, y of top left, top right, bottom right, bottom left of the text, as "
            f"shares of width and height.{seen}"
        ),
    )
