"""The curve doctor: one sentence on what a training's curves say, with evidence and remedy.

It looks at the loss of training and, where it was measured, that of the tune split:

- **not learning**: the loss hardly fell.
- **slow learning**: it was still falling when the training ended.
- **overfitting**: the tune loss rises while that of training falls, or lies far above it.
- **noisy tune set**: the tune loss jumps so much that neither could be told.
- **underfitting**: both have stopped falling, together, and too high.
- **solved**: the target is reached; **sound**: nothing of all this.

What is "too high" only a target can say. Without one it is half of what the training began with.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

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
        target: what the network is for; without it "underfitting" is told by the loss alone.

    Raises:
        errors.DataError: a row has no loss, or no row has the metric of the target.
    """
    loss = _series(rows, "loss", required=True)
    found = _diagnose(loss, _series(rows, "val_loss"), rows, target)
    return Diagnosis(found[0], found[1], REMEDIES[found[0]])


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
    loss: NDArray[np.float64],
    tune: NDArray[np.float64],
    rows: Sequence[Mapping[str, float]],
    target: Target | None,
) -> tuple[Kind, str]:
    if len(loss) < FEWEST_EPOCHS:
        return "too short", f"{len(loss)} epochs, of {FEWEST_EPOCHS} that are needed"
    reached = None if target is None else _reached(rows, target)
    if reached and reached[0]:
        return "solved", reached[1]
    told = f"; {reached[1]}" if reached else ""
    smooth = _smoothed(loss[:, 1])
    fall = smooth[0] - smooth.min()
    span = f"{loss[0, 1]:.3g} to {loss[-1, 1]:.3g} in {len(loss)} epochs"
    if fall < _FALLEN * abs(smooth[0]):
        return "not learning", f"the training loss hardly fell, from {span}{told}"
    noise = _jump(tune)
    if noise is not None and noise > _JUMP:
        return "noisy tune set", (
            f"from one measurement to the next the tune loss jumps by {noise:.0%} of its whole "
            f"fall{told}"
        )
    gap = _overfits(loss, tune)
    if gap:
        return "overfitting", gap + told
    late = smooth[-1 - max(1, len(smooth) // 4)] - smooth[-1]
    if late > _STILL_FALLING * fall:
        return "slow learning", (
            f"the training loss was still falling, {late / fall:.0%} of its whole fall in the last "
            f"quarter{told}"
        )
    if reached is not None or smooth[-1] > _HIGH * smooth[0]:
        return "underfitting", (
            f"the training loss has stopped falling at {smooth[-1]:.3g}, "
            f"{smooth[-1] / smooth[0]:.0%} of what it began with{told}"
        )
    return "sound", f"the training loss fell from {span}"


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the running median of three, and the ends as they are."""
    if len(values) < 3:
        return values
    inner = np.median(np.stack([values[:-2], values[1:-1], values[2:]]), axis=0)
    return np.concatenate([values[:1], inner, values[-1:]])


def _jump(tune: NDArray[np.float64]) -> float | None:
    """Return how far the tune loss jumps in its later half, over its whole fall."""
    if len(tune) < 6:
        return None
    values = tune[:, 1]
    late = values[len(values) // 2 :]
    # The second difference: a straight fall or rise is no jump.
    jumps = np.abs(np.diff(late, 2)) / 2
    fall = max(float(values[0] - values.min()), 1e-12)
    return float(np.median(jumps)) / fall


def _overfits(loss: NDArray[np.float64], tune: NDArray[np.float64]) -> str:
    """Return the evidence of overfitting; empty where there is none."""
    if len(tune) < 2:
        return ""
    smooth = _smoothed(tune[:, 1])
    lowest = int(smooth.argmin())
    fall = max(float(smooth[0] - smooth[lowest]), 1e-12)
    risen = float(smooth[-1] - smooth[lowest])
    then = np.interp(tune[lowest, 0], loss[:, 0], loss[:, 1])
    if len(tune) >= 4 and risen > _RISEN * fall and loss[-1, 1] < then:
        return (
            f"the tune loss rose from {smooth[lowest]:.3g} (epoch {tune[lowest, 0]:.0f}) to "
            f"{smooth[-1]:.3g} while that of training fell from {then:.3g} to {loss[-1, 1]:.3g}"
        )
    if smooth[-1] > _GAP * loss[-1, 1] > 0 and smooth[-1] - loss[-1, 1] > _RISEN * fall:
        return (
            f"at the end the tune loss is {smooth[-1]:.3g}, {smooth[-1] / loss[-1, 1]:.1f} times "
            f"that of training"
        )
    return ""


def _reached(rows: Sequence[Mapping[str, Any]], target: Target) -> tuple[bool, str]:
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
