"""What the papers of a bundle say of a part whose pose is measured."""

from inspection_tf.tasks.base import Context, Papers
from inspection_tf.tasks.pose.settings import NAMES, Settings

CARD = """# {model_id}

Measures how a part lies in an X-ray, three angles and a place, and whether it is as its model; and
decides OK, NG ({classes}) or REVIEW. Its network sees {height} x {width} px ({channels}, fit:
{fit}). Written by the recipe `{recipe}` from {origin}.

## Decision

A part is NG when its score is at or above **{threshold:.6g}**{review}. Chosen by `{method}` on
{tune_images} images, {tune_defective} of them of parts that deviate{tune_parts}. {promise}
{stages}
Settings: {rules}.

## Measured on the {split} split ({images} images, {defective} of parts that deviate{parts})

| metric | value | 95 % interval |
|---|---|---|
{metrics}
{edits}
Angles are degrees, intrinsic, in the order y, x, z: R = Ry(phi) Rx(theta) Rz(psi); places are mm.
Errors are of images that were judged OK or NG; those left to a person have none. An escape is a
part that deviates and was judged OK.

## Check

`inspection verify BUNDLE` reads every hash and runs the golden samples. The export was compared
with the trained model on {parity_images} images: largest difference of an orientation \
{parity[max_pose_turn_difference_deg]:.2g} degrees,
of a place {parity[max_pose_place_difference_mm]:.2g} mm, of a pose that the network tells \
{parity[max_pose_start_difference_deg]:.2g} degrees, of a score {parity_score:.2g}, \
{parity_flips} changed verdicts.
{engines}
## Where it fails

It knows one part, in `part.npz`, before one scanner. Photons, brightness without a part, and the
detector are those that it was told; what differs by more is refused, not measured wrongly. What a
ray does not meet, or next to no light passes, is not compared.
"""


def papers(context: Context) -> Papers:
    """Return what a bundle says that measures poses."""
    settings, point = context.settings_as(Settings), context.operating_point
    parts = []
    if settings.compare:
        least = settings.difference.min_significance
        parts.append(
            f"how surely a place differs from the model, over {least:g} standard deviations"
        )
    tolerated = [name for name in NAMES if getattr(settings.tolerances, name) is not None]
    if tolerated:
        parts.append(f"how far {', '.join(tolerated)} are from the middle of their tolerances")
    if parts:
        most = "the larger one of " if len(parts) > 1 else ""
        score = f"r / (1 + r), r {most}{' and of '.join(parts)}, as a share of its limit"
    else:
        score = "0: nothing is compared, and nothing has a tolerance"
    review = "; REVIEW where the pose is not to be trusted, or too near to the end of a tolerance"
    measured = (
        " The pose is then measured by least squares between the image and the part's own model, "
        "as `inspection_tf.tasks.pose` does it: it needs that package."
        if settings.refine
        else ""
    )
    return Papers(
        card=CARD,
        rules=settings.model_dump(mode="json"),
        decision=f"the score is {score}; NG when it is >= {point.threshold:.6g}; else OK{review}",
        stages=f"\nThe score is {score}{review}.\n",
        output_note=(
            " Each mode: its probability; phi, theta, psi; x, y, z; their deviations. Those that "
            f"are likeliest, and differ, are poses to start from.{measured}"
        ),
    )
