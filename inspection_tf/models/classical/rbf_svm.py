# mypy: disallow-subclassing-any=False
"""A support vector machine with a radial kernel and calibrated probabilities, as a layer."""

import dataclasses
import itertools

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from inspection_tf.losses.keras_types import Config, Option, Shape, Tensor

_Floats = NDArray[np.float64]
_OF_VECTORS = ("support_vectors", "coefficients")
_WEIGHTS = (*_OF_VECTORS, "intercept", "slope", "offset")


@dataclasses.dataclass(frozen=True, slots=True)
class SvmParameters:
    """The numbers of a fitted machine; of K classes each two have a decision (one against one).

    Attributes:
        mean: (features,), which is subtracted.
        deviation: (features,), by which is divided then; none 0.
        support_vectors: (vectors, features), standardised so.
        coefficients: (vectors, pairs), pairs in the order 01, 02, ..., 12, ...; of two classes a
            positive sum speaks for the second one, of more for the first of the pair.
        intercept: (pairs,).
        gamma: of the kernel `exp(-gamma d^2)`.
        slope: (1,) of two classes, else (classes,), of the sigmoids.
        offset: likewise; the log odds of a decision d are `slope * d + offset`.
    """

    mean: _Floats
    deviation: _Floats
    support_vectors: _Floats
    coefficients: _Floats
    intercept: _Floats
    gamma: float
    slope: _Floats
    offset: _Floats

    @classmethod
    def blank(cls, *, features: int, classes: int) -> "SvmParameters":
        """Return a machine with one support vector that tells nothing apart."""
        pairs = classes * (classes - 1) // 2
        sigmoids = 1 if classes == 2 else classes  # of two one decision says all
        return cls(
            mean=np.zeros(features),
            deviation=np.ones(features),
            support_vectors=np.zeros((1, features)),
            coefficients=np.zeros((1, pairs)),
            intercept=np.zeros(pairs),
            gamma=1.0,
            slope=np.zeros(sigmoids),
            offset=np.zeros(sigmoids),
        )


@keras.saving.register_keras_serializable("inspection_tf")
class RbfSvm(layers.Layer):
    """Maps standardised features to logits whose softmax are the machine's probabilities.

    Two classes have one decision d. Of more, each class counts the pairs that it wins, and what
    speaks for it, `s / (3 (|s| + 1))` of the sum s over its pairs, settles a draw; one sigmoid for
    each class then, and their sum becomes 1. So scikit-learn has it, in `SVC.decision_function` and
    `CalibratedClassifierCV`.
    """

    def __init__(self, *, classes: int, vector_count: int, gamma: float, **kwargs: Option) -> None:
        """Set how many classes and support vectors there are, and the kernel's gamma."""
        super().__init__(**kwargs)
        self.classes, self.vector_count, self.gamma = classes, vector_count, gamma
        self._pairs = list(itertools.combinations(range(classes), 2))

    def build(self, input_shape: Shape) -> None:
        """Make room for the numbers of the machine."""
        like = SvmParameters.blank(features=input_shape[-1], classes=self.classes)
        for name in _WEIGHTS:
            shape = getattr(like, name).shape
            if name in _OF_VECTORS:
                shape = self.vector_count, shape[1]
            weight = self.add_weight(shape=shape, initializer="zeros", trainable=False, name=name)
            setattr(self, name, weight)

    def set_parameters(self, parameters: SvmParameters) -> None:
        """Take the numbers of a machine of as many support vectors and classes.

        But mean and deviation: the layer takes features that are standardised.
        """
        self.set_weights([getattr(parameters, name) for name in _WEIGHTS])

    def call(self, inputs: Tensor) -> Tensor:
        """Return (batch, classes) from (batch, features)."""
        x = ops.cast(inputs, "float32")
        of_vectors = ops.sum(self.support_vectors**2, axis=1)
        of_inputs = ops.sum(x * x, axis=1, keepdims=True)
        products = ops.matmul(x, ops.transpose(self.support_vectors))
        distance = ops.relu(of_inputs + of_vectors - 2 * products)
        kernel = ops.exp(-self.gamma * distance)
        decision = ops.matmul(kernel, self.coefficients) + self.intercept
        if self.classes == 2:
            half = (decision * self.slope + self.offset) / 2
            return ops.concatenate([-half, half], axis=-1)
        first, second = self._of_pairs()
        is_second = ops.cast(decision < 0, "float32")
        votes = ops.matmul(1 - is_second, first) + ops.matmul(is_second, second)
        speaks = ops.matmul(decision, first - second)
        votes = votes + speaks / (3 * (ops.abs(speaks) + 1))
        return -ops.softplus(-(votes * self.slope + self.offset))

    def _of_pairs(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (pairs, classes) twice: 1 where a class is the first of a pair, or its second."""
        one = np.eye(self.classes, dtype=np.float32)
        first, second = np.array(self._pairs).T
        return one[first], one[second]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, classes)."""
        return input_shape[0], self.classes

    def get_config(self) -> Config:
        """Return what rebuilds the layer."""
        own = {"classes": self.classes, "vector_count": self.vector_count, "gamma": self.gamma}
        return {**super().get_config(), **own}
