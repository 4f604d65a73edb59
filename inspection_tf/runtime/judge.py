"""What a manifest says of the outputs of its networks: thresholds and rules, and nothing is run."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf.engines import onnxruntime_engine
from inspection_tf.tasks.fields import looks

if TYPE_CHECKING:
    from inspection_tf import bundle, decision, images
    from inspection_tf.runtime.preparation import Prepared


class Judge:
    """Applies the thresholds and rules of a bundle; `runtime.Inspector` also runs its networks.

    Attributes:
        manifest: of the bundle.
    """

    manifest: "bundle.Manifest"

    def checked(
        self, output: NDArray[Any], size: tuple[int, int], *, count: int = 1
    ) -> NDArray[np.float32]:
        """Return a segmenter's output for `count` inputs of (height, width) px.

        Raises:
            errors.BundleError: it has another shape or dtype than the bundle says.
        """
        return onnxruntime_engine.checked(output, (count, *size, len(self.manifest.classes)))

    def to_source(self, output: NDArray[Any], placement: "images.Placement") -> NDArray[np.float32]:
        """Bring the segmenter's output for one image to the size of its source; see `defect_map`.

        Raises:
            errors.BundleError: the output has another shape or dtype than the bundle says.
        """
        layers = np.moveaxis(self.checked(output, placement.size)[0], -1, 0)
        maps = [placement.map_to_source(np.ascontiguousarray(layer)) for layer in layers]
        return maps[0] if len(maps) == 1 else np.stack(maps, axis=-1)

    def memory_bytes(self, size: tuple[int, int]) -> int | None:
        """Return the most memory that an image of (height, width) px needs; None without tiles.

        On the float32 ONNX files, by which it was measured. `inspect_many` also holds the images
        that it decodes ahead.
        """
        plan, spec = self.manifest.tiles, self.manifest.inputs[0].preprocessing
        if plan is None:
            return None
        channels = 1 if spec.channels == "gray" else 3
        return plan.memory_bytes(size, channels=channels, classes=len(self.manifest.classes))

    def conclude(self, output: NDArray[Any], prepared: "Prepared") -> "decision.Verdict":
        """Apply thresholds and rules to an `output`."""
        if self.manifest.is_located:
            return self.locate(output, prepared.placement.source_size)
        return self.decide(output)

    def locate(self, located: NDArray[Any], size: tuple[int, int]) -> "decision.Verdict":
        """Apply the bundle's thresholds and rules to the corners of an image.

        Args:
            located: of `located`.
            size: (height, width) of the source, px.
        """
        from inspection_tf.tasks.fields import rules

        return rules.locate(
            looks.FieldCorners.from_row(located).to_px(size),
            float(located[8]),
            self.manifest.operating_point,
            self.manifest.field_rules,
            image_size=size,
            classes=self.manifest.classes,
        )

    def stopped(self, first: float, size: tuple[int, int]) -> "decision.Verdict | None":
        """Return the verdict on an image that the first stage's score keeps from the second.

        Args:
            first: of `ng_score`.
            size: (height, width) of the source, px.
        """
        from inspection_tf import bundle, decision

        return decision.gate(
            first,
            self.manifest.stage_points[bundle.CLASSIFIER],
            self.manifest.operating_point,
            stage=bundle.CLASSIFIER,
            image_size=size,
            classes=self.manifest.classes,
        )

    def decide(
        self, probability: NDArray[Any], *, first: NDArray[Any] | None = None
    ) -> "decision.Verdict":
        """Apply the bundle's thresholds and rules to a map in the source's size.

        Args:
            probability: of `probability`.
            first: of `class_probability`, if the first stage ran: its score is noted in the
                verdict, not judged; with `Rules.class_by` both it helps to name the regions.
        """
        from inspection_tf import bundle, decision

        rules, classes = self.manifest.rules, self.manifest.classes
        by_both = first is not None and rules.class_by == "both" and len(classes) > 1
        return decision.decide(
            probability,
            self.manifest.operating_point,
            rules,
            mm_per_px=self.manifest.mm_per_px,
            classes=classes,
            stage="" if first is None else bundle.SEGMENTER,
            earlier=None
            if first is None
            else {bundle.CLASSIFIER: onnxruntime_engine.ng_score(first)},
            class_weight=first[1:] if first is not None and by_both else None,
        )

    def hidden_defects(
        self, probability: NDArray[Any], mask: NDArray[np.bool_]
    ) -> "tuple[decision.HiddenDefect, ...]":
        """Audit the bundle's rules on a labelled image; see `decision.hidden_defects`."""
        from inspection_tf import decision

        return decision.hidden_defects(
            probability,
            self.manifest.rules,
            mask,
            mask_threshold=self.manifest.operating_point.mask_threshold,
            mm_per_px=self.manifest.mm_per_px,
            classes=self.manifest.classes,
        )
