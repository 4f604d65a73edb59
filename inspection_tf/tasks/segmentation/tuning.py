"""The operating point of networks that return maps: scores of the tuning images, and the choice."""

import functools
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, errors, images, thresholds
from inspection_tf.datasets.records import Record, Records
from inspection_tf.tasks import preparation
from inspection_tf.tasks.base import Context, Networks, OperatingPoints, Prepared
from inspection_tf.tasks.segmentation import labels, maps, regions
from inspection_tf.tasks.segmentation.maps import MapOutput

_LOWEST_MASK_THRESHOLD = 0.01
_ROUNDS = 5  # of lowering the pixel threshold: scores of a weak network follow it for ever

Tuned: TypeAlias = Sequence[tuple[Networks, Records]]
"""Networks and the images whose scores they may give: those they were not trained on."""
RunOne: TypeAlias = Callable[[Networks, Prepared], tuple[MapOutput, float | None]]
"""Runs networks on a prepared image; returns the map, and the score of a first stage or None."""


def _on_disk(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return room for maps in a file without a name, which vanishes with the array."""
    size = 4 * int(np.prod(shape))
    try:
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # a map over a full disk would end the process
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float32, "r+", shape=shape)
    except OSError as problem:
        raise errors.StorageError(
            f"The maps of {shape[0]} images must fit on the disk. Got: {problem.strerror}. "
            "Free space, or set TMPDIR to another disk."
        ) from problem


class Scorer:
    """What networks say of the tuning images, in one order; each image runs once.

    Maps wait in a temporary file, as the network returned them: there may be many.

    Attributes:
        is_defect: (images,).
        parts: (images,), the part of each; None where nothing is known of any.
        first: the first stage's scores; None without one.
    """

    def __init__(
        self, tuned: Tuned, context: Context, rules: decision.Rules, run_one: RunOne
    ) -> None:
        """Run every network on its images.

        Args:
            tuned: networks and their images.
            context: of the bundle to be, whose thresholds do not matter yet.
            rules: on regions and on the image.
            run_one: runs the networks on a prepared image.

        Raises:
            errors.StorageError: the maps do not fit on the disk.
        """
        self.is_defect = np.concatenate([chosen.is_defect for _, chosen in tuned])
        self.parts = preparation.parts_of(tuned)
        self.first: list[float] | None = None
        self._context, self._rules = context, rules
        self._records: list[Record] = []
        self._placements: list[images.Placement] = []
        size = (*context.preprocessing.size, len(context.classes))
        self._maps = _on_disk((len(self.is_defect), *size))
        for networks, chosen in tuned:
            for record in chosen:
                self._add(record, *run_one(networks, self._prepared(record)))

    def _prepared(self, record: Record) -> Prepared:
        prepared = preparation.from_record(record, self._context)
        self._placements.append(prepared.placement)
        return prepared

    def _add(self, record: Record, found: MapOutput, first: float | None) -> None:
        self._maps[len(self._records)] = found.probability[0]
        self._records.append(record)
        if first is not None:
            self.first = [*(self.first or ()), first]

    def _probability(self, row: int) -> NDArray[np.float32]:
        return maps.laid_out(self._maps[row], self._placements[row])

    def score(self, mask_threshold: float) -> list[float]:
        """Return the score after the rules of every image."""
        return [
            decision.score(
                self._probability(row),
                self._rules,
                mask_threshold=mask_threshold,
                mm_per_px=self._context.mm_per_px,
                classes=self._context.classes,
            )
            for row in range(len(self._records))
        ]

    def regions(self, mask_threshold: float) -> list[thresholds.RegionScores]:
        """Return the regions of every image that the rules let through, beside the true ones."""
        context = self._context
        lowest = thresholds.OperatingPoint(threshold=mask_threshold, mask_threshold=mask_threshold)
        turn = context.preprocessing.orientation
        found = []
        for row, record in enumerate(self._records):
            verdict = decision.decide(
                self._probability(row),
                lowest,
                self._rules,
                mm_per_px=context.mm_per_px,
                classes=context.classes,
            )
            truth = labels.read(record, turn)
            counted = regions.without_ignored(verdict.regions, truth.ignored)
            found.append(regions.score_regions(truth.ids, counted, context.classes))
        return found

    def _counted(self, row: int, turn: images.Orientation) -> NDArray[np.float32]:
        """Return the map of any defect, 0 where pixels count for nothing."""
        probability = _any_class(self._probability(row))
        ignored = labels.read_ignored(self._records[row], turn)
        return probability if ignored is None else np.where(ignored, 0, probability)

    def mask_threshold(self) -> float:
        """Return the pixel threshold that fits the masks of the defective images best."""
        turn = self._context.preprocessing.orientation
        rows = np.flatnonzero(self.is_defect)
        return thresholds.best_mask_threshold(
            (self._counted(int(row), turn) for row in rows),
            (self._records[row].read_mask(orientation=turn) for row in rows),
            parts=None if self.parts is None else [self.parts[row] for row in rows],
        )


def _any_class(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    return probability if probability.ndim == 2 else np.minimum(probability.sum(axis=-1), 1.0)


def choose_for_maps(
    scorer: Scorer, spec: thresholds.ThresholdSpec, *, first_stage: str = ""
) -> OperatingPoints:
    """Choose the pixel threshold, then the thresholds of the scores after the rules.

    Args:
        scorer: of the tuning images.
        spec: the method.
        first_stage: name of the network whose scores the scorer has besides; "" without one.

    Raises:
        errors.DataError: the images do not allow the method.
    """
    mask_threshold = scorer.mask_threshold()
    for _ in range(_ROUNDS):
        scores = scorer.score(mask_threshold)
        stages = {}
        if scorer.first is None:
            whole = thresholds.choose(
                scores,
                scorer.is_defect,
                spec,
                mask_threshold=mask_threshold,
                regions=functools.partial(scorer.regions, mask_threshold),
                groups=scorer.parts,
            )
        else:
            stages[first_stage], whole = thresholds.choose_jointly(
                scorer.first,
                scores,
                scorer.is_defect,
                spec,
                mask_threshold=mask_threshold,
                groups=scorer.parts,
            )
        if whole.threshold >= mask_threshold or mask_threshold <= _LOWEST_MASK_THRESHOLD:
            break
        # An image may be NG below the pixel threshold: lower that one too, so that the verdict
        # shows the region it is about.
        mask_threshold = max(_LOWEST_MASK_THRESHOLD, float(whole.threshold))
    return OperatingPoints(whole, stages)


def pixel_threshold(chosen: float, threshold: float) -> float:
    """Return the pixel threshold beside a threshold of the score that is set by hand.

    Args:
        chosen: the pixel threshold that was chosen at the export.
        threshold: of the score.
    """
    return max(_LOWEST_MASK_THRESHOLD, min(chosen, threshold))
