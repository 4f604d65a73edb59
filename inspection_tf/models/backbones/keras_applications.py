"""The backbones of keras.applications, cut after a feature and fed a normalised image.

Their graph is copied layer by layer onto an input of any number of channels; pretrained kernels of
the first convolution are redefined for it in `_backbone_weights`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from keras import layers

from inspection_tf.losses.keras_types import Layer, Option, Tensor
from inspection_tf.models.backbones import pretrained

_BGR = (2, 1, 0)
_CAFFE_MEAN_BGR = np.array((103.939, 116.779, 123.68))


@dataclasses.dataclass(frozen=True, slots=True)
class Network:
    """A network of keras.applications without its top."""

    constructor: Callable[..., keras.Model]
    features: Mapping[int, str]
    """Stride in px -> the last layer of that stride, as `stable_names` calls it."""
    file: str
    """Name of its ImageNet weights in the Keras cache."""
    preprocessing: Literal["tf", "caffe", "inside"]
    """What it was fed: -1..1; BGR less the mean; grey values that layers of its own scale."""
    centered: bool = False
    """Its convolutions without padding are given padding, so that features are image_size / s."""


def _vgg(convolutions: tuple[int, ...]) -> dict[int, str]:
    last = {2**block: f"block{block + 1}_conv{count}" for block, count in enumerate(convolutions)}
    return {**last, 32: "block5_pool"}


def _expanded(*blocks: str, top: str) -> dict[int, str]:
    """Name what inverted residual blocks expand to before they halve it: the last of a stride."""
    return {**dict(zip((2, 4, 8, 16), blocks, strict=True)), 32: top}


_APPLICATIONS = keras.applications
_KERNELS = "weights_tf_dim_ordering_tf_kernels"
NETWORKS: dict[str, Network] = {
    "keras_vgg16": Network(
        _APPLICATIONS.VGG16, _vgg((2, 2, 3, 3, 3)), f"vgg16_{_KERNELS}_notop.h5", "caffe"
    ),
    "keras_vgg19": Network(
        _APPLICATIONS.VGG19, _vgg((2, 2, 4, 4, 4)), f"vgg19_{_KERNELS}_notop.h5", "caffe"
    ),
    "keras_resnet50": Network(
        _APPLICATIONS.ResNet50,
        {
            2: "conv1_relu",
            4: "conv2_block3_out",
            8: "conv3_block4_out",
            16: "conv4_block6_out",
            32: "conv5_block3_out",
        },
        f"resnet50_{_KERNELS}_notop.h5",
        "caffe",
    ),
    "keras_mobilenet": Network(
        _APPLICATIONS.MobileNet,
        {2 ** (step + 1): f"conv_pw_{block}_relu" for step, block in enumerate((1, 3, 5, 11, 13))},
        "mobilenet_1_0_224_tf_no_top.h5",
        "tf",
    ),
    "keras_mobilenet_v2": Network(
        _APPLICATIONS.MobileNetV2,
        _expanded(
            # Not out_relu: its 1280 channels, made for 1000 classes, double what decoders cost.
            *(f"block_{block}_expand_relu" for block in (1, 3, 6, 13)),
            top="block_16_project_BN",
        ),
        f"mobilenet_v2_{_KERNELS}_1.0_224_no_top.h5",
        "tf",
    ),
    "keras_efficientnet_b0": Network(
        _APPLICATIONS.EfficientNetB0,
        _expanded(
            *(f"block{block}a_expand_activation" for block in (2, 3, 4, 6)), top="top_activation"
        ),
        "efficientnetb0_notop.h5",
        "inside",
    ),
    "keras_xception": Network(
        _APPLICATIONS.Xception,
        {
            **{
                2 ** (step + 1): f"block{block}_sepconv2_bn"
                for step, block in enumerate((2, 3, 4, 13))
            },
            32: "block14_sepconv2_act",
        },
        f"xception_{_KERNELS}_notop.h5",
        "tf",
        centered=True,
    ),
    "keras_inception_v3": Network(
        _APPLICATIONS.InceptionV3,
        {2: "activation_3", 4: "activation_5", 8: "mixed2", 16: "mixed7", 32: "mixed10"},
        f"inception_v3_{_KERNELS}_notop.h5",
        "tf",
        centered=True,
    ),
}


def _cut(
    reference: keras.Model, network: Network, names: dict[str, str], strides: tuple[int, ...]
) -> keras.Model:
    """Return the part of the network that leads to the features, sharing its layers."""
    session_names = {stable: name for name, stable in names.items()}
    features = {
        f"stride{stride}": reference.get_layer(session_names[network.features[stride]]).output
        for stride in strides
    }
    return keras.Model(reference.input, features, name="backbone")


def _is_scaling(layer: Layer) -> bool:
    return isinstance(layer, layers.Rescaling | layers.Normalization)


def _copy(cut: keras.Model, network: Network, names: dict[str, str], image: Tensor) -> keras.Model:
    """Return the same graph with new layers on `image`, without the layers that scale it."""

    def clone(layer: Layer) -> Layer:
        config = {**layer.get_config(), "name": names[layer.name]}
        if network.centered and config.get("padding") == "valid":
            config["padding"] = "same"
        return type(layer).from_config(config)

    def call(layer: Layer, x: Tensor, **arguments: Option) -> Tensor:
        return x if _is_scaling(layer) else layer(x, **arguments)

    return keras.models.clone_model(
        cut, input_tensors=image, clone_function=clone, call_function=call
    )


def _feed(network: Network, reference: keras.Model) -> pretrained.Feed:
    """Return what the first convolution was fed, as a function of grey values 0..255."""
    one = np.ones(3)
    if network.preprocessing == "tf":
        return pretrained.Feed(scale=one / 127.5, offset=-one)
    if network.preprocessing == "caffe":
        return pretrained.Feed(scale=one, offset=-_CAFFE_MEAN_BGR, channels=_BGR)
    normalization = next(
        layer for layer in reference.layers if isinstance(layer, layers.Normalization)
    )
    mean, variance = (np.asarray(value, np.float64) for value in normalization.get_weights()[:2])
    deviation = np.sqrt(variance)
    if np.allclose(variance, pretrained.RGB_DEVIATION / 255, atol=1e-3):
        # Keras's ImageNet file stores deviations where variances belong, and with
        # weights="imagenet" a further layer divides by their root to make up for it.
        deviation = variance
    return pretrained.Feed(scale=1 / (255 * deviation), offset=-mean / deviation)


def build(
    network: Network,
    image: Tensor,
    *,
    strides: tuple[int, ...],
    file: Path | None,
    differences: int = 0,
) -> keras.Model:
    """Build the network up to the last stride on a normalised image.

    Args:
        network: one of `NETWORKS`.
        image: the input, float32 (batch, height, width, channels).
        strides: of the features, rising, px.
        file: weights, of the whole network without a top or of such a backbone; None leaves the
            initial ones.
        differences: how many of the channels, the last, are differences.

    Returns:
        A model named "backbone" with outputs `{"stride2": (batch, height / 2, ...), ...}`.

    Raises:
        errors.BundleError: the file does not hold weights of the network.
    """
    reference = network.constructor(include_top=False, weights=None, input_shape=(None, None, 3))
    names = pretrained.stable_names(layer.name for layer in reference.layers)
    cut = _cut(reference, network, names, strides)
    model = _copy(cut, network, names, image)
    if file is None:
        return model
    if pretrained.is_backbone(file):
        pretrained.load(model, file, differences=differences)
        return model
    pretrained.load_reference(reference, file)
    first = pretrained.first_convolution(reference)
    for layer in cut.layers:
        if layer.weights and layer is not first and not _is_scaling(layer):
            model.get_layer(names[layer.name]).set_weights(layer.get_weights())
    pretrained.redefine(model, reference, _feed(network, reference), differences=differences)
    return model
