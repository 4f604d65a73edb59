"""Writing to disk so that a crash or a full disk never leaves half of something."""

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from inspection_tf import errors


def _storage_error(path: Path, problem: OSError) -> errors.StorageError:
    return errors.StorageError(
        f"{path} must be writable. Got: {problem.strerror or problem}. "
        "Free space or choose another folder."
    )


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # only POSIX lets a folder be opened and synced
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: str | os.PathLike[str], data: bytes | str, *, sync: bool = True) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename, fsync of the folder.

    Args:
        path: replaced if it exists; its folder must exist.
        data: text is written as UTF-8.
        sync: wait until the disk holds it, so that it survives a power cut too.

    Raises:
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    content = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        temporary.replace(path)
        if sync:
            _sync_folder(path.parent)
    except OSError as problem:
        raise _storage_error(path, problem) from problem
    finally:  # also when the process is told to stop
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def append_line(path: str | os.PathLike[str], line: str, *, sync: bool = False) -> None:
    """Append a line to a text file; when this returns, the end of the process loses nothing of it.

    Args:
        path: made where it is absent; its folder must exist. Where its last line has no end, since
            the power went, the new one begins after it.
        line: without its newline; written as UTF-8.
        sync: wait until the disk holds it, so that it survives a power cut too.

    Raises:
        errors.StorageError: it cannot be written; what was there is as it was.
    """
    path = Path(path)
    try:
        with path.open("a+b", buffering=0) as stream:
            before = stream.seek(0, os.SEEK_END)
            stream.seek(max(before - 1, 0))
            start = "\n" if stream.read(1) not in (b"", b"\n") else ""
            unwritten = memoryview(f"{start}{line}\n".encode())
            try:
                while unwritten:
                    unwritten = unwritten[stream.write(unwritten) :]
                if sync:
                    os.fsync(stream.fileno())
            except OSError:
                stream.truncate(before)  # half a line would spoil the next one
                raise
        if sync and not before:
            _sync_folder(path.parent)
    except OSError as problem:
        raise _storage_error(path, problem) from problem


def csv_line(cells: Iterable[object]) -> str:
    """Return a line of CSV with its newline; None is an empty cell.

    Whatever a cell holds, line breaks of any kind included, `csv.reader` gives it back; but what
    is no text, bytes of the name of a file, is written as an escape.
    """
    line = io.StringIO(newline="")
    # With both characters in the end of a line both are quoted; with one, the other is not.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    text = line.getvalue().encode(errors="backslashreplace").decode()
    return text.removesuffix("\r\n") + "\n"


def write_json(path: str | os.PathLike[str], values: object) -> None:
    """Write JSON with a final newline, as `write` does; not-a-number is refused.

    Raises:
        errors.StorageError: as `write`.
    """
    write(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder and its parents where they are absent.

    Raises:
        errors.StorageError: it cannot be made.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise _storage_error(path, problem) from problem
    return path


def require_free(final: str | os.PathLike[str]) -> None:
    """Refuse a target folder that holds something, before any work is done for it.

    Args:
        final: must not exist yet, or be an empty folder.

    Raises:
        errors.ConfigError: it holds something already.
        errors.StorageError: it cannot be looked into.
    """
    final = Path(final)
    try:
        is_taken = final.exists() and (not final.is_dir() or any(final.iterdir()))
    except OSError as problem:
        raise _storage_error(final, problem) from problem
    if is_taken:
        raise errors.ConfigError(
            f"The target must not exist yet. Got {str(final)!r}, which holds something. "
            "Choose another folder or remove that one."
        )


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir():
            _sync_folder(path)
        elif path.is_file():
            with path.open("r+b") as stream:  # Windows syncs only what may be written
                os.fsync(stream.fileno())
    _sync_folder(folder)


@contextlib.contextmanager
def new_folder(final: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside `final` that becomes `final` when the block ends well.

    Args:
        final: must not exist yet, or be an empty folder.

    Raises:
        errors.ConfigError: `final` holds something already.
        errors.StorageError: the disk is full or the parent cannot be written; `final` is untouched.
    """
    require_free(final)
    final = Path(final)
    temporary: Path | None = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        temporary.chmod(0o755)
        yield temporary
        _sync_tree(temporary)
        if final.exists():
            final.rmdir()
        temporary.replace(final)
        _sync_folder(final.parent)
    except OSError as problem:
        raise _storage_error(final, problem) from problem
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def require_editable(final: str | os.PathLike[str]) -> None:
    """Refuse a folder that `edited_folder` could not put another in place of, before any work.

    Raises:
        errors.StorageError: it is a mount point, or its parent cannot be written.
    """
    final = Path(final).resolve()
    if os.path.ismount(final):
        raise errors.StorageError(
            f"{final} must be replaceable by an edited copy. Got a mount point. "
            "Mount the folder above it, or edit the bundle where it lies."
        )
    if not os.access(final.parent, os.W_OK | os.X_OK):
        raise errors.StorageError(
            f"{final.parent} must be writable. Got a folder that is not. Choose another folder."
        )


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes while the block runs, where the system has locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have none
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _copy_ownership(final: Path, copy: Path) -> None:
    """Give a copy, and all in it, to the owner of the folder that it replaces."""
    if not hasattr(os, "chown"):
        return
    owner = final.stat()
    for path in (copy, *copy.rglob("*")):
        with contextlib.suppress(PermissionError):
            os.chown(path, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def edited_folder(
    final: str | os.PathLike[str], *, check: Callable[[], None] = lambda: None
) -> Iterator[Path]:
    """Yield a copy of a folder that takes its place when the block ends well, else vanishes.

    The replacement is two renames. If the process ends between them, both folders lie whole beside
    `final`, under names that begin with a dot.

    Args:
        final: exists; a link to a folder stays a link.
        check: called under a lock, just before the replacement; raises if another process has
            edited the folder meanwhile.

    Raises:
        errors.StorageError: the disk is full or the parent cannot be written; `final` is as before.
    """
    final = Path(final).resolve()
    copy: Path | None = None
    try:
        copy = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        shutil.copytree(final, copy, dirs_exist_ok=True)
        yield copy
        _copy_ownership(final, copy)
        _sync_tree(copy)
        old = copy.with_name(f"{copy.name}.old")
        with _one_at_a_time(final.parent):
            check()
            try:
                final.rename(old)
                copy.rename(final)
            except BaseException:  # also when the process is told to stop
                if old.exists() and not final.exists():
                    old.rename(final)
                raise
        _sync_folder(final.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as problem:
        raise _storage_error(final, problem) from problem
    finally:
        if copy is not None:
            shutil.rmtree(copy, ignore_errors=True)


def composed(name: str) -> str:
    """Return a name in composed Unicode (NFC), in which names are compared.

    File systems and archives hand over one accented letter as one character or as two.
    """
    return unicodedata.normalize("NFC", name)


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
