# mypy: disallow-subclassing-any=False
"""How unlike the images it was trained on an image is, as an output of a classifier.

A classifier gives every image one of its classes, a part of another kind or before another
background too. What it computes of an image, its features, is near that of some training image
where the image is like these. The novelty is the distance to the nearest of them, in units of the
distance that nearly all training images keep to those of other groups: from 1 on an image is less
like the training images than these are like each other. Learned features point some way: theirs is
the cosine distance. Standardised descriptors can lie any distance off: theirs is the Euclidean one.

Source: nearest neighbours of features, as in Sun et al. 2022, "Out-of-distribution detection with
deep nearest neighbors"; here the limit comes from groups that are left out, for an image of a new
series is farther from all others than one more of a known series.
"""

from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.losses.keras_types import Config, Option, Shape, Tensor
from inspection_tf.models import classifier
from inspection_tf.models.additions import joining

OUTPUT = "class_novelty"
MOST = 512
"""Training images whose features are kept."""
_SHORTEST = 1e-3  # a limit under which float16 and int8 would decide by their rounding
Vectors = NDArray[np.floating]
Metric = Literal["cosine", "euclidean"]


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
    vectors: Vectors,
    groups: Sequence[str],
    rows: NDArray[np.int64],
    *,
    familiar_share: float,
    metric: Metric = "cosine",
) -> float:
    """Return the distance that a share of the training images keep to references of other groups.

    Args:
        vectors: (images, features).
        groups: (images,), the part or series that each one shows.
        rows: of `references`: the network compares with these alone.
        familiar_share: over 0 to 1.
        metric: of the distance.

    Raises:
        errors.DataError: all references are of one group.
    """
    names = np.array(groups)
    if len(set(names[rows].tolist())) < 2:
        raise errors.DataError(
            "Novelty needs training images of two groups or more, since its limit is how unlike "
            f"each other these are. Got {len(set(groups))}. Set rules.max_novelty: null."
        )
    distance = _distances(vectors, vectors[rows], metric)
    distance[names[:, None] == names[rows]] = np.inf
    nearest = distance.min(axis=1)
    return max(float(np.quantile(nearest, familiar_share, method="higher")), _SHORTEST)


def attach(
    model: keras.Model, kept: Vectors, distance: float, *, metric: Metric = "cosine"
) -> keras.Model:
    """Return a trained classifier with the novelty of an image as one more output.

    Args:
        model: of `classifier.build` without patches, or of `classical.build`; it is not changed.
        kept: (references, features) that its last layer reads of the rows of `references`.
        distance: of `limit`, which becomes 1.
        metric: of the distance.

    Returns:
        A model with the outputs as before and `class_novelty`, float32 (batch, 1), at least 0; over
        1 where the image is unlike the training images.
    """
    x = model.get_layer(classifier.LOGITS).input
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="novelty_cells_mean")(x)
    off = _euclidean(x, kept) if metric == "euclidean" else _cosine(x, kept)
    off = layers.Rescaling(1 / distance, dtype="float32", name="novelty")(off)
    return joining.with_output(model, OUTPUT, layers.ReLU(name="novelty_from_0")(off))


def _cosine(x: Tensor, kept: Vectors) -> Tensor:
    """Return (batch, 1), 1 less the largest cosine."""
    x = layers.UnitNormalization(axis=-1, dtype="float32", name="novelty_direction")(x)
    cosines = layers.Dense(len(kept), use_bias=False, dtype="float32", name="novelty_cosines")
    x = cosines(x)
    cosines.set_weights([_directions(kept).astype(np.float32).T])
    x = layers.Reshape((len(kept), 1), name="novelty_by_reference")(x)
    x = layers.GlobalMaxPooling1D(name="novelty_nearest")(x)
    return layers.Rescaling(-1.0, offset=1.0, dtype="float32", name="novelty_distance")(x)


def _euclidean(x: Tensor, kept: Vectors) -> Tensor:
    """Return (batch, 1), the distance to the nearest."""
    nearest = NearestDistance(references=len(kept), dtype="float32", name="novelty_distance")
    found = nearest(x)
    nearest.set_weights([np.asarray(kept, np.float32)])
    return found


@keras.saving.register_keras_serializable("inspection_tf")
class NearestDistance(layers.Layer):
    """Maps (batch, features) to (batch, 1), the Euclidean distance to the nearest reference."""

    def __init__(self, *, references: int, **kwargs: Option) -> None:
        """Set how many references there are."""
        super().__init__(**kwargs)
        self.references = references

    def build(self, input_shape: Shape) -> None:
        """Make room for the references."""
        shape = (self.references, input_shape[-1])
        self.kept = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="kept")

    def call(self, inputs: Tensor) -> Tensor:
        """Return the distances."""
        squares = ops.sum(inputs * inputs, axis=1, keepdims=True) + ops.sum(self.kept**2, axis=1)
        apart = squares - 2 * ops.matmul(inputs, ops.transpose(self.kept))
        return ops.sqrt(ops.relu(ops.min(apart, axis=1, keepdims=True)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return (batch, 1)."""
        return input_shape[0], 1

    def get_config(self) -> Config:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "references": self.references}


def _distances(vectors: Vectors, kept: Vectors, metric: Metric) -> NDArray[np.float64]:
    """Return (vectors, references)."""
    if metric == "cosine":
        return np.asarray(1 - _directions(vectors) @ _directions(kept).T)
    one, other = (np.asarray(values, np.float64) for values in (vectors, kept))
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def _directions(vectors: Vectors) -> NDArray[np.float64]:
    values = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-12), np.float64)
