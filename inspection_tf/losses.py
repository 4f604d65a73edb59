"""Losses for segmentation: one value an image, so that good parts count as much as bad ones.

Every class takes `y_true`: (batch, height, width, 1), 0 or 1, any dtype, and `y_pred`: the same
shape, probabilities. `call` returns (batch,); Keras averages it. An option out of its range is an
`errors.ConfigError`.
"""

from typing import Any

import keras
from keras import ops

from inspection_tf import errors

PIXEL_AXES = (1, 2, 3)
# float32 still tells 1 - 1e-7 from 1, and log(1e-7) = -16.1 is the worst a pixel can cost.
_TINY = 1e-7


def _check_range(name: str, value: float, *, low: float = 0.0, high: float = float("inf")) -> None:
    if not low <= value <= high:
        raise errors.ConfigError(
            f"The loss option {name} must lie in {low:g}..{high:g}. Got {value!r}. Correct it."
        )


def _check_smooth(value: float) -> None:
    # Without smoothing, an empty prediction on a defect-free image is 0 / 0.
    _check_range("smooth", value, low=_TINY)


def _pixels(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    y_pred = ops.convert_to_tensor(y_pred)
    return ops.cast(y_true, y_pred.dtype), y_pred


def _cross_entropy(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return the cross-entropy of each pixel when it is a defect, and when it is not."""
    # Bounded on the costly side only: a pixel that is exactly right costs exactly 0.
    on_defect = -y_true * ops.log(ops.maximum(y_pred, _TINY))
    return on_defect, -(1 - y_true) * ops.log(ops.maximum(1 - y_pred, _TINY))


def _dice_loss(y_true: Any, y_pred: Any, smooth: float, axes: tuple[int, ...]) -> Any:
    overlap = ops.sum(y_true * y_pred, axis=axes)
    areas = ops.sum(y_true, axis=axes) + ops.sum(y_pred, axis=axes)
    return 1 - (2 * overlap + smooth) / (areas + smooth)


@keras.saving.register_keras_serializable("inspection_tf")
class SoftDice(keras.losses.Loss):
    """Soft Dice of each image: `1 - (2 sum(y p) + s) / (sum(y) + sum(p) + s)`.

    A defect-free image costs 0 when the prediction is empty too, and otherwise
    `1 - s / (sum(p) + s)`: each false pixel pulls with `s / (sum(p) + s)**2`. (`keras.losses.Dice`
    pools over the batch and gives an empty mask no gradient at all.)

    Source: Milletari et al. 2016, with plain sums below as in Sudre et al. 2017.
    """

    def __init__(self, *, smooth: float = 1.0, name: str = "soft_dice", **kwargs: Any) -> None:
        """Set `smooth`, in px: a defect-free image with this many false pixels costs one half."""
        super().__init__(name=name, **kwargs)
        _check_smooth(smooth)
        self.smooth = smooth

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return (batch,) losses in 0..1."""
        return _dice_loss(*_pixels(y_true, y_pred), self.smooth, PIXEL_AXES)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the loss."""
        return {**super().get_config(), "smooth": self.smooth}


@keras.saving.register_keras_serializable("inspection_tf")
class BceDice(keras.losses.Loss):
    """Weighted cross-entropy plus soft Dice: `a mean(w BCE) + b Dice`.

    `w` is `positive_weight` on defect pixels and 1 elsewhere. With `dice_on_good=False` the Dice
    part of a defect-free image is 0 and cross-entropy alone teaches it: a Dice that jumps from
    0 to 1 for a few false pixels makes noisy gradients on good parts.
    An empty prediction on a defect-free image costs 0.
    """

    def __init__(
        self,
        *,
        bce_weight: float = 1.0,
        dice_weight: float = 1.0,
        positive_weight: float = 1.0,
        smooth: float = 1.0,
        dice_on_good: bool = True,
        name: str = "bce_dice",
        **kwargs: Any,
    ) -> None:
        """Set the weights; the talk on two-stage inspection uses 0.8 and 0.2."""
        super().__init__(name=name, **kwargs)
        _check_smooth(smooth)
        _check_range("bce_weight", bce_weight)
        _check_range("dice_weight", dice_weight)
        _check_range("positive_weight", positive_weight)
        self.bce_weight = bce_weight
        self.dice_weight = dice_weight
        self.positive_weight = positive_weight
        self.smooth = smooth
        self.dice_on_good = dice_on_good

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return (batch,) losses."""
        y_true, y_pred = _pixels(y_true, y_pred)
        on_defect, on_good = _cross_entropy(y_true, y_pred)
        bce = ops.mean(self.positive_weight * on_defect + on_good, axis=PIXEL_AXES)
        dice = _dice_loss(y_true, y_pred, self.smooth, PIXEL_AXES)
        if not self.dice_on_good:
            dice = dice * ops.max(y_true, axis=PIXEL_AXES)
        return self.bce_weight * bce + self.dice_weight * dice

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "bce_weight": self.bce_weight,
            "dice_weight": self.dice_weight,
            "positive_weight": self.positive_weight,
            "smooth": self.smooth,
            "dice_on_good": self.dice_on_good,
        }


@keras.saving.register_keras_serializable("inspection_tf")
class Focal(keras.losses.Loss):
    """Focal loss: `mean(a (1 - p)^g BCE)` on defects, `mean((1 - a) p^g BCE)` elsewhere.

    Sure pixels count little, so a large quiet background does not drown a small defect. An empty
    prediction on a defect-free image costs 0. Source: Lin et al. 2017, eq. 5.
    """

    def __init__(
        self, *, alpha: float = 0.25, gamma: float = 2.0, name: str = "focal", **kwargs: Any
    ) -> None:
        """Set the weight `alpha` of defect pixels (0..1) and the focus `gamma` (0: none)."""
        super().__init__(name=name, **kwargs)
        _check_range("alpha", alpha, high=1.0)
        _check_range("gamma", gamma)
        self.alpha = alpha
        self.gamma = gamma

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return (batch,) losses."""
        y_true, y_pred = _pixels(y_true, y_pred)
        on_defect, on_good = _cross_entropy(y_true, y_pred)
        # The power has no finite slope at 0 for gamma < 1, where a saturated sigmoid does arrive.
        missed, false = ops.maximum(1 - y_pred, _TINY), ops.maximum(y_pred, _TINY)
        weighted = self.alpha * ops.power(missed, self.gamma) * on_defect
        weighted += (1 - self.alpha) * ops.power(false, self.gamma) * on_good
        return ops.mean(weighted, axis=PIXEL_AXES)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the loss."""
        return {**super().get_config(), "alpha": self.alpha, "gamma": self.gamma}


@keras.saving.register_keras_serializable("inspection_tf")
class Tversky(keras.losses.Loss):
    """Tversky: `1 - (TP + s) / (TP + a FP + b FN + s)`, sums over the pixels of an image.

    `TP = sum(y p)`, `FP = sum((1 - y) p)`, `FN = sum(y (1 - p))`. `b > a` makes a missed pixel
    dearer than a false one; `a = b = 0.5` equals `SoftDice` with twice the smoothing. A defect-free
    image costs 0 when the prediction is empty too.
    Source: Salehi et al. 2017, eq. 3.
    """

    def __init__(
        self,
        *,
        false_positive_weight: float = 0.3,
        false_negative_weight: float = 0.7,
        smooth: float = 1.0,
        name: str = "tversky",
        **kwargs: Any,
    ) -> None:
        """Set the weights `a`, `b` and the smoothing `s`, in px."""
        super().__init__(name=name, **kwargs)
        _check_smooth(smooth)
        _check_range("false_positive_weight", false_positive_weight)
        _check_range("false_negative_weight", false_negative_weight)
        self.false_positive_weight = false_positive_weight
        self.false_negative_weight = false_negative_weight
        self.smooth = smooth

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return (batch,) losses in 0..1."""
        y_true, y_pred = _pixels(y_true, y_pred)
        hits = ops.sum(y_true * y_pred, axis=PIXEL_AXES)
        false_positives = ops.sum((1 - y_true) * y_pred, axis=PIXEL_AXES)
        false_negatives = ops.sum(y_true * (1 - y_pred), axis=PIXEL_AXES)
        below = (
            hits
            + self.false_positive_weight * false_positives
            + self.false_negative_weight * false_negatives
        )
        return 1 - (hits + self.smooth) / (below + self.smooth)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "false_positive_weight": self.false_positive_weight,
            "false_negative_weight": self.false_negative_weight,
            "smooth": self.smooth,
        }


@keras.saving.register_keras_serializable("inspection_tf")
class AdaptiveBceDice(keras.losses.Loss):
    """Cross-entropy until the batch's Dice loss falls below `switch_at`, then that Dice loss.

    The Dice is pooled over the batch, as in its source, so every image of a batch takes the same
    branch. A batch without defects and with an empty prediction costs 0.
    Source: the adaptive loss of UNet_Industrial in NVIDIA DeepLearningExamples (0.3).
    """

    def __init__(
        self,
        *,
        switch_at: float = 0.3,
        smooth: float = 1.0,
        name: str = "adaptive_bce_dice",
        **kwargs: Any,
    ) -> None:
        """Set the Dice loss (0..1) below which Dice takes over, and the smoothing in px."""
        super().__init__(name=name, **kwargs)
        _check_smooth(smooth)
        _check_range("switch_at", switch_at, high=1.0)
        self.switch_at = switch_at
        self.smooth = smooth

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return (batch,) losses."""
        y_true, y_pred = _pixels(y_true, y_pred)
        on_defect, on_good = _cross_entropy(y_true, y_pred)
        bce = ops.mean(on_defect + on_good, axis=PIXEL_AXES)
        dice = _dice_loss(y_true, y_pred, self.smooth, (0, *PIXEL_AXES))
        return ops.where(dice < self.switch_at, ops.ones_like(bce) * dice, bce)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the loss."""
        return {**super().get_config(), "switch_at": self.switch_at, "smooth": self.smooth}


LOSSES: dict[str, type[keras.losses.Loss]] = {
    "soft_dice": SoftDice,
    "bce_dice": BceDice,
    "focal": Focal,
    "tversky": Tversky,
    "adaptive_bce_dice": AdaptiveBceDice,
}
