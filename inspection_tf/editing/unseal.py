"""Measuring a finished run on its sealed images: each look is written down before it is shown."""

import dataclasses
import datetime
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pydantic

from inspection_tf import bundle, config, errors, evaluation, files, plots, process, runtime
from inspection_tf.bundle.looks import UNSEAL, Look
from inspection_tf.datasets.divisions import sealed
from inspection_tf.datasets.records import Records
from inspection_tf.editing import rewrite
from inspection_tf.export import source_data

_LOG = logging.getLogger("inspection_tf")
LEDGER = "sealed.json"
"""The looks at the sealed images of a run, in its folder."""
_FOLDER = "sealed"  # of a run: a folder for each look


class Ledger(config.Section):
    """What `sealed.json` holds."""

    looks: tuple[Look, ...] = pydantic.Field(default=())


@dataclasses.dataclass(frozen=True, slots=True)
class Unsealed:
    """What a look found.

    Attributes:
        look: as it stands in the ledger, the card and the report.
        report: in the layout of `metrics.json`.
        rows: one for each sealed image.
        folder: of metrics, table and pictures.
    """

    look: Look
    report: evaluation.Report
    rows: Sequence[evaluation.ImageResult]
    folder: Path


def read_ledger(run: str | Path) -> Ledger:
    """Read the looks at the sealed images of a run; none where nobody has looked.

    Args:
        run: its folder.

    Raises:
        errors.DataError: the file cannot be read.
    """
    path = Path(run) / LEDGER
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else "{}"
        return config.validate(Ledger, json.loads(text), origin=str(path))
    except (OSError, ValueError) as problem:
        raise errors.DataError(
            f"{path} must say how often the sealed images were looked at. Got a file that cannot "
            "be read. Restore it: without it nobody knows what the figures are worth."
        ) from problem


def unseal(run: str | Path, *, data: str | Path | None = None) -> Unsealed:
    """Measure the bundle of a run on its sealed images, and write that down.

    The ledger is written before anything else is: a look that was begun and cut off is repeated at
    no cost, and one whose figures somebody may have seen is counted. Then come metrics, table and
    pictures in `RUN/sealed/NUMBER`, and the card of the bundle.

    Args:
        run: its folder, with a bundle.
        data: folder of the images that the bundle was made from; None: where they lay.

    Raises:
        errors.ConfigError: the run has no bundle yet, or has sealed nothing.
        errors.BundleError: the bundle is not as it was written.
        errors.DataError: the images are absent or not what they were, or the ledger is damaged.
        errors.StorageError: the disk is full.
    """
    run = Path(run)
    root = run / bundle.IN_A_RUN
    if not (root / bundle.MANIFEST).is_file():
        raise errors.ConfigError(
            f"Sealed images are measured through the bundle of a finished run. Got {str(run)!r}, "
            f"which holds no {bundle.IN_A_RUN}. Give the folder of a run that has ended."
        )
    files.require_editable(root)
    read_ledger(run)  # one that is damaged is told before the work
    inspector = runtime.Inspector.load(root)
    manifest = inspector.manifest
    if not manifest.provenance.data.splits.get(sealed.NAME):
        raise errors.ConfigError(
            f"A run must have sealed images before it begins. Got {str(run)!r}, which has sealed "
            "none. Train with data.sealed, for example 0.2."
        )
    records = source_data.unsealed(manifest, None if data is None else Path(data))
    with process.bar("unsealing") as progress:
        rows = evaluation.measure(inspector, records, progress=progress)
    report = evaluation.report(
        rows,
        split=sealed.NAME,
        operating_point=manifest.operating_point,
        dataset_sha256=records.sha256(),
        classes=manifest.classes,
    )
    ledger = read_ledger(run)  # as it is now: somebody else may have looked in the meantime
    look = _look(run, ledger, manifest, root, report)
    written = Ledger(looks=(*ledger.looks, look))
    files.write(run / LEDGER, written.model_dump_json(indent=1) + "\n")
    folder = run / _FOLDER / str(len(written.looks))
    _write(folder, inspector, records, rows, report)
    _note(root, manifest, look)
    return Unsealed(look, report, rows, folder)


def _look(
    run: Path,
    ledger: Ledger,
    manifest: bundle.Manifest,
    root: Path,
    report: evaluation.Report,
) -> Look:
    """Return an entry of the ledger, and count the looks before it."""
    before = [*ledger.looks, *_by_other_runs(run)]
    same = sorted(
        {
            (look.at, look.model_id, look.manifest_sha256)
            for look in before
            if look.images_sha256 == report["dataset_sha256"]
        }
    )
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Look(
        at=now,
        number=len(same) + 1,
        before=tuple(f"{at} by {model_id}" for at, model_id, _ in same),
        model_id=manifest.model_id,
        manifest_sha256=files.sha256(root / bundle.MANIFEST),
        threshold=manifest.operating_point.threshold,
        images_sha256=report["dataset_sha256"],
        counts=report["counts"],
        metrics=report["metrics"],
    )


def _by_other_runs(run: Path) -> Iterator[Look]:
    """Yield the looks of the runs beside this one, also of other recipes."""
    own = run.resolve()
    for pattern in ("*", "../*/*"):
        for path in sorted(own.parent.glob(f"{pattern}/{LEDGER}")):
            if path.parent.resolve() == own:
                continue
            try:
                yield from read_ledger(path.parent).looks
            except errors.InspectionError as problem:  # of another run: it stops no one
                _LOG.warning("not counted among the looks before: %s", problem)


def _write(
    folder: Path,
    inspector: runtime.Inspector,
    records: Records,
    rows: Sequence[evaluation.ImageResult],
    report: dict[str, Any],
) -> None:
    """Write metrics, table and pictures."""
    by_id = {record.id: record for record in records}
    evaluation.write(folder, rows, report)
    plots.write_evaluation(
        folder,
        rows,
        task=inspector.task,
        threshold=inspector.manifest.operating_point.threshold,
        show=lambda name: evaluation.look(inspector, by_id[name]),
        report=report,
    )


def _note(root: Path, manifest: bundle.Manifest, look: Look) -> None:
    """Write a look into the audit and the card of the bundle."""
    note = rewrite.note(UNSEAL, look=look.model_dump(mode="json"))
    change = rewrite.Change({"audit": (*manifest.audit, note)})
    with rewrite.rewriting(root, manifest, change):
        pass
