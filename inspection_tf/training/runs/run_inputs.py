"""What a run was begun with: its records and the files it starts from, in `data.json`.

A split is dealt from all records, so with one image more another network's test images would train.
A run that goes on must therefore find what it began with, wherever that lies now.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import pydantic

from inspection_tf import config, errors, files, images
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.records import Records
from inspection_tf.training.runs.run_folder import CONFIG, INPUTS, RunFolder

_LOG = logging.getLogger("inspection_tf")
_DATA_ROOT = "data.root"  # the records say what it holds
_MOST_NAMES = 3  # in a message, of each kind of change


class Inputs(config.Section):
    """What `data.json` holds."""

    sha256: str
    """Of all records, as the bundle's provenance has it."""
    classes: tuple[str, ...]
    """Names, in the order of their ids."""
    records: dict[str, str]
    """SHA-256 of each record by its id."""
    files: dict[str, str] = pydantic.Field(default_factory=dict)
    """SHA-256 of each file that the configuration names, such as weights, by its field; of a
    bundle, that of the network in it."""


def read(
    spec: data_spec.DataSpec,
    preprocessing: images.Preprocessing,
    *,
    run: RunFolder,
    several_classes: bool = True,
) -> Records:
    """Read and check the records of a run; one that goes on must find those that it began with.

    Args:
        spec: the data section.
        preprocessing: that the images must fit.
        run: its folder, which learns what the run is begun with.
        several_classes: False for a recipe whose network knows one class of defects.

    Raises:
        errors.ConfigError: a root is missing.
        errors.DataError: the root holds no such set, an image or mask is not fit for use, there are
            more classes than the recipe knows, or the run was begun with other data, classes or
            weights.
    """
    found = data_spec.read(spec)
    if len(found.classes) > 1 and not several_classes:
        raise errors.DataError(
            f"This recipe needs data with one class of defects. Got {found.origin} with the "
            f"classes {', '.join(found.classes)}. Take the recipe two_stage_defects, or give all "
            "defects one name: in data.mask_values, without a classes.txt."
        )
    if run.is_resumed:
        require_same(run, found)
    data_spec.check(found, spec, preprocessing)
    keep(run, found)  # not before: a set that is refused may be corrected
    return found


def of(found: Records, settings: config.Section | None) -> Inputs:
    """Return what a run is begun, or goes on, with.

    Args:
        found: all records.
        settings: the whole configuration; None names no file.

    Raises:
        errors.ImageError: a file of a record cannot be read.
    """
    named = {} if settings is None else config.paths_of(settings)
    return Inputs(
        sha256=found.sha256(),
        classes=found.classes,
        records=found.sha256_of_each(),
        files={
            name: _file_sha256(path) for name, path in sorted(named.items()) if name != _DATA_ROOT
        },
    )


def _file_sha256(path: Path) -> str:
    """Return the hash of a file, or of the network of a bundle; "" where there is none."""
    source = path / "source" / "model.keras" if path.is_dir() else path
    try:
        return files.sha256(source) if source.is_file() else ""
    except OSError as problem:
        raise errors.ConfigError(
            f"{source} must be readable. Got {problem.strerror}. Check its permissions."
        ) from problem


def require_same(run: RunFolder, found: Records) -> None:
    """Refuse to go on with other images, labels, classes or weights than a run began with.

    Args:
        run: the whole run's folder. What an earlier version began holds no `data.json`: it goes on,
            with a warning.
        found: all records.

    Raises:
        errors.DataError: something came, went or changed, or `data.json` is damaged.
    """
    path = run.path / INPUTS
    if not path.is_file():
        if any(run.path.rglob("history.csv")):
            _LOG.warning(
                "%s does not say which data it was begun with: make sure that it is the same",
                run.path,
            )
        return
    changes = tuple(_changes(_read(path), of(found, run.settings)))
    if changes:
        raise errors.DataError(
            f"{run.path}: a run goes on with the data that it began with. Got {found.origin} with "
            f"{'; '.join(changes)}. Restore it, or begin another run with another --out."
        )


def _read(path: Path) -> Inputs:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return config.validate(Inputs, values, origin=str(path))
    except (OSError, ValueError) as problem:
        raise errors.DataError(
            f"{path} must say what the run was begun with. Got a file that cannot be read. "
            "Begin another run with another --out."
        ) from problem


def _named(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return f"{', '.join(listed[:_MOST_NAMES])}{more}"


def _changes(before: Inputs, after: Inputs) -> Iterable[str]:
    """Give what differs, as parts of a sentence; counts are complete, names the first few."""
    if before.classes != after.classes:
        yield f"the classes {', '.join(after.classes)}, not {', '.join(before.classes)}"
    came, went, changed = _compared(before.records, after.records)
    for names, what in (
        (came, "that came"),
        (went, "that went"),
        (changed, "whose pixels, label or group changed"),
    ):
        if names:
            noun = "image" if len(names) == 1 else "images"
            yield f"{len(names)} {noun} {what} ({_named(names)})"
    for name in sorted(set().union(*_compared(before.files, after.files))):
        yield f"another content of {name}" if after.files.get(name) else f"no file for {name}"


def _compared(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[set[str], set[str], set[str]]:
    """Return the names that came, that went, and those of another hash."""
    both = before.keys() & after.keys()
    changed = {name for name in both if before[name] != after[name]}
    return set(after) - both, set(before) - both, changed


def keep(run: RunFolder, found: Records) -> None:
    """Write `data.json`, and the configuration with the paths that now lead to the same files.

    Args:
        run: the whole run's folder.
        found: all records.

    Raises:
        errors.StorageError: the disk is full.
    """
    if run.settings is not None:
        files.write(run.path / CONFIG, config.to_yaml(config.with_absolute_paths(run.settings)))
    files.write(run.path / INPUTS, of(found, run.settings).model_dump_json(indent=1) + "\n")
