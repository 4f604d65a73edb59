"""Fields: a network locates the four corners of a field, a second one refines each of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from inspection_tf.tasks.fields import looks, rules
from inspection_tf.tasks.fields.looks import FieldCorners
from inspection_tf.tasks.fields.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inspection_tf import config, evaluation, images, plots
    from inspection_tf.datasets.records import Record
    from inspection_tf.tasks.fields.comparison import CornerLabels

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


class Fields:
    """A locator finds the four corners of a field; a refiner sees a close-up of each of them."""

    name = "corners"
    main = LOCATOR
    settings = Settings
    limits: Mapping[str, float] = {"corner_difference_px": 0.1}

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
            FieldOutput(coarse, looks.refined(coarse, prepared, spec, refiner))
            for coarse, prepared in zip(looks.locate(networks[LOCATOR], image), batch, strict=True)
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

    def record(
        self, output: Output, prepared: Prepared, context: Context
    ) -> NDArray[np.float32] | None:
        """Return (9,): the corners in shares of the source, then the confidence."""
        return output_as(output, FieldOutput).located.as_row()

    def scores(self, output: Output, verdict: decision.Verdict) -> dict[str, float]:
        """Return the score of the verdict."""
        return {"score": verdict.score}

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
