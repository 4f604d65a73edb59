"""The operating point of a bundle to be: maps and scores of the tuning images, then the choice."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import bundle, decision, images, registration, runtime, thresholds
from inspection_tf.datasets.records import Record, Records

_LOWEST_MASK_THRESHOLD = 0.01


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a bundle decides by, besides its networks.

    Attributes:
        preprocessing: of every image, and every template.
        threshold: how the operating point is chosen.
        rules: after the network.
        mm_per_px: scale of the source images.
        alignment: of templates.
    """

    preprocessing: images.Preprocessing
    threshold: thresholds.ThresholdSpec
    rules: decision.Rules
    mm_per_px: float | None = None
    alignment: registration.AlignSpec = dataclasses.field(default_factory=registration.AlignSpec)


@dataclasses.dataclass(frozen=True)
class Networks:
    """Converted networks: the ONNX files of a bundle.

    Attributes:
        segmenter: finds defects.
        classifier: decides whether the segmenter is needed; None without a first stage.
    """

    segmenter: bytes
    classifier: bytes | None = None

    def inspector(self, manifest: bundle.Manifest, *, model_sha256: str = "") -> runtime.Inspector:
        """Start these networks under a manifest."""
        return runtime.Inspector(
            manifest,
            runtime.Engine(self.segmenter),
            model_sha256=model_sha256,
            classifier=runtime.Engine(self.classifier) if self.classifier else None,
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


class Scorer:
    """Runs the networks of a tuning on its images, in one order."""

    def __init__(self, tuning: Tuning, manifest: bundle.Manifest) -> None:
        """Start the networks under a manifest whose thresholds do not matter yet."""
        self.parts = [(networks.inspector(manifest), chosen) for networks, chosen in tuning]
        self.manifest = manifest
        self.is_defect = np.concatenate([chosen.is_defect for _, chosen in tuning])

    def _prepared(
        self, *, defective_only: bool = False
    ) -> Iterator[tuple[runtime.Inspector, Record, runtime.Prepared]]:
        turn = self.manifest.inputs[0].preprocessing.orientation
        for inspector, chosen in self.parts:
            for record in chosen.where(is_defect=True) if defective_only else chosen:
                image = record.read_image(orientation=turn)
                template = record.read_template(orientation=turn)
                yield inspector, record, inspector.prepare(image, template)

    def first(self) -> list[float]:
        """Return the first stage's score of every image."""
        return [inspector.ng_score(prepared) for inspector, _, prepared in self._prepared()]

    def score(self, mask_threshold: float) -> list[float]:
        """Return the score after the rules of every image."""
        return [
            decision.score(
                inspector.defect_map(prepared),
                self.manifest.rules,
                mask_threshold=mask_threshold,
                mm_per_px=self.manifest.mm_per_px,
                classes=self.manifest.classes,
            )
            for inspector, _, prepared in self._prepared()
        ]

    def mask_threshold(self) -> float:
        """Return the pixel threshold of the largest mean Dice over the defective images."""
        turn = self.manifest.inputs[0].preprocessing.orientation
        return thresholds.best_mask_threshold(
            (
                _any_class(inspector.defect_map(prepared))
                for inspector, _, prepared in self._prepared(defective_only=True)
            ),
            (
                record.read_mask(orientation=turn)
                for _, chosen in self.parts
                for record in chosen.where(is_defect=True)
            ),
        )


def _any_class(probability: NDArray[Any]) -> NDArray[Any]:
    return probability if probability.ndim == 2 else np.minimum(probability.sum(axis=-1), 1.0)


def choose(scorer: Scorer, spec: thresholds.ThresholdSpec) -> Points:
    """Choose the pixel threshold, then the thresholds of the scores after the rules.

    Args:
        scorer: of the tuning images.
        spec: the method.

    Raises:
        errors.DataError: the images do not allow the method.
    """
    first = scorer.first() if scorer.manifest.is_cascade else None
    mask_threshold = scorer.mask_threshold()
    while True:
        found = scorer.score(mask_threshold)
        stages = {}
        if first is None:
            whole = thresholds.choose(found, scorer.is_defect, spec, mask_threshold=mask_threshold)
        else:
            stages[bundle.CLASSIFIER], whole = thresholds.choose_jointly(
                first, found, scorer.is_defect, spec, mask_threshold=mask_threshold
            )
        if whole.threshold >= mask_threshold or mask_threshold <= _LOWEST_MASK_THRESHOLD:
            return Points(whole, stages)
        # An image may be NG below the pixel threshold: lower that one too, so that the verdict
        # shows the region it is about.
        mask_threshold = max(_LOWEST_MASK_THRESHOLD, float(whole.threshold))
