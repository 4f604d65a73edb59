"""Layers that turn what a network says of an image into poses, each with its probability.

A pose that may be is a row of thirteen numbers: its probability; phi, theta and psi, degrees; x, y
and z, mm; and the deviations of these six. See `projection.poses` for what the six mean.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from inspection_tf.tasks.pose.modes import NUMBERS

_LEAST, _MOST = -7.0, 3.0  # logarithms of deviations, in units of the range
_SMALL = 1e-7


@keras.saving.register_keras_serializable("inspection_tf")
class PoseDecoder(keras.layers.Layer):
    """Numbers of a network to poses in degrees and mm, one for each class of phi.

    A part that looks nearly alike from two sides has two poses that may be: of a single number the
    best guess would lie between them, where it is wrong for both. So phi is a class and an offset
    in it, and all that depends on it is told for each class: a mixture.

    Source: Bishop 1994, "Mixture density networks"; classes and offsets as in Mousavian et al.
    2017, "3D bounding box estimation using deep learning and geometry".
    """

    def __init__(
        self,
        *,
        step_deg: float,
        tilts_deg: tuple[float, float],
        field_mm: float,
        **kwargs: Any,
    ) -> None:
        """Set the units.

        Args:
            step_deg: width of a class; the first begins at 0.
            tilts_deg: largest theta and psi, to either side.
            field_mm: half the width of the field of view.
            **kwargs: of a Keras layer.
        """
        super().__init__(**kwargs)
        self.step_deg = step_deg
        self.tilts_deg = tuple(tilts_deg)
        self.field_mm = field_mm

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (batch, classes, 13)."""
        batch, classes = input_shape[0]
        return batch, classes, NUMBERS

    def call(self, inputs: Any) -> Any:
        """Return (batch, classes, 13).

        Args:
            inputs: (batch, classes) logits; (batch, 6 classes), six numbers of each: offset in
                classes, theta and psi before a hyperbolic tangent, place in fields of view; (batch,
                6), logarithms of deviations in the same units.
        """
        logits, values, spreads = inputs
        classes = logits.shape[-1]
        values = ops.reshape(values, (-1, classes, 6))
        probability = ops.softmax(logits, axis=-1)[..., None]
        middles = self.step_deg * (np.arange(classes) + 0.5)
        middle = ops.convert_to_tensor(middles, dtype=values.dtype)[None, :, None]
        # To the middles of the neighbours, and no further.
        phi = middle + self.step_deg * ops.tanh(values[..., :1])
        tilts = ops.convert_to_tensor(self.tilts_deg, dtype=values.dtype)
        tilt = tilts * ops.tanh(values[..., 1:3])
        place = self.field_mm * values[..., 3:]
        units = [self.step_deg, *self.tilts_deg, *[self.field_mm] * 3]
        spread = _spread(spreads, units)
        every = ops.zeros_like(values) + spread[:, None]
        return ops.concatenate([probability, phi, tilt, place, every], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {
            **super().get_config(),
            "step_deg": self.step_deg,
            "tilts_deg": self.tilts_deg,
            "field_mm": self.field_mm,
        }


@keras.saving.register_keras_serializable("inspection_tf")
class CircleDecoder(keras.layers.Layer):
    """Numbers of a network to the one pose that is likeliest, phi as a point on a circle.

    A number that jumps from 360 to 0 cannot be learned; a point on a circle nowhere jumps. Of a
    part that looks alike n times in a turn the point goes around n times.
    """

    def __init__(
        self, *, symmetry: int, tilts_deg: tuple[float, float], field_mm: float, **kwargs: Any
    ) -> None:
        """Set how often the part looks alike in a turn, and the units as of `PoseDecoder`."""
        super().__init__(**kwargs)
        self.symmetry = symmetry
        self.tilts_deg = tuple(tilts_deg)
        self.field_mm = field_mm

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (batch, 1, 13)."""
        return input_shape[0][0], 1, NUMBERS

    def call(self, inputs: Any) -> Any:
        """Return (batch, 1, 13).

        Args:
            inputs: (batch, 7): sine and cosine, theta and psi before a hyperbolic tangent, place in
                fields of view; (batch, 6), logarithms of deviations, of phi in radians.
        """
        values, spreads = inputs
        turn = ops.arctan2(values[:, :1], values[:, 1:2]) / self.symmetry
        tilts = ops.convert_to_tensor(self.tilts_deg, dtype=values.dtype)
        tilt = tilts * ops.tanh(values[:, 2:4])
        place = self.field_mm * values[:, 4:]
        units = [180 / np.pi, *self.tilts_deg, *[self.field_mm] * 3]
        return _one(turn * (180 / np.pi), tilt, place, spreads, units)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {
            **super().get_config(),
            "symmetry": self.symmetry,
            "tilts_deg": self.tilts_deg,
            "field_mm": self.field_mm,
        }


@keras.saving.register_keras_serializable("inspection_tf")
class FreeDecoder(keras.layers.Layer):
    """Numbers of a network to the one pose that is likeliest, whatever way the part is turned.

    Six numbers are the first two columns of a rotation, made orthonormal: nowhere does a small turn
    of the part need a large change of them, as of any three or four numbers.

    Source: Zhou et al. 2019, "On the continuity of rotation representations in neural networks".
    """

    def __init__(self, *, field_mm: float, **kwargs: Any) -> None:
        """Set half the width of the field of view, mm."""
        super().__init__(**kwargs)
        self.field_mm = field_mm

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (batch, 1, 13)."""
        return input_shape[0][0], 1, NUMBERS

    def call(self, inputs: Any) -> Any:
        """Return (batch, 1, 13).

        Args:
            inputs: (batch, 9): two columns of a rotation, and the place in fields of view; (batch,
                6), logarithms of deviations, of angles in radians.
        """
        values, spreads = inputs
        first = _unit(values[:, :3])
        along = ops.sum(first * values[:, 3:6], axis=-1, keepdims=True)
        second = _unit(values[:, 3:6] - along * first)
        third = _cross(first, second)
        sine = ops.clip(-third[:, 1:2], -1 + _SMALL, 1 - _SMALL)
        turns = ops.concatenate(
            [
                ops.arctan2(third[:, :1], third[:, 2:]),
                ops.arctan2(sine, ops.sqrt(1 - sine * sine)),
                ops.arctan2(first[:, 1:2], second[:, 1:2]),
            ],
            axis=-1,
        )
        degrees = turns * (180 / np.pi)
        place = self.field_mm * values[:, 6:]
        units = [180 / np.pi] * 3 + [self.field_mm] * 3
        return _one(degrees[:, :1], degrees[:, 1:], place, spreads, units)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "field_mm": self.field_mm}


def _unit(vector: Any) -> Any:
    return vector / ops.sqrt(ops.sum(vector * vector, axis=-1, keepdims=True) + _SMALL)


def _cross(first: Any, second: Any) -> Any:
    """Return (batch, 3), the product of two vectors: no converter knows Keras's own."""
    a, b, c = (first[:, place : place + 1] for place in range(3))
    x, y, z = (second[:, place : place + 1] for place in range(3))
    return ops.concatenate([b * z - c * y, c * x - a * z, a * y - b * x], axis=-1)


def _one(phi: Any, tilt: Any, place: Any, spreads: Any, units: list[float]) -> Any:
    """Return the one pose that may be, of probability 1."""
    sure = ops.zeros_like(phi) + 1
    return ops.concatenate([sure, phi, tilt, place, _spread(spreads, units)], axis=-1)[:, None]


def _spread(spreads: Any, units: list[float]) -> Any:
    """Return (batch, 6), deviations from their logarithms in these units."""
    scale = ops.convert_to_tensor(units, dtype=spreads.dtype)
    return ops.exp(ops.clip(spreads, _LEAST, _MOST)) * scale
