"""How every recipe ends: thresholds, bundle, evaluation, and the commands that come next."""

import logging
import shutil
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from inspection_tf import bundle, config, evaluation, plots, process, reporting, tasks
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.divisions import sealed
from inspection_tf.datasets.records import Record, Records, split_ids
from inspection_tf.export import ship
from inspection_tf.recipes.experiment import Run
from inspection_tf.recipes.folds import Division, Models
from inspection_tf.training.runs.run_folder import RunFolder, versions

_LOG = logging.getLogger("inspection_tf")


def finish(run: Run, models: Models, division: Division, spec: ship.BundleSpec) -> dict[str, Any]:
    """Choose the thresholds, write the bundle, measure it, and print metrics and next commands.

    Args:
        run: whose folder gets `bundle/`, `evaluation/` and `report.html`.
        models: the trained networks that are shipped.
        division: which images choose the thresholds, and which ones measure.
        spec: what the bundle is for: task, preprocessing, method of the threshold, and rules.

    Returns:
        The report that `evaluation/metrics.json` holds.

    Raises:
        errors.GateError: the export decides differently; no bundle is written.
        errors.DataError: the images do not allow the method of the threshold.
        errors.StorageError: the disk is full; no half bundle is left behind.
    """
    settings, out = run.settings, run.folder.path / bundle.IN_A_RUN
    if run.folder.is_resumed and out.is_dir():
        # Of a run that was cut off after it: written again, by the same networks.
        shutil.rmtree(out)
    shipped = ship.ship(
        models,
        out=out,
        tuning=division.tuning,
        measured=division.measured,
        split=division.split,
        spec=spec,
        provenance=provenance(
            run.recipe, settings, settings.data, run.records, division.parts, seed=settings.seed
        ),
    )
    found = report(run.folder, shipped)
    every = (record for _, part in (*division.tuning, *division.measured) for record in part)
    _write_report(run.folder.path, shipped, {record.id: record for record in every})
    return found


def _write_report(folder: Path, shipped: ship.Shipped, records: Mapping[str, Record]) -> None:
    """Write the report of a run; what goes wrong is logged, for the bundle is there."""
    try:
        material = reporting.of_run(folder, show=shipped.show, records=records)
        file = reporting.write(material, folder / reporting.FILE)
    except Exception as problem:  # a picture less must not cost what was trained
        _LOG.error("no report was written: %s. Try: inspection report %s", problem, folder)
        return
    process.say(f"For who has to decide about it: {file}")


def _commit() -> str | None:
    """Return the commit of the working folder, or None outside a repository."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def provenance(
    name: str,
    settings: config.Section,
    data: data_spec.DataSpec,
    records: Records,
    parts: Mapping[str, Records],
    *,
    seed: int,
) -> bundle.Provenance:
    """Return what a bundle says of its origin.

    Args:
        name: of the recipe.
        settings: the whole configuration.
        data: its data section.
        records: all that were read.
        parts: the splits; those that are sealed are added.
        seed: of the run.
    """
    root = data.root if isinstance(data, data_spec.StoredSpec) else None
    kept = sealed.only(records)
    parts = {**parts, sealed.NAME: kept} if len(kept) else parts
    return bundle.Provenance(
        recipe=name,
        config=settings.model_dump(mode="json"),
        seed=seed,
        commit=_commit(),
        versions=versions(),
        data=bundle.Data(
            format=data.format,
            root=str(root) if root else None,
            absolute_root=str(config.absolute(root)) if root else None,
            sha256=records.sha256(),
            splits=split_ids(parts),
            source=data.model_dump(mode="json"),
        ),
    )


def report(folder: RunFolder, shipped: ship.Shipped) -> dict[str, Any]:
    """Write the evaluation of a run, and print its metrics and the next commands.

    Args:
        folder: of the run; receives `evaluation/`.
        shipped: the bundle and its measurement.

    Returns:
        The report.
    """
    path = folder.path / "evaluation"
    evaluation.write(path, shipped.rows, shipped.report)
    point = shipped.manifest.operating_point
    task = tasks.get(shipped.manifest.task)
    plots.write_evaluation(
        path,
        shipped.rows,
        task=task,
        threshold=point.threshold,
        show=shipped.show,
        report=shipped.report,
    )
    process.show_table(evaluation.table(shipped.report, shipped.rows[0].measures))
    splits = shipped.manifest.provenance.data.splits
    commands = _next_commands(folder.path, splits)
    for line in (*([point.note] if point.note else ()), *commands):
        process.say(line)
    return shipped.report


def _next_commands(run: Path, splits: Collection[str]) -> tuple[str, ...]:
    path = run / bundle.IN_A_RUN
    # Cross-validation ships a network that has seen every image: only others can measure it.
    images = "--split test" if "test" in splits else "ROOT"
    unseal = (f"  inspection unseal {run}",) if sealed.NAME in splits else ()
    return (
        "",
        f"The bundle is in {path}. Next:",
        f"  inspection verify {path}",
        f"  inspection predict {path} IMAGE... --out DIR",
        f"  inspection evaluate {path} {images} --out DIR",
        f"  inspection bench {path}",
        *unseal,
    )
