"""Streaming metrics for training: exact over any batching, empty cases stated.

Those of maps take `y_true`: (batch, height, width, 1), class ids, 0 for background, and `y_pred`:
(batch, height, width, classes), the probabilities of the defect classes 1, 2, ...; a pixel is
predicted defective where their sum reaches a threshold. `OkNgAccuracy`, of whole images, takes
`y_true`: (batch, 1) or (batch,), class ids, 0 for OK, and `y_pred`: (batch, classes),
probabilities. `CornerError` and `PresenceAccuracy` take (batch, 2 n + 1) twice: n corners and
whether there are any. `sample_weight`, where given, is (batch,). Pixels of a map whose true id is
`ignored_id` count for nothing, whatever is predicted there.
"""

import keras
from keras import ops

from inspection_tf.losses.arithmetic import PIXEL_AXES, any_class, counted_pixels
from inspection_tf.losses.keras_types import Config, Option, Tensor


def _counts(
    y_true: Tensor, y_pred: Tensor, threshold: float, ignored_id: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return overlap, true area and predicted area of each image, px, (batch,)."""
    y_pred = ops.convert_to_tensor(y_pred)
    truth = ops.cast(ops.cast(y_true, "float32") > 0.5, "float32")
    found = ops.cast(any_class(y_pred) >= threshold, "float32")
    if (counted := counted_pixels(y_true, ignored_id)) is not None:
        truth, found = truth * counted, found * counted
    overlap = ops.sum(truth * found, axis=PIXEL_AXES)
    return overlap, ops.sum(truth, axis=PIXEL_AXES), ops.sum(found, axis=PIXEL_AXES)


class _Ratio(keras.metrics.Metric):
    """A numerator over a denominator, both summed over all batches; 0 while nothing counted."""

    def __init__(self, *, threshold: float, name: str, **kwargs: Option) -> None:
        super().__init__(name=name, **kwargs)
        self.threshold = threshold
        # float32 stops counting pixels at 2**24, which is 64 images of 512x512.
        self.above = self.add_weight(name="above", initializer="zeros", dtype="float64")
        self.below = self.add_weight(name="below", initializer="zeros", dtype="float64")

    def _add(self, above: Tensor, below: Tensor, sample_weight: Tensor | None) -> None:
        weight = ops.cast(1.0 if sample_weight is None else sample_weight, "float64")
        self.above.assign_add(ops.sum(ops.cast(above, "float64") * weight))
        self.below.assign_add(ops.sum(ops.cast(below, "float64") * weight))

    def result(self) -> Tensor:
        """Return the ratio so far."""
        # Where nothing counted: 0 / 1.
        above, below = ops.convert_to_tensor(self.above), ops.convert_to_tensor(self.below)
        ratio = above / ops.where(below > 0, below, ops.ones_like(below))
        return ops.cast(ratio, "float32")

    def get_config(self) -> Config:
        """Return what rebuilds the metric."""
        return {**super().get_config(), "threshold": self.threshold}


class _MapRatio(_Ratio):
    """A ratio of pixels, some of which may not count."""

    def __init__(
        self, *, threshold: float, name: str, ignored_id: int | None = None, **kwargs: Option
    ) -> None:
        super().__init__(threshold=threshold, name=name, **kwargs)
        self.ignored_id = ignored_id

    def get_config(self) -> Config:
        """Return what rebuilds the metric."""
        own = {} if self.ignored_id is None else {"ignored_id": self.ignored_id}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("inspection_tf")
class DiceDefective(_MapRatio):
    """Mean over *defective* images of Dice, `2 overlap / (true area + predicted area)`.

    A defect-free image does not count, so a set without defects gives 0.
    """

    def __init__(
        self, *, threshold: float = 0.5, name: str = "dice_defective", **kwargs: Option
    ) -> None:
        """Set the probability from which a pixel is predicted defective."""
        super().__init__(threshold=threshold, name=name, **kwargs)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add a batch."""
        overlap, true_area, found_area = _counts(y_true, y_pred, self.threshold, self.ignored_id)
        is_defect = ops.cast(true_area > 0, "float32")
        dice = 2 * overlap / ops.maximum(true_area + found_area, 1.0)
        self._add(dice * is_defect, is_defect, sample_weight)


@keras.saving.register_keras_serializable("inspection_tf")
class DiceAllImages(_MapRatio):
    """Mean over all images of Dice, an empty prediction on a defect-free image counting 1.

    0 while no image counted. The convention of the published UNet_Industrial figures, which call it
    IoU.
    """

    def __init__(
        self, *, threshold: float = 0.5, name: str = "dice_all_images", **kwargs: Option
    ) -> None:
        """Set the probability from which a pixel is predicted defective."""
        super().__init__(threshold=threshold, name=name, **kwargs)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add a batch."""
        overlap, true_area, found_area = _counts(y_true, y_pred, self.threshold, self.ignored_id)
        areas = true_area + found_area
        dice = ops.where(areas > 0, 2 * overlap / ops.maximum(areas, 1.0), 1.0)
        self._add(dice, ops.ones_like(dice), sample_weight)


@keras.saving.register_keras_serializable("inspection_tf")
class IouPooled(_MapRatio):
    """Intersection over union of all pixels of all images together; 0 while both are empty."""

    def __init__(
        self, *, threshold: float = 0.5, name: str = "iou_pooled", **kwargs: Option
    ) -> None:
        """Set the probability from which a pixel is predicted defective."""
        super().__init__(threshold=threshold, name=name, **kwargs)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add a batch."""
        overlap, true_area, found_area = _counts(y_true, y_pred, self.threshold, self.ignored_id)
        self._add(overlap, true_area + found_area - overlap, sample_weight)


@keras.saving.register_keras_serializable("inspection_tf")
class ClassIou(keras.metrics.Metric):
    """Mean over the defect classes of intersection over union, each pooled over all images.

    A pixel that is predicted defective is of its most probable class. A class that no pixel of any
    image has or is predicted to have does not count; 0 while none counts.
    """

    def __init__(
        self,
        *,
        classes: int,
        average: bool = True,
        threshold: float = 0.5,
        ignored_id: int | None = None,
        name: str = "iou_class_mean",
        **kwargs: Option,
    ) -> None:
        """Set the number of defect classes and the probability of any defect that makes one.

        `average=False` gives the (classes,) values instead, 0 for a class that does not count.
        """
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.average = average
        self.threshold = threshold
        self.ignored_id = ignored_id
        # float64, as above: these count pixels over all images.
        self.overlap = self.add_weight(
            shape=(classes,), name="overlap", initializer="zeros", dtype="float64"
        )
        self.union = self.add_weight(
            shape=(classes,), name="union", initializer="zeros", dtype="float64"
        )

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add a batch."""
        y_pred = ops.convert_to_tensor(y_pred)
        ids = ops.arange(1, self.classes + 1, dtype="int32")
        truth = ops.equal(ops.cast(y_true, "int32"), ids)
        likeliest = 1 + ops.cast(ops.argmax(y_pred, axis=-1, keepdims=True), "int32")
        found = ops.logical_and(ops.equal(likeliest, ids), any_class(y_pred) >= self.threshold)
        if (counted := counted_pixels(y_true, self.ignored_id)) is not None:
            truth = ops.logical_and(truth, counted > 0)
            found = ops.logical_and(found, counted > 0)
        self._add(self.overlap, ops.logical_and(truth, found), sample_weight)
        self._add(self.union, ops.logical_or(truth, found), sample_weight)

    def _add(self, total: Tensor, where: Tensor, sample_weight: Tensor | None) -> None:
        counts = ops.cast(ops.sum(ops.cast(where, "float32"), axis=(1, 2)), "float64")
        if sample_weight is not None:
            counts *= ops.reshape(ops.cast(sample_weight, "float64"), (-1, 1))
        total.assign_add(ops.sum(counts, axis=0))

    def result(self) -> Tensor:
        """Return the mean so far, or the values of the classes."""
        overlap, union = ops.convert_to_tensor(self.overlap), ops.convert_to_tensor(self.union)
        counted = ops.cast(union > 0, "float64")
        values = overlap / ops.maximum(union, 1 - counted)
        if self.average:
            values = ops.sum(values) / ops.maximum(ops.sum(counted), 1.0)
        return ops.cast(values, "float32")

    def get_config(self) -> Config:
        """Return what rebuilds the metric."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "average": self.average,
            "threshold": self.threshold,
            **({} if self.ignored_id is None else {"ignored_id": self.ignored_id}),
        }


@keras.saving.register_keras_serializable("inspection_tf")
class OkNgAccuracy(_Ratio):
    """Share of images whose OK or NG is right; 0 while there are none.

    NG: `1 - p` of the class OK reaches the threshold. Which defect class was found does not matter.
    """

    def __init__(
        self, *, threshold: float = 0.5, name: str = "ok_ng_accuracy", **kwargs: Option
    ) -> None:
        """Set the probability of any defect from which an image is NG."""
        super().__init__(threshold=threshold, name=name, **kwargs)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add a batch."""
        is_ng = 1 - ops.convert_to_tensor(y_pred)[:, 0] >= self.threshold
        truth = ops.reshape(ops.cast(y_true, "int32"), (-1,)) > 0
        is_right = ops.cast(ops.equal(truth, is_ng), "float32")
        self._add(is_right, ops.ones_like(is_right), sample_weight)


@keras.saving.register_keras_serializable("inspection_tf")
class CornerError(_Ratio):
    """Mean distance of the found corners from the true ones, as a share of the image's width.

    Over the corners of images that show a field, whatever the network says of its presence; 0 while
    there are none.
    """

    def __init__(
        self, *, aspect: float = 1.0, name: str = "corner_error", **kwargs: Option
    ) -> None:
        """Set height over width of the network's input."""
        super().__init__(threshold=0.5, name=name, **kwargs)
        self.aspect = aspect

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add a batch."""
        truth = ops.cast(y_true, "float32")
        off = ops.cast(ops.convert_to_tensor(y_pred), "float32")[:, :-1] - truth[:, :-1]
        off = ops.reshape(off, (-1, off.shape[-1] // 2, 2)) * ops.convert_to_tensor(
            [1.0, self.aspect]
        )
        distance = ops.mean(ops.sqrt(ops.sum(off**2, axis=-1)), axis=-1)
        self._add(distance * truth[:, -1], truth[:, -1], sample_weight)

    def get_config(self) -> Config:
        """Return what rebuilds the metric."""
        config = super().get_config()
        del config["threshold"]
        return {**config, "aspect": self.aspect}


@keras.saving.register_keras_serializable("inspection_tf")
class PresenceAccuracy(_Ratio):
    """Share of images of which the network rightly says whether they show a field."""

    def __init__(
        self, *, threshold: float = 0.5, name: str = "presence_accuracy", **kwargs: Option
    ) -> None:
        """Set the confidence from which a field counts as found."""
        super().__init__(threshold=threshold, name=name, **kwargs)

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Add a batch."""
        is_sure = ops.convert_to_tensor(y_pred)[:, -1] >= self.threshold
        is_right = ops.cast(ops.equal(ops.cast(y_true, "float32")[:, -1] > 0.5, is_sure), "float32")
        self._add(is_right, ops.ones_like(is_right), sample_weight)
