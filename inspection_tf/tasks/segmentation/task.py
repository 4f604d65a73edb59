"""Segmentation: one network finds where defects are."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision
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
from inspection_tf.tasks.segmentation import maps
from inspection_tf.tasks.segmentation.maps import MapOutput
from inspection_tf.tasks.segmentation.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inspection_tf import config, evaluation, images, plots
    from inspection_tf.datasets.records import Record
    from inspection_tf.tasks.segmentation.labels import MaskLabels

SEGMENTER = "segmenter"


class Segmentation:
    """One network finds where defects are: (height, width, classes), the probability of each."""

    name = "segmentation"
    main = SEGMENTER
    settings = Settings
    limits: Mapping[str, float] = {}

    def graphs(
        self,
        settings: "config.Section",
        preprocessing: "images.Preprocessing",
        classes: Sequence[str],
    ) -> tuple[GraphSpec, ...]:
        """Return the segmenter."""
        return (segmenter(preprocessing, classes),)

    def prepare(self, image: Pixels, template: Pixels | None, context: Context) -> Prepared:
        """Bring an image to what the segmenter takes: all of it, in its own scale, for tiles."""
        preparation.require_template(template, context)
        if template is not None:
            return preparation.with_template(image, template, context)
        spec = context.preprocessing
        if context.settings_as(Settings).tiles is not None:
            spec = spec.model_copy(update={"size": image.shape[:2]})
        return preparation.one_image(image, spec)

    def run(
        self,
        networks: Networks,
        batch: Sequence[Prepared],
        context: Context,
        *,
        every_stage: bool = False,
    ) -> list[Output]:
        """Run the segmenter."""
        plan = context.settings_as(Settings).tiles
        return list(maps.run(networks[SEGMENTER], batch, context, plan))

    def decide(self, output: Output, prepared: Prepared, context: Context) -> decision.Verdict:
        """Apply the thresholds and the rules to the map in the size of the source."""
        return decision.decide(
            maps.to_source(output_as(output, MapOutput), prepared),
            context.operating_point,
            context.settings_as(Settings).rules,
            mm_per_px=context.mm_per_px,
            classes=context.classes,
        )

    def record(
        self, output: Output, prepared: Prepared, context: Context
    ) -> NDArray[np.float32] | None:
        """Return the map in the size of the source."""
        return maps.to_source(output_as(output, MapOutput), prepared)

    def scores(self, output: Output, verdict: decision.Verdict) -> dict[str, float]:
        """Return the score of the verdict."""
        return {"score": verdict.score}

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


def segmenter(
    preprocessing: "images.Preprocessing", classes: Sequence[str], *, when: str = "always"
) -> GraphSpec:
    """Return the network that finds where defects are."""
    height, width = preprocessing.size
    return GraphSpec(
        name=SEGMENTER,
        output="probability",
        kind="probability_map",
        unit="probability",
        shape=("batch", height, width, len(classes)),
        when=when,
    )


TASK = Segmentation()
