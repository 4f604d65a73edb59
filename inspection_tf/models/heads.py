"""What every segmentation model ends with: logits in the image's size, then probabilities."""

import math

import keras
from keras import layers

from inspection_tf import errors
from inspection_tf.losses.keras_types import Initializer, Tensor
from inspection_tf.models import blocks


def _start(classes: int, defect_prior: float) -> Initializer:
    """Return the last bias with which every class starts at `defect_prior / classes`."""
    if classes == 1:
        return keras.initializers.Constant(math.log(defect_prior / (1 - defect_prior)))
    # softmax(ln p) = p where the p sum to 1.
    share = math.log(defect_prior / classes)
    return keras.initializers.Constant([math.log(1 - defect_prior), *[share] * classes])


def segmentation_head(x: Tensor, *, classes: int, defect_prior: float, resize: int = 1) -> Tensor:
    """Map features to a probability for each pixel and defect class.

    One class: sigmoid. More: softmax over background and classes, of which the background is left
    out, so that it is 1 minus the sum over the others.

    Args:
        x: (batch, height / resize, width / resize, channels).
        classes: C, defect classes without the background.
        defect_prior: 0..1; every pixel starts with this sum over the classes, in equal shares.
        resize: px per cell of `x`; the logits are interpolated to the image's size.

    Returns:
        The tensor `probability`, float32 (batch, height, width, C), in 0..1.

    Raises:
        errors.ConfigError: there is no class.
    """
    if classes < 1:
        raise errors.ConfigError(
            f"classes must count one defect class or more. Got {classes}. "
            "The background is not counted."
        )
    x = layers.Conv2D(
        1 if classes == 1 else classes + 1,
        1,
        kernel_initializer="glorot_uniform",
        bias_initializer=_start(classes, defect_prior),
        name="logits",
    )(x)
    if resize > 1:
        # Interpolating logits, not probabilities, keeps the 0.5 contour straight between cells.
        x = blocks.BilinearUpSampling2D(resize, name="logits_resize")(x)
    # The name `probability` must reach the exported graph, where it is the output's name.
    if classes == 1:
        return layers.Activation("sigmoid", dtype="float32", name="probability")(x)
    x = layers.Activation("softmax", dtype="float32", name="softmax")(x)
    # Read as (batch, rows, columns, channels) in the order "channels first", the last axis is
    # columns: a layer of Keras drops the background, where slicing would put a nameless operation.
    return layers.Cropping2D(
        ((0, 0), (1, 0)), data_format="channels_first", dtype="float32", name="probability"
    )(x)
