"""Cascade: one network decides which images a second one searches for defects."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, thresholds
from inspection_tf.tasks import class_probability, preparation
from inspection_tf.tasks.base import (
    Context,
    GraphSpec,
    Networks,
    OperatingPoints,
    Output,
    Papers,
    Pixels,
    Prepared,
    output_as,
)
from inspection_tf.tasks.cascade import stages
from inspection_tf.tasks.cascade.settings import Settings
from inspection_tf.tasks.cascade.stages import CLASSIFIER, CascadeOutput
from inspection_tf.tasks.segmentation import maps, papers
from inspection_tf.tasks.segmentation.maps import MapOutput
from inspection_tf.tasks.segmentation.task import SEGMENTER, MapTask, segmenter
from inspection_tf.tasks.whole import SeesWholeImages

if TYPE_CHECKING:
    from inspection_tf import config, images
    from inspection_tf.tasks.segmentation import tuning

NAME = "two_stage_segmentation"


class Cascade(SeesWholeImages, MapTask):
    """A classifier says OK or what is wrong; a segmenter sees what it does not call OK."""

    name = NAME
    settings = Settings
    learning: tuple[str, ...] = (
        "inspection_tf.tasks.class_learning",
        "inspection_tf.tasks.segmentation.learning",
    )
    output_axes: Mapping[str, tuple[str, ...]] = {
        class_probability.OUTPUT: class_probability.AXES,
        "probability": ("batch", "height", "width", "classes"),
    }
    # The mix of the talk, 1 NG to 3.4 OK, so that timing them is fair.
    golden_counts = (2, 7)
    assets: tuple[str, ...] = ()

    def rules_of(self, context: Context) -> decision.Rules:
        """Return the rules on regions and on the image, after the segmenter."""
        return context.settings_as(Settings).rules

    def graphs(
        self,
        settings: "config.Section",
        preprocessing: "images.Preprocessing",
        classes: Sequence[str],
    ) -> tuple[GraphSpec, ...]:
        """Return the classifier and the segmenter, in this order."""
        classifier = class_probability.graph(
            CLASSIFIER, file="classifier.onnx", source="source/classifier.keras"
        )
        return classifier, segmenter(preprocessing, classes, when="NG")

    def prepare(self, image: Pixels, template: Pixels | None, context: Context) -> Prepared:
        """Bring an image, and its template if the bundle compares, to what both networks take."""
        return preparation.whole_image(image, template, context)

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
        rules, classes = self.rules_of(context), context.classes
        names_by_both = rules.class_by == "both" and len(classes) > 1
        return decision.decide(
            maps.to_source(output.map(), prepared),
            context.operating_point,
            rules,
            mm_per_px=context.mm_per_px,
            classes=classes,
            stage=SEGMENTER,
            earlier={CLASSIFIER: output.first_score},
            class_weight=output.first[1:] if names_by_both else None,
        )

    def as_array(self, output: Output, prepared: Prepared, context: Context) -> NDArray[np.float32]:
        """Return the map in the size of the source."""
        return maps.to_source(output_as(output, CascadeOutput).map(), prepared)

    def papers(self, context: Context) -> Papers:
        """Return what a bundle says that segments defects, and what comes before."""
        found = papers.papers(context, self.rules_of(context))
        threshold = context.stage_points[CLASSIFIER].threshold
        return dataclasses.replace(
            found,
            before=(
                f"; before it, OK when the {CLASSIFIER}'s sum over all classes but the first is "
                f"under {threshold:.6g}"
            ),
            stages=(
                f"{found.stages}\nBefore it the {CLASSIFIER} looks at each image: one whose score "
                f"is under **{threshold:.6g}** is OK, and the segmenter does not run. Both "
                "thresholds were chosen together, and the promise is that of the whole.\n"
            ),
        )

    def scores(self, output: Output, prepared: Prepared, context: Context) -> dict[str, float]:
        """Return the segmenter's score after the rules, and the classifier's."""
        found = output_as(output, CascadeOutput)
        score = self.of_segmenter(found, prepared, context).score
        return {"score": score, "first_score": found.first_score}

    def arrays(self, output: Output) -> tuple[NDArray[np.float32], ...]:
        """Return the map, if the segmenter ran, and the probabilities of the classifier."""
        found = output_as(output, CascadeOutput)
        segmented = () if found.segmented is None else (found.segmented.probability,)
        return (*segmented, found.first)

    def follow(
        self, networks: Networks, prepared: Prepared, leader: Output, context: Context
    ) -> tuple[Output, Output]:
        """Run both networks: the segmenter sees the image, whatever the classifier says."""
        (output,) = self.run(networks, [prepared], context, every_stage=True)
        return output, output

    def choose(
        self, tuned: "tuning.Tuned", spec: thresholds.ThresholdSpec, context: Context
    ) -> OperatingPoints:
        """Choose the pixel threshold, and those of both scores together."""
        from inspection_tf.tasks.segmentation import tuning

        def run_one(networks: Networks, prepared: Prepared) -> tuple[MapOutput, float]:
            (output,) = self.run(networks, [prepared], context, every_stage=True)
            found = output_as(output, CascadeOutput)
            return found.map(), found.first_score

        scorer = tuning.Scorer(tuned, context, self.rules_of(context), run_one)
        return tuning.choose_for_maps(scorer, spec, first_stage=CLASSIFIER)


TASK = Cascade()
