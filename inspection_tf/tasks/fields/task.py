"""Fields: a network locates the four corners of a field, a second one refines each of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from inspection_tf.tasks.fields import closeups, papers, refinement, rules
from inspection_tf.tasks.fields.refinement import FieldCorners
from inspection_tf.tasks.fields.settings import Settings
from inspection_tf.tasks.whole import SeesWholeImages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inspection_tf import config, evaluation, images, plots
    from inspection_tf.datasets.readers.layouts import LabelKind
    from inspection_tf.datasets.records import Record, Records
    from inspection_tf.tasks.fields.comparison import CornerLabels

NAME = "corners"
LOCATOR, REFINER = "locator", "refiner"
_OUTPUT = "corners"
_UNIT = "shares of width and height; the last a probability"


@dataclass(frozen=True, slots=True)
class FieldOutput:
    """What the networks say of an image.

    Attributes:
        coarse: of the locator, in shares of the network's input.
        located: after the refiner if there is one, in shares of the source.
    """

    coarse: FieldCorners
    located: FieldCorners


class Fields(SeesWholeImages):
    """A locator finds the four corners of a field; a refiner sees a close-up of each of them."""

    name = NAME
    main = LOCATOR
    settings = Settings
    learning: tuple[str, ...] = ("inspection_tf.tasks.fields.learning.corner_learning",)
    keras_modules: tuple[str, ...] = (
        "inspection_tf.tasks.fields.learning.network",
        "inspection_tf.tasks.fields.learning.losses",
    )
    compares = False
    label_kind: "LabelKind" = "corners"
    output_axes: Mapping[str, tuple[str, ...]] = {_OUTPUT: ("batch", "numbers")}
    limits: Mapping[str, Limit] = {"corner_difference_px": Limit(0.1, "corners", "px")}
    golden_counts = (2, 2)
    assets: tuple[str, ...] = ()

    def graphs(
        self,
        settings: "config.Section",
        preprocessing: "images.Preprocessing",
        classes: Sequence[str],
    ) -> tuple[GraphSpec, ...]:
        """Return the locator, and the refiner where the settings say what it sees."""
        locator = GraphSpec(LOCATOR, _OUTPUT, "corners", _UNIT, ("batch", 9), is_exact=True)
        spec = settings.closeups if isinstance(settings, Settings) else None
        if spec is None:
            return (locator,)
        refiner = GraphSpec(
            REFINER,
            _OUTPUT,
            "corners",
            _UNIT,
            ("batch", 3),
            file="refiner.onnx",
            source="source/refiner.keras",
            when="located",
            size=(spec.size_px, spec.size_px),
            per_image=4,
            is_exact=True,
        )
        return locator, refiner

    def prepare(self, image: Pixels, template: Pixels | None, context: Context) -> Prepared:
        """Bring a photo to what the locator takes; the refiner sees its own pixels."""
        preparation.require_template(template, context)
        has_refiner = context.settings_as(Settings).closeups is not None
        return preparation.one_image(image, context.preprocessing, keeps_pixels=has_refiner)

    def run(
        self,
        networks: Networks,
        batch: Sequence[Prepared],
        context: Context,
        *,
        every_stage: bool = False,
    ) -> list[Output]:
        """Run the locator on all photos, then the refiner on each of them."""
        spec, refiner = context.settings_as(Settings).closeups, networks.get(REFINER)
        image, _ = preparation.batched(batch)
        return [
            FieldOutput(coarse, refinement.refined(coarse, prepared, spec, refiner))
            for coarse, prepared in zip(
                refinement.locate(networks[LOCATOR], image), batch, strict=True
            )
        ]

    def decide(self, output: Output, prepared: Prepared, context: Context) -> decision.Verdict:
        """Apply the thresholds and the rules to the corners in px of the source."""
        size = prepared.placement.source_size
        located = output_as(output, FieldOutput).located
        return rules.locate(
            located.to_px(size),
            located.confidence,
            context.operating_point,
            context.settings_as(Settings).rules,
            image_size=size,
            classes=context.classes,
        )

    def as_array(self, output: Output, prepared: Prepared, context: Context) -> NDArray[np.float32]:
        """Return (9,): the corners in shares of the source, then the confidence."""
        return output_as(output, FieldOutput).located.as_row()

    def subjects(self, *, of_parts: bool) -> str:
        """Return what must not escape."""
        return f"{'parts' if of_parts else 'photos'} without the field"

    def pixel_threshold(self, chosen: float, threshold: float) -> float:
        """Return the one that was chosen: there is no map."""
        return chosen

    def papers(self, context: Context) -> Papers:
        """Return what a bundle says that locates a field."""
        return papers.papers(context)

    def scores(self, output: Output, prepared: Prepared, context: Context) -> dict[str, float]:
        """Return the score of the verdict, and what it would be without the refiner."""
        coarse = output_as(output, FieldOutput).coarse
        score = self.decide(output, prepared, context).score
        return {"score": score, "coarse_score": 1.0 - coarse.confidence}

    def arrays(self, output: Output) -> tuple[NDArray[np.float32], ...]:
        """Return corners and confidence, before and after the refiner."""
        found = output_as(output, FieldOutput)
        return found.located.as_row(), found.coarse.as_row()

    def follow(
        self, networks: Networks, prepared: Prepared, leader: Output, context: Context
    ) -> tuple[Output, Output]:
        """Run both networks, and the refiner on the close-ups that the leader's saw.

        One that is cut a millionth of a pixel aside can differ in a rounded grey value.
        """
        (output,) = self.run(networks, [prepared], context)
        spec, refiner = context.settings_as(Settings).closeups, networks.get(REFINER)
        coarse = output_as(leader, FieldOutput).coarse
        same = refinement.refined(coarse, prepared, spec, refiner)
        return output, FieldOutput(output_as(output, FieldOutput).coarse, same)

    def distances(
        self, first: Output, second: Output, prepared: Prepared, context: Context
    ) -> dict[str, float]:
        """Return the largest distance of two corners in px of the source, of both networks.

        Where neither side finds a field there are no corners.
        """
        outputs = [output_as(output, FieldOutput) for output in (first, second)]
        verdicts = [self.decide(output, prepared, context) for output in outputs]
        off = 0.0
        if any(verdict.corners_xy is not None for verdict in verdicts):
            px = [refinement.both_px(output.coarse, output.located, prepared) for output in outputs]
            off = float(np.hypot(*(px[0] - px[1]).T).max())
        return {"corner_difference_px": math.inf if math.isnan(off) else off}

    def run_on_labels(
        self, networks: Networks, record: "Record", prepared: Prepared, context: Context
    ) -> None:
        """Let the refiner see the labelled corners."""
        spec, refiner = context.settings_as(Settings).closeups, networks.get(REFINER)
        corners = record.read_corners(orientation=context.preprocessing.orientation)
        pixels = prepared.pixels
        if spec is None or refiner is None or corners is None or pixels is None:
            return
        refiner.run(closeups.cut(pixels, closeups.frames(corners, spec), spec))

    def choose(
        self,
        tuned: "Sequence[tuple[Networks, Records]]",
        spec: thresholds.ThresholdSpec,
        context: Context,
    ) -> OperatingPoints:
        """Choose the threshold of 1 minus the confidence."""
        return preparation.choose_by_score(self, tuned, spec, context)

    @property
    def measures(self) -> "evaluation.Measures":
        """Errors of corners."""
        from inspection_tf.tasks.fields.measures import MEASURES

        return MEASURES

    def labels(self, record: "Record", context: Context) -> "CornerLabels":
        """Read the corners of the field on a photo, if it shows one."""
        from inspection_tf.tasks.fields import comparison

        return comparison.read_labels(record, context.preprocessing.orientation)

    def compare(
        self,
        record: "Record",
        verdict: decision.Verdict,
        context: Context,
        *,
        audit: bool = False,
    ) -> "evaluation.ImageResult":
        """Compare the corners of a verdict with the true ones; no rule hides any."""
        from inspection_tf.tasks.fields import comparison

        return comparison.compare(record, verdict, context)

    def pictures(
        self,
        rows: "Sequence[evaluation.ImageResult]",
        show: "plots.Show",
        report: "evaluation.Report",
    ) -> "Mapping[str, Callable[[], Figure] | None]":
        """Return the worst photos and the errors of their corners."""
        from inspection_tf.tasks.fields import pictures

        return pictures.draw(rows, show)


TASK = Fields()
