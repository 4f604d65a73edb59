"""From a trained model to a bundle: convert, choose thresholds, pass the gate, measure, write."""

import dataclasses
import hashlib
import io
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from inspection_tf import (
    bundle,
    decision,
    errors,
    evaluation,
    files,
    images,
    runtime,
    thresholds,
)
from inspection_tf.datasets.records import Record, Records
from inspection_tf.export import card, gate, onnx

_LOG = logging.getLogger("inspection_tf")
_GOLDEN_COUNT = 4


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a bundle decides by, besides its network.

    Attributes:
        preprocessing: of every image.
        threshold: how the operating point is chosen.
        rules: after the network.
        mm_per_px: scale of the source images.
    """

    preprocessing: images.Preprocessing
    threshold: thresholds.ThresholdSpec
    rules: decision.Rules
    mm_per_px: float | None = None


# A converted network and the images whose scores it may give: those it was not trained on.
Tuning = Sequence[tuple[bytes, Records]]


def _maps(tuning: Tuning, terms: Terms) -> Iterator[tuple[Record, NDArray[np.float32]]]:
    for model, chosen in tuning:
        engine = runtime.Engine(model)
        for record in chosen:
            image = record.read_image(orientation=terms.preprocessing.orientation)
            prepared, placement = images.preprocess(image, terms.preprocessing)
            output = engine.run(prepared[None])[0, ..., 0]
            yield record, placement.map_to_source(np.ascontiguousarray(output))


def _scores(tuning: Tuning, terms: Terms, mask_threshold: float) -> list[float]:
    return [
        decision.score(
            probability, terms.rules, mask_threshold=mask_threshold, mm_per_px=terms.mm_per_px
        )
        for _, probability in _maps(tuning, terms)
    ]


def choose_operating_point(tuning: Tuning, terms: Terms) -> thresholds.OperatingPoint:
    """Choose the pixel threshold, then the threshold of the score after the rules.

    Args:
        tuning: converted networks, each with images it was not trained on.
        terms: rules and method.

    Raises:
        errors.DataError: the images do not allow the method.
    """
    defective = [(model, chosen.where(is_defect=True)) for model, chosen in tuning]
    mask_threshold = thresholds.best_mask_threshold(
        (probability for _, probability in _maps(defective, terms)),
        (
            record.read_mask(orientation=terms.preprocessing.orientation)
            for _, chosen in defective
            for record in chosen
        ),
    )
    is_defect = np.concatenate([chosen.is_defect for _, chosen in tuning])
    while True:
        point = thresholds.choose(
            _scores(tuning, terms, mask_threshold),
            is_defect,
            terms.threshold,
            mask_threshold=mask_threshold,
        )
        if point.threshold >= mask_threshold or mask_threshold <= 0.01:
            return point
        # An image may be NG below the pixel threshold: lower that one too, so that the verdict
        # shows the region it is about.
        mask_threshold = max(0.01, float(point.threshold))


def _manifest(
    point: thresholds.OperatingPoint,
    terms: Terms,
    provenance: bundle.Provenance,
    *,
    model_id: str,
) -> bundle.Manifest:
    height, width = terms.preprocessing.size
    return bundle.Manifest(
        model_id=model_id,
        task="segmentation",
        classes=("defect",),
        graphs=(bundle.Graph(name="segmenter", file="model.onnx"),),
        inputs=(bundle.Input(name=onnx.IMAGE, preprocessing=terms.preprocessing),),
        outputs=(
            bundle.Output(
                name=onnx.PROBABILITY,
                kind="probability_map",
                unit="probability",
                shape=("batch", height, width, 1),
            ),
        ),
        operating_point=point,
        rules=terms.rules,
        mm_per_px=terms.mm_per_px,
        provenance=provenance,
    )


def _keras_file(model: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def _golden_records(
    rows: Sequence[evaluation.ImageResult], records: Iterable[Record]
) -> list[Record]:
    """Pick images of both labels, far from the threshold: other processors round differently."""
    by_id = {record.id: record for record in records}
    chosen: list[Record] = []
    for wanted in (True, False):
        candidates = [row for row in rows if row.is_defect == wanted and np.isfinite(row.score)]
        candidates.sort(key=lambda row: (-abs(row.score - row.threshold), row.id))
        chosen += [by_id[row.id] for row in candidates[: _GOLDEN_COUNT // 2]]
    return chosen


def _write_golden(
    draft: bundle.Draft, inspector: runtime.Inspector, chosen: Iterable[Record]
) -> None:
    samples = []
    for number, record in enumerate(chosen):
        image = record.read_image(orientation=inspector.preprocessing.orientation)
        probability = inspector.probability(image)
        verdict = inspector.decide(probability)
        names = {"image": f"golden/{number}.png", "output": f"golden/{number}.npy"}
        buffer = io.BytesIO()
        np.save(buffer, probability, allow_pickle=False)
        draft.write(names["image"], images.encode_png(image))
        draft.write(names["output"], buffer.getvalue())
        samples.append(
            {
                **names,
                "id": record.id,
                "outcome": verdict.outcome,
                "score": verdict.to_dict()["score"],
                "regions": [region.to_dict() for region in verdict.regions],
            }
        )
    draft.write(runtime.GOLDEN, json.dumps(samples, indent=2) + "\n")


@dataclasses.dataclass(frozen=True)
class Shipped:
    """A bundle that was written, and how it did on the images it was measured on.

    Attributes:
        manifest: of the bundle.
        rows: one for each measured image.
        report: in the layout of `metrics.json`.
        inspectors: what measured, and its images.
    """

    manifest: bundle.Manifest
    rows: list[evaluation.ImageResult]
    report: dict[str, Any]
    inspectors: tuple[tuple[runtime.Inspector, Records], ...]

    def show(self, name: str) -> tuple[NDArray[Any], NDArray[np.bool_], decision.Verdict]:
        """Return image, true mask and verdict of a measured image, by its id."""
        for inspector, chosen in self.inspectors:
            for record in chosen:
                if record.id == name:
                    return evaluation.look(inspector, record)
        raise errors.DataError(
            f"The image must have been measured. Got {name!r}. Use an id of rows."
        )


def _measure(
    measured: Tuning, manifest: bundle.Manifest, converted: bytes, split: str
) -> tuple[list[evaluation.ImageResult], dict[str, Any], list[tuple[runtime.Inspector, Records]]]:
    rows: list[evaluation.ImageResult] = []
    inspectors = []
    for model, chosen in measured:
        digest = hashlib.sha256(model or converted).hexdigest()
        inspector = runtime.Inspector(
            manifest, runtime.Engine(model or converted), model_sha256=digest
        )
        rows += evaluation.measure(inspector, chosen)
        inspectors.append((inspector, chosen))
    every = Records.of(record for _, chosen in measured for record in chosen)
    rows.sort(key=lambda row: row.id)
    report = evaluation.report(
        rows, split=split, operating_point=manifest.operating_point, dataset_sha256=every.sha256()
    )
    return rows, report, inspectors


def ship(
    model: keras.Model,
    *,
    out: str | Path,
    tuning: Tuning,
    measured: Tuning,
    split: str,
    terms: Terms,
    provenance: bundle.Provenance,
) -> Shipped:
    """Write a bundle, or nothing.

    Args:
        model: the trained model.
        out: the bundle's folder; must not exist.
        tuning: networks and images that choose the operating point; `b""` means this model.
        measured: networks and images that the reported metrics come from.
        split: what the measured images are called in the report.
        terms: preprocessing, method and rules.
        provenance: where the model comes from.

    Raises:
        errors.ConfigError: `out` holds something already.
        errors.BundleError: the model cannot be exported.
        errors.GateError: the export decides differently; nothing is written.
        errors.DataError: the images do not allow the method of the threshold.
        errors.StorageError: the disk is full; nothing is left behind.
    """
    files.require_free(out)
    converted = onnx.convert(model)
    tuning = [(data or converted, chosen) for data, chosen in tuning]
    point = choose_operating_point(tuning, terms)
    model_id = f"{provenance.recipe}-{hashlib.sha256(converted).hexdigest()[:12]}"
    manifest = _manifest(point, terms, provenance, model_id=model_id)
    final = onnx.set_metadata(
        converted, {"inspection_tf": manifest.for_model(), "model_id": model_id}
    )
    rows, report, inspectors = _measure(measured, manifest, final, split)
    inspector = runtime.Inspector(
        manifest, runtime.Engine(final), model_sha256=hashlib.sha256(final).hexdigest()
    )
    # Cross-validation tunes and measures on the same images; each is compared once.
    every = {record.id: record for _, part in (*tuning, *measured) for record in part}
    parity = gate.compare(model, inspector, every.values())
    _LOG.info(
        "gate: %d images, largest score difference %.2g, %d changed verdicts",
        parity.images,
        parity.max_score_difference,
        len(parity.flips),
    )
    parity.require()
    manifest = manifest.model_copy(update={"parity": parity.to_dict(), "metrics": report})
    with bundle.writing(out) as draft:
        draft.write("model.onnx", final)
        draft.write("source/model.keras", _keras_file(model))
        _write_golden(draft, inspector, _golden_records(rows, every.values()))
        draft.write("MODEL_CARD.md", card.render(manifest))
        manifest = draft.seal(manifest)
        runtime.Inspector.load(draft.root)  # a bundle that refuses itself is never written
    return Shipped(manifest, rows, report, tuple(inspectors))
