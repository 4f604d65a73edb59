"""The operating point of a bundle to be: maps and scores of the tuning images, then the choice."""

import dataclasses
import functools
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import bundle, decision, errors, images, runtime, thresholds
from inspection_tf.datasets.records import Record, Records
from inspection_tf.images import registration
from inspection_tf.tasks.fields.closeups import CloseupSpec
from inspection_tf.tasks.fields.rules import FieldRules
from inspection_tf.tasks.segmentation import labels, regions

_LOWEST_MASK_THRESHOLD = 0.01
_NO_MAP = 0.5
_ROUNDS = 5  # of lowering it: scores of a weak network follow it down for ever


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a bundle decides by, besides its networks.

    Attributes:
        preprocessing: of every image, and every template.
        threshold: how the operating point is chosen.
        rules: after the network.
        mm_per_px: scale of the source images.
        alignment: of templates.
        field_rules: what a field can look like, where one is located.
        closeups: what a refiner sees; None without one.
    """

    preprocessing: images.Preprocessing
    threshold: thresholds.ThresholdSpec
    rules: decision.Rules = dataclasses.field(default_factory=decision.Rules)
    mm_per_px: float | None = None
    alignment: registration.AlignSpec = dataclasses.field(default_factory=registration.AlignSpec)
    field_rules: FieldRules = dataclasses.field(default_factory=FieldRules)
    closeups: CloseupSpec | None = None


@dataclasses.dataclass(frozen=True)
class Networks:
    """Converted networks: the ONNX files of a bundle.

    Attributes:
        main: finds defects, or the corners of a field.
        classifier: decides whether the main one is needed; None without a first stage.
        refiner: looks at each corner once more; None without a second look.
    """

    main: bytes
    classifier: bytes | None = None
    refiner: bytes | None = None

    def inspector(self, manifest: bundle.Manifest, *, model_sha256: str = "") -> runtime.Inspector:
        """Start these networks under a manifest."""
        return runtime.Inspector(
            manifest,
            runtime.Engine(self.main),
            model_sha256=model_sha256,
            classifier=runtime.Engine(self.classifier) if self.classifier else None,
            refiner=runtime.Engine(self.refiner) if self.refiner else None,
        )


# Networks and the images whose scores they may give: those they were not trained on.
Tuning = Sequence[tuple[Networks, Records]]


@dataclasses.dataclass(frozen=True)
class Points:
    """The thresholds of a bundle.

    Attributes:
        whole: of the deciding score; promises for all stages together.
        stages: of the graphs before it.
    """

    whole: thresholds.OperatingPoint
    stages: dict[str, thresholds.OperatingPoint] = dataclasses.field(default_factory=dict)


def prepare(inspector: runtime.Inspector, record: Record) -> runtime.Prepared:
    """Read a record as an inspector's networks take it."""
    return inspector.prepare(*record.read_pair(orientation=inspector.preprocessing.orientation))


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
    """What the networks of a tuning say of its images, in one order; each image runs once.

    Maps wait in a temporary file, as the network returned them: there may be many.

    Attributes:
        manifest: whose thresholds do not matter yet.
        is_defect: (images,).
        parts: (images,), the part of each; None where nothing is known of any.
        first: the first stage's scores; None without one.
    """

    def __init__(self, tuning: Tuning, manifest: bundle.Manifest) -> None:
        """Run every network on its images.

        Raises:
            errors.StorageError: the maps do not fit on the disk.
        """
        self.manifest = manifest
        self.is_defect = np.concatenate([chosen.is_defect for _, chosen in tuning])
        self.parts = _parts(tuning)
        self.first: list[float] | None = [] if manifest.is_cascade else None
        self._records: list[Record] = []
        self._placements: list[images.Placement] = []
        size = (*manifest.inputs[0].preprocessing.size, len(manifest.classes))
        self._maps = _on_disk((len(self.is_defect), *size))
        for networks, chosen in tuning:
            self._run(networks.inspector(manifest), chosen)

    def _run(self, inspector: runtime.Inspector, chosen: Records) -> None:
        self._inspector = inspector
        for record in chosen:
            prepared = prepare(inspector, record)
            self._maps[len(self._records)] = inspector.run(prepared)[0]
            self._records.append(record)
            self._placements.append(prepared.placement)
            if self.first is not None:
                self.first.append(inspector.ng_score(prepared))

    def _probability(self, row: int) -> NDArray[np.float32]:
        return self._inspector.to_source(self._maps[row][None], self._placements[row])

    def score(self, mask_threshold: float) -> list[float]:
        """Return the score after the rules of every image."""
        return [
            decision.score(
                self._probability(row),
                self.manifest.rules,
                mask_threshold=mask_threshold,
                mm_per_px=self.manifest.mm_per_px,
                classes=self.manifest.classes,
            )
            for row in range(len(self._records))
        ]

    def regions(self, mask_threshold: float) -> list[thresholds.RegionScores]:
        """Return the regions of every image that the rules let through, beside the true ones."""
        manifest = self.manifest
        lowest = thresholds.OperatingPoint(threshold=mask_threshold, mask_threshold=mask_threshold)
        turn = manifest.inputs[0].preprocessing.orientation
        found = []
        for row, record in enumerate(self._records):
            verdict = decision.decide(
                self._probability(row),
                lowest,
                manifest.rules,
                mm_per_px=manifest.mm_per_px,
                classes=manifest.classes,
            )
            truth = labels.read(record, turn)
            counted = regions.without_ignored(verdict.regions, truth.ignored)
            found.append(regions.score_regions(truth.ids, counted, manifest.classes))
        return found

    def _counted(self, row: int, turn: images.Orientation) -> NDArray[Any]:
        """Return the map of any defect, 0 where pixels count for nothing."""
        probability = _any_class(self._probability(row))
        ignored = self._records[row].read_ignored(orientation=turn)
        return probability if ignored is None else np.where(ignored, 0, probability)

    def mask_threshold(self) -> float:
        """Return the pixel threshold of the largest mean Dice over the defective images."""
        turn = self.manifest.inputs[0].preprocessing.orientation
        rows = np.flatnonzero(self.is_defect)
        return thresholds.best_mask_threshold(
            (self._counted(int(row), turn) for row in rows),
            (self._records[row].read_mask(orientation=turn) for row in rows),
        )


def _parts(tuning: Tuning) -> tuple[str, ...] | None:
    """Return the part of every image; None where nothing is known of any."""
    if all(chosen.parts is None for _, chosen in tuning):
        return None
    return tuple(group for _, chosen in tuning for group in chosen.groups)


def _any_class(probability: NDArray[Any]) -> NDArray[Any]:
    return probability if probability.ndim == 2 else np.minimum(probability.sum(axis=-1), 1.0)


def choose(tuning: Tuning, manifest: bundle.Manifest, spec: thresholds.ThresholdSpec) -> Points:
    """Choose the thresholds of a bundle.

    Args:
        tuning: networks and images whose scores they may give.
        manifest: of the bundle to be, whose thresholds do not matter yet.
        spec: the method.

    Raises:
        errors.DataError: the images do not allow the method.
        errors.StorageError: the maps do not fit on the disk.
    """
    if manifest.is_located:
        return _for_location(tuning, manifest, spec)
    return _for_maps(Scorer(tuning, manifest), spec)


def _for_location(
    tuning: Tuning, manifest: bundle.Manifest, spec: thresholds.ThresholdSpec
) -> Points:
    score, is_defect = [], []
    for networks, chosen in tuning:
        inspector = networks.inspector(manifest)
        for record in chosen:
            prepared = prepare(inspector, record)
            score.append(inspector.conclude(inspector.output(prepared), prepared).score)
            is_defect.append(record.is_defect)
    # There is no map, so what a pixel needs does not matter.
    return Points(
        thresholds.choose(
            np.array(score),
            np.array(is_defect, np.bool_),
            spec,
            mask_threshold=_NO_MAP,
            groups=_parts(tuning),
        )
    )


def _for_maps(scorer: Scorer, spec: thresholds.ThresholdSpec) -> Points:
    """Choose the pixel threshold, then the thresholds of the scores after the rules.

    Args:
        scorer: of the tuning images.
        spec: the method.

    Raises:
        errors.DataError: the images do not allow the method.
    """
    mask_threshold = scorer.mask_threshold()
    for _ in range(_ROUNDS):
        found = scorer.score(mask_threshold)
        stages = {}
        if scorer.first is None:
            whole = thresholds.choose(
                found,
                scorer.is_defect,
                spec,
                mask_threshold=mask_threshold,
                regions=functools.partial(scorer.regions, mask_threshold),
                groups=scorer.parts,
            )
        else:
            stages[bundle.CLASSIFIER], whole = thresholds.choose_jointly(
                scorer.first,
                found,
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
    return Points(whole, stages)
