"""Losses of maps: one value an image, so that good parts count as much as bad ones.

Every loss takes `y_true`: (batch, height, width, 1), class ids of any dtype, 0 for background, and
`y_pred`: (batch, height, width, classes), the probabilities of the defect classes 1, 2, ...; what
these leave of 1 is the background's. With one class every id above 0 is that class. In a formula
`y` is 1 on the pixels of a class and `p` its probability; Dice and Tversky are the mean over the
classes. BCE, the cross-entropy of a pixel, is `-log` of the probability of its true class or of the
background. With `ignored_id` pixels of that id count for nothing: they are in no sum, and no mean
divides by them.

`call` returns (batch,); Keras averages it. An option out of its range is an `errors.ConfigError`.
"""

import keras
from keras import ops

from inspection_tf.losses.arithmetic import (
    TINY,
    MapLoss,
    any_class,
    check_range,
    check_smooth,
    check_weights,
    counted_pixels,
    cross_entropy,
    dice_loss,
    kind_loss,
    mean_of_pixels,
    mean_over,
    pixels,
    weigh,
)
from inspection_tf.losses.keras_types import Config, Option, Tensor


@keras.saving.register_keras_serializable("inspection_tf")
class SoftDice(MapLoss):
    """Soft Dice of each image: `1 - (2 sum(y p) + s) / (sum(y) + sum(p) + s)`.

    A defect-free image costs 0 when the prediction is empty too, and otherwise
    `1 - s / (sum(p) + s)`: each false pixel pulls with `s / (sum(p) + s)**2`. (`keras.losses.Dice`
    pools over the batch and gives an empty mask no gradient at all.) So does each class that an
    image does not hold.

    Source: Milletari et al. 2016, with plain sums below as in Sudre et al. 2017.
    """

    def __init__(self, *, smooth: float = 1.0, name: str = "soft_dice", **kwargs: Option) -> None:
        """Set `smooth`, in px: a defect-free image with this many false pixels costs one half."""
        super().__init__(name=name, **kwargs)
        check_smooth(smooth)
        self.smooth = smooth

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses in 0..1."""
        counted = counted_pixels(y_true, self.ignored_id)
        return ops.mean(dice_loss(*pixels(y_true, y_pred, counted), self.smooth), axis=-1)

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {**super().get_config(), "smooth": self.smooth}


@keras.saving.register_keras_serializable("inspection_tf")
class BceDice(MapLoss):
    """Weighted cross-entropy plus soft Dice: `a mean(w BCE) + b Dice + c kind`.

    `w` is 1 on the background and `positive_weight` on defects, times the `class_weights` of their
    class. `Dice` is `SoftDice`. With `dice_on_good=False` it is the mean over the classes that the
    image holds, and 0 where it holds none; cross-entropy alone teaches the others: a Dice that
    jumps from 0 to 1 for a few false pixels makes noisy gradients on good parts.
    `kind` is `-log(p / q)`, `q` the probability of all defects, in the mean over the image's defect
    pixels: which class, given that it is a defect. In the mean over all pixels a small defect that
    is found but misnamed costs next to nothing. An empty prediction on a defect-free image costs 0.
    """

    def __init__(
        self,
        *,
        bce_weight: float = 1.0,
        dice_weight: float = 1.0,
        positive_weight: float = 1.0,
        class_weights: tuple[float, ...] | None = None,
        smooth: float = 1.0,
        dice_on_good: bool = True,
        kind_weight: float = 0.0,
        name: str = "bce_dice",
        **kwargs: Option,
    ) -> None:
        """Set the weights; the talk on two-stage inspection uses 0.8 and 0.2."""
        super().__init__(name=name, **kwargs)
        check_smooth(smooth)
        check_range("bce_weight", bce_weight)
        check_range("dice_weight", dice_weight)
        check_range("positive_weight", positive_weight)
        check_range("kind_weight", kind_weight)
        self.bce_weight = bce_weight
        self.dice_weight = dice_weight
        self.positive_weight = positive_weight
        self.class_weights = check_weights(class_weights)
        self.smooth = smooth
        self.dice_on_good = dice_on_good
        self.kind_weight = kind_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses."""
        counted = counted_pixels(y_true, self.ignored_id)
        y_true, y_pred = pixels(y_true, y_pred, counted)
        on_defect, on_good = cross_entropy(y_true, y_pred)
        on_defect = any_class(weigh(on_defect, self.class_weights))
        bce = mean_of_pixels(self.positive_weight * on_defect + on_good, counted)
        dice = dice_loss(y_true, y_pred, self.smooth)
        shown = ops.ones_like(dice) if self.dice_on_good else ops.max(y_true, axis=(1, 2))
        cost = self.bce_weight * bce + self.dice_weight * mean_over(dice, shown)
        return cost + self.kind_weight * kind_loss(y_true, y_pred) if self.kind_weight else cost

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "bce_weight": self.bce_weight,
            "dice_weight": self.dice_weight,
            "positive_weight": self.positive_weight,
            "class_weights": self.class_weights,
            "smooth": self.smooth,
            "dice_on_good": self.dice_on_good,
            "kind_weight": self.kind_weight,
        }


@keras.saving.register_keras_serializable("inspection_tf")
class Focal(MapLoss):
    """Focal loss: `mean(a w (1 - p)^g BCE)` on defects, `mean((1 - a) q^g BCE)` elsewhere.

    `p` is the probability of the pixel's own class, `q` that of all defects together, `w` the
    class's weight, by default 1. Sure pixels count little, so a large quiet background does not
    drown a small defect. An empty prediction on a defect-free image costs 0.
    Source: Lin et al. 2017, eq. 5.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.25,
        gamma: float = 2.0,
        class_weights: tuple[float, ...] | None = None,
        name: str = "focal",
        **kwargs: Option,
    ) -> None:
        """Set the weight `alpha` of defect pixels (0..1) and the focus `gamma` (0: none)."""
        super().__init__(name=name, **kwargs)
        check_range("alpha", alpha, high=1.0)
        check_range("gamma", gamma)
        self.alpha = alpha
        self.gamma = gamma
        self.class_weights = check_weights(class_weights)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses."""
        counted = counted_pixels(y_true, self.ignored_id)
        y_true, y_pred = pixels(y_true, y_pred, counted)
        on_defect, on_good = cross_entropy(y_true, y_pred)
        # The power has no finite slope at 0 for gamma < 1, where a saturated sigmoid does arrive.
        missed, false = ops.maximum(1 - y_pred, TINY), ops.maximum(any_class(y_pred), TINY)
        weighted = self.alpha * ops.power(missed, self.gamma) * on_defect
        weighted = any_class(weigh(weighted, self.class_weights))
        weighted += (1 - self.alpha) * ops.power(false, self.gamma) * on_good
        return mean_of_pixels(weighted, counted)

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "gamma": self.gamma,
            "class_weights": self.class_weights,
        }


@keras.saving.register_keras_serializable("inspection_tf")
class Tversky(MapLoss):
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
        **kwargs: Option,
    ) -> None:
        """Set the weights `a`, `b` and the smoothing `s`, in px."""
        super().__init__(name=name, **kwargs)
        check_smooth(smooth)
        check_range("false_positive_weight", false_positive_weight)
        check_range("false_negative_weight", false_negative_weight)
        self.false_positive_weight = false_positive_weight
        self.false_negative_weight = false_negative_weight
        self.smooth = smooth

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses in 0..1."""
        counted = counted_pixels(y_true, self.ignored_id)
        y_true, y_pred = pixels(y_true, y_pred, counted)
        hits = ops.sum(y_true * y_pred, axis=(1, 2))
        false_positives = ops.sum((1 - y_true) * y_pred, axis=(1, 2))
        false_negatives = ops.sum(y_true * (1 - y_pred), axis=(1, 2))
        below = (
            hits
            + self.false_positive_weight * false_positives
            + self.false_negative_weight * false_negatives
        )
        return ops.mean(1 - (hits + self.smooth) / (below + self.smooth), axis=-1)

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "false_positive_weight": self.false_positive_weight,
            "false_negative_weight": self.false_negative_weight,
            "smooth": self.smooth,
        }


@keras.saving.register_keras_serializable("inspection_tf")
class AdaptiveBceDice(MapLoss):
    """Cross-entropy until the batch's Dice loss falls below `switch_at`, then that Dice loss.

    The Dice is pooled over the batch, as in its source, so every image of a batch takes the same
    branch. Of several classes those count that the batch holds, or all where it holds none: an
    absent class is easily right, and would switch too early. A batch without defects and with an
    empty prediction costs 0.
    Source: the adaptive loss of UNet_Industrial in NVIDIA DeepLearningExamples (0.3).
    """

    def __init__(
        self,
        *,
        switch_at: float = 0.3,
        class_weights: tuple[float, ...] | None = None,
        smooth: float = 1.0,
        name: str = "adaptive_bce_dice",
        **kwargs: Option,
    ) -> None:
        """Set the Dice loss (0..1) below which Dice takes over, and the smoothing in px.

        `class_weights`, one a defect class, multiply the cross-entropy of the class's pixels.
        """
        super().__init__(name=name, **kwargs)
        check_smooth(smooth)
        check_range("switch_at", switch_at, high=1.0)
        self.switch_at = switch_at
        self.class_weights = check_weights(class_weights)
        self.smooth = smooth

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses."""
        counted = counted_pixels(y_true, self.ignored_id)
        y_true, y_pred = pixels(y_true, y_pred, counted)
        on_defect, on_good = cross_entropy(y_true, y_pred)
        on_defect = any_class(weigh(on_defect, self.class_weights))
        bce = mean_of_pixels(on_defect + on_good, counted)
        held = ops.max(y_true, axis=(0, 1, 2))
        shown = ops.where(ops.max(held) > 0, held, ops.ones_like(held))
        dice = mean_over(dice_loss(y_true, y_pred, self.smooth, (0, 1, 2)), shown)
        return ops.where(dice < self.switch_at, ops.ones_like(bce) * dice, bce)

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "switch_at": self.switch_at,
            "class_weights": self.class_weights,
            "smooth": self.smooth,
        }


SEGMENTATION: dict[str, type[keras.losses.Loss]] = {
    "soft_dice": SoftDice,
    "bce_dice": BceDice,
    "focal": Focal,
    "tversky": Tversky,
    "adaptive_bce_dice": AdaptiveBceDice,
}
"""By the names that `train.loss` takes."""
