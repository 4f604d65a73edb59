"""What the networks of a bundle return for a prepared image, before any threshold."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.engines import onnxruntime_engine
from inspection_tf.engines.onnxruntime_engine import Network
from inspection_tf.images import tiling
from inspection_tf.runtime.judge import Judge
from inspection_tf.runtime.preparation import Prepared
from inspection_tf.tasks.fields import looks

if TYPE_CHECKING:
    from inspection_tf import images


class Runner(Judge):
    """Runs the networks of a bundle; `runtime.Inspector` also reads images and reports.

    Attributes:
        manifest: of the bundle.
        engine: runs the network that finds defects, or a field.
        classifier: runs the network that decides whether the other one is needed; None without one.
        refiner: runs the network that looks at each corner once more; None without one.
        preprocessing: of the images.
    """

    engine: Network
    classifier: Network | None
    refiner: Network | None
    preprocessing: "images.Preprocessing"

    def class_probability(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return what the first stage says of an image: (classes,), 0..1, OK first.

        Raises:
            errors.BundleError: there is no first stage, or it returns something else.
        """
        if self.classifier is None:
            raise errors.BundleError(
                "Only a bundle of two stages has a first score. Got one of one stage. "
                "Ask for its probability."
            )
        output = self.classifier.run(prepared.image, prepared.template)
        row: NDArray[np.float32] = self.classes_of(output, 1)[0]
        return row

    def classes_of(self, output: NDArray[Any], count: int) -> NDArray[np.float32]:
        """Return the first stage's output for `count` images, (count, classes), OK first.

        Raises:
            errors.BundleError: it is something else.
        """
        if output.ndim != 2 or output.shape[0] != count or output.shape[1] < 2:
            raise errors.BundleError(
                f"The classifier must return ({count}, classes), OK first. Got {output.shape}. "
                "Export the bundle again."
            )
        return output

    def ng_score(self, prepared: Prepared) -> float:
        """Return the first stage's score: how sure it is that the image is not OK, 0..1."""
        return onnxruntime_engine.ng_score(self.class_probability(prepared))

    def defect_map(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return the probability of each class of defect in the size of the source.

        Returns:
            (height, width), or (height, width, classes) where there are several classes.
        """
        return self.to_source(self.run(prepared), prepared.placement)

    def output(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return what the networks say of an image, before any threshold, whatever stage decides.

        Returns:
            `defect_map`; or, where a field is located, (9,): see `located`.
        """
        return self.located(prepared) if self.manifest.is_located else self.defect_map(prepared)

    def located(
        self, prepared: Prepared, coarse: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return where the field of an image lies, after the second look if there is one.

        Args:
            prepared: the image.
            coarse: (9,), what the locator returns for it; None: it runs.

        Returns:
            (9,): x and y of top left, top right, bottom right and bottom left as shares of the
            source's width and height, 0 on its left or upper border, then the confidence.

        Raises:
            errors.BundleError: a network returns another shape or dtype than the bundle says.
        """
        if coarse is None:
            coarse = onnxruntime_engine.checked(self.engine.run(prepared.image), (1, 9))[0]
        found = looks.refined(
            looks.FieldCorners.from_row(coarse), prepared, self.manifest.closeups, self.refiner
        )
        return found.as_row()

    def run(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return the segmenter's output: (1, height, width, classes) of the network's input.

        Where the bundle has tiles, of the whole image.

        Raises:
            errors.BundleError: it has another shape or dtype than the bundle says.
        """
        plan, size = self.manifest.tiles, self.preprocessing.size
        if plan is None:
            return self.checked(self.engine.run(prepared.image, prepared.template), size)

        def network(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
            return self.checked(self.engine.run(tiles), size, count=len(tiles))

        classes = len(self.manifest.classes)
        return tiling.run(prepared.image[0], size, plan, network, classes=classes)
