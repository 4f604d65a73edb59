"""How unlike the images it was trained on an image is, as an output of a classifier.

A classifier gives every image one of its classes, a part of another kind or before another
background too. What it computes of an image, its features, points nearly the way of those of some
training image where the image is like these. The novelty is the cosine distance to the nearest of
them, in units of the distance that nearly all training images keep to those of other groups: from 1
on an image is less like the training images than these are like each other.

Source: nearest neighbours of features, as in Sun et al. 2022, "Out-of-distribution detection with
deep nearest neighbors"; here the limit comes from groups that are left out, for an image of a new
series is farther from all others than one more of a known series.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.models.side_outputs import joining

OUTPUT = "class_novelty"
MOST = 512
"""Training images whose features are kept."""
_LOGITS = "class_logits"
_SHORTEST = 1e-3  # a limit under which float16 and int8 would decide by their rounding
Vectors = NDArray[np.floating]


def references(count: int, *, most: int = MOST) -> NDArray[np.int64]:
    """Return the rows of the images that stand for all, at most `most` of them, rising.

    They are spread evenly, so that they are like the others: images that stand out, chosen to cover
    much, would be farther from each other than a new image is from them.

    Args:
        count: images, in their order; those of a group stand together.
        most: how many.
    """
    kept = min(count, most)
    return np.arange(kept) * count // kept


def limit(
    vectors: Vectors, groups: Sequence[str], rows: NDArray[np.int64], *, familiar_share: float
) -> float:
    """Return the distance that a share of the training images keep to references of other groups.

    Args:
        vectors: (images, features).
        groups: (images,), the part or series that each one shows.
        rows: of `references`: the network compares with these alone.
        familiar_share: over 0 to 1.

    Raises:
        errors.DataError: all references are of one group.
    """
    names = np.array(groups)
    if len(set(names[rows].tolist())) < 2:
        raise errors.DataError(
            "Novelty needs training images of two groups or more, since its limit is how unlike "
            f"each other these are. Got {len(set(groups))}. Set rules.max_novelty: null."
        )
    unit = _directions(vectors)
    cosine = unit @ unit[rows].T
    cosine[names[:, None] == names[rows]] = -1.0
    distance = 1 - cosine.max(axis=1)
    return max(float(np.quantile(distance, familiar_share, method="higher")), _SHORTEST)


def attach(model: keras.Model, kept: Vectors, distance: float) -> keras.Model:
    """Return a trained classifier with the novelty of an image as one more output.

    Args:
        model: of `classifier.build` without patches; it is not changed.
        kept: (references, features) that its last layer reads of the rows of `references`.
        distance: of `limit`, cosine distance that becomes 1.

    Returns:
        A model with the outputs as before and `class_novelty`, float32 (batch, 1), at least 0; over
        1 where the image is unlike the training images.
    """
    x = model.get_layer(_LOGITS).input
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="novelty_cells_mean")(x)
    x = layers.UnitNormalization(axis=-1, dtype="float32", name="novelty_direction")(x)
    cosines = layers.Dense(len(kept), use_bias=False, dtype="float32", name="novelty_cosines")
    x = cosines(x)
    cosines.set_weights([_directions(kept).astype(np.float32).T])
    x = layers.Reshape((len(kept), 1), name="novelty_by_reference")(x)
    x = layers.GlobalMaxPooling1D(name="novelty_nearest")(x)
    # 1 - cosine, over the limit; a rounding of the cosine of an image with itself is no less.
    x = layers.Rescaling(-1 / distance, offset=1 / distance, dtype="float32", name="novelty")(x)
    return joining.with_output(model, OUTPUT, layers.ReLU(name="novelty_from_0")(x))


def _directions(vectors: Vectors) -> NDArray[np.float64]:
    values = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-12), np.float64)
