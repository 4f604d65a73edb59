"""Probabilities of classes: what a network says of an image as a whole."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.tasks.base import GraphSpec, OutputSpec

OUTPUT = "class_probability"
AXES = ("batch", "classes")


def graph(
    name: str,
    *,
    file: str = "model.onnx",
    source: str = "source/model.keras",
    further: tuple[OutputSpec, ...] = (),
) -> GraphSpec:
    """Return the description of a network that returns (batch, classes), 0..1, OK first.

    Args:
        name: how the manifest calls it.
        file: ONNX file in the bundle.
        source: Keras file in the bundle that it was exported from.
        further: what it returns besides.
    """
    return GraphSpec(
        name=name,
        output=OUTPUT,
        kind=OUTPUT,
        unit="probability",
        shape=AXES,
        file=file,
        source=source,
        further=further,
    )


def per_image(output: NDArray[np.float32], *, images: int) -> Sequence[NDArray[np.float32]]:
    """Return of each image what a classifier says of it: (classes,), 0..1, OK first.

    Args:
        output: what it returned.
        images: how many it was given.

    Raises:
        errors.BundleError: it returned something else.
    """
    if output.ndim != 2 or output.shape[0] != images or output.shape[1] < 2:
        raise errors.BundleError(
            f"The classifier must return ({images}, classes), OK first. Got {output.shape}. "
            "Export the bundle again."
        )
    return list(output)
