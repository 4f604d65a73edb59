"""Losses of networks that locate a field by its corners: four, or one of them.

With `n` corners a target has `2 n + 1` numbers: x and y of each as shares of width and height, then
1 where there is a field, else 0. A network returns the same, the last one a probability.
"""

import keras
from keras import ops

from inspection_tf.losses.arithmetic import check_range
from inspection_tf.losses.keras_types import Config, Option, Tensor


def _parts(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the target, the prediction and (batch,), 1 where there is a field; float32."""
    y_pred = ops.cast(ops.convert_to_tensor(y_pred), "float32")
    y_true = ops.cast(y_true, "float32")
    return y_true, y_pred, y_true[:, -1]


def presence_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return (batch,), the binary cross-entropy of whether there is a field."""
    _, found, has_field = _parts(y_true, y_pred)
    return keras.losses.binary_crossentropy(has_field[:, None], found[:, -1:])


@keras.saving.register_keras_serializable("inspection_tf")
class CornerMae(keras.losses.Loss):
    """Mean absolute error of the coordinates, plus whether there is a field: `a f MAE + b BCE`.

    `f` is 1 where the image shows a field, else 0: an image without one teaches nothing about
    corners. Whether it shows one is a number of its own, so that no coordinate, 0 neither, has a
    meaning besides its place.

    Source: the talk on field location, its loss on eight coordinates; the second part is ours.
    """

    def __init__(
        self,
        *,
        corner_weight: float = 10.0,
        presence_weight: float = 1.0,
        name: str = "corner_mae",
        **kwargs: Option,
    ) -> None:
        """Set `a`, of shares of the image's sides, and `b`."""
        super().__init__(name=name, **kwargs)
        check_range("corner_weight", corner_weight)
        check_range("presence_weight", presence_weight)
        self.corner_weight = corner_weight
        self.presence_weight = presence_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses.

        Args:
            y_true: (batch, 2 n + 1), of `augment.corner_target`.
            y_pred: (batch, 2 n + 1).
        """
        truth, found, has_field = _parts(y_true, y_pred)
        off = ops.mean(ops.abs(truth[:, :-1] - found[:, :-1]), axis=-1)
        presence = presence_loss(y_true, y_pred)
        return self.corner_weight * has_field * off + self.presence_weight * presence

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "corner_weight": self.corner_weight,
            "presence_weight": self.presence_weight,
        }


def _cell_shares(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Return (columns,) and (rows,): where the centres of cells lie, shares of width and height."""
    x = (ops.arange(columns, dtype="float32") + 0.5) / columns
    y = (ops.arange(rows, dtype="float32") + 0.5) / rows
    return x, y


@keras.saving.register_keras_serializable("inspection_tf")
class HeatmapCrossEntropy(keras.losses.Loss):
    """Cross-entropy of each corner's heatmap with a Gaussian around the true place.

    `-sum(q log softmax(z))` over the cells, the mean over the corners; `q` is a Gaussian of
    the distance of a cell's centre from the corner, in cells, that adds up to 1. An image without a
    field costs 0.

    Source: Tompson et al. 2014 for heatmaps; the softmax over cells as in Nibali et al. 2018.
    """

    def __init__(
        self,
        *,
        sigma_cells: float = 0.7,
        weight: float = 1.0,
        name: str = "heatmap",
        **kwargs: Option,
    ) -> None:
        """Set the deviation of the Gaussian and a factor of the whole."""
        super().__init__(name=name, **kwargs)
        check_range("sigma_cells", sigma_cells, low=0.1, high=100)
        check_range("weight", weight)
        self.sigma_cells = sigma_cells
        self.weight = weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses.

        Args:
            y_true: (batch, 2 n + 1), of `augment.corner_target`.
            y_pred: (batch, rows, columns, n), logits.
        """
        y_true = ops.cast(y_true, "float32")
        logits = ops.cast(ops.convert_to_tensor(y_pred), "float32")
        rows, columns, points = logits.shape[1:]
        x, y = _cell_shares(rows, columns)
        corners = ops.reshape(y_true[:, :-1], (-1, 1, 1, points, 2))
        off_x = (x[None, None, :, None] - corners[..., 0]) * columns
        off_y = (y[None, :, None, None] - corners[..., 1]) * rows
        nearness = -(off_x**2 + off_y**2) / (2 * self.sigma_cells**2)
        # The softmax of minus half a squared distance is the Gaussian that adds up to 1.
        wanted = ops.softmax(ops.reshape(nearness, (-1, rows * columns, points)), axis=1)
        log_probability = ops.log_softmax(ops.reshape(logits, (-1, rows * columns, points)), axis=1)
        cost = -ops.mean(ops.sum(wanted * log_probability, axis=1), axis=-1)
        return self.weight * y_true[:, -1] * cost

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {**super().get_config(), "sigma_cells": self.sigma_cells, "weight": self.weight}


@keras.saving.register_keras_serializable("inspection_tf")
class GridLoss(keras.losses.Loss):
    """What a grid head learns: in which cell the field's centre lies, its box, its corners there.

    `BCE(objectness) + a f mean |coordinates of that cell|`. The cross-entropy is summed over the
    cells, the one with the centre weighing as much as all others together. Coordinates are those
    of `models.corners`: centre, width and height of the upright box, then the corners, each from
    the centre of the cell in cells. An image without a field has no such cell and teaches that
    alone.

    Source: Redmon et al. 2016, sections 2 and 2.2, for one object and one box a cell.
    """

    def __init__(
        self, *, coordinate_weight: float = 0.5, name: str = "grid", **kwargs: Option
    ) -> None:
        """Set `a`."""
        super().__init__(name=name, **kwargs)
        check_range("coordinate_weight", coordinate_weight)
        self.coordinate_weight = coordinate_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses.

        Args:
            y_true: (batch, 9), of `augment.corner_target`.
            y_pred: (batch, rows, columns, 13), logit of objectness, box, corners.
        """
        y_true = ops.cast(y_true, "float32")
        found = ops.cast(ops.convert_to_tensor(y_pred), "float32")
        rows, columns = found.shape[1:3]
        x, y = _cell_shares(rows, columns)
        is_owner, box, corners = self._wanted(y_true, rows, columns)
        logits = ops.reshape(found[..., 0], (-1, rows * columns))
        owner = ops.reshape(is_owner, (-1, rows * columns))
        cost = ops.softplus(logits) - owner * logits
        others = rows * columns - 1
        presence = ops.sum(cost * ops.where(owner > 0, 1.0, 1.0 / others), axis=1)
        centre_x, centre_y = x[None, None, :] * columns, y[None, :, None] * rows
        wanted = [box[..., 0] - centre_x, box[..., 1] - centre_y, box[..., 2], box[..., 3]]
        for place in range(4):
            wanted += [corners[..., place, 0] - centre_x, corners[..., place, 1] - centre_y]
        shape = ops.shape(found[..., 0])
        target = ops.stack([ops.broadcast_to(part, shape) for part in wanted], axis=-1)
        off = ops.mean(ops.abs(found[..., 1:] - target), axis=-1)
        return presence + self.coordinate_weight * ops.sum(is_owner * off, axis=(1, 2))

    def _wanted(self, y_true: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return owner (b, rows, columns), box (b, 1, 1, 4) and corners (b, 1, 1, 4, 2), cells."""
        scale = ops.convert_to_tensor([columns, rows], dtype="float32")
        corners = ops.reshape(y_true[:, :-1], (-1, 4, 2)) * scale
        low, high = ops.min(corners, axis=1), ops.max(corners, axis=1)
        centre = (low + high) / 2
        # A centre on the very last border belongs to the last cell.
        column = ops.clip(ops.floor(centre[:, 0]), 0, columns - 1)
        row = ops.clip(ops.floor(centre[:, 1]), 0, rows - 1)
        in_column = ops.equal(
            ops.arange(columns, dtype="float32")[None, None], column[:, None, None]
        )
        in_row = ops.equal(ops.arange(rows, dtype="float32")[None, :, None], row[:, None, None])
        is_owner = ops.cast(ops.logical_and(in_row, in_column), "float32")
        is_owner = is_owner * y_true[:, -1][:, None, None]
        box = ops.concatenate([centre, high - low], axis=-1)[:, None, None]
        return is_owner, box, corners[:, None, None]

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {**super().get_config(), "coordinate_weight": self.coordinate_weight}


LOCATION: dict[str, type[keras.losses.Loss]] = {"corner_mae": CornerMae}
"""By the names that `train.loss` takes."""
BESIDE: dict[str, type[keras.losses.Loss]] = {"heatmap": HeatmapCrossEntropy, "grid": GridLoss}
"""Of what a locator returns besides, only while it trains, by the names of these outputs."""
