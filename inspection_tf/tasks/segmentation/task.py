"""Segmentation: one network finds where defects are."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, thresholds
from inspection_tf.tasks import preparation
from inspection_tf.tasks.base import (
    Context,
    GraphSpec,
    Limit,
    Networks,
    OperatingPoints,
    Output,
    Papers,
    Pixels,
    Prepared,
    output_as,
)
from inspection_tf.tasks.segmentation import maps, papers
from inspection_tf.tasks.segmentation.maps import MapOutput
from inspection_tf.tasks.segmentation.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inspection_tf import config, evaluation, images, plots
    from inspection_tf.datasets.readers.layouts import LabelKind
    from inspection_tf.datasets.records import Record
    from inspection_tf.images.tile_plan import TilePlan
    from inspection_tf.tasks.segmentation import tuning
    from inspection_tf.tasks.segmentation.labels import MaskLabels

NAME = "segmentation"
SEGMENTER = "segmenter"


class MapTask:
    """What tasks share in which a segmenter decides about images whose labels are masks."""

    main = SEGMENTER
    keras_modules: tuple[str, ...] = ()
    compares = True
    label_kind: "LabelKind" = "masks"
    limits: Mapping[str, Limit] = {}

    def rules_of(self, context: Context) -> decision.Rules:
        """Return the rules on regions and on the image."""
        raise NotImplementedError

    def subjects(self, *, of_parts: bool) -> str:
        """Return what must not escape."""
        return f"defective {'parts' if of_parts else 'images'}"

    def pixel_threshold(self, chosen: float, threshold: float) -> float:
        """Return the one that was chosen, or this threshold where it is lower.

        An image may be NG below the pixel threshold; then the verdict shows the region as well.
        """
        from inspection_tf.tasks.segmentation import tuning

        return tuning.pixel_threshold(chosen, threshold)

    def distances(
        self, first: Output, second: Output, prepared: Prepared, context: Context
    ) -> dict[str, float]:
        """Return nothing: scores tell all."""
        return {}

    def run_on_labels(
        self, networks: Networks, record: "Record", prepared: Prepared, context: Context
    ) -> None:
        """Do nothing: with every stage each network sees every image."""

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

        return comparison.compare(record, verdict, context, self.rules_of(context), audit=audit)

    def pictures(
        self,
        rows: "Sequence[evaluation.ImageResult]",
        show: "plots.Show",
        report: "evaluation.Report",
    ) -> "Mapping[str, Callable[[], Figure] | None]":
        """Return the worst images and, with several classes, what tells these apart."""
        from inspection_tf.tasks.segmentation import pictures

        return pictures.draw(rows, show, report)


class Segmentation(MapTask):
    """One network finds where defects are: (height, width, classes), the probability of each."""

    name = NAME
    settings = Settings
    learning: tuple[str, ...] = ("inspection_tf.tasks.segmentation.learning",)
    output_axes: Mapping[str, tuple[str, ...]] = {
        "probability": ("batch", "height", "width", "classes")
    }
    golden_counts = (2, 2)
    assets: tuple[str, ...] = ()

    def rules_of(self, context: Context) -> decision.Rules:
        """Return the rules on regions and on the image."""
        return context.settings_as(Settings).rules

    def graphs(
        self,
        settings: "config.Section",
        preprocessing: "images.Preprocessing",
        classes: Sequence[str],
    ) -> tuple[GraphSpec, ...]:
        """Return the segmenter, which sees a batch of tiles of one image where there are tiles."""
        plan = settings.tiles if isinstance(settings, Settings) else None
        return (segmenter(preprocessing, classes, must_take=plan.batch if plan else 1),)

    def prepare(self, image: Pixels, template: Pixels | None, context: Context) -> Prepared:
        """Bring an image to what the segmenter takes: all of it, in its own scale, for tiles."""
        if template is None and context.settings_as(Settings).tiles is not None:
            spec = context.preprocessing.model_copy(update={"size": image.shape[:2]})
            context = dataclasses.replace(context, preprocessing=spec)
        return preparation.whole_image(image, template, context)

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
            self.rules_of(context),
            mm_per_px=context.mm_per_px,
            classes=context.classes,
        )

    def as_array(self, output: Output, prepared: Prepared, context: Context) -> NDArray[np.float32]:
        """Return the map in the size of the source."""
        return maps.to_source(output_as(output, MapOutput), prepared)

    def problem(self, context: Context) -> str:
        """Return what does not fit about tiles: they need single images in their own scale."""
        plan, spec = context.settings_as(Settings).tiles, context.preprocessing
        if plan is None:
            return ""
        if context.alignment is not None or spec.fit != "exact" or spec.focus.is_wanted:
            return "tiles need one network for single images"
        return plan.problem(spec.size)

    def tiled(self, settings: "config.Section", plan: "TilePlan") -> "config.Section | None":
        """Return the settings with a tile plan."""
        return settings.model_copy(update={"tiles": plan})

    def at_batch_size(self, context: Context, size: int) -> Context:
        """Return a context with so many tiles a call."""
        settings = context.settings_as(Settings)
        if settings.tiles is None:
            return context
        tiles = settings.tiles.model_copy(update={"batch": size})
        changed = settings.model_copy(update={"tiles": tiles})
        return dataclasses.replace(context, settings=changed)

    def papers(self, context: Context) -> Papers:
        """Return what a bundle says that segments defects, in tiles or as a whole."""
        settings = context.settings_as(Settings)
        found, plan = papers.papers(context, settings.rules), settings.tiles
        if plan is None:
            return found
        note = (
            f" Images of any size, in tiles every {plan.stride} px without the {plan.margin} px at "
            f"a tile's borders (blending {plan.blending}, edges {plan.edges})."
        )
        return dataclasses.replace(found, input_note=note + found.input_note)

    def scores(self, output: Output, prepared: Prepared, context: Context) -> dict[str, float]:
        """Return the score after the rules."""
        score = decision.score(
            self.as_array(output, prepared, context),
            self.rules_of(context),
            mask_threshold=context.operating_point.mask_threshold,
            mm_per_px=context.mm_per_px,
            classes=context.classes,
        )
        return {"score": score}

    def arrays(self, output: Output) -> tuple[NDArray[np.float32], ...]:
        """Return the map."""
        return (output_as(output, MapOutput).probability,)

    def follow(
        self, networks: Networks, prepared: Prepared, leader: Output, context: Context
    ) -> tuple[Output, Output]:
        """Run the segmenter: nothing comes after it."""
        (output,) = self.run(networks, [prepared], context)
        return output, output

    def choose(
        self, tuned: "tuning.Tuned", spec: thresholds.ThresholdSpec, context: Context
    ) -> OperatingPoints:
        """Choose the pixel threshold and that of the score."""
        from inspection_tf.tasks.segmentation import tuning

        def run_one(networks: Networks, prepared: Prepared) -> tuple[MapOutput, None]:
            return maps.run(networks[SEGMENTER], [prepared], context)[0], None

        scorer = tuning.Scorer(tuned, context, self.rules_of(context), run_one)
        return tuning.choose_for_maps(scorer, spec)


def segmenter(
    preprocessing: "images.Preprocessing",
    classes: Sequence[str],
    *,
    when: str = "always",
    must_take: int = 1,
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
        must_take=must_take,
    )


TASK = Segmentation()
