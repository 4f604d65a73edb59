"""Pose: a network says in which poses a part may lie, a refinement measures which one it is."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors, thresholds
from inspection_tf.engines.network import checked
from inspection_tf.projection import setup_files
from inspection_tf.tasks import once, preparation
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
from inspection_tf.tasks.pose import measuring, modes, papers, rules
from inspection_tf.tasks.pose.rules import PoseOutput
from inspection_tf.tasks.pose.settings import Settings
from inspection_tf.tasks.whole import SeesWholeImages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inspection_tf import config, evaluation, images, plots
    from inspection_tf.datasets.readers.layouts import LabelKind
    from inspection_tf.datasets.records import Record, Records
    from inspection_tf.tasks.pose.comparison import PoseLabel

NAME = "pose"
FINDER = "finder"
PART = setup_files.NAME
"""File of a bundle with the part, its scanner and its beam."""
_OUTPUT = "pose_modes"
_AXES = ("batch", "modes", "numbers")
_TURN, _MOVE = "pose_turn_difference_deg", "pose_place_difference_mm"
_START = "pose_start_difference_deg"
_FEWEST = 3  # poses of the network that a verdict tells


class PoseTask(SeesWholeImages):
    """A network finds poses that a part may have; a refinement by its model measures the one."""

    name = NAME
    main = FINDER
    settings = Settings
    learning: tuple[str, ...] = ("inspection_tf.tasks.pose.learning.pose_learning",)
    keras_modules: tuple[str, ...] = (
        "inspection_tf.tasks.pose.learning.heads",
        "inspection_tf.tasks.pose.learning.losses",
    )
    compares = False
    label_kind: "LabelKind" = "pose"
    output_axes: Mapping[str, tuple[str, ...]] = {_OUTPUT: _AXES}
    limits: Mapping[str, Limit] = {
        _TURN: Limit(0.01, "orientations", "deg"),
        _MOVE: Limit(0.01, "places", "mm"),
        # What is refined from there is the same: a network in few bits may be off by so much.
        _START: Limit(1.0, "poses to start from", "deg"),
    }
    golden_counts = (1, 1)
    assets: tuple[str, ...] = (PART,)

    def graphs(
        self,
        settings: "config.Section",
        preprocessing: "images.Preprocessing",
        classes: Sequence[str],
    ) -> tuple[GraphSpec, ...]:
        """Return the network that finds poses."""
        unit = "share of 1; phi, theta, psi deg; x, y, z mm; deviations of these six"
        shape = ("batch", "modes", modes.NUMBERS)
        return (GraphSpec(FINDER, _OUTPUT, "pose_modes", unit, shape, is_exact=True),)

    def problem(self, context: Context) -> str:
        """Return what does not fit: the part's file cannot be read."""
        data = context.assets.get(PART)
        if data is None:
            return f"a bundle that measures poses must hold {PART}"
        try:
            measuring.setup_of(data)
        except errors.BundleError as problem:
            requirement, _, _ = errors.first_line(problem).partition(". Got")
            return requirement
        return ""

    def prepare(self, image: Pixels, template: Pixels | None, context: Context) -> Prepared:
        """Bring an X-ray to what the network takes; the refinement reads it as it came."""
        preparation.require_template(template, context)
        found = preparation.one_image(image, context.preprocessing)
        if not context.settings_as(Settings).refine:
            return found
        size = measuring.setup_of(context.assets[PART]).scanner.size
        grey = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
        if grey.shape != size:
            got = " x ".join(str(side) for side in grey.shape)
            raise errors.ImageError(
                f"An X-ray must be grey, of the detector's {size[0]} x {size[1]} px (height x "
                f"width). Got {got}. Give the image as the detector made it."
            )
        return Prepared(found.image, None, found.placement, source=grey)

    def run(
        self,
        networks: Networks,
        batch: Sequence[Prepared],
        context: Context,
        *,
        every_stage: bool = False,
    ) -> list[Output]:
        """Run the network on all images, then refine what it found on each of them."""
        image, _ = preparation.batched(batch)
        found = networks[FINDER].run(image)
        rows = checked(found, (len(batch), *found.shape[1:2], modes.NUMBERS))
        settings = context.settings_as(Settings)
        count = max(_FEWEST, settings.refinement.starts)
        likely = [
            modes.likeliest(own, count, apart_deg=settings.apart_deg, symmetry=settings.symmetry)
            for own in rows
        ]
        jobs = {
            index: self._job(likely[index], prepared.source, context)
            for index, prepared in enumerate(batch)
            if settings.refine and prepared.source is not None and likely[index]
        }
        measured = dict(zip(jobs, once.results(list(jobs.values())), strict=True))
        return [
            PoseOutput(tuple(likely[index]), own, measured.get(index))
            for index, own in enumerate(rows)
        ]

    def _job(self, likely: Sequence[modes.Mode], source: Pixels, context: Context) -> measuring.Job:
        settings, part = context.settings_as(Settings), context.assets[PART]
        starts = modes.starts(
            likely,
            settings.refinement.starts,
            least=settings.min_probability,
            sees_depth=measuring.setup_of(part).scanner.beam == "cone",
        )
        return measuring.Job(source, part, starts, settings)

    def decide(self, output: Output, prepared: Prepared, context: Context) -> decision.Verdict:
        """Apply the limits and tolerances."""
        return rules.decide(output_as(output, PoseOutput), prepared, context)

    def as_array(self, output: Output, prepared: Prepared, context: Context) -> NDArray[np.float32]:
        """Return (12,): the rotation row by row, then x, y and z; 0 where no pose is.

        The place is told in fields of view: as small a share of it as of a turn is rounding.
        """
        found = rules.found(output_as(output, PoseOutput), context.settings_as(Settings)).pose
        if found is None:
            return np.zeros(12, np.float32)
        field = min(measuring.setup_of(context.assets[PART]).scanner.field_of_view_mm)
        return np.append(found.rotation.ravel(), found.position / field).astype(np.float32)

    def subjects(self, *, of_parts: bool) -> str:
        """Return what must not escape."""
        return "parts that deviate" if of_parts else "images with a deviation"

    def scores(self, output: Output, prepared: Prepared, context: Context) -> dict[str, float]:
        """Return the score of the verdict."""
        settings = context.settings_as(Settings)
        return {"score": rules.score(output_as(output, PoseOutput), settings)}

    def arrays(self, output: Output) -> tuple[NDArray[np.float32], ...]:
        """Return the rows of the network."""
        return (output_as(output, PoseOutput).rows,)

    def follow(
        self, networks: Networks, prepared: Prepared, leader: Output, context: Context
    ) -> tuple[Output, Output]:
        """Run the network: no later one hangs on what the leader found."""
        (output,) = self.run(networks, [prepared], context)
        return output, output

    def distances(
        self, first: Output, second: Output, prepared: Prepared, context: Context
    ) -> dict[str, float]:
        """Return by how much two poses are turned and moved against each other, and their starts.

        Where both are refused there is no pose that counts. Of starts the likeliest of each side is
        compared with the nearest of the other: which of two twins is likelier may change.
        """
        settings = context.settings_as(Settings)
        outputs = [output_as(output, PoseOutput) for output in (first, second)]
        one, other = (rules.found(output, settings).pose for output in outputs)
        verdicts = [self.decide(output, prepared, context) for output in outputs]
        start = modes.apart(outputs[0].modes, outputs[1].modes, symmetry=settings.symmetry)
        # Nothing is exact without a refinement, and nothing counts of what both refuse.
        if not settings.refine or all(verdict.outcome == "REVIEW" for verdict in verdicts):
            return {_TURN: 0.0, _MOVE: 0.0, _START: start}
        if one is None or other is None:
            return {_TURN: math.inf, _MOVE: math.inf, _START: start}
        turn = one.turn_to(other.nearest_alike(one, settings.symmetry))
        move = float(np.abs(one.position - other.position).max())
        return {_TURN: turn, _MOVE: move, _START: start}

    def run_on_labels(
        self, networks: Networks, record: "Record", prepared: Prepared, context: Context
    ) -> None:
        """Run nothing: the network saw every image."""

    def choose(
        self,
        tuned: "Sequence[tuple[Networks, Records]]",
        spec: thresholds.ThresholdSpec,
        context: Context,
    ) -> OperatingPoints:
        """Choose the threshold; by limits that are given there is nothing to choose."""
        if context.settings_as(Settings).decide_by == "threshold":
            return preparation.choose_by_score(self, tuned, spec, context)
        return preparation.given_point(tuned, threshold=rules.AT_LIMIT, method="limits")

    def pixel_threshold(self, chosen: float, threshold: float) -> float:
        """Return the one that was chosen: there is no map of probabilities."""
        return chosen

    def papers(self, context: Context) -> Papers:
        """Return what a bundle says that measures poses."""
        return papers.papers(context)

    @property
    def measures(self) -> "evaluation.Measures":
        """Errors of angles and places."""
        from inspection_tf.tasks.pose.measures import MEASURES

        return MEASURES

    def labels(self, record: "Record", context: Context) -> "PoseLabel":
        """Read how the part of an image lies."""
        from inspection_tf.tasks.pose import comparison

        return comparison.read_label(record)

    def compare(
        self,
        record: "Record",
        verdict: decision.Verdict,
        context: Context,
        *,
        audit: bool = False,
    ) -> "evaluation.ImageResult":
        """Compare the pose of a verdict with the true one; no rule hides any."""
        from inspection_tf.tasks.pose import comparison

        return comparison.compare(record, verdict, context)

    def pictures(
        self,
        rows: "Sequence[evaluation.ImageResult]",
        show: "plots.Show",
        report: "evaluation.Report",
    ) -> "Mapping[str, Callable[[], Figure] | None]":
        """Return errors beside phi, prediction beside truth, and the worst images."""
        from inspection_tf.tasks.pose import pictures

        return pictures.draw(rows, show)


TASK = PoseTask()
