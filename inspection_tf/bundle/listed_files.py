"""What a bundle's folder may hold: a manifest of JSON, and the plain files that it lists."""

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from inspection_tf import errors, files, tasks
from inspection_tf.bundle import onnx_guard
from inspection_tf.engines import kinds
from inspection_tf.engines.names import FOLDER

IN_A_RUN = "bundle"
"""Where a run has its bundle."""
MANIFEST = "manifest.json"
CARD = "MODEL_CARD.md"
TUNE_SCORES = "tune_scores.json"
MAX_MANIFEST_BYTES = 16 * 2**20
MAX_FILE_BYTES = 2 * 2**30
_DEEPEST_JSON = 40
# Also takes a string that is cut off, and never has to try twice.
_JSON_STRING = re.compile(rb'"[^"\\]*(?:\\.?[^"\\]*)*(?:"|\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_MOST_FILES = 10_000
_DEEPEST_FOLDER = 16
_SUFFIXES = frozenset({".onnx", ".keras", ".json", ".npy", ".png", ".md"})
# Of engines, which other software reads; nothing of it is ever run as a program by this package.
_ENGINE_SUFFIXES = kinds.SUFFIXES | {".json", ".npy", ".md"}
_OF_TASKS = ".npz"
_SHARD = re.compile(r"variables\.data-\d{5}-of-\d{5}")  # of a SavedModel
CHECK = "golden/check.py"
_LONGEST_NAME = 100  # of a link's target, in a message


def refuse(path: Path, requirement: str, received: str, way_out: str) -> errors.BundleError:
    """Return the error of a bundle that is not as it was written."""
    return errors.BundleError(f"{path}: {requirement}. Got {received}. {way_out}.")


def _nesting(text: bytes) -> int:
    """Return how deep a JSON text is nested, without parsing it; brackets in strings are none."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(_JSON_STRING.sub(b"", text)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands twice in one object")
    return values


def read_json(path: Path, what: str) -> Any:
    """Read a text of a bundle, sizes and nesting first.

    Args:
        path: of the text.
        what: it is, in an error.

    Raises:
        errors.BundleError: it is too large or too deep, or no JSON.
        OSError: it cannot be read.
    """
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise refuse(
            path,
            f"{what} must be under {MAX_MANIFEST_BYTES} bytes",
            f"{path.stat().st_size}",
            "Use a bundle as it was written",
        )
    return parse_json(path.read_bytes(), path, what)


def parse_json(text: bytes, path: Path, what: str) -> Any:
    """Parse a text of a bundle, its nesting first; see `read_json`."""
    if (deepest := _nesting(text)) > _DEEPEST_JSON:
        raise refuse(
            path,
            f"{what} must be flat",
            f"{deepest} levels of nesting",
            "Use a bundle as it was written",
        )
    try:
        # As UTF-8, of which the check above knows; JSON may also come in wider letters.
        return json.loads(text.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as problem:
        raise refuse(
            path,
            f"{what} must be JSON",
            f"text that does not parse ({problem})",
            "Copy the bundle again",
        ) from problem


def parse_manifest(root: Path, *, newest: int) -> dict[str, Any]:
    """Read `manifest.json`.

    Args:
        root: the bundle's folder.
        newest: schema that is known.

    Raises:
        errors.BundleError: there is none, it is too large or too deep, no JSON, or newer.
    """
    path = root / MANIFEST
    if path.is_symlink():
        raise _linked(root, path, "a bundle must hold manifest.json as a plain file")
    if not path.is_file():
        raise refuse(
            root,
            "a bundle must hold manifest.json",
            "none",
            "Give the folder named bundle of a run",
        )
    values = read_json(path, "the manifest")
    version = values.get("schema_version") if isinstance(values, dict) else None
    if type(version) is not int:  # True is an int, but no version
        raise refuse(
            path,
            "the manifest must name its schema_version",
            "none" if version is None else repr(version),
            "Use a bundle as it was written",
        )
    if version > newest:
        raise refuse(
            path,
            f"this version reads bundles up to schema {newest}",
            f"schema {version}",
            "Upgrade inspection-tf",
        )
    return dict(values)


def _is_known_type(pure: PurePosixPath) -> bool:
    if pure.suffix == _OF_TASKS:
        # Not what any file may be: what a task decides by, beside its networks and in Triton.
        return any(pure.name in tasks.get(name).assets for name in tasks.TASKS)
    if pure.parts[0] == FOLDER:
        known = pure.suffix in _ENGINE_SUFFIXES or _SHARD.fullmatch(pure.name)
        return len(pure.parts) > 2 and bool(known)
    return pure.suffix in _SUFFIXES or str(pure) == CHECK


def check_name(root: Path, name: str) -> Path:
    """Return where a file of the manifest lies.

    Raises:
        errors.BundleError: it leaves the bundle, or is of a type that no bundle holds.
    """
    pure = PurePosixPath(name)
    odd = ".." in pure.parts or "\\" in name or ":" in name or not name.isprintable()
    if pure.is_absolute() or odd or not pure.parts or str(pure) != name:
        raise refuse(root, "files must lie inside the bundle", repr(name), "Do not use this bundle")
    if not _is_known_type(pure):
        raise refuse(
            root,
            f"files must be of the types {sorted(_SUFFIXES)}, or of an engine in its folder",
            repr(name),
            "Do not use this bundle",
        )
    return root.joinpath(*pure.parts)


def read_listed(root: Path, listed: Mapping[str, str], name: str) -> bytes:
    """Return the bytes of a file, which are those that the manifest lists.

    Whatever was checked may have been replaced since; so what is parsed is what is hashed here.

    Args:
        root: the bundle's folder, already checked.
        listed: file to SHA-256, in hex.
        name: of the file.

    Raises:
        errors.BundleError: it is not listed, or not as it was written.
    """
    if name not in listed:
        raise refuse(root, "every file must be in the manifest", repr(name), "Do not use it")
    path = check_name(root, name)
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise refuse(
            path, "a bundle must be readable", str(problem.strerror), "Check its permissions"
        ) from problem
    if hashlib.sha256(data).hexdigest() != listed[name]:
        raise _altered(path)
    return data


def _altered(path: Path) -> errors.BundleError:
    return refuse(
        path,
        "the file must be as it was written",
        "another SHA-256",
        "Load it again if the bundle was just replaced; else copy the bundle again",
    )


def _entries(root: Path) -> Iterator[Path]:
    """Give what lies in a bundle's folder, at every depth; folders before what they hold.

    Raises:
        errors.BundleError: it is nested too deeply, or there is too much.
    """
    waiting, count = [(root, 1)], 0
    while waiting:
        folder, depth = waiting.pop()
        with os.scandir(folder) as found:
            for entry in found:
                count += 1
                if depth > _DEEPEST_FOLDER or count > 2 * _MOST_FILES:
                    raise refuse(
                        root,
                        f"a bundle has up to {_DEEPEST_FOLDER} levels of folders and "
                        f"{2 * _MOST_FILES} files and folders",
                        "more",
                        "Do not use it",
                    )
                yield Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), depth + 1))


def _linked(root: Path, path: Path, requirement: str) -> errors.BundleError:
    """Return the error of a bundle in which a symbolic link stands for a file or a folder."""
    try:
        target = repr(os.readlink(path))  # noqa: PTH115  as it is written, and cut below
    except OSError:
        target = "something"
    if len(target) > _LONGEST_NAME:
        target = f"{target[:_LONGEST_NAME]}..."
    return refuse(
        path,
        requirement,
        f"a symbolic link to {target}, as a copy of links has it",
        f"Copy the bundle with its files: cp -rL {shlex.quote(str(root))} COPY",
    )


def _require_own_files(root: Path, present: Sequence[Path]) -> None:
    """Refuse links, and files that somebody could change from outside the bundle.

    Args:
        root: the bundle's folder.
        present: all that lies in it.

    Raises:
        errors.BundleError: there is a symbolic link, a device, or a file with a second name.
    """
    for path in present:
        if path.is_symlink():
            raise _linked(root, path, "a bundle must hold plain files only")
        if not (path.is_file() or path.is_dir()):
            raise refuse(
                path,
                "a bundle must hold plain files only",
                "a device, a pipe or a socket",
                "Do not use this bundle",
            )
    plain = [path for path in present if path.is_file()]
    shared = [path for path in plain if path.stat().st_nlink > 1]
    if shared:
        # A backup links every file, an attack the one that is to change; both may be altered there.
        how = (
            "all of them are, as a backup makes them (cp -al, rsync --link-dest)"
            if len(shared) == len(plain)
            else f"{len(shared)} of {len(plain)} are"
        )
        raise refuse(
            shared[0],
            "a bundle must hold files of its own, which nobody changes under another name",
            f"a hard link to a file that lies elsewhere too; {how}",
            f"Copy the bundle with its files: cp -rL {shlex.quote(str(root))} COPY",
        )


def check_files(root: Path, listed: Mapping[str, str]) -> None:
    """Compare a bundle's folder with the files that its manifest lists.

    Args:
        root: the bundle's folder.
        listed: file to SHA-256, in hex.

    Raises:
        errors.BundleError: one is missing, extra, altered, a link, too large, or of another type.
    """
    if len(listed) > _MOST_FILES:
        raise refuse(
            root, f"a bundle has up to {_MOST_FILES} files", f"{len(listed)}", "Do not use it"
        )
    expected = {name: check_name(root, name) for name in listed}
    folded = [name.casefold() for name in listed]
    if len(set(folded)) < len(folded):
        raise refuse(
            root,
            "names must differ by more than case",
            next(repr(name) for name in listed if folded.count(name.casefold()) > 1),
            "Do not use this bundle",
        )
    found = set()
    present = sorted(_entries(root))
    _require_own_files(root, present)
    for path in present:
        if path.is_file() and path != root / MANIFEST:
            found.add(path.relative_to(root).as_posix())
    for name in sorted(set(expected) - found):
        raise refuse(
            root, "every file of the manifest must be there", f"no {name}", "Copy the bundle again"
        )
    for name in sorted(found - set(expected)):
        raise refuse(root, "every file must be in the manifest", f"an extra {name}", "Remove it")
    for name, path in expected.items():
        if path.stat().st_size > MAX_FILE_BYTES:
            raise refuse(
                path,
                f"files must be under {MAX_FILE_BYTES} bytes",
                f"{path.stat().st_size}",
                "Do not use this bundle",
            )
        if files.sha256(path) != listed[name]:
            raise _altered(path)


def check_models(root: Path, listed: Mapping[str, str]) -> None:
    """Look into every model that a parser will see.

    Args:
        root: the bundle's folder.
        listed: file to SHA-256, in hex.

    Raises:
        errors.BundleError: one is no such model, or points to what lies elsewhere.
    """
    for file in listed:
        if file.endswith(".onnx"):
            data = read_listed(root, listed, file)
            onnx_guard.check(data, name=str(root / file))
        elif file.endswith(".xml"):
            _check_ir(root, listed, file)


def _check_ir(root: Path, listed: Mapping[str, str], file: str) -> None:
    """Refuse an OpenVINO model that declares types or entities of its own: it never does."""
    path = root / file
    is_large = path.stat().st_size > MAX_MANIFEST_BYTES
    text = b"" if is_large else read_listed(root, listed, file)
    # A letter of more than one byte, as of UTF-16, has a NUL in it.
    odd = b"<!" in text or b"\0" in text
    if is_large or odd or not path.with_suffix(".bin").is_file():
        raise refuse(
            path,
            f"an OpenVINO model must be plain XML under {MAX_MANIFEST_BYTES} bytes, its .bin "
            "beside it",
            "another file",
            "Do not use this bundle",
        )
