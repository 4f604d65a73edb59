"""Building blocks shared by the models: convolution with norm and activation, up-sampling."""

from typing import Literal, get_args

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.losses.keras_types import Config, Option, Shape, Tensor

# No gelu: TensorFlow makes it of Erfc, which tf2onnx does not convert.
Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "silu"]
Normalization = Literal["none", "batch", "group"]
Upsampling = Literal["transposed", "bilinear", "bilinear_aligned", "nearest"]


def normalize(x: Tensor, *, kind: Normalization, name: str) -> Tensor:
    """Apply a normalisation layer, or none.

    Args:
        x: (batch, height, width, channels).
        kind: "group" uses 8 groups, or as many as divide the channels.
        name: prefix of the layer's name.
    """
    if kind == "batch":
        # 0.9 instead of Keras's 0.99: inspection sets give few hundred steps to settle in.
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    if kind == "group":
        channels = x.shape[-1]
        groups = next(count for count in (8, 4, 2, 1) if channels % count == 0)
        return layers.GroupNormalization(groups=groups, name=f"{name}_norm")(x)
    return x


def activate(x: Tensor, *, kind: Activation, name: str) -> Tensor:
    """Apply an activation, called `NAME_KIND`.

    relu is max(0, x). leaky_relu keeps a fifth of what is negative, so that no unit stays silent
    for ever. silu, x sigmoid(x), is smooth, and far from 0 about relu. tanh and sigmoid are the
    classic ones: far from 0 they are flat and hand no slope back, so deep networks learn slowly
    with them; they start better from `glorot_uniform` than from `he_normal`, made for relu.

    Args:
        x: of any shape.
        kind: the function.
        name: prefix of the layer's name.

    Raises:
        errors.ConfigError: the kind is unknown.
    """
    if kind == "relu":
        return layers.ReLU(name=f"{name}_relu")(x)
    if kind not in get_args(Activation):
        raise errors.ConfigError(
            f"activation must be one of {', '.join(get_args(Activation))}. Got {kind!r}. "
            "Choose one of them."
        )
    return layers.Activation(kind, name=f"{name}_{kind}")(x)


def conv(
    x: Tensor,
    filters: int,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    normalization: Normalization = "none",
    activation: Activation | None = "relu",
    initializer: str = "he_normal",
    name: str,
) -> Tensor:
    """Apply convolution, normalisation and activation.

    Args:
        x: (batch, height, width, channels).
        filters: output channels.
        kernel_size: px.
        stride: px.
        normalization: see `normalize`; the bias is left out where a norm follows.
        activation: see `activate`; None leaves it out.
        initializer: of the kernel.
        name: of the convolution; the layers after it append `_norm` and the activation.
    """
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=stride,
        padding="same",
        use_bias=normalization == "none",
        kernel_initializer=initializer,
        name=name,
    )(x)
    x = normalize(x, kind=normalization, name=name)
    return x if activation is None else activate(x, kind=activation, name=name)


def double_conv(
    x: Tensor,
    filters: int,
    *,
    normalization: Normalization,
    residual: bool,
    activation: Activation = "relu",
    initializer: str,
    name: str,
) -> Tensor:
    """Apply two 3x3 convolutions, with a shortcut around them when `residual`.

    Args:
        x: (batch, height, width, channels).
        filters: output channels.
        normalization: see `normalize`.
        residual: adds the input (through a 1x1 convolution where the channels differ).
        activation: after each convolution, or after the sum; see `activate`.
        initializer: of the kernels.
        name: prefix of the layers' names.
    """
    shortcut = x
    x = conv(
        x,
        filters,
        normalization=normalization,
        activation=activation,
        initializer=initializer,
        name=f"{name}_conv1",
    )
    x = conv(
        x,
        filters,
        normalization=normalization,
        activation=None if residual else activation,
        initializer=initializer,
        name=f"{name}_conv2",
    )
    if not residual:
        return x
    if shortcut.shape[-1] != filters:
        shortcut = layers.Conv2D(
            filters, 1, kernel_initializer=initializer, name=f"{name}_shortcut"
        )(shortcut)
    return activate(layers.Add(name=f"{name}_add")([shortcut, x]), kind=activation, name=name)


def _between(x: Tensor, axis: int, factor: int) -> Tensor:
    """Interpolate along one axis of a tensor so that its first and last entries stay the ends.

    Output i lies at `i (n - 1) / (factor n - 1)`, counted in the n inputs.
    """
    size = x.shape[axis]
    place = np.arange(factor * size) * (size - 1) / (factor * size - 1)
    before = place.astype(int)
    after = np.minimum(before + 1, size - 1)
    share = (place - before).reshape(-1, *[1] * (len(x.shape) - 1 - axis))
    start = ops.take(x, before, axis=axis)
    step = ops.take(x, after, axis=axis) - start
    return start + ops.convert_to_tensor(share, dtype=x.dtype) * step


class _UpSampling2D(layers.Layer):
    """A layer by which height and width grow."""

    def __init__(self, factor: int = 2, **kwargs: Option) -> None:
        """Set by how much height and width grow."""
        super().__init__(**kwargs)
        self.factor = factor

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, factor * height, factor * width, channels)."""
        batch, height, width, channels = input_shape
        return batch, self.factor * height, self.factor * width, channels

    def get_config(self) -> Config:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("inspection_tf")
class AlignedUpSampling2D(_UpSampling2D):
    """Bilinear up-sampling with aligned corners, as in the talk (`align_corners=True`).

    The centres of the corner cells stay where they are; `UpSampling2D` aligns the cells' edges
    instead, and is several times faster. Made of gathers and products, which converters know.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """Interpolate (batch, height, width, channels) of fixed height and width."""
        # Columns first: rows lie together in memory, so the larger half of the work is theirs.
        return _between(_between(inputs, 2, self.factor), 1, self.factor)


def _interpolation(size: int, factor: int) -> NDArray[np.float32]:
    """Return the matrix (factor * size, size) that interpolates along an axis, cell by cell.

    Cells lie as pixels do: output i at `(i + 0.5) / factor - 0.5`, the outermost repeated outside.
    """
    place = np.clip((np.arange(factor * size) + 0.5) / factor - 0.5, 0, size - 1)
    before = np.minimum(place.astype(int), max(size - 2, 0))
    after = np.minimum(before + 1, size - 1)
    share = place - before
    rows = np.arange(factor * size)
    matrix = np.zeros((factor * size, size))
    np.add.at(matrix, (rows, before), 1 - share)
    np.add.at(matrix, (rows, after), share)
    return matrix.astype(np.float32)


@keras.saving.register_keras_serializable("inspection_tf")
class BilinearUpSampling2D(_UpSampling2D):
    """Bilinear up-sampling of few channels by two products of matrices, columns and then rows.

    The values are those of `UpSampling2D(interpolation="bilinear")`. Its operator, Resize, takes
    most of a small network's time in OpenVINO on a processor (10 of 14 ms for one channel from 64
    x 64 to 512 x 512, int8, one core), products of matrices are quick in every engine.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """Interpolate (batch, height, width, channels) of fixed height and width."""
        rows, columns = (_interpolation(size, self.factor) for size in inputs.shape[1:3])
        # Of four axes as the images: Keras makes a reshaped product of others.
        left, right = (
            ops.convert_to_tensor(matrix[None, None], dtype=inputs.dtype)
            for matrix in (rows, columns.T)
        )
        _, height, width, channels = inputs.shape
        x = ops.transpose(inputs, (0, 3, 1, 2))
        # Along the columns first, while there are few rows. As one large matrix: with AVX-512,
        # oneDNN reads beyond images that are multiplied by one matrix for all, and the process
        # ends (TensorFlow 2.21; oneDNN issue 4396). By one matrix from the left it does not.
        x = ops.matmul(ops.reshape(x, (1, 1, -1, width)), right)
        x = ops.reshape(x, (-1, channels, height, self.factor * width))
        return ops.transpose(ops.matmul(left, x), (0, 2, 3, 1))


def upsample(x: Tensor, filters: int, *, kind: Upsampling, initializer: str, name: str) -> Tensor:
    """Double height and width and set the channels.

    Args:
        x: (batch, height, width, channels).
        filters: output channels.
        kind: "transposed" is a 2x2 transposed convolution of stride 2, as in the talk; the
            others interpolate and convolve 1x1; "bilinear_aligned" with aligned corners.
        initializer: of the kernel.
        name: of the layer that sets the channels.

    Raises:
        errors.ConfigError: the kind is unknown.
    """
    if kind == "transposed":
        return layers.Conv2DTranspose(
            filters, 2, strides=2, kernel_initializer=initializer, name=name
        )(x)
    if kind not in get_args(Upsampling):
        raise errors.ConfigError(
            f"upsampling must be one of {', '.join(get_args(Upsampling))}. Got {kind!r}. "
            "Choose one of them."
        )
    x = layers.Conv2D(filters, 1, kernel_initializer=initializer, name=name)(x)
    if kind == "bilinear_aligned":
        return AlignedUpSampling2D(2, name=f"{name}_resize")(x)
    return layers.UpSampling2D(2, interpolation=kind, name=f"{name}_resize")(x)
