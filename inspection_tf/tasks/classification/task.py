"""Classification: one network says of which class an image is."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, thresholds
from inspection_tf.engines.network import checked
from inspection_tf.tasks import class_probability, preparation
from inspection_tf.tasks.base import (
    Context,
    GraphSpec,
    Limit,
    Networks,
    OperatingPoints,
    Output,
    OutputSpec,
    Papers,
    Pixels,
    Prepared,
    output_as,
)
from inspection_tf.tasks.classification import papers, probabilities
from inspection_tf.tasks.classification.probabilities import ClassOutput
from inspection_tf.tasks.classification.settings import Settings
from inspection_tf.tasks.whole import SeesWholeImages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inspection_tf import config, evaluation, images, plots
    from inspection_tf.datasets.readers.layouts import LabelKind
    from inspection_tf.datasets.records import Record, Records
    from inspection_tf.tasks.classification.comparison import ClassLabel

NAME = "classification"
CLASSIFIER = "classifier"
_DIFFERENCE = "class_probability_difference"
_EVIDENCE_DIFFERENCE = "class_evidence_difference"
_AXES = ("batch", "rows", "columns", "classes")
_EVIDENCE = OutputSpec("class_evidence", "class_evidence", "logit", _AXES)
_NOVELTY_AXES = ("batch", "novelty")
_NOVELTY = OutputSpec("class_novelty", "class_novelty", "limit", _NOVELTY_AXES)
_NOVELTY_DIFFERENCE = "class_novelty_difference"


class Classification(SeesWholeImages):
    """A network returns the probability of OK and of each class of what can be wrong."""

    name = NAME
    main = CLASSIFIER
    settings = Settings
    learning: tuple[str, ...] = ("inspection_tf.tasks.class_learning",)
    keras_modules: tuple[str, ...] = ()
    compares = True
    label_kind: "LabelKind" = "classes"
    output_axes: Mapping[str, tuple[str, ...]] = {
        class_probability.OUTPUT: class_probability.AXES,
        _EVIDENCE.name: _AXES,
        _NOVELTY.name: _NOVELTY_AXES,
    }
    limits: Mapping[str, Limit] = {
        _DIFFERENCE: Limit(1e-3, "probabilities", "of 1"),
        _EVIDENCE_DIFFERENCE: Limit(1e-2, "shares of places", "in logits"),
        _NOVELTY_DIFFERENCE: Limit(1e-2, "novelties", "of the limit"),
    }
    golden_counts = (2, 2)
    assets: tuple[str, ...] = ()

    def graphs(
        self,
        settings: "config.Section",
        preprocessing: "images.Preprocessing",
        classes: Sequence[str],
    ) -> tuple[GraphSpec, ...]:
        """Return the classifier, with its evidence and novelty where the settings say so."""
        further = _further(settings) if isinstance(settings, Settings) else ()
        return (class_probability.graph(CLASSIFIER, further=further),)

    def problem(self, context: Context) -> str:
        """Return what does not fit: good images are called as one of what can be wrong."""
        name = context.settings_as(Settings).ok_name
        return f"good images have the name of a class, {name}" if name in context.classes else ""

    def prepare(self, image: Pixels, template: Pixels | None, context: Context) -> Prepared:
        """Bring an image, and its template if the bundle compares, to what the network takes."""
        return preparation.whole_image(image, template, context)

    def run(
        self,
        networks: Networks,
        batch: Sequence[Prepared],
        context: Context,
        *,
        every_stage: bool = False,
    ) -> list[Output]:
        """Run the classifier on all images in one call."""
        network, images = networks[CLASSIFIER], preparation.batched(batch)
        names = [spec.name for spec in _further(context.settings_as(Settings))]
        output, *others = network.run_all(*images) if names else [network.run(*images)]
        output = checked(output, (len(batch), 1 + len(context.classes)))
        rows = class_probability.per_image(output, images=len(batch))
        beside = dict(zip(names, others, strict=True))
        found = [ClassOutput(row) for row in rows]
        if (cells := beside.get(_EVIDENCE.name)) is not None:
            cells = checked(cells, (len(batch), *cells.shape[1:3], output.shape[1]))
            found = [one.with_evidence(cell) for one, cell in zip(found, cells, strict=True)]
        if (novelty := beside.get(_NOVELTY.name)) is not None:
            far = checked(novelty, (len(batch), 1))
            found = [one.with_novelty(value) for one, value in zip(found, far, strict=True)]
        return list(found)

    def decide(self, output: Output, prepared: Prepared, context: Context) -> decision.Verdict:
        """Apply the thresholds to the probabilities."""
        return probabilities.decide(output_as(output, ClassOutput), prepared, context)

    def as_array(self, output: Output, prepared: Prepared, context: Context) -> NDArray[np.float32]:
        """Return (1 + classes,): the probabilities."""
        return output_as(output, ClassOutput).probability

    def subjects(self, *, of_parts: bool) -> str:
        """Return what must not escape."""
        return f"defective {'parts' if of_parts else 'images'}"

    def scores(self, output: Output, prepared: Prepared, context: Context) -> dict[str, float]:
        """Return the score of the verdict."""
        found = output_as(output, ClassOutput)
        return {"score": probabilities.score(found.probability, context.settings_as(Settings))}

    def arrays(self, output: Output) -> tuple[NDArray[np.float32], ...]:
        """Return the probabilities and, where the network returns them, evidence and novelty."""
        found = output_as(output, ClassOutput)
        beside = (found.evidence, found.novelty)
        return (found.probability, *(array for array in beside if array is not None))

    def follow(
        self, networks: Networks, prepared: Prepared, leader: Output, context: Context
    ) -> tuple[Output, Output]:
        """Run the classifier: nothing hangs on what the leader found."""
        (output,) = self.run(networks, [prepared], context)
        return output, output

    def distances(
        self, first: Output, second: Output, prepared: Prepared, context: Context
    ) -> dict[str, float]:
        """Return the largest differences of probabilities, of evidence and of the novelty."""
        one, other = (output_as(output, ClassOutput) for output in (first, second))
        return {
            _DIFFERENCE: _largest(one.probability, other.probability),
            _EVIDENCE_DIFFERENCE: _largest(one.evidence, other.evidence),
            _NOVELTY_DIFFERENCE: _largest(one.novelty, other.novelty),
        }

    def run_on_labels(
        self, networks: Networks, record: "Record", prepared: Prepared, context: Context
    ) -> None:
        """Run nothing: the classifier saw every image."""

    def choose(
        self,
        tuned: "Sequence[tuple[Networks, Records]]",
        spec: thresholds.ThresholdSpec,
        context: Context,
    ) -> OperatingPoints:
        """Choose the threshold; by the likeliest class there is nothing to choose."""
        if context.settings_as(Settings).decide_by == "threshold":
            return preparation.choose_by_score(self, tuned, spec, context)
        return preparation.given_point(tuned, threshold=probabilities.EVEN, method="likeliest")

    def pixel_threshold(self, chosen: float, threshold: float) -> float:
        """Return the one that was chosen: there is no map."""
        return chosen

    def papers(self, context: Context) -> Papers:
        """Return what a bundle says that classifies images."""
        return papers.papers(context)

    @property
    def measures(self) -> "evaluation.Measures":
        """Accuracy of classes, and how far probabilities are off."""
        from inspection_tf.tasks.classification.measures import MEASURES

        return MEASURES

    def labels(self, record: "Record", context: Context) -> "ClassLabel":
        """Read the class of an image, and where it is seen if its label says so."""
        from inspection_tf.tasks.classification import comparison

        return comparison.read_label_and_place(record, context)

    def compare(
        self,
        record: "Record",
        verdict: decision.Verdict,
        context: Context,
        *,
        audit: bool = False,
    ) -> "evaluation.ImageResult":
        """Compare the class that was found with the label; no rule hides any."""
        from inspection_tf.tasks.classification import comparison

        return comparison.compare(record, verdict, context)

    def pictures(
        self,
        rows: "Sequence[evaluation.ImageResult]",
        show: "plots.Show",
        report: "evaluation.Report",
    ) -> "Mapping[str, Callable[[], Figure] | None]":
        """Return the worst images and the confusion of classes."""
        from inspection_tf.tasks.classification import pictures

        return pictures.draw(rows, show, report)


def _further(settings: Settings) -> tuple[OutputSpec, ...]:
    """Return what the network returns beside its answer, in its order."""
    wanted = ((_EVIDENCE, settings.has_evidence), (_NOVELTY, settings.has_novelty))
    return tuple(spec for spec, is_wanted in wanted if is_wanted)


def _largest(first: NDArray[np.float32] | None, second: NDArray[np.float32] | None) -> float:
    """Return the largest difference of two arrays; infinite where one is not finite, 0 of none."""
    if first is None or second is None:
        return 0.0
    off = float(np.abs(first - second).max())
    return off if np.isfinite(off) else float("inf")


TASK = Classification()
