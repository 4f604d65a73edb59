"""The networks of a bundle under its thresholds: prepares, runs and decides; knows no files."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspection_tf import decision
    from inspection_tf.tasks.base import Context, Networks, Output, Pixels, Prepared, Task


class Runner:
    """Runs the networks of a bundle and decides; `runtime.Inspector` also reads and reports.

    Attributes:
        task: of the bundle.
        networks: by the names of their graphs.
        context: thresholds, rules and whatever else the task decides by.
    """

    def __init__(self, task: "Task", networks: "Networks", context: "Context") -> None:
        """Join a task, its networks and what they decide by."""
        self.task = task
        self.networks = networks
        self.context = context

    def prepare_decoded(self, image: "Pixels", template: "Pixels | None" = None) -> "Prepared":
        """Bring a decoded image to what the networks take; what comes out may share its memory.

        Args:
            image: (height, width) or (height, width, 3) RGB, uint8 or uint16.
            template: likewise; what the image should look like, where the bundle compares.

        Raises:
            errors.ImageError: a template is missing, of another size, or not wanted; or the image
                does not fit the bundle.
        """
        return self.task.prepare(image, template, self.context)

    def run(self, batch: "Sequence[Prepared]", *, every_stage: bool = False) -> "list[Output]":
        """Return what the networks say of prepared images, before any threshold.

        Args:
            batch: at least one image.
            every_stage: through all networks, also where an early one could stop an image.

        Raises:
            errors.BundleError: a network returns another shape or dtype than the bundle says.
        """
        return self.task.run(self.networks, batch, self.context, every_stage=every_stage)

    def decide(self, output: "Output", prepared: "Prepared") -> "decision.Verdict":
        """Apply the thresholds and rules of the bundle to an output of `run`."""
        return self.task.decide(output, prepared, self.context)

    def judge(self, prepared: "Prepared") -> "decision.Verdict":
        """Run the networks on a prepared image and decide about it."""
        (output,) = self.run([prepared])
        return self.decide(output, prepared)

    def array_of(self, prepared: "Prepared") -> NDArray[np.float32]:
        """Return what the networks say of an image as one array, whatever stage decides.

        Of defects the map in the size of the source, (height, width) or (height, width, classes);
        of a field (9,), its corners in shares of width and height and the confidence.
        """
        (output,) = self.run([prepared], every_stage=True)
        return self.as_array(output, prepared)

    def stage_scores(self, output: "Output", prepared: "Prepared") -> dict[str, float]:
        """Return the scores of the networks before the one that decides, of an output of all."""
        if not self.context.stage_points:
            return {}
        scores = self.task.scores(output, prepared, self.context)
        return {name: score for name, score in scores.items() if name != "score"}

    def as_array(self, output: "Output", prepared: "Prepared") -> NDArray[np.float32]:
        """Return an output of `run` with every stage as one array; see `array_of`."""
        return self.task.as_array(output, prepared, self.context)
