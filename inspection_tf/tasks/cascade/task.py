"""Cascade: one network decides which images a second one searches for defects."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors
from inspection_tf.tasks import preparation
from inspection_tf.tasks.base import (
    Context,
    GraphSpec,
    Networks,
    Output,
    Pixels,
    Prepared,
    output_as,
)
from inspection_tf.tasks.cascade import stages
from inspection_tf.tasks.cascade.settings import Settings
from inspection_tf.tasks.cascade.stages import CLASSIFIER, CascadeOutput
from inspection_tf.tasks.segmentation import maps
from inspection_tf.tasks.segmentation.task import SEGMENTER, segmenter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inspection_tf import config, evaluation, images, plots
    from inspection_tf.datasets.records import Record
    from inspection_tf.tasks.segmentation.labels import MaskLabels


class Cascade:
    """A classifier says OK or what is wrong; a segmenter sees what it does not call OK."""

    name = "two_stage_segmentation"
    main = SEGMENTER
    settings = Settings
    limits: Mapping[str, float] = {}

    def graphs(
        self,
        settings: "config.Section",
        preprocessing: "images.Preprocessing",
        classes: Sequence[str],
    ) -> tuple[GraphSpec, ...]:
        """Return the classifier and the segmenter, in this order."""
        classifier = GraphSpec(
            name=CLASSIFIER,
            output="class_probability",
            kind="class_probability",
            unit="probability",
            shape=("batch", "classes"),
            file="classifier.onnx",
            source="source/classifier.keras",
        )
        return classifier, segmenter(preprocessing, classes, when="NG")

    def prepare(self, image: Pixels, template: Pixels | None, context: Context) -> Prepared:
        """Bring an image, and its template if the bundle compares, to what both networks take."""
        preparation.require_template(template, context)
        if template is not None:
            return preparation.with_template(image, template, context)
        return preparation.one_image(image, context.preprocessing)

    def run(
        self,
        networks: Networks,
        batch: Sequence[Prepared],
        context: Context,
        *,
        every_stage: bool = False,
    ) -> list[Output]:
        """Run the classifier, and the segmenter on the images that the first did not stop."""
        outputs = [
            CascadeOutput(first, None) for first in stages.classify(networks[CLASSIFIER], batch)
        ]
        passed = [
            place
            for place, output in enumerate(outputs)
            if every_stage or not stages.stopped(output.first_score, batch[place], context)
        ]
        if passed:
            chosen = [batch[place] for place in passed]
            found = maps.run(networks[SEGMENTER], chosen, context)
            for place, segmented in zip(passed, found, strict=True):
                outputs[place] = dataclasses.replace(outputs[place], segmented=segmented)
        return list(outputs)

    def decide(self, output: Output, prepared: Prepared, context: Context) -> decision.Verdict:
        """Return the verdict of the classifier where it stops the image, else of the segmenter."""
        found = output_as(output, CascadeOutput)
        verdict = stages.stopped(found.first_score, prepared, context)
        return verdict or self.of_segmenter(found, prepared, context)

    def of_segmenter(
        self, output: CascadeOutput, prepared: Prepared, context: Context
    ) -> decision.Verdict:
        """Apply the thresholds and the rules to the map, whatever the classifier says.

        Its score is noted in the verdict, not judged; with `Rules.class_by` both it helps to name
        the regions.
        """
        if output.segmented is None:
            raise errors.InspectionError("an image has neither a map nor a verdict")
        rules, classes = context.settings_as(Settings).rules, context.classes
        names_by_both = rules.class_by == "both" and len(classes) > 1
        return decision.decide(
            maps.to_source(output.segmented, prepared),
            context.operating_point,
            rules,
            mm_per_px=context.mm_per_px,
            classes=classes,
            stage=SEGMENTER,
            earlier={CLASSIFIER: output.first_score},
            class_weight=output.first[1:] if names_by_both else None,
        )

    def record(
        self, output: Output, prepared: Prepared, context: Context
    ) -> NDArray[np.float32] | None:
        """Return the map in the size of the source; None where the segmenter did not run."""
        segmented = output_as(output, CascadeOutput).segmented
        return None if segmented is None else maps.to_source(segmented, prepared)

    def scores(self, output: Output, verdict: decision.Verdict) -> dict[str, float]:
        """Return the classifier's score, and that of the verdict where the segmenter gave it.

        The score of a stopped image is the classifier's, scaled by both thresholds.
        """
        first = {"first_score": output_as(output, CascadeOutput).first_score}
        return first if verdict.decided_by == CLASSIFIER else {"score": verdict.score, **first}

    @property
    def measures(self) -> "evaluation.Measures":
        """Pixels and regions, of all defects together and of each class."""
        from inspection_tf.tasks.segmentation.measures import MEASURES

        return MEASURES

    def labels(self, record: "Record", context: Context) -> "MaskLabels":
        """Read the mask of an image, and what of it is ignored."""
        from inspection_tf.tasks.segmentation import labels

        return labels.read(record, context.preprocessing.orientation)

    def compare(
        self,
        record: "Record",
        verdict: decision.Verdict,
        context: Context,
        *,
        audit: bool = False,
    ) -> "evaluation.ImageResult":
        """Compare the regions of a verdict with the mask of its image."""
        from inspection_tf.tasks.segmentation import comparison

        rules = context.settings_as(Settings).rules if audit else None
        return comparison.compare(record, verdict, context, rules)

    def pictures(
        self,
        rows: "Sequence[evaluation.ImageResult]",
        show: "plots.Show",
        report: "evaluation.Report",
    ) -> "Mapping[str, Callable[[], Figure] | None]":
        """Return the worst images and, with several classes, what tells these apart."""
        from inspection_tf.tasks.segmentation import pictures

        return pictures.draw(rows, show, report)


TASK = Cascade()
