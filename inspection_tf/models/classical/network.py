# mypy: disallow-subclassing-any=False
"""A classifier that has learned no features: descriptors of the image, then a vector machine.

What scikit-image computes on the processor is computed here by the graph itself, so that a bundle
runs wherever a network does. Source: the talk on cutting inserts, wear by description of texture.
"""

from collections.abc import Callable
from typing import Literal

import keras
import numpy as np
import pydantic
from keras import layers, ops
from numpy.typing import NDArray

from inspection_tf import config, errors
from inspection_tf.images import descriptors
from inspection_tf.losses.keras_types import Layer, Option, Shape, Tensor
from inspection_tf.models import classifier, input_layers
from inspection_tf.models.classical.co_occurrence import CoOccurrence
from inspection_tf.models.classical.gradients import GradientHistograms
from inspection_tf.models.classical.local_patterns import LocalPatterns
from inspection_tf.models.classical.rbf_svm import RbfSvm, SvmParameters

DESCRIPTORS = "descriptors"
"""Name of the layer that returns the numbers that describe an image."""
_STANDARDIZATION = "standardization"

Family = Literal["hog", "lbp", "glcm"]


class Options(descriptors.TextureOptions):
    """What an image is described by in the graph: what needs no region to be found first."""

    families: tuple[Family, ...] = pydantic.Field(default=("hog", "lbp", "glcm"), min_length=1)
    """hog: directions of gradients; lbp: local patterns; glcm: texture."""

    @pydantic.field_validator("families")
    @classmethod
    def _families_are_different(cls, families: tuple[Family, ...]) -> tuple[Family, ...]:
        if len(set(families)) < len(families):
            raise ValueError(f"families must be different, got {families}")
        return families


_LAYERS: dict[Family, Callable[[Options], Layer]] = {
    "hog": lambda options: GradientHistograms(
        cells=options.hog_cells, directions=options.hog_directions, name="hog"
    ),
    "lbp": lambda options: LocalPatterns(radii=options.lbp_radii, name="lbp"),
    "glcm": lambda options: CoOccurrence(
        distances=options.glcm_distances, levels=options.glcm_levels, name="glcm"
    ),
}


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
    parameters: SvmParameters | None = None,
    **overrides: Option,
) -> keras.Model:
    """Build a network that maps a uint8 image to a probability for each class.

    Args:
        image_size: (height, width) in px.
        channels: 1 for grey, 3 for RGB, of which the grey values are described.
        classes: with OK, which is the first.
        template: must be False: one image is described.
        options: the descriptors; `Options()` by default.
        parameters: of the machine that was fitted to the descriptors; none: one that tells nothing
            apart.
        **overrides: single fields of `Options`, on top of the options.

    Returns:
        A model with input `image`, uint8 (batch, height, width, channels), and output
        `{"class_probability": float32 (batch, classes)}`, in 0..1, each row adding up to 1. Its
        layer `descriptors` returns the numbers of `images.descriptors` of the same families.

    Raises:
        errors.ConfigError: an option is out of range, the image too small, or there is a template.
    """
    chosen = config.replace(options or Options(), overrides, origin="classical.build")
    if template or classes < 2 or channels not in (1, 3):
        got = f"{channels} channels, {classes} classes{' and a template' if template else ''}"
        raise errors.ConfigError(
            "A classical classifier describes one image, grey or RGB, and tells two classes apart "
            f"or more. Got {got}. Use classifier.build."
        )
    inputs, x = input_layers.build_inputs(
        image_size=image_size, channels=channels, input_mean=0.0, input_scale=1.0
    )
    if channels > 1:
        x = Luma(name="luma")(x)
    x = layers.Concatenate(name=DESCRIPTORS)([_LAYERS[name](chosen)(x) for name in chosen.families])
    fitted = parameters or SvmParameters.blank(features=x.shape[-1], classes=classes)
    scale = 1 / fitted.deviation
    x = layers.Rescaling(scale.tolist(), (-fitted.mean * scale).tolist(), name=_STANDARDIZATION)(x)
    last = RbfSvm(
        classes=classes,
        vector_count=len(fitted.support_vectors),
        gamma=fitted.gamma,
        name=classifier.LOGITS,
    )
    x = last(x)
    last.set_parameters(fitted)
    probability = layers.Activation("softmax", dtype="float32", name="class_probability")(x)
    return keras.Model(inputs, {"class_probability": probability}, name="classical")


def describing(model: keras.Model) -> keras.Model:
    """Return the part of a network of `build` that describes images: (batch, numbers)."""
    # Of one name, so that the features of equal networks are kept under one.
    return keras.Model(model.input, model.get_layer(DESCRIPTORS).output, name=DESCRIPTORS)


def deciding(model: keras.Model) -> keras.Model:
    """Return the part of a network of `build` that maps descriptors to its outputs."""
    return keras.Model(model.get_layer(DESCRIPTORS).output, model.output)


def standardized(model: keras.Model, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return descriptors (images, numbers) as the machine of a network of `build` compares them."""
    layer = model.get_layer(_STANDARDIZATION)
    return (numbers * np.float32(layer.scale) + np.float32(layer.offset)).astype(np.float32)
