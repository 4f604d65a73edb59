"""The stages of a cascade: what the classifier says of an image, and whether it stops it there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors
from inspection_tf.engines.network import Network, ng_score
from inspection_tf.tasks import class_probability
from inspection_tf.tasks.base import Context, Prepared
from inspection_tf.tasks.preparation import batched
from inspection_tf.tasks.segmentation.maps import MapOutput

CLASSIFIER = "classifier"


@dataclass(frozen=True, slots=True)
class CascadeOutput:
    """What the networks of a cascade say of an image.

    Attributes:
        first: (classes,), what the classifier says: 0..1, OK first.
        segmented: what the segmenter says; None where the classifier stopped the image.
    """

    first: NDArray[np.float32]
    segmented: MapOutput | None

    @property
    def first_score(self) -> float:
        """How sure the classifier is that the image is not OK, 0..1."""
        return ng_score(self.first)

    def map(self) -> MapOutput:
        """Return what the segmenter says.

        Raises:
            errors.InspectionError: the classifier stopped the image.
        """
        if self.segmented is None:
            raise errors.InspectionError("an image has neither a map nor a verdict")
        return self.segmented


def classify(network: Network, batch: Sequence[Prepared]) -> list[NDArray[np.float32]]:
    """Return of each image what the classifier says of it: (classes,), 0..1, OK first.

    Raises:
        errors.BundleError: it returns something else.
    """
    output = network.run(*batched(batch))
    return list(class_probability.per_image(output, images=len(batch)))


def stopped(first_score: float, prepared: Prepared, context: Context) -> decision.Verdict | None:
    """Return the verdict of the classifier on an image that it stops; None where it passes it on.

    Args:
        first_score: of the classifier.
        prepared: the image.
        context: of the bundle.
    """
    return decision.gate(
        first_score,
        context.stage_points[CLASSIFIER],
        context.operating_point,
        stage=CLASSIFIER,
        image_size=prepared.placement.source_size,
        classes=context.classes,
    )
