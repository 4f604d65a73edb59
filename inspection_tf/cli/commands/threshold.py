"""`inspection threshold`: another operating point for a bundle that is already out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from inspection_tf import config, errors, process
from inspection_tf.cli.arguments import Bundle, Costs, Switch

Value = float | tuple[float, float]


def threshold(
    bundle: Bundle,
    /,
    *,
    set: float | None = None,
    escape_rate: float | None = None,
    precision: float | None = None,
    recall: float | None = None,
    f_beta: float | None = None,
    cost: Costs = None,
    overkill_rate: float | None = None,
    confidence: float = 0.95,
    part_escapes: Literal["any", "each"] | None = None,
    weigh_parts: Switch = False,
    resamples: int = 0,
    review_band: float | None = None,
    review_share: float = 0.0,
    data: Path | None = None,
    reason: str = "",
) -> int:
    """Choose another threshold for a bundle: it is noted in its audit.

    Give one of --set and the methods of a recipe, by which the threshold follows from the tune
    images. Engines of the bundle must then pass the gate again.

    Args:
        bundle: folder of the bundle.
        set: the threshold of the score that decides, 0 to 1; it promises nothing.
        escape_rate: promised share of defects that are judged OK.
        precision: lowest share of what is judged NG that is defective, 0 to 1; then the fewest
            escapes.
        recall: lowest share of defects that are judged NG, 0 to 1; then the least overkill.
        f_beta: recall counts so many times as much as precision; the highest F-beta.
        cost: prices of an escape and of an overkill, in one currency; the lowest sum.
        overkill_rate: promised share of good images that are judged NG.
        confidence: of --escape-rate and --overkill-rate.
        part_escapes: where several images show one part, it escapes when any of its defective
            images is judged OK, or only when each is; by default as it was exported.
        weigh_parts: with --precision, --recall, --f-beta and --cost each part counts the same,
            however many images show it.
        resamples: with --f-beta and --cost the threshold is the mean of those of so many resamples
            of whole parts: the best cut of few parts is a matter of chance.
        review_band: scores this far under the threshold are REVIEW, 0 for none; by default as
            it was exported.
        review_share: in place of the band, not with --set: scores so far under the threshold are
            REVIEW that at most this share of the good parts of the tune images is.
        data: folder of the images the bundle was made from; by default where they lay.
        reason: noted in the audit.
    """
    from inspection_tf import thresholds
    from inspection_tf.editing import rethreshold

    options: dict[str, Value | None] = {
        "set": set,
        "escape_rate": escape_rate,
        "precision": precision,
        "recall": recall,
        "f_beta": f_beta,
        "cost": cost,
        "overkill_rate": overkill_rate,
    }
    method, value = _only(options)
    if weigh_parts and method not in thresholds.WEIGHED:
        raise errors.ConfigError(
            f"--weigh-parts must go with one of {', '.join(map(_option, thresholds.WEIGHED))}. "
            f"Got it with {_option(method)}. Leave it out: what is promised counts parts anyway."
        )
    if resamples and method not in thresholds.RESAMPLED:
        raise errors.ConfigError(
            f"--resamples must go with one of {', '.join(map(_option, thresholds.RESAMPLED))}. "
            f"Got it with {_option(method)}, which holds a number on the tune images. Leave it out."
        )
    if part_escapes and method == "set":
        raise errors.ConfigError(
            "--part-escapes must go with a method that counts escapes. Got it with --set, which "
            "promises nothing. Leave it out."
        )
    if review_share and (method == "set" or review_band is not None):
        raise errors.ConfigError(
            "--review-share must go with a method that looks at the tune images, and without "
            f"--review-band. Got it with {'--review-band' if method != 'set' else '--set'}. "
            "Leave one out."
        )
    if method == "set" and isinstance(value, float):
        manifest = rethreshold.set_threshold(bundle, value, review_band=review_band, reason=reason)
    else:
        if method == "escape_rate" and isinstance(value, float):
            rethreshold.require_promisable(value, confidence)  # names both numbers
        asked = {
            "method": method,
            "confidence": confidence,
            "weigh_parts": weigh_parts,
            "resamples": resamples,
            "review_share": review_share,
            **_numbers(method, value),
        }
        spec = config.validate(thresholds.ThresholdSpec, asked, origin=_option(method))
        manifest = rethreshold.choose(
            bundle,
            spec,
            part_escapes=part_escapes,
            review_band=review_band,
            data=data,
            reason=reason,
        )
    edit = manifest.audit[-1]
    before, after = edit["before"], edit["after"]
    borders = [point["review_from"] for point in (before, after)]
    review = ""
    if any(border is not None for border in borders):
        words = ("none" if border is None else f"{border:.6g}" for border in borders)
        review = f", review from {' -> '.join(words)}"
    process.say(
        f"{manifest.model_id}: threshold {before['threshold']:.6g} -> {after['threshold']:.6g}"
        f"{review}; {len(edit['golden_changed'])} golden verdicts changed"
    )
    if method != "set":
        point = manifest.operating_point
        rates = ", ".join(f"{name.replace('_', ' ')} {r:.4g}" for name, r in point.tune.items())
        process.say(f"on the tune images: {rates}. {point.note}".rstrip())
        if point.promise is not None:
            process.say(f"promised: {manifest.promise}")
    for name in edit["engines_stopped"]:
        process.say(f"engines/{name} must pass the gate again: inspection convert")
    return errors.OK


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _only(options: Mapping[str, Value | None]) -> tuple[str, Value]:
    """Return the name and the value of the one option that is set.

    Raises:
        errors.ConfigError: none was, or several were.
    """
    present = {name: value for name, value in options.items() if value is not None}
    if len(present) != 1:
        raise errors.ConfigError(
            f"threshold needs one of {', '.join(map(_option, options))}. "
            f"Got {' and '.join(map(_option, present)) or 'none'}. Give one."
        )
    return next(iter(present.items()))


def _numbers(method: str, value: Value) -> dict[str, float]:
    """Return the fields of a recipe's section that are the method's own."""
    from inspection_tf import thresholds

    fields = [name for name in thresholds.PARAMETERS[method] if name != "confidence"]
    values = value if isinstance(value, tuple) else (value,)
    return dict(zip(fields, values, strict=True))
