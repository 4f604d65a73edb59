"""From trained models to a bundle: convert, choose thresholds, pass the gate, measure, write."""

import dataclasses
import hashlib
import logging
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np

from inspection_tf import (
    bundle,
    config,
    decision,
    errors,
    evaluation,
    files,
    images,
    process,
    runtime,
    tasks,
    thresholds,
)
from inspection_tf.datasets.records import Record, Records
from inspection_tf.engines.network import Network
from inspection_tf.export import card, gate, kit, networks, onnx, tune_scores
from inspection_tf.export.networks import Converted
from inspection_tf.export.trained import KerasNetwork, Trained, convert
from inspection_tf.images import registration
from inspection_tf.runtime.runner import Runner
from inspection_tf.tasks.base import GraphSpec, OperatingPoints

__all__ = ["BundleSpec", "Shipped", "Tuning", "convert", "ship"]

_LOG = logging.getLogger("inspection_tf")
_SHORTLIST = 4  # candidates for each golden sample

Tuning: TypeAlias = Sequence[tuple[Converted | None, Records]]
"""Networks and the images whose scores they may give; None: those that are shipped."""


@dataclasses.dataclass(frozen=True)
class BundleSpec:
    """What a bundle is for and decides by, besides its networks.

    Attributes:
        task: key of `tasks.TASKS`.
        preprocessing: of every image, and every template.
        threshold: how the operating point is chosen.
        settings: of the task; None: the task's defaults.
        mm_per_px: scale of the source images.
        alignment: of templates.
        assets: what further files of the bundle hold, by name: each of the task's `assets`.
    """

    task: str
    preprocessing: images.Preprocessing
    threshold: thresholds.ThresholdSpec
    settings: config.Section | None = None
    mm_per_px: float | None = None
    alignment: registration.AlignSpec = dataclasses.field(default_factory=registration.AlignSpec)
    assets: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    @property
    def task_settings(self) -> config.Section:
        """The settings, or the task's defaults."""
        return tasks.get(self.task).settings() if self.settings is None else self.settings

    def graphs(self, classes: Sequence[str]) -> tuple[GraphSpec, ...]:
        """Return the networks that the bundle must have."""
        return tasks.get(self.task).graphs(self.task_settings, self.preprocessing, classes)


def _require_networks(names: Collection[str], spec: BundleSpec, classes: Sequence[str]) -> None:
    """Refuse networks, by their names, that are not those of the bundle to be."""
    needed = [graph.name for graph in spec.graphs(classes)]
    if sorted(names) != sorted(needed):
        raise errors.BundleError(
            f"A bundle of the task {spec.task} must have the models {', '.join(needed)}. "
            f"Got {', '.join(sorted(names))}. Train one for each."
        )


def _require_assets(spec: BundleSpec) -> None:
    """Refuse further files that are not those that the task decides by."""
    needed = tasks.get(spec.task).assets
    if sorted(spec.assets) != sorted(needed):
        raise errors.BundleError(
            f"A bundle of the task {spec.task} must have the files {', '.join(needed) or 'none'} "
            f"beside its networks. Got {', '.join(sorted(spec.assets)) or 'none'}. Give each."
        )


def _require_outputs(models: Trained, spec: BundleSpec, classes: Sequence[str]) -> None:
    """Refuse models that return something else than the networks of the bundle to be."""
    for graph in spec.graphs(classes):
        needed = [output.name for output in graph.outputs]
        returned = models[graph.name].output
        if sorted(returned) != sorted(needed):
            raise errors.BundleError(
                f"The {graph.name} of the task {spec.task} must return {', '.join(needed)}. "
                f"Got {', '.join(sorted(returned))}. Build the model with these outputs."
            )


def _provisional(
    models: Trained,
    records: Records,
    spec: BundleSpec,
    provenance: bundle.Provenance,
    *,
    model_id: str,
) -> bundle.Manifest:
    """Return the manifest of a bundle whose thresholds are still to be chosen."""
    task, specs = tasks.get(spec.task), spec.graphs(records.classes)
    names = [graph.name for graph in specs]
    undecided = thresholds.OperatingPoint(threshold=0.5)
    inputs = [onnx.IMAGE, onnx.TEMPLATE][: 1 + records.has_template]
    return bundle.Manifest(
        model_id=model_id,
        task=spec.task,
        classes=records.classes,
        graphs=tuple(
            bundle.Graph(name=graph.name, file=graph.file, when=graph.when) for graph in specs
        ),
        inputs=tuple(bundle.Input(name=name, preprocessing=spec.preprocessing) for name in inputs),
        outputs=tuple(
            bundle.Output(
                name=output.name,
                kind=output.kind,
                unit=output.unit,
                shape=_shape(output.shape, models[graph.name].output[output.name].shape),
                graph=graph.name,
            )
            for graph in specs
            for output in graph.outputs
        ),
        alignment=spec.alignment,
        operating_point=undecided,
        stage_points=dict.fromkeys(names[: names.index(task.main)], undecided),
        settings=spec.task_settings,
        mm_per_px=spec.mm_per_px,
        provenance=provenance,
    ).with_assets(spec.assets)


def _shape(described: Sequence[int | str], built: Sequence[int | None]) -> tuple[int | str, ...]:
    """Return the shape of an output: numbers of the model where the task has but a name."""
    return tuple(
        size if isinstance(size, str) and number is None else number or size
        for size, number in zip(described, built, strict=True)
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
    has_stages = bool(inspector.context.stage_points)
    for wanted, count in zip((True, False), inspector.task.golden_counts, strict=True):
        candidates = [row for row in rows if row.is_ng == wanted and np.isfinite(row.score)]
        candidates.sort(key=lambda r: (bool(r.error), -abs(r.score - r.threshold), r.id))
        if wanted and has_stages:  # the score above is the last network's; NG hangs on all
            del candidates[_SHORTLIST * count :]
            lowest = {row.id: _lowest_stage_score(inspector, by_id[row.id]) for row in candidates}
            candidates.sort(key=lambda r: (bool(r.error), -lowest[r.id]))
        chosen += [by_id[row.id] for row in candidates[:count]]
    return chosen


def _lowest_stage_score(inspector: runtime.Inspector, record: Record) -> float:
    """Return the lowest score that a network before the one that decides gives an image."""
    turn = inspector.preprocessing.orientation
    prepared = inspector.prepare_decoded(*record.read_pair(orientation=turn))
    (output,) = inspector.run([prepared], every_stage=True)
    return min(inspector.stage_scores(output, prepared).values())


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
        root: the bundle's folder.
        scores: of the images that chose the threshold.
    """

    manifest: bundle.Manifest
    rows: list[evaluation.ImageResult]
    report: dict[str, Any]
    inspectors: tuple[tuple[runtime.Inspector, Records], ...]
    root: Path
    scores: decision.TuneScores

    @property
    def operating_point(self) -> thresholds.OperatingPoint:
        """The thresholds of the score that decides."""
        return self.manifest.operating_point

    def show(self, name: str) -> evaluation.Look:
        """Return image, labels and verdict of a measured image, by its id."""
        for inspector, chosen in self.inspectors:
            for record in chosen:
                if record.id == name:
                    return evaluation.look(inspector, record)
        raise errors.DataError(
            f"The image must have been measured. Got {name!r}. Use an id of rows."
        )


def _by_the_other_folds(
    tuning: Sequence[tuple[Mapping[str, Network], Records]],
    spec: BundleSpec,
    manifest: bundle.Manifest,
) -> list[bundle.Manifest]:
    """Return for each fold the manifest with thresholds that all other folds choose.

    What is measured by thresholds that were chosen on the same images looks better than it is.

    Returns:
        Nothing where the others cannot choose for one of them, as where it has all the defects.
    """
    task, found = tasks.get(spec.task), []
    for number in range(len(tuning)):
        others = [part for other, part in enumerate(tuning) if other != number]
        if _labels(others) != _labels(tuning):
            return _chosen_on_them("all defective or all good images are in fold", number)
        try:
            points = task.choose(others, spec.threshold, manifest.context)
        except errors.DataError as problem:
            return _chosen_on_them(f"{problem} Without fold", number)
        found.append(_decided(manifest, points))
    return found


def _labels(parts: Sequence[tuple[object, Records]]) -> set[bool]:
    return {bool(label) for _, records in parts for label in records.is_defect}


def _chosen_on_them(why: str, number: int) -> list[bundle.Manifest]:
    _LOG.warning(
        "the folds are measured by thresholds that were chosen on them, which flatters: %s %d",
        why,
        number + 1,
    )
    return []


def _decided(manifest: bundle.Manifest, points: OperatingPoints) -> bundle.Manifest:
    return manifest.model_copy(
        update={"operating_point": points.whole, "stage_points": dict(points.stages)}
    )


def _measure(
    measured: Sequence[tuple[Converted, Records]],
    manifest: bundle.Manifest,
    split: str,
    *,
    by_fold: Sequence[bundle.Manifest] = (),
) -> tuple[list[evaluation.ImageResult], dict[str, Any], list[tuple[runtime.Inspector, Records]]]:
    rows: list[evaluation.ImageResult] = []
    inspectors = []
    for number, (models, chosen) in enumerate(measured):
        decides = by_fold[number] if by_fold else manifest
        digest = hashlib.sha256(models[manifest.main]).hexdigest()
        inspector = networks.inspector(models, decides, model_sha256=digest)
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
        operating_point=None if by_fold else manifest.operating_point,
        dataset_sha256=every.sha256(),
        classes=manifest.classes,
    )
    return rows, report, inspectors


def _sealed(models: Converted, manifest: bundle.Manifest) -> dict[str, bytes]:
    """Return the networks with the manifest repeated in their metadata."""
    texts = {"inspection_tf": manifest.for_model(), "model_id": manifest.model_id}
    return {name: onnx.set_metadata(model, texts) for name, model in models.items()}


def ship(
    models: Trained,
    *,
    out: str | Path,
    tuning: Tuning,
    measured: Tuning,
    split: str,
    spec: BundleSpec,
    provenance: bundle.Provenance,
) -> Shipped:
    """Write a bundle, or nothing.

    Args:
        models: the trained models, without what only taught them, by the names of their graphs.
        out: the bundle's folder; must not exist.
        tuning: networks and images that choose the operating point; None means these models.
        measured: networks and images that the reported metrics come from. Where they are those of
            `tuning`, several folds, each fold is measured by thresholds that the others choose.
        split: what the measured images are called in the report.
        spec: what the bundle is for: task, preprocessing, method and rules.
        provenance: where the models come from.

    Raises:
        errors.ConfigError: `out` holds something already.
        errors.BundleError: a model cannot be exported, or is missing.
        errors.GateError: the export decides differently; nothing is written.
        errors.DataError: the images do not allow the method of the threshold.
        errors.StorageError: the disk is full; nothing is left behind.
    """
    files.require_free(out)
    for given in (models, *(given for given, _ in (*tuning, *measured) if given is not None)):
        _require_networks(given, spec, tuning[0][1].classes)
    _require_outputs(models, spec, tuning[0][1].classes)
    _require_assets(spec)
    task, converted = tasks.get(spec.task), convert(models)
    others = [model for name, model in converted.items() if name != task.main]
    digest = hashlib.sha256(b"".join([converted[task.main], *others])).hexdigest()
    manifest = _provisional(
        models, tuning[0][1], spec, provenance, model_id=f"{provenance.recipe}-{digest[:12]}"
    )
    started = [(networks.started(given or converted), chosen) for given, chosen in tuning]
    undecided = manifest
    manifest = _decided(manifest, task.choose(started, spec.threshold, manifest.context))
    # Of a cross-validation, whose images would else be measured by thresholds chosen on them.
    is_nested = len(tuning) > 1 and list(measured) == list(tuning)
    by_fold = _by_the_other_folds(started, spec, undecided) if is_nested else []
    final = _sealed(converted, manifest)
    scores = tune_scores.measured(
        [(networks.inspector(given or final, manifest), chosen) for given, chosen in tuning],
        part_escapes=spec.threshold.part_escapes,
    )
    rows, report, inspectors = _measure(
        [(given or final, chosen) for given, chosen in measured], manifest, split, by_fold=by_fold
    )
    digest = hashlib.sha256(final[task.main]).hexdigest()
    inspector = networks.inspector(final, manifest, model_sha256=digest)
    # Cross-validation tunes and measures on the same images; each is compared once.
    every = {record.id: record for _, part in (*tuning, *measured) for record in part}
    parity = _compared(models, inspector, list(every.values()))
    parity.require()
    manifest = manifest.model_copy(update={"parity": parity.to_dict(), "metrics": report})
    golden = _golden_records(rows, every.values(), inspector)
    with bundle.writing(out) as draft:
        for graph in manifest.graph_specs:
            draft.write(graph.file, final[graph.name])
            draft.write(graph.source, _keras_file(models[graph.name]))
        for name, data in spec.assets.items():
            draft.write(name, data)
        _write_golden(draft, inspector, golden)
        bundle.write_tune_scores(draft, scores)
        draft.write(bundle.CARD, card.render(manifest))
        kit.write(draft, manifest)
        manifest = draft.seal(manifest)
        runtime.Inspector.load(draft.root)  # a bundle that refuses itself is never written
    return Shipped(manifest, rows, report, tuple(inspectors), Path(out), scores)


def _compared(
    models: Trained, inspector: runtime.Inspector, records: Sequence[Record]
) -> gate.Parity:
    """Compare trained models with their exports on images, and say in the log what came out."""
    trained = {name: KerasNetwork(model) for name, model in models.items()}
    reference = Runner(inspector.task, trained, inspector.context)
    with process.bar("comparing") as progress:
        parity = gate.compare(reference, inspector, records, progress=progress)
    _LOG.info(
        "gate: %d images, largest score difference %.2g, %d changed verdicts",
        parity.images,
        parity.max_score_difference,
        len(parity.flips),
    )
    return parity
