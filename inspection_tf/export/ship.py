"""From trained models to a bundle: convert, choose thresholds, pass the gate, measure, write."""

import dataclasses
import hashlib
import logging
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from inspection_tf import bundle, errors, evaluation, files, process, runtime, thresholds
from inspection_tf.datasets.records import Record, Records
from inspection_tf.export import card, gate, kit, onnx, operating_points
from inspection_tf.export.operating_points import Networks, Terms

__all__ = ["Networks", "Shipped", "Terms", "Tuning", "convert", "ship"]

_LOG = logging.getLogger("inspection_tf")
_GOLDEN_COUNT = 4
# A cascade's golden samples keep the talk's mix of 1 NG to 3.4 OK, so that timing them is fair.
_GOLDEN_NG, _GOLDEN_OK = 2, 7
_SHORTLIST = 4  # candidates for each golden sample

# Networks and the images whose scores they may give; None: those that are shipped.
Tuning = Sequence[tuple[Networks | None, Records]]


def convert(
    model: keras.Model,
    classifier: keras.Model | None = None,
    refiner: keras.Model | None = None,
) -> Networks:
    """Convert trained models to ONNX.

    Args:
        model: the segmenter, or the locator.
        classifier: the first stage of a cascade.
        refiner: the second look of a locator.

    Raises:
        errors.BundleError: a model cannot be exported.
    """
    first, second = (None if one is None else onnx.convert(one) for one in (classifier, refiner))
    return Networks(onnx.convert(model), first, second)


def _located(
    records: Records, terms: Terms, provenance: bundle.Provenance, *, model_id: str
) -> bundle.Manifest:
    """Return the manifest of a locator whose threshold is still to be chosen."""
    graphs = [bundle.Graph(name=bundle.LOCATOR, file="model.onnx")]
    if terms.closeups is not None:
        graphs.append(bundle.Graph(name=bundle.REFINER, file="refiner.onnx", when="located"))
    outputs = [
        bundle.Output(
            name=onnx.CORNERS,
            kind="corners",
            unit="shares of width and height; the last a probability",
            shape=("batch", 9 if graph.name == bundle.LOCATOR else 3),
            graph=graph.name,
        )
        for graph in graphs
    ]
    return bundle.Manifest(
        model_id=model_id,
        task="corners",
        classes=records.classes,
        graphs=tuple(graphs),
        inputs=(bundle.Input(name=onnx.IMAGE, preprocessing=terms.preprocessing),),
        outputs=tuple(outputs),
        operating_point=thresholds.OperatingPoint(threshold=0.5),
        rules=terms.rules,
        field_rules=terms.field_rules,
        closeups=terms.closeups,
        mm_per_px=terms.mm_per_px,
        provenance=provenance,
    )


def _provisional(
    classifier: keras.Model | None,
    records: Records,
    terms: Terms,
    provenance: bundle.Provenance,
    *,
    model_id: str,
) -> bundle.Manifest:
    """Return the manifest of a bundle whose thresholds are still to be chosen."""
    if records.has_corners:
        return _located(records, terms, provenance, model_id=model_id)
    height, width = terms.preprocessing.size
    graphs = [bundle.Graph(name=bundle.SEGMENTER, file="model.onnx")]
    outputs = [
        bundle.Output(
            name=onnx.PROBABILITY,
            kind="probability_map",
            unit="probability",
            shape=("batch", height, width, len(records.classes)),
        )
    ]
    points = {}
    if classifier is not None:
        graphs = [
            bundle.Graph(name=bundle.CLASSIFIER, file="classifier.onnx"),
            bundle.Graph(name=bundle.SEGMENTER, file="model.onnx", when="NG"),
        ]
        outputs.append(
            bundle.Output(
                name=onnx.CLASS_PROBABILITY,
                kind="class_probability",
                unit="probability",
                shape=("batch", classifier.output[onnx.CLASS_PROBABILITY].shape[-1]),
                graph=bundle.CLASSIFIER,
            )
        )
        points[bundle.CLASSIFIER] = thresholds.OperatingPoint(threshold=0.5)
    names = [onnx.IMAGE, onnx.TEMPLATE][: 1 + records.has_template]
    return bundle.Manifest(
        model_id=model_id,
        task="segmentation" if classifier is None else "two_stage_segmentation",
        classes=records.classes,
        graphs=tuple(graphs),
        inputs=tuple(bundle.Input(name=name, preprocessing=terms.preprocessing) for name in names),
        outputs=tuple(outputs),
        alignment=terms.alignment,
        operating_point=thresholds.OperatingPoint(threshold=0.5),
        stage_points=points,
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
    rows: Sequence[evaluation.ImageResult], records: Iterable[Record], inspector: runtime.Inspector
) -> list[Record]:
    """Pick images of both labels, rightly judged if there are such, far from the threshold.

    Far, because other processors round differently.
    """
    by_id = {record.id: record for record in records}
    chosen: list[Record] = []
    half, is_cascade = _GOLDEN_COUNT // 2, inspector.classifier is not None
    counts = (_GOLDEN_NG, _GOLDEN_OK) if is_cascade else (half, half)
    for wanted, count in zip((True, False), counts, strict=True):
        candidates = [row for row in rows if row.is_ng == wanted and np.isfinite(row.score)]
        candidates.sort(key=lambda r: (bool(r.error), -abs(r.score - r.threshold), r.id))
        if wanted and is_cascade:  # the score above is the second stage's; NG hangs on both
            del candidates[_SHORTLIST * count :]
            first = {
                row.id: inspector.ng_score(operating_points.prepare(inspector, by_id[row.id]))
                for row in candidates
            }
            candidates.sort(key=lambda r: (bool(r.error), -first[r.id]))
        chosen += [by_id[row.id] for row in candidates[:count]]
    return chosen


def _write_golden(
    draft: bundle.Draft, inspector: runtime.Inspector, chosen: Iterable[Record]
) -> None:
    turn = inspector.preprocessing.orientation
    pairs = [(record.id, *record.read_pair(orientation=turn)) for record in chosen]
    kit.write_golden(draft, inspector, pairs)


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

    def show(self, name: str) -> evaluation.Look:
        """Return image, labels and verdict of a measured image, by its id."""
        for inspector, chosen in self.inspectors:
            for record in chosen:
                if record.id == name:
                    return evaluation.look(inspector, record)
        raise errors.DataError(
            f"The image must have been measured. Got {name!r}. Use an id of rows."
        )


def _measure(
    measured: operating_points.Tuning, manifest: bundle.Manifest, split: str
) -> tuple[list[evaluation.ImageResult], dict[str, Any], list[tuple[runtime.Inspector, Records]]]:
    rows: list[evaluation.ImageResult] = []
    inspectors = []
    for networks, chosen in measured:
        digest = hashlib.sha256(networks.main).hexdigest()
        inspector = networks.inspector(manifest, model_sha256=digest)
        with process.bar("measuring") as progress:
            rows += evaluation.measure(inspector, chosen, progress=progress)
        inspectors.append((inspector, chosen))
    every = Records.of(
        (record for _, chosen in measured for record in chosen), classes=manifest.classes
    )
    rows.sort(key=lambda row: row.id)
    report = evaluation.report(
        rows,
        split=split,
        operating_point=manifest.operating_point,
        dataset_sha256=every.sha256(),
        classes=manifest.classes,
    )
    return rows, report, inspectors


def _sealed(networks: Networks, manifest: bundle.Manifest) -> Networks:
    """Return the networks with the manifest repeated in their metadata."""
    texts = {"inspection_tf": manifest.for_model(), "model_id": manifest.model_id}
    first, second = (
        None if one is None else onnx.set_metadata(one, texts)
        for one in (networks.classifier, networks.refiner)
    )
    return Networks(onnx.set_metadata(networks.main, texts), first, second)


def ship(
    model: keras.Model,
    *,
    out: str | Path,
    tuning: Tuning,
    measured: Tuning,
    split: str,
    terms: Terms,
    provenance: bundle.Provenance,
    classifier: keras.Model | None = None,
    refiner: keras.Model | None = None,
) -> Shipped:
    """Write a bundle, or nothing.

    Args:
        model: the trained segmenter, or the locator without what only taught it.
        out: the bundle's folder; must not exist.
        tuning: networks and images that choose the operating point; None means these models.
        measured: networks and images that the reported metrics come from.
        split: what the measured images are called in the report.
        terms: preprocessing, method and rules.
        provenance: where the models come from.
        classifier: the trained first stage of a cascade; both thresholds are then chosen together.
        refiner: the trained second look of a locator; `terms.closeups` says what it sees.

    Raises:
        errors.ConfigError: `out` holds something already.
        errors.BundleError: a model cannot be exported.
        errors.GateError: the export decides differently; nothing is written.
        errors.DataError: the images do not allow the method of the threshold.
        errors.StorageError: the disk is full; nothing is left behind.
    """
    files.require_free(out)
    converted = convert(model, classifier, refiner)
    others = (converted.classifier or b"") + (converted.refiner or b"")
    digest = hashlib.sha256(converted.main + others).hexdigest()
    manifest = _provisional(
        classifier,
        tuning[0][1],
        terms,
        provenance,
        model_id=f"{provenance.recipe}-{digest[:12]}",
    )
    given = [(networks or converted, chosen) for networks, chosen in tuning]
    points = operating_points.choose(given, manifest, terms.threshold)
    manifest = manifest.model_copy(
        update={"operating_point": points.whole, "stage_points": points.stages}
    )
    final = _sealed(converted, manifest)
    rows, report, inspectors = _measure(
        [(networks or final, chosen) for networks, chosen in measured], manifest, split
    )
    inspector = final.inspector(manifest, model_sha256=hashlib.sha256(final.main).hexdigest())
    # Cross-validation tunes and measures on the same images; each is compared once.
    every = {record.id: record for _, part in (*tuning, *measured) for record in part}
    with process.bar("comparing") as progress:
        parity = gate.compare(
            model,
            inspector,
            list(every.values()),
            classifier=classifier,
            refiner=refiner,
            progress=progress,
        )
    _LOG.info(
        "gate: %d images, largest score difference %.2g, %d changed verdicts",
        parity.images,
        parity.max_score_difference,
        len(parity.flips),
    )
    parity.require()
    manifest = manifest.model_copy(update={"parity": parity.to_dict(), "metrics": report})
    golden = _golden_records(rows, every.values(), inspector)
    with bundle.writing(out) as draft:
        draft.write("model.onnx", final.main)
        draft.write("source/model.keras", _keras_file(model))
        if classifier is not None and final.classifier is not None:
            draft.write("classifier.onnx", final.classifier)
            draft.write("source/classifier.keras", _keras_file(classifier))
        if refiner is not None and final.refiner is not None:
            draft.write("refiner.onnx", final.refiner)
            draft.write("source/refiner.keras", _keras_file(refiner))
        _write_golden(draft, inspector, golden)
        draft.write("MODEL_CARD.md", card.render(manifest))
        kit.write(draft, manifest)
        manifest = draft.seal(manifest)
        runtime.Inspector.load(draft.root)  # a bundle that refuses itself is never written
    return Shipped(manifest, rows, report, tuple(inspectors))
