"""The package's own backbones: VGG, ResNet18 and MobileNet as the talk draws them.

Each is a generator of features, the finest first; every feature has half the height and width of
the one before. Who takes no more of them leaves the deeper layers unbuilt.

Source: the talk on classifying OK/NG and then segmenting NG: its class VGGnet, class MobileNet and
the slides "Backbone: VGG16" and "Backbone: ResNet18"; He et al. 2015; Howard et al. 2017.
"""

import dataclasses
from collections.abc import Iterator
from typing import Protocol

import keras
from keras import layers

from inspection_tf.losses.keras_types import Option, Tensor
from inspection_tf.models import blocks

_INITIALIZER = "he_normal"  # the talk's Kaiming_normal


class Features(Protocol):
    """Yields the features of an image, finest first."""

    def __call__(
        self,
        x: Tensor,
        *,
        blocks_per_stage: tuple[int, ...],
        first_stride: int,
        activation: blocks.Activation,
    ) -> Iterator[Tensor]:
        """Build the layers up to each next feature.

        Args:
            x: (batch, height, width, channels), normalised.
            blocks_per_stage: residual blocks of each stage, where there are any.
            first_stride: px, of the first convolution.
            activation: after each convolution and each sum.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class Network:
    """A backbone of this package."""

    features: Features
    count: int
    """Features it has."""
    first_stride: int
    """Stride of the first convolution, px; that of the finest feature too."""
    deepest: int = 16
    """Stride of the deepest feature returned by default, px."""
    has_blocks: bool = False
    """`blocks` may be chosen."""
    has_first_stride: bool = False
    """`first_stride` may be chosen."""


def _conv(x: Tensor, filters: int, *, name: str, **options: Option) -> Tensor:
    return blocks.conv(
        x, filters, normalization="batch", initializer=_INITIALIZER, name=name, **options
    )


def _vgg(*plan: tuple[int, int]) -> Features:
    """Return the features of a VGG whose blocks have (channels, convolutions)."""

    def features(
        x: Tensor,
        *,
        blocks_per_stage: tuple[int, ...],
        first_stride: int,
        activation: blocks.Activation,
    ) -> Iterator[Tensor]:
        for block, (filters, count) in enumerate(plan, start=1):
            for index in range(1, count + 1):
                x = _conv(x, filters, activation=activation, name=f"block{block}_conv{index}")
            yield x
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
        yield x

    return features


def _residual(
    x: Tensor, filters: int, *, stride: int, activation: blocks.Activation, name: str
) -> Tensor:
    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = _conv(
            x, filters, kernel_size=1, stride=stride, activation=None, name=f"{name}_shortcut"
        )
    x = _conv(x, filters, stride=stride, activation=activation, name=f"{name}_conv1")
    x = _conv(x, filters, activation=None, name=f"{name}_conv2")
    joined = layers.Add(name=f"{name}_add")([shortcut, x])
    return blocks.activate(joined, kind=activation, name=name)


def _resnet18(
    x: Tensor,
    *,
    blocks_per_stage: tuple[int, ...],
    first_stride: int,
    activation: blocks.Activation,
) -> Iterator[Tensor]:
    x = _conv(x, 64, kernel_size=7, stride=first_stride, activation=activation, name="conv1")
    yield x
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="conv1_pool")(x)
    for stage, count in enumerate(blocks_per_stage, start=2):
        for block in range(1, count + 1):
            stride = 2 if stage > 2 and block == 1 else 1  # conv2 is halved by the pool
            name = f"conv{stage}_block{block}"
            x = _residual(x, 2 ** (stage + 4), stride=stride, activation=activation, name=name)
        yield x


# (channels, stride) of the separable convolutions up to each feature: MobileNet v1, halved.
_SEPARABLE: tuple[tuple[tuple[int, int], ...], ...] = (
    ((32, 1),),
    ((64, 2), (64, 1)),
    ((128, 2), (128, 1)),
    ((256, 2), *((256, 1),) * 5),
    ((512, 2), (512, 1)),
)


def _separable(
    x: Tensor, filters: int, *, stride: int, activation: blocks.Activation, name: str
) -> Tensor:
    x = layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        # he_normal counts all channels as inputs of one; the fan-out of a depthwise kernel, 3 * 3,
        # is what an output really reads.
        depthwise_initializer=keras.initializers.VarianceScaling(2.0, mode="fan_out"),
        name=f"{name}_depthwise",
    )(x)
    x = blocks.normalize(x, kind="batch", name=f"{name}_depthwise")
    x = blocks.activate(x, kind=activation, name=f"{name}_depthwise")
    return _conv(x, filters, kernel_size=1, activation=activation, name=f"{name}_pointwise")


def _mobilenet(
    x: Tensor,
    *,
    blocks_per_stage: tuple[int, ...],
    first_stride: int,
    activation: blocks.Activation,
) -> Iterator[Tensor]:
    x = _conv(x, 16, stride=first_stride, activation=activation, name="conv1")
    index = 0
    for steps in _SEPARABLE:
        for filters, stride in steps:
            index += 1
            name = f"separable{index}"
            x = _separable(x, filters, stride=stride, activation=activation, name=name)
        yield x


def _plain(*filters: int) -> Features:
    """Return the features of convolution, activation and pooling in turn, with these channels."""

    def features(
        x: Tensor,
        *,
        blocks_per_stage: tuple[int, ...],
        first_stride: int,
        activation: blocks.Activation,
    ) -> Iterator[Tensor]:
        for index, count in enumerate(filters, start=1):
            name = f"conv{index}"
            x = blocks.conv(x, count, activation=activation, initializer=_INITIALIZER, name=name)
            yield x
            x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
        yield x

    return features


# The last feature of a VGG is what its last pool returns.
NETWORKS: dict[str, Network] = {
    "vgg10": Network(
        _vgg((32, 2), (64, 2), (128, 3), (256, 3)), count=5, first_stride=1, deepest=8
    ),
    "vgg16_talk": Network(
        _vgg((32, 2), (64, 2), (128, 3), (256, 3), (256, 3)), count=6, first_stride=1
    ),
    "vgg16": Network(
        _vgg((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), count=6, first_stride=1
    ),
    # As the talk on inserts draws it: convolution, ReLU, pooling.
    "cnn": Network(_plain(16, 32, 64, 64), count=5, first_stride=1),
    "resnet18": Network(_resnet18, count=5, first_stride=2, has_blocks=True, has_first_stride=True),
    "mobilenet": Network(_mobilenet, count=5, first_stride=1, has_first_stride=True),
}
