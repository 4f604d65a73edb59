"""Why a network says what it says, for heads whose graph does not return it: two maps in Keras.

A classifier with a pooled head returns its evidence itself (`additions.evidence`), so that it is
at hand wherever the bundle runs. These are for any other, and to compare with.
"""

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.models import classifier, place_pool
from inspection_tf.tasks import class_probability

_BATCH = 32
_FIRST_OF_HEAD = ("average_pool", "flatten")


def _check(model: keras.Model, image: NDArray[np.uint8], number: int) -> int:
    """Return the number of classes of a classifier that takes one image like this one.

    Raises:
        errors.ConfigError: it is none, or there is no such class, or the image does not fit.
    """
    outputs = model.output if isinstance(model.output, dict) else {}
    if class_probability.OUTPUT not in outputs or len(model.inputs) != 1:
        raise errors.ConfigError(
            f"An explanation needs a classifier of single images, which returns "
            f"{class_probability.OUTPUT!r}. Got inputs {list(model.input)} and outputs "
            f"{list(outputs)}. Build it with models.classifier."
        )
    classes = int(outputs[class_probability.OUTPUT].shape[-1])
    if not 0 <= number < classes:
        raise errors.ConfigError(
            f"The class must be one of 0 to {classes - 1}. Got {number}. 0 is OK."
        )
    wanted = tuple(model.inputs[0].shape[1:])
    if image.shape != wanted or image.dtype != np.uint8:
        raise errors.ConfigError(
            f"The image must be uint8 of shape {wanted}, as the network takes it. Got "
            f"{image.dtype} of shape {image.shape}. Use images.preprocess."
        )
    return classes


def grad_cam(model: keras.Model, image: NDArray[np.uint8], number: int) -> NDArray[np.float32]:
    """Return where the deepest feature of a classifier speaks for a class: Grad-CAM.

    The channels of the feature are weighted by the mean gradient of the class's logit and summed;
    what is negative is cut off. Source: Selvaraju et al. 2017, eqs. 1 and 2.

    Args:
        model: of `models.classifier.build`, with the head `vgg` or `pooled` and no patches.
        image: (height, width, channels) uint8, as the network takes it.
        number: of the class, 0 for OK.

    Returns:
        (rows, columns) of that feature, at least 0.

    Raises:
        errors.ConfigError: the model is no such classifier, or the image or the class does not fit.
    """
    _check(model, image, number)
    names = {layer.name for layer in model.layers}
    first = next((layer for layer in model.layers if layer.name in _FIRST_OF_HEAD), None)
    if first is None or place_pool.NAME in names:
        raise errors.ConfigError(
            "Grad-CAM needs a head that sees the whole image. Got one whose places, cells or "
            "patches, answer for themselves. Look at their evidence: additions.evidence.attach."
        )
    body = keras.Model(model.input, first.input)
    head = keras.Model(first.input, model.get_layer(classifier.LOGITS).output)
    feature = tf.convert_to_tensor(body({"image": image[None]}, training=False))
    with tf.GradientTape() as tape:
        tape.watch(feature)
        logit = head(feature, training=False)[:, number]
    weight = tf.reduce_mean(tape.gradient(logit, feature), axis=(1, 2), keepdims=True)
    found: NDArray[np.float32] = tf.nn.relu(tf.reduce_sum(weight * feature, axis=-1))[0].numpy()
    return found


def occlusion(
    model: keras.Model,
    image: NDArray[np.uint8],
    number: int,
    *,
    patch_px: int = 32,
    stride_px: int = 16,
) -> NDArray[np.float32]:
    """Return by how much a class gets less likely where the image is covered.

    A square of the image's mean grey value is moved over it; at the borders it is cut off, so that
    every pixel is covered equally often. Source: Zeiler and Fergus 2014, section 4.2.

    Args:
        model: of `models.classifier.build`, with any head.
        image: (height, width, channels) uint8, as the network takes it.
        number: of the class, 0 for OK.
        patch_px: side of the square.
        stride_px: by which it moves.

    Returns:
        (height, width): mean fall of the class's probability over the squares that cover a pixel;
        negative where the class gets likelier.

    Raises:
        errors.ConfigError: the model is no such classifier; the image, the class or a size does not
            fit.
    """
    _check(model, image, number)
    if not 1 <= stride_px <= patch_px:
        raise errors.ConfigError(
            f"stride_px must be 1 to patch_px, {patch_px}, so that every pixel is covered. "
            f"Got {stride_px}. Use half of the patch."
        )
    height, width = image.shape[:2]
    grey = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    starts = [range(stride_px - patch_px, side, stride_px) for side in (height, width)]
    boxes = [
        (slice(max(y, 0), y + patch_px), slice(max(x, 0), x + patch_px))
        for y in starts[0]
        for x in starts[1]
    ]
    plain = _probability(model, image[None], number)[0]
    total, covers = np.zeros((height, width)), np.zeros((height, width))
    for first in range(0, len(boxes), _BATCH):
        some = boxes[first : first + _BATCH]
        covered = np.repeat(image[None], len(some), axis=0)
        for picture, (rows, columns) in zip(covered, some, strict=True):
            picture[rows, columns] = grey
        for value, box in zip(_probability(model, covered, number), some, strict=True):
            total[box] += plain - value
            covers[box] += 1
    return np.asarray(total / covers, np.float32)


def _probability(model: keras.Model, batch: NDArray[np.uint8], number: int) -> NDArray[np.float64]:
    found = model.predict_on_batch({"image": batch})[class_probability.OUTPUT]
    return np.asarray(found[:, number], np.float64)
