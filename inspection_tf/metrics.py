"""Streaming metrics for training: exact over any batching, empty cases stated.

Every class takes `y_true`: (batch, height, width, 1), 0 or 1, and `y_pred`: the same shape,
probabilities; `sample_weight`, where given, is (batch,).
"""

from typing import Any

import keras
from keras import ops

from inspection_tf.losses import PIXEL_AXES


def _counts(y_true: Any, y_pred: Any, threshold: float) -> tuple[Any, Any, Any]:
    """Return overlap, true area and predicted area of each image, px, (batch,)."""
    y_pred = ops.convert_to_tensor(y_pred)
    truth = ops.cast(ops.cast(y_true, "float32") > 0.5, "float32")
    found = ops.cast(y_pred >= threshold, "float32")
    overlap = ops.sum(truth * found, axis=PIXEL_AXES)
    return overlap, ops.sum(truth, axis=PIXEL_AXES), ops.sum(found, axis=PIXEL_AXES)


class _Ratio(keras.metrics.Metric):
    """A numerator over a denominator, both summed over all batches; 0 while nothing counted."""

    def __init__(self, *, threshold: float, name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.threshold = threshold
        # float32 stops counting pixels at 2**24, which is 64 images of 512x512.
        self.above = self.add_weight(name="above", initializer="zeros", dtype="float64")
        self.below = self.add_weight(name="below", initializer="zeros", dtype="float64")

    def _add(self, above: Any, below: Any, sample_weight: Any) -> None:
        weight = ops.cast(1.0 if sample_weight is None else sample_weight, "float64")
        self.above.assign_add(ops.sum(ops.cast(above, "float64") * weight))
        self.below.assign_add(ops.sum(ops.cast(below, "float64") * weight))

    def result(self) -> Any:
        """Return the ratio so far."""
        # Where nothing counted: 0 / 1.
        above, below = ops.convert_to_tensor(self.above), ops.convert_to_tensor(self.below)
        ratio = above / ops.where(below > 0, below, ops.ones_like(below))
        return ops.cast(ratio, "float32")

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the metric."""
        return {**super().get_config(), "threshold": self.threshold}


@keras.saving.register_keras_serializable("inspection_tf")
class DiceDefective(_Ratio):
    """Mean over *defective* images of Dice, `2 overlap / (true area + predicted area)`.

    A defect-free image does not count, so a set without defects gives 0.
    """

    def __init__(
        self, *, threshold: float = 0.5, name: str = "dice_defective", **kwargs: Any
    ) -> None:
        """Set the probability from which a pixel is predicted defective."""
        super().__init__(threshold=threshold, name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        overlap, true_area, found_area = _counts(y_true, y_pred, self.threshold)
        is_defect = ops.cast(true_area > 0, "float32")
        dice = 2 * overlap / ops.maximum(true_area + found_area, 1.0)
        self._add(dice * is_defect, is_defect, sample_weight)


@keras.saving.register_keras_serializable("inspection_tf")
class DiceAllImages(_Ratio):
    """Mean over all images of Dice, an empty prediction on a defect-free image counting 1.

    0 while no image counted. The convention of the published UNet_Industrial figures, which call it
    IoU.
    """

    def __init__(
        self, *, threshold: float = 0.5, name: str = "dice_all_images", **kwargs: Any
    ) -> None:
        """Set the probability from which a pixel is predicted defective."""
        super().__init__(threshold=threshold, name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        overlap, true_area, found_area = _counts(y_true, y_pred, self.threshold)
        areas = true_area + found_area
        dice = ops.where(areas > 0, 2 * overlap / ops.maximum(areas, 1.0), 1.0)
        self._add(dice, ops.ones_like(dice), sample_weight)


@keras.saving.register_keras_serializable("inspection_tf")
class IouPooled(_Ratio):
    """Intersection over union of all pixels of all images together; 0 while both are empty."""

    def __init__(self, *, threshold: float = 0.5, name: str = "iou_pooled", **kwargs: Any) -> None:
        """Set the probability from which a pixel is predicted defective."""
        super().__init__(threshold=threshold, name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        overlap, true_area, found_area = _counts(y_true, y_pred, self.threshold)
        self._add(overlap, true_area + found_area - overlap, sample_weight)
