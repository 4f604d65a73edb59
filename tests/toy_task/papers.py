"""What stands in the papers of a bundle."""

from inspection_tf.tasks.base import Papers

CARD = """# {model_id}

Measures how bright images are ({channels}, {height} x {width} px, fit: {fit}) and decides OK, NG
({classes}) or REVIEW. Written by the recipe `{recipe}` from {origin}.

NG from a score of **{threshold:.6g}**{review}, by `{method}` on {tune_images} images,
{tune_defective} of them of the wrong brightness{tune_parts}. {promise}

Rules: {rules}.

## Measured on the {split} split ({images} images, {defective} of the wrong brightness{parts})

| metric | value | 95 % interval |
|---|---|---|
{metrics}
{edits}
Compared with the trained model on {parity_images} images: {parity_flips} changed verdicts, mean
grey values off by {parity[max_brightness_difference]:.2g}, scores by {parity_score:.2g}.
{engines}"""


def papers(context, nominal):
    threshold = context.operating_point.threshold
    return Papers(
        card=CARD,
        rules={"nominal": nominal},
        decision=f"NG when |255 brightness - {nominal:g}| / 255 >= {threshold:.6g}; else OK",
        output_note=" Brightness: the mean grey value as a share of white.",
    )
