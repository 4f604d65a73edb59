"""The curve doctor: one sentence on what a training's curves say, with evidence and remedy.

It looks at the loss of training and, where it was measured, that of the tune split:

- **not learning**: the loss hardly fell.
- **slow learning**: it was still falling when the training ended.
- **overfitting**: the tune loss rises while that of training falls, or lies far above it.
- **noisy tune set**: the tune loss jumps so much that neither could be seen.
- **underfitting**: both have stopped falling, together, and too high.
- **solved**: the target is reached; **sound**: nothing of all this.

What is "too high" only a target can say. Without one it is half of what the training began with.

Six measurements of the tune loss tell by themselves what is a rise and what is noise. Fewer are
held against the training loss of the same epochs: what they rise by must be a good share of what
that fell by since the first of them, and several times what it jitters by from one epoch to the
next. Which it does more than the tune loss of the same network: other images are drawn for each
epoch, while the tune images stay. Noise is then a measurement that stands far above both beside it,
as overfitting would not. The evidence names what the measurements are too few for.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors

Kind = Literal[
    "too short",
    "not learning",
    "slow learning",
    "overfitting",
    "noisy tune set",
    "underfitting",
    "solved",
    "sound",
]
FEWEST_EPOCHS = 4
# All shares are of the whole fall of the curve, from its first value to its lowest.
_FALLEN = 0.05  # of the first value: less is not learning
_STILL_FALLING = 0.12  # in the last quarter of the epochs
_RISEN = 0.15  # of the tune loss, from its lowest to the end
_JUMP = 0.25  # of the tune loss, from one measurement to the next
_GAP = 2.0  # tune loss over training loss, at the end
_MANY = 6  # measurements that need no training loss to be read
_LEARNED = 0.9  # of the first training loss: less, and something was learned
_SURE = 4.0  # standard deviations of the training loss from one epoch to the next
_HIGH = 0.5  # of the first training loss, at the end

REMEDIES: dict[Kind, str] = {
    "too short": "Train for more epochs before reading anything from the curves.",
    "not learning": "Look at images and labels as the network gets them, then raise the learning "
    "rate.",
    "slow learning": "Train for more epochs, or raise the learning rate.",
    "overfitting": "Give more images or stronger augmentation, or take a smaller network.",
    "noisy tune set": "Put more images into the tune split, or lower the learning rate.",
    "underfitting": "Enlarge the network or weaken the augmentation.",
    "solved": "A smaller network may do as well.",
    "sound": "The curves call for nothing.",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the curves say.

    Attributes:
        kind: the finding.
        evidence: the figures it rests on.
        remedy: what usually helps.
    """

    kind: Kind
    evidence: str
    remedy: str

    def __str__(self) -> str:
        """Return the sentence."""
        return f"{self.kind}: {self.evidence}. {self.remedy}"


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What the tune split must reach.

    Attributes:
        metric: its column, such as `val_corner_error`.
        value: to be reached.
        is_lower_better: an error, or a quality.
    """

    metric: str
    value: float
    is_lower_better: bool = True


def diagnose(rows: Sequence[Mapping[str, float]], *, target: Target | None = None) -> Diagnosis:
    """Read the curves of a training.

    Args:
        rows: of the history, one an epoch, with `epoch` and `loss`, and `val_loss` where measured.
        target: what the network is for; without it only the loss can say "underfitting".

    Raises:
        errors.DataError: a row has no loss, or no row has the metric of the target.
    """
    curves = _Curves(rows)
    kind, evidence = _diagnose(curves, rows, target)
    return Diagnosis(kind, evidence, REMEDIES[kind])


class _Curves:
    """What the verdicts rest on.

    Attributes:
        loss: (epochs, 2), epoch and training loss.
        tune: (measurements, 2), epoch and tune loss.
        steady: those of them since the last phase began: what a phase begins with is no noise.
        jitter: standard deviation of the training loss about its course, in its later half.
    """

    def __init__(self, rows: Sequence[Mapping[str, float]]) -> None:
        self.loss = _series(rows, "loss", required=True)
        self.tune = _series(rows, "val_loss")
        phases = [row.get("phase") for row in rows]
        last = [row for row, phase in zip(rows, phases, strict=True) if phase == phases[-1]]
        self.steady = _series(last, "val_loss")
        late = self.loss[-max(5, len(self.loss) // 2) :, 1]
        # Of independent values, the second difference has a deviation of sqrt(1 + 4 + 1), and its
        # absolute value a median of 0.674 deviations.
        jumps = np.abs(np.diff(late, 2))
        self.jitter = float(np.median(jumps)) / (0.674 * 6**0.5) if len(jumps) else 0.0

    def loss_at(self, epoch: float) -> float:
        """Return the training loss of an epoch."""
        return float(np.interp(epoch, self.loss[:, 0], self.loss[:, 1]))

    def least(self, share: float) -> float:
        """Return what few measurements must differ by, to be more than chance.

        The share is of what the training loss fell by since the first measurement, or of the lowest
        tune loss, whichever is more.
        """
        since = self.loss_at(self.tune[0, 0]) - float(self.loss[-1, 1])
        return max(share * max(since, float(self.tune[:, 1].min())), _SURE * self.jitter)


def _series(
    rows: Sequence[Mapping[str, float]], name: str, *, required: bool = False
) -> NDArray[np.float64]:
    """Return (measurements, 2): epoch and value, where there is a finite one."""
    found = [(row["epoch"], row[name]) for row in rows if np.isfinite(row.get(name, np.nan))]
    if required and len(found) < len(rows):
        raise errors.DataError(
            f"Each row of a history must have a finite {name}. Got {len(rows) - len(found)} of "
            f"{len(rows)} without. Read the history of a training that did not diverge."
        )
    return np.array(found, np.float64).reshape(-1, 2)


def _diagnose(
    curves: _Curves, rows: Sequence[Mapping[str, float]], target: Target | None
) -> tuple[Kind, str]:
    loss = curves.loss
    if len(loss) < FEWEST_EPOCHS:
        return "too short", f"{len(loss)} epochs, of {FEWEST_EPOCHS} that are needed"
    reached = None if target is None else _reached(rows, target)
    if reached and reached[0]:
        return "solved", reached[1]
    remark = f"; {reached[1]}" if reached else ""
    smooth = _smoothed(loss[:, 1])
    fall = smooth[0] - smooth.min()
    span = f"{loss[0, 1]:.3g} to {loss[-1, 1]:.3g} in {len(loss)} epochs"
    if fall < _FALLEN * abs(smooth[0]):
        return "not learning", f"the training loss hardly fell, from {span}{remark}"
    noise = _noise(curves)
    if noise:
        return "noisy tune set", noise + remark
    rise = _overfits(curves)
    if rise:
        return "overfitting", rise + remark
    remark += _unknown(curves)
    late = smooth[-1 - max(1, len(smooth) // 4)] - smooth[-1]
    if late > _STILL_FALLING * fall:
        return "slow learning", (
            f"the training loss was still falling, {late / fall:.0%} of its whole fall in the last "
            f"quarter{remark}"
        )
    if reached is not None or smooth[-1] > _HIGH * smooth[0]:
        return "underfitting", (
            f"the training loss has stopped falling at {smooth[-1]:.3g}, "
            f"{smooth[-1] / smooth[0]:.0%} of what it began with{remark}"
        )
    return "sound", f"the training loss fell from {span}{remark}"


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the running median of three, and the ends as they are."""
    if len(values) < 3:
        return values
    inner = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    return np.concatenate([values[:1], inner, values[-1:]])


def _noise(curves: _Curves) -> str:
    """Return the evidence that the tune loss jumps; empty where there is none."""
    if len(curves.tune) < _MANY:
        return _peak(curves)
    values = curves.tune[:, 1]
    late = values[len(values) // 2 :]
    # The second difference: a straight fall or rise is no jump.
    jumps = np.abs(np.diff(late, 2)) / 2
    fall = max(float(values[0] - values.min()), 1e-12)
    noise = float(np.median(jumps)) / fall
    if noise <= _JUMP:
        return ""
    return f"from one measurement to the next the tune loss jumps by {noise:.0%} of its whole fall"


def _peak(curves: _Curves) -> str:
    """Return the evidence of a measurement far above both beside it; empty where there is none."""
    epoch, value = curves.steady.T
    if len(value) < 3:
        return ""
    above = value[1:-1] - np.maximum(value[:-2], value[2:])
    # The averaged weights, which are measured, may get worse before they learn: that is no noise.
    above[value[:-2] > _LEARNED * curves.loss[0, 1]] = 0
    highest = 1 + int(above.argmax())
    if above[highest - 1] <= curves.least(_JUMP):
        return ""
    return (
        f"the tune loss is {value[highest]:.3g} in epoch {epoch[highest]:.0f}, between "
        f"{value[highest - 1]:.3g} and {value[highest + 1]:.3g} at the measurements beside it"
    )


def _overfits(curves: _Curves) -> str:
    """Return the evidence of overfitting; empty where there is none."""
    loss, tune = curves.loss, curves.tune
    if not len(tune):
        return ""
    is_many = len(tune) >= _MANY
    smooth = _smoothed(tune[:, 1]) if is_many else tune[:, 1]
    lowest = int(smooth.argmin())
    least = curves.least(_RISEN)
    if is_many:
        least = _RISEN * max(float(smooth[0] - smooth[lowest]), 1e-12)
    risen = float(smooth[-1] - smooth[lowest])
    then = curves.loss_at(tune[lowest, 0])
    if risen > least and loss[-1, 1] < then:
        return (
            f"the tune loss rose from {smooth[lowest]:.3g} (epoch {tune[lowest, 0]:.0f}) to "
            f"{smooth[-1]:.3g} while that of training fell from {then:.3g} to {loss[-1, 1]:.3g}"
        )
    if smooth[-1] > _GAP * loss[-1, 1] > 0 and smooth[-1] - loss[-1, 1] > least:
        return (
            f"at the end the tune loss is {smooth[-1]:.3g}, {smooth[-1] / loss[-1, 1]:.1f} times "
            f"that of training"
        )
    return ""


def _unknown(curves: _Curves) -> str:
    """Return what the tune loss was measured too seldom for; empty where nothing is amiss."""
    if not len(curves.tune):
        return "; the tune loss was not measured, so that nothing is known of overfitting"
    count = len(curves.steady)
    if count >= 3 or len(curves.tune) >= _MANY:
        return ""
    few = "1 measurement" if count == 1 else f"{count} measurements"
    measured = f"{few} of the tune loss {'is' if count == 1 else 'are'}"
    rise = "a rise, which takes 2, or " if len(curves.tune) == 1 else ""
    return f"; {measured} too few to tell {rise}noise, which takes 3: lower train.validate_every"


def _reached(rows: Sequence[Mapping[str, float]], target: Target) -> tuple[bool, str]:
    """Return whether the last measurement reaches the target, and the figures."""
    values = _series(rows, target.metric)
    if not len(values):
        raise errors.DataError(
            f"The history must hold the metric of the target. Got none called {target.metric!r}. "
            f"Name one of {', '.join(sorted({name for row in rows for name in row}))}."
        )
    last = float(values[-1, 1])
    is_reached = last <= target.value if target.is_lower_better else last >= target.value
    sign = "<=" if target.is_lower_better else ">="
    return is_reached, f"{target.metric} is {last:.3g}, asked for {sign} {target.value:.3g}"
