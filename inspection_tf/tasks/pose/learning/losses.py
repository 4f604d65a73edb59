"""Losses of networks that find the pose of a part.

A target has seven numbers: phi, theta and psi, degrees, x, y and z, mm, and n, how often the part
looks alike in a turn. A prediction has rows of thirteen: see `heads`.
"""

import keras
import numpy as np
from keras import ops

from inspection_tf.losses.arithmetic import check_range
from inspection_tf.losses.keras_types import Config, Option, Tensor

_LEAST = 1e-7
_RADIANS = float(np.pi / 180)


def phi_between(first: Tensor, second: Tensor, period: Tensor) -> Tensor:
    """Return how far two angles are apart, degrees, on a circle of `period` degrees.

    It is the chord, which is the arc where they are near, and is smooth where they are opposite.
    """
    half = np.pi / period
    return ops.sin((first - second) * half) / half


@keras.saving.register_keras_serializable("inspection_tf")
class PoseModes(keras.losses.Loss):
    """Cross-entropy of the class of phi, and Laplace's likelihood of the pose within it.

    `a -sum(q log p) + sum(r (|v - m| / s + log s))`: q is shared between the two classes whose
    middles phi lies between, linearly; r is 1 for those two, halved; v, m and s are the true
    numbers, those of the class, and their deviations. A prediction with one row has no first part.

    Source: Bishop 1994, "Mixture density networks", with the class of phi known while it learns;
    Kendall and Gal 2017 for deviations that are learned.
    """

    def __init__(
        self,
        *,
        class_weight: float = 1.0,
        name: str = "pose_modes",
        **kwargs: Option,
    ) -> None:
        """Set the classes, and the weight of their part.

        Args:
            class_weight: a.
            name: of the loss.
            **kwargs: of a Keras loss.
        """
        super().__init__(name=name, **kwargs)
        check_range("class_weight", class_weight)
        self.class_weight = class_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses.

        Args:
            y_true: (batch, 7).
            y_pred: (batch, rows, 13).
        """
        found = ops.cast(ops.convert_to_tensor(y_pred), "float32")
        truth = ops.cast(y_true, "float32")[:, None, :6]
        symmetry = ops.cast(y_true, "float32")[:, 6:]
        share = self._shares(truth[:, 0, :1], symmetry, found.shape[1])
        off = ops.concatenate(
            [
                phi_between(truth[..., :1], found[..., 1:2], 360 / symmetry[..., None]),
                truth[..., 1:] - found[..., 2:7],
            ],
            axis=-1,
        )
        spread = found[..., 7:]
        cost = ops.sum(ops.abs(off) / spread + ops.log(spread), axis=-1)
        # Of a part that looks alike several times, theta and psi jump where phi begins anew.
        least = ops.where(symmetry > 1, 0.5, 0.0)
        near = ops.cast(share > least, "float32")
        near = near / ops.maximum(ops.sum(near, axis=-1, keepdims=True), 1.0)
        log_probability = ops.log(ops.maximum(found[..., 0], _LEAST))
        of_classes = -ops.sum(share * log_probability, axis=-1)
        return self.class_weight * of_classes + ops.sum(near * cost, axis=-1)

    def _shares(self, phi: Tensor, symmetry: Tensor, rows: int) -> Tensor:
        """Return (batch, rows), q: how much of phi, (batch, 1), belongs to each class."""
        place = phi * (rows * symmetry / 360) - 0.5
        numbers = ops.arange(rows, dtype="float32")[None]
        apart = ops.mod(ops.abs(place - numbers), rows)
        apart = ops.minimum(apart, rows - apart)  # the last class is beside the first
        share = ops.maximum(1 - apart, 0.0)
        return share / ops.maximum(ops.sum(share, axis=-1, keepdims=True), _LEAST)

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "class_weight": self.class_weight,
        }


@keras.saving.register_keras_serializable("inspection_tf")
class PoseTurn(keras.losses.Loss):
    """How far a part is turned and moved from where it is: for poses of any orientation.

    `a |R - M| + b mean |v - m|`: of the two rotations the root of the summed squared differences,
    twice the root of two times the sine of half the angle between them; of the places the mean, mm.

    Source: Huynh 2009, "Metrics for 3D rotations: comparison and analysis", its chordal distance.
    """

    def __init__(
        self,
        *,
        turn_weight: float = 1.0,
        place_weight: float = 0.02,
        name: str = "pose_turn",
        **kwargs: Option,
    ) -> None:
        """Set a, and b for each mm."""
        super().__init__(name=name, **kwargs)
        check_range("turn_weight", turn_weight)
        check_range("place_weight", place_weight)
        self.turn_weight = turn_weight
        self.place_weight = place_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (batch,) losses of the first row.

        Args:
            y_true: (batch, 7).
            y_pred: (batch, rows, 13).
        """
        found = ops.cast(ops.convert_to_tensor(y_pred), "float32")[:, 0]
        truth = ops.cast(y_true, "float32")
        turned = _matrix(truth[:, :3]) - _matrix(found[:, 1:4])
        chord = ops.sqrt(ops.sum(turned * turned, axis=-1) + _LEAST)
        moved = ops.mean(ops.abs(truth[:, 3:6] - found[:, 4:7]), axis=-1)
        return self.turn_weight * chord + self.place_weight * moved

    def get_config(self) -> Config:
        """Return what rebuilds the loss."""
        return {
            **super().get_config(),
            "turn_weight": self.turn_weight,
            "place_weight": self.place_weight,
        }


def _matrix(angles_deg: Tensor) -> Tensor:
    """Return (batch, 9), rotations row by row; see `projection.poses`."""
    radians = angles_deg * _RADIANS
    sine, cosine = ops.sin(radians), ops.cos(radians)
    a, b, c = (sine[:, index] for index in range(3))
    p, t, s = (cosine[:, index] for index in range(3))
    return ops.stack(
        [
            p * s + a * b * c,
            -p * c + a * b * s,
            a * t,
            t * c,
            t * s,
            -b,
            -a * s + p * b * c,
            a * c + p * b * s,
            p * t,
        ],
        axis=-1,
    )


POSES: dict[str, type[keras.losses.Loss]] = {"pose_modes": PoseModes, "pose_turn": PoseTurn}
"""By the names that `train.loss` takes."""
