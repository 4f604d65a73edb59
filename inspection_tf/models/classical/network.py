# mypy: disallow-subclassing-any=False
"""A classifier that has learned no features: descriptors of the image, then a vector machine.

What scikit-image computes on the processor is computed here by the graph itself, so that a bundle
runs wherever a network does. Source: the talk on cutting inserts, wear by description of texture.
"""

from typing import Literal

import keras
import pydantic
from keras import layers, ops

from inspection_tf import config, errors
from inspection_tf.images import descriptors
from inspection_tf.losses.keras_types import Layer, Option, Shape, Tensor
from inspection_tf.models import input_layers
from inspection_tf.models.classical.co_occurrence import CoOccurrence
from inspection_tf.models.classical.gradients import GradientHistograms
from inspection_tf.models.classical.local_patterns import LocalPatterns
from inspection_tf.models.classical.vector_machine import Machine, VectorMachine

DESCRIPTORS = "descriptors"
"""Name of the layer that returns the numbers that describe an image."""


class Options(descriptors.TextureOptions):
    """What an image is described by in the graph: what needs no region to be found first."""

    families: tuple[Literal["hog", "lbp", "glcm"], ...] = pydantic.Field(
        default=("hog", "lbp", "glcm"), min_length=1
    )
    """hog: directions of gradients; lbp: local patterns; glcm: texture."""


@keras.saving.register_keras_serializable("inspection_tf")
class Luma(layers.Layer):
    """Maps RGB to grey values, both 0..255, rounded: ITU-R BT.601, as everywhere."""

    def call(self, inputs: Tensor) -> Tensor:
        """Return (batch, height, width, 1) from (batch, height, width, 3)."""
        red, green, blue = (inputs[..., k : k + 1] for k in range(3))
        return ops.floor(0.299 * red + 0.587 * green + 0.114 * blue + 0.5)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, height, width, 1)."""
        return *input_shape[:-1], 1


def build(
    *,
    image_size: tuple[int, int],
    channels: int = 1,
    classes: int = 2,
    template: bool = False,
    options: Options | None = None,
    machine: Machine | None = None,
    **overrides: Option,
) -> keras.Model:
    """Build a network that maps a uint8 image to a probability for each class.

    Args:
        image_size: (height, width) in px.
        channels: 1 for grey, 3 for RGB, of which the grey values are described.
        classes: with OK, which is the first.
        template: must be False: one image is described.
        options: the descriptors; `Options()` by default.
        machine: what was fitted to the descriptors; none: one that tells nothing apart.
        **overrides: single fields of `Options`, on top of the options.

    Returns:
        A model with input `image`, uint8 (batch, height, width, channels), and output
        `{"class_probability": float32 (batch, classes)}`, in 0..1, each row adding up to 1. Its
        layer `descriptors` returns the numbers of `images.descriptors` of the same families.

    Raises:
        errors.ConfigError: an option is out of range, the image too small, or there is a template.
    """
    chosen = config.replace(options or Options(), overrides, origin="classical.build")
    if template or classes < 2:
        raise errors.ConfigError(
            "A classical classifier describes one image, and tells two classes apart or more. "
            f"Got {'a template' if template else f'{classes} classes'}. Use classifier.build."
        )
    inputs, x = input_layers.build_inputs(
        image_size=image_size, channels=channels, input_mean=0.0, input_scale=1.0
    )
    if channels > 1:
        x = Luma(name="luma")(x)
    x = layers.Concatenate(name=DESCRIPTORS)([_family(name, chosen)(x) for name in chosen.families])
    fitted = machine or Machine.blank(features=x.shape[-1], classes=classes)
    scale = 1 / fitted.deviation
    x = layers.Rescaling(scale.tolist(), (-fitted.mean * scale).tolist(), name="standardization")(x)
    last = VectorMachine(
        classes=classes, vectors=len(fitted.vectors), gamma=fitted.gamma, name="class_logits"
    )
    x = last(x)
    last.set_machine(fitted)
    probability = layers.Activation("softmax", dtype="float32", name="class_probability")(x)
    return keras.Model(inputs, {"class_probability": probability}, name="classical")


def _family(name: str, options: Options) -> Layer:
    if name == "hog":
        return GradientHistograms(
            cells=options.hog_cells, directions=options.hog_directions, name=name
        )
    if name == "lbp":
        return LocalPatterns(radii=options.lbp_radii, name=name)
    return CoOccurrence(distances=options.glcm_distances, levels=options.glcm_levels, name=name)
