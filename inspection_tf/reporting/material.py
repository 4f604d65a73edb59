"""What a report is made of: a bundle, what its run left, and images where they are at hand."""

import csv
import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspection_tf import bundle, errors, evaluation, files, images, runtime
from inspection_tf.reporting import rows

if TYPE_CHECKING:
    from inspection_tf.datasets.records import Record

_LOG = logging.getLogger("inspection_tf")
Show = Callable[[str], "evaluation.Look | None"]
"""Gives image, labels and verdict of a measured image by its id; None: it is not at hand."""


@dataclasses.dataclass(frozen=True)
class Material:
    """What a report is made of.

    Attributes:
        chosen: the bundle's threshold, and the scores that it was chosen on.
        inspector: of the bundle.
        run: the folder of its run; None: a bundle alone.
        rows: of the measured images; none of a bundle alone.
        show: gives a measured image by its id.
        tune_records: images that chose the threshold, by id, as far as they are at hand.
        lacking: why images are not at hand; "" where they are.
    """

    chosen: bundle.ChosenThreshold
    inspector: runtime.Inspector
    run: Path | None
    rows: tuple[rows.Row, ...]
    show: Show
    tune_records: "Mapping[str, Record]"
    lacking: str = ""

    @property
    def manifest(self) -> bundle.Manifest:
        """The manifest of the bundle."""
        return self.inspector.manifest

    @property
    def root(self) -> Path:
        """The bundle's folder."""
        return self.chosen.root

    def pictures(self) -> dict[str, bytes]:
        """Return the pictures of the run's evaluation, by name."""
        if self.run is None:
            return {}
        found = {}
        for path in sorted((self.run / "evaluation").glob("*.png")):
            if path.stem == "curves":  # drawn of each network, and so once
                continue
            try:
                data = path.read_bytes()
                images.read(data)
            except (OSError, errors.ImageError) as problem:
                _LOG.warning("%s is left out of the report: %s", path, problem)
                continue
            found[path.stem] = data
        return found

    def histories(self) -> dict[str, list[dict[str, Any]]]:
        """Return what was measured epoch by epoch, by network; "" where there is one alone."""
        if self.run is None:
            return {}
        found = {}
        for path in sorted(self.run.rglob("history.csv")):
            try:
                with path.open(encoding="utf-8", newline="") as file:
                    lines: list[dict[str, Any]] = list(csv.DictReader(file))
            except (OSError, ValueError, csv.Error) as problem:
                _LOG.warning("%s is left out of the report: %s", path, problem)
                continue
            if lines:
                found[path.parent.relative_to(self.run).as_posix().strip(".")] = lines
        return found


def of_bundle(root: str | Path, *, data: str | Path | None = None) -> Material:
    """Gather what a bundle says of itself.

    Args:
        root: the bundle's folder.
        data: folder of the images that it was made from; None: where they lay.

    Raises:
        errors.BundleError: it is no bundle, or not as it was written.
    """
    return _gathered(Path(root), None, data)


def of_run(
    run: str | Path,
    *,
    data: str | Path | None = None,
    show: Show | None = None,
    records: "Mapping[str, Record] | None" = None,
) -> Material:
    """Gather what a run left.

    Args:
        run: its folder, which holds a bundle.
        data: folder of the images that it was made from; None: where they lay.
        show: gives a measured image by its id; None: the bundle inspects it again.
        records: the images by id, where somebody has read them; None: they are read again.

    Raises:
        errors.ConfigError: the run has no bundle.
        errors.BundleError: its bundle is not as it was written.
        errors.DataError: its table of measured images cannot be read.
    """
    run = Path(run)
    if not (run / bundle.IN_A_RUN / bundle.MANIFEST).is_file():
        raise errors.ConfigError(
            f"A report needs a bundle, or a run that has written one. Got {str(run)!r}. Give the "
            "folder of either."
        )
    return _gathered(run / bundle.IN_A_RUN, run, data, show=show, records=records)


def _gathered(
    root: Path,
    run: Path | None,
    data: str | Path | None,
    *,
    show: Show | None = None,
    records: "Mapping[str, Record] | None" = None,
) -> Material:
    # What a run has just written was checked when it was written.
    inspector = runtime.Inspector.load(root, check_golden=show is None)
    manifest = inspector.manifest
    lacking = ""
    if records is None:
        records, lacking = _read(manifest, data)
    chosen = bundle.ChosenThreshold(
        root.absolute(), manifest.operating_point, bundle.read_tune_scores(root, manifest)
    )
    known = set() if chosen.scores is None else set(chosen.scores.ids)
    measured = manifest.provenance.data.splits.get("test", ())
    by_id = records

    def look(name: str) -> evaluation.Look | None:
        # Only what the bundle's own network was measured on, and has not learned from.
        record = by_id.get(name) if name in measured else None
        return None if record is None else evaluation.look(inspector, record)

    return Material(
        chosen=chosen,
        inspector=inspector,
        run=run,
        rows=() if run is None else tuple(rows.read(run / "evaluation")),
        show=show or look,
        tune_records={name: record for name, record in records.items() if name in known},
        lacking=lacking,
    )


def _read(manifest: bundle.Manifest, data: str | Path | None) -> "tuple[Mapping[str, Record], str]":
    """Return the images that a bundle was made from, by id, and why there are none."""
    from inspection_tf.export import source_data

    if data is not None and source_data.is_drawn(manifest):
        raise errors.ConfigError(
            "--data must name the images that a bundle was made from. Got a bundle whose images "
            "are drawn. Leave it out."
        )
    try:
        return source_data.by_id(manifest, None if data is None else Path(data)), ""
    except errors.InspectionError as problem:
        if data is not None:
            raise
        _LOG.info("no images of the data are shown: %s", problem)
        return {}, str(problem)


def manifest_sha256(root: Path) -> str:
    """Return the SHA-256 of a bundle's manifest, by which a report names what it is about."""
    return files.sha256(root / bundle.MANIFEST)
