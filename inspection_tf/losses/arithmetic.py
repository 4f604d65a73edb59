# mypy: disallow-subclassing-any=False
"""The arithmetic that the losses share, over pixels and over classes."""

from collections.abc import Iterable

import keras
from keras import ops

from inspection_tf import errors
from inspection_tf.losses.keras_types import Config, Option, Tensor

PIXEL_AXES = (1, 2, 3)
# float32 still tells 1 - 1e-7 from 1, and log(1e-7) = -16.1 is the worst a pixel can cost.
TINY = 1e-7


def check_range(name: str, value: float, *, low: float = 0.0, high: float = float("inf")) -> None:
    """Refuse an option out of its range.

    Raises:
        errors.ConfigError: it is.
    """
    if not low <= value <= high:
        raise errors.ConfigError(
            f"The loss option {name} must lie in {low:g}..{high:g}. Got {value!r}. Correct it."
        )


def check_smooth(value: float) -> None:
    """Refuse no smoothing: an empty prediction on a defect-free image would be 0 / 0."""
    check_range("smooth", value, low=TINY)


def check_weights(values: Iterable[float] | None) -> tuple[float, ...] | None:
    """Return class weights as a tuple, or None where there are none.

    Raises:
        errors.ConfigError: one is below 0.
    """
    if values is None:
        return None
    for value in values:
        check_range("class_weights", value)
    return tuple(float(value) for value in values)


def weigh(values: Tensor, class_weights: tuple[float, ...] | None) -> Tensor:
    """Multiply (..., classes) by the weight of each class.

    Raises:
        errors.ConfigError: there are more or fewer weights than classes.
    """
    if class_weights is None:
        return values
    classes = values.shape[-1]
    if len(class_weights) != classes:
        raise errors.ConfigError(
            f"class_weights must hold one weight for each of the {classes} classes of the output. "
            f"Got {class_weights}. Correct train.loss_options."
        )
    return values * ops.convert_to_tensor(class_weights, values.dtype)


class MapLoss(keras.losses.Loss):
    """A loss of maps, some pixels of which may not count."""

    def __init__(self, *, ignored_id: int | None = None, **kwargs: Option) -> None:
        """Set the id in `y_true` whose pixels do not count; None: all count."""
        super().__init__(**kwargs)
        self.ignored_id = None if ignored_id is None else int(ignored_id)

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        own = {} if self.ignored_id is None else {"ignored_id": self.ignored_id}
        return {**super().get_config(), **own}


def counted_pixels(y_true: Tensor, ignored_id: int | None) -> Tensor:
    """Return (batch, height, width, 1), 1 where a pixel counts and 0 where not.

    None where all count: then nothing is added to what a loss computes.
    """
    if ignored_id is None:
        return None
    return ops.cast(ops.not_equal(ops.cast(y_true, "int32"), ignored_id), "float32")


def pixels(y_true: Tensor, y_pred: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return truth and prediction, both (batch, height, width, classes).

    Truth is 1 on the pixels of a class. With one class every id above 0 is that class. Where a
    pixel does not count both are 0, which costs nothing and pulls at nothing.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    classes = y_pred.shape[-1]
    if classes == 1:
        truth = ops.cast(y_true > 0, y_pred.dtype)
    else:
        ids = ops.cast(ops.arange(1, classes + 1), y_pred.dtype)
        truth = ops.cast(ops.equal(y_true, ids), y_pred.dtype)
    if counted is None:
        return truth, y_pred
    counted = ops.cast(counted, y_pred.dtype)
    return truth * counted, y_pred * counted


def mean_of_pixels(values: Tensor, counted: Tensor | None = None) -> Tensor:
    """Return (batch,): the mean of (batch, height, width, 1) over the pixels that count.

    Args:
        values: 0 where a pixel does not count.
        counted: of `counted_pixels`. An image of which no pixel counts has the mean 0.
    """
    if counted is None:
        return ops.mean(values, axis=PIXEL_AXES)
    number = ops.cast(ops.sum(counted, axis=PIXEL_AXES), values.dtype)
    return ops.sum(values, axis=PIXEL_AXES) / ops.maximum(number, 1)


def any_class(values: Tensor) -> Tensor:
    """Return the sum over the classes, (..., 1): of probabilities, the defect map."""
    return values if values.shape[-1] == 1 else ops.sum(values, axis=-1, keepdims=True)


def cross_entropy(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a pixel costs as a defect, (..., classes), and as background, (..., 1)."""
    # Bounded on the costly side only: a pixel that is exactly right costs exactly 0.
    on_defect = -y_true * ops.log(ops.maximum(y_pred, TINY))
    on_good = ops.log(ops.maximum(1 - any_class(y_pred), TINY))
    return on_defect, -(1 - any_class(y_true)) * on_good


def kind_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return (batch,): the cross-entropy of the class of defect pixels, given that they are such.

    The mean over an image's defect pixels of `-log(p / q)`, `p` the probability of the true class
    and `q` that of all defects; 0 on a defect-free image, and with one class.
    """
    known = ops.maximum(y_pred, TINY)
    share = ops.log(known) - ops.log(any_class(known))
    counted = ops.maximum(ops.sum(y_true, axis=PIXEL_AXES), 1)
    return -ops.sum(y_true * share, axis=PIXEL_AXES) / counted


def dice_loss(
    y_true: Tensor, y_pred: Tensor, smooth: float, axes: tuple[int, ...] = (1, 2)
) -> Tensor:
    """Return the Dice loss of each class, and of each image unless `axes` holds the batch's."""
    overlap = ops.sum(y_true * y_pred, axis=axes)
    areas = ops.sum(y_true, axis=axes) + ops.sum(y_pred, axis=axes)
    return 1 - (2 * overlap + smooth) / (areas + smooth)


def mean_over(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of (..., classes) over the classes that count; 0 where none does."""
    return ops.sum(values * counted, axis=-1) / ops.maximum(ops.sum(counted, axis=-1), 1)
