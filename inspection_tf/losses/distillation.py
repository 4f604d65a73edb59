"""The loss of a network that learns from another one's map."""

import keras
from keras import ops

from inspection_tf.losses.arithmetic import (
    MapLoss,
    any_class,
    check_range,
    check_smooth,
    counted_pixels,
    cross_entropy,
    mean_of_pixels,
    mean_over,
    pixels,
)
from inspection_tf.losses.keras_types import Config, Option, Tensor


@keras.saving.register_keras_serializable("inspection_tf")
class Distillation(MapLoss):
    """How far a student's map is from its teacher's: `a mean(KL) + b Dice`; 0 where both agree.

    `KL` is `sum(t log(t / s))` over the classes of a pixel and the background, `t` the teacher's
    probability and `s` the student's. `Dice` is `1 - (2 sum(t s) + e) / (sum(t^2) + sum(s^2) + e)`,
    `e` being `smooth`, in the mean over the classes that the image's mask holds: `KL` alone, in the
    mean over all pixels, hardly sees a small defect. No gradient reaches the teacher.

    `y_true` are class ids as for every loss of maps; `y_pred` is (batch, height, width, 2 classes):
    the student's probabilities, then the teacher's.

    Source: Hinton et al. 2015 for soft targets, without a temperature, since the teacher's map is
    soft at the rim of a defect, where its label is not; Dice with squares as in Milletari et al.
    2016.
    """

    def __init__(
        self,
        *,
        kl_weight: float = 1.0,
        dice_weight: float = 1.0,
        smooth: float = 1.0,
        name: str = "distillation",
        **kwargs: Option,
    ) -> None:
        """Set the weights and `smooth`, in px."""
        super().__init__(name=name, **kwargs)
        check_range("kl_weight", kl_weight)
        check_range("dice_weight", dice_weight)
        check_smooth(smooth)
        self.kl_weight = kl_weight
        self.dice_weight = dice_weight
        self.smooth = smooth

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses."""
        student, teacher = ops.split(ops.convert_to_tensor(y_pred), 2, axis=-1)
        teacher = ops.stop_gradient(teacher)
        counted = counted_pixels(y_true, self.ignored_id)
        mask, student = pixels(y_true, student, counted)
        if counted is not None:
            teacher *= ops.cast(counted, teacher.dtype)
        apart = _entropy(teacher, student, counted) - _entropy(teacher, teacher, counted)
        overlap = ops.sum(teacher * student, axis=(1, 2))
        areas = ops.sum(ops.square(teacher) + ops.square(student), axis=(1, 2))
        dice = 1 - (2 * overlap + self.smooth) / (areas + self.smooth)
        held = ops.max(mask, axis=(1, 2))
        return self.kl_weight * apart + self.dice_weight * mean_over(dice, held)

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "kl_weight": self.kl_weight,
            "dice_weight": self.dice_weight,
            "smooth": self.smooth,
        }


def _entropy(target: Tensor, found: Tensor, counted: Tensor) -> Tensor:
    """Return (batch,): the cross-entropy of probabilities, in the mean over the pixels."""
    on_defect, on_good = cross_entropy(target, found)
    return mean_of_pixels(any_class(on_defect) + on_good, counted)
