"""The run folder: what a training leaves on disk, and the state it is in.

```
config.yaml status.json history.csv tensorboard/ checkpoints/ validation/ evaluation/ bundle/
report.html what came of it, in one file; see `reporting`
sealed.json sealed/  what was found on sealed images, look by look; see `editing/unseal`
data.json   what the run was begun with; see `run_inputs`
.lock       held by the process that trains
folds/N/    the same for each fold of a cross-validation, without config, status and bundle
STAGE/      the same for each network of several, in a run or a fold
```
"""

import contextlib
import datetime
import json
import logging
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from inspection_tf import bundle, config, errors, files, process

if TYPE_CHECKING:
    import filelock

State = Literal["running", "finished", "failed", "interrupted"]
_LOG = logging.getLogger("inspection_tf")
_LOCK = ".lock"
CONFIG, INPUTS = "config.yaml", "data.json"
_LIBRARIES = (
    "inspection-tf",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "tf2onnx",
    "onnx",
    "onnxruntime",
    "numpy",
    "opencv-python-headless",
)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class RunFolder:
    """A folder that belongs to one run of one configuration.

    Attributes:
        path: the folder.
        is_resumed: True when it held the same run, unfinished.
        number: of the fold, from 1; None for a whole run.
        stage: name of the network that is trained, where there are several; else "".
        settings: the whole configuration; None in a fold or a stage.
    """

    def __init__(
        self,
        path: Path,
        *,
        is_resumed: bool,
        number: int | None = None,
        stage: str = "",
        parent: "RunFolder | None" = None,
        settings: config.Section | None = None,
        lock: "filelock.BaseFileLock | None" = None,
    ) -> None:
        """Wrap a folder; `open_run` makes or checks one, `fold` and `within` one inside it."""
        self.path = path
        self.is_resumed = is_resumed
        self.number = number
        self.stage = stage
        self.settings = settings
        self._parent = parent
        self._lock = lock  # held for as long as somebody holds this folder
        for name in ("checkpoints", "evaluation", "validation", "tensorboard"):
            (path / name).mkdir(exist_ok=True)

    def status(self) -> dict[str, Any]:
        """Return what `status.json` says."""
        return self._parent.status() if self._parent else _read_status(self.path)

    def update(self, state: State, **fields: object) -> None:
        """Write `status.json`: the state, the time and these fields, over the ones it holds.

        A fold writes into the file of its run: who watches a run watches one file.
        """
        if self._parent:
            named = {"stage": self.stage} if self.stage else {}
            return self._parent.update(state, **named, **fields)
        values = {**self.status(), "state": state, "updated": _now(), **fields}
        files.write_json(self.path / "status.json", values)

    def fold(self, number: int) -> "RunFolder":
        """Return the run folder of one fold, inside this one."""
        path = self.path / "folds" / str(number)
        path.mkdir(parents=True, exist_ok=True)
        return RunFolder(path, is_resumed=self.is_resumed, number=number, parent=self)

    def within(self, stage: str) -> "RunFolder":
        """Return the run folder of one network of several, inside this one.

        Args:
            stage: name of the network, such as classifier.
        """
        path = self.path / stage
        path.mkdir(exist_ok=True)
        return RunFolder(
            path, is_resumed=self.is_resumed, number=self.number, stage=stage, parent=self
        )

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Write to `status.json` how the block ended, whatever it raises."""
        try:
            yield
        except BaseException as problem:
            code = process.exit_code_of(problem)
            stopped = code in (errors.SIGINT, errors.SIGTERM)
            with contextlib.suppress(errors.StorageError):  # the first problem is the one to tell
                self.update(
                    "interrupted" if stopped else "failed",
                    exit_code=code,
                    error=str(problem) or type(problem).__name__,
                )
            raise
        self.update("finished", exit_code=errors.OK, error=None, seconds_left=0)


def _read_status(path: Path) -> dict[str, Any]:
    try:
        values = json.loads((path / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _new_default(name: str) -> Path:
    """Make a folder that is called after the time, and that no other process has made."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H%M%SZ")
    parent = Path("runs") / name
    path, number = parent / stamp, 1
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            path.mkdir()  # looking first would leave a moment in which another run makes it
            return path
        except FileExistsError:  # two runs in one second
            number += 1
            path = parent / f"{stamp}-{number}"


def _check_existing(path: Path, settings: config.Section) -> bool:
    """Return True when the folder holds the same run, unfinished."""
    # A process that was killed while it wrote the first file leaves a temporary one.
    if not path.exists() or all(_is_leftover(item) for item in path.iterdir()):
        return False
    stored = path / CONFIG
    if not stored.is_file():
        raise errors.ConfigError(
            f"--out must be a new folder or an unfinished run. Got {str(path)!r}, which holds "
            "other files. Choose another folder."
        )
    if _read_status(path).get("state") == "finished":
        raise errors.ConfigError(
            f"--out must be a new folder or an unfinished run. Got {str(path)!r}, a finished run. "
            "Choose another folder; nothing was changed."
        )
    if not _is_same(stored, settings):
        raise errors.ConfigError(
            f"An unfinished run resumes with its own configuration. Got another one than "
            f"{stored}. Give --config {stored}, or choose another folder."
        )
    return True


def _is_same(stored: Path, settings: config.Section) -> bool:
    """Return whether a configuration is the one that was stored.

    Where `data.json` says what the files hold that it names, they may lie elsewhere by now.
    """
    try:
        found = config.load(type(settings), stored)
    except errors.ConfigError:
        return False
    if (stored.parent / INPUTS).is_file():
        nowhere = [config.map_paths(one, lambda name, path: Path()) for one in (found, settings)]
        return nowhere[0] == nowhere[1]
    return config.with_absolute_paths(found) == config.with_absolute_paths(settings)


def _is_leftover(path: Path) -> bool:
    return path.name == _LOCK or (path.name.startswith(".") and path.name.endswith(".tmp"))


def _lock(path: Path) -> "filelock.BaseFileLock":
    """Keep other processes out of the folder; the lock ends with the process at the latest.

    Raises:
        errors.ConfigError: another process holds it.
    """
    import filelock

    # One for the whole process: it may open the folder again.
    lock = filelock.FileLock(path / _LOCK, is_singleton=True, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as problem:
        raise errors.ConfigError(
            f"--out must be a folder that no other process trains in. Got {str(path)!r}, where one "
            "does. Wait for it, or choose another folder; nothing was changed."
        ) from problem
    except NotImplementedError:  # some network drives
        _LOG.warning("%s cannot be locked: make sure that no other process trains in it", path)
    return lock


def _clear(path: Path) -> None:
    """Remove what a killed process left half done, and a bundle that will be written again."""
    for folder in (path / bundle.IN_A_RUN, *path.glob(".bundle.*")):
        if folder.is_dir():
            shutil.rmtree(folder)
    for leftover in [item for item in path.rglob(".*.tmp") if item.is_file()]:
        leftover.unlink()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that shape a result."""
    return {"python": platform.python_version(), **process.installed_versions(*_LIBRARIES)}


def open_run(out: str | Path | None, settings: config.Section, *, name: str) -> RunFolder:
    """Make the folder of a run, or return to an unfinished one.

    The bundle of an unfinished run is removed: nobody has measured it to the end.

    Args:
        out: the folder; None: `runs/NAME/<UTC time>`.
        settings: the whole configuration.
        name: of the recipe.

    Raises:
        errors.ConfigError: the folder holds a finished run, another run, or other files, or another
            process trains in it.
        errors.StorageError: the folder cannot be written.
    """
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise errors.ConfigError(
            f"--out must be a folder. Got the file {str(out)!r}. Choose another path."
        )
    path = Path(out or "runs")
    try:
        path = Path(out) if out is not None else _new_default(name)
        is_resumed = _check_existing(path, settings)
        path.mkdir(parents=True, exist_ok=True)
        lock = _lock(path)
        is_resumed = is_resumed or _check_existing(path, settings)  # begun while we waited
        _clear(path)
        if not is_resumed:
            # First of all: a folder without it is taken for somebody else's. Its paths are
            # absolute, so that it means the same from every working folder.
            files.write(path / CONFIG, config.to_yaml(config.with_absolute_paths(settings)))
        folder = RunFolder(path, is_resumed=is_resumed, settings=settings, lock=lock)
    except OSError as problem:
        raise errors.StorageError(
            f"{path} must be writable. Got: {problem.strerror}. Choose another folder."
        ) from problem
    if out is None:
        files.write(path.parent / "latest", path.name + "\n")
    fresh = {"exit_code": None, "error": None}  # of the attempt before
    folder.update("running", recipe=name, started=_now(), versions=versions(), **fresh)
    _LOG.info("%s run in %s", "resuming the" if is_resumed else "new", path)
    return folder


class History:
    """`history.csv`: one row an epoch, written anew after each, so it is never cut off."""

    def __init__(self, path: Path) -> None:
        """Read the rows that are there.

        Raises:
            errors.DataError: the file is not as it was written.
        """
        import csv

        self.path = path
        self.rows: list[dict[str, float]] = []
        if not path.is_file():
            return
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            try:
                for row in reader:
                    self.rows.append({name: float(value) for name, value in row.items() if value})
                    self.rows[-1]["epoch"]
            except (ValueError, TypeError, KeyError, csv.Error) as problem:
                raise errors.DataError(
                    f"{path}, line {reader.line_num}: the history must be as the run wrote it. "
                    "Got another row. Restore the file, or choose another --out."
                ) from problem

    def keep(self, epochs: int) -> None:
        """Forget rows after the first `epochs`."""
        self.rows = [row for row in self.rows if row["epoch"] <= epochs]

    def add(self, row: Mapping[str, float]) -> None:
        """Append a row and write the file."""
        self.rows.append(dict(row))
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        lines = [",".join(names)]
        lines += [",".join(repr(row[n]) if n in row else "" for n in names) for row in self.rows]
        files.write(self.path, "\n".join(lines) + "\n")
