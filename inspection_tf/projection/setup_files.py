"""One file that holds a part, its scanner and its beam: what a bundle carries to project it.

It is an archive of NumPy, without pickled objects: arrays of surfaces and volumes, and a text in
JSON for all else.
"""

import dataclasses
import io
import json
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, files
from inspection_tf.projection.attenuation import Spectrum
from inspection_tf.projection.parts import (
    Assembly,
    Body,
    Box,
    Cone,
    Cylinder,
    Mesh,
    Part,
    Solid,
    Sphere,
    Volume,
)
from inspection_tf.projection.parts.primitives import Primitive
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.radiographs import Setup
from inspection_tf.projection.scanner import Scanner

PRIMITIVES: dict[str, type[Primitive]] = {
    "sphere": Sphere,
    "box": Box,
    "cylinder": Cylinder,
    "cone": Cone,
}
"""Names of bodies of a closed form, as a file has them."""
NAME = "part.npz"
"""What such a file is called beside images, and in a bundle."""
_SCHEMA = 1
_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    NotImplementedError,
    RecursionError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    errors.DataError,
)
_Arrays = dict[str, NDArray[Any]]


def write(setup: Setup, path: str | Path) -> None:
    """Write a file that `read` reads.

    Args:
        setup: part, scanner and beam.
        path: of the file, which ends in .npz; one that is there is replaced.

    Raises:
        errors.DataError: the part is of no kind that a file can hold.
        errors.StorageError: it cannot be written.
    """
    files.write(path, dumped(setup))


def dumped(setup: Setup) -> bytes:
    """Return what a file of `write` holds.

    Raises:
        errors.DataError: the part is of no kind that a file can hold.
    """
    part, arrays = _described(setup.part)
    text = {
        "schema": _SCHEMA,
        "scanner": setup.scanner.model_dump(mode="json"),
        "part": part,
        "materials": sorted(setup.mu),
    }
    arrays |= {"energies": setup.spectrum.energies, "shares": setup.spectrum.shares}
    arrays |= {"mu": np.stack([setup.mu[name] for name in sorted(setup.mu)])}
    written = io.BytesIO()
    np.savez_compressed(written, text=np.array(json.dumps(text)), **arrays)  # type: ignore[arg-type]
    return written.getvalue()


def read(path: str | Path) -> Setup:
    """Read a file of `write`.

    Raises:
        errors.BundleError: it is absent, or no such file.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as problem:
        raise errors.BundleError(
            f"{path} must hold a part and its scanner. Got no such file. "
            "Write it with projection.setup_files.write, or export the bundle again."
        ) from problem
    except OSError as problem:
        raise _unreadable(path, problem) from problem
    return parsed(data, str(path))


def parsed(data: bytes, name: str) -> Setup:
    """Return part, scanner and beam from what a file of `write` holds.

    Args:
        data: the bytes of the file.
        name: of it, for messages.

    Raises:
        errors.BundleError: they are none.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        text = json.loads(str(arrays["text"]))
        if text["schema"] != _SCHEMA:
            raise errors.BundleError(
                f"{name} must be of schema {_SCHEMA}. Got {text['schema']}. Install the package "
                "that it was written with."
            )
        return Setup(
            _part_of(text["part"], arrays),
            Scanner.model_validate_json(json.dumps(text["scanner"])),
            Spectrum(arrays["energies"], arrays["shares"]),
            dict(zip(text["materials"], arrays["mu"], strict=True)),
        )
    except _UNREADABLE as problem:
        raise _unreadable(name, problem) from problem


def _unreadable(name: str | Path, problem: Exception) -> errors.BundleError:
    return errors.BundleError(
        f"{name} must hold a part and its scanner. Got: {errors.first_line(problem)}. "
        "Export the bundle again."
    )


def _described(part: Part) -> tuple[dict[str, Any], _Arrays]:
    """Return what a part is: a value of JSON, and arrays."""
    if isinstance(part, Solid):
        arrays: _Arrays = {"vertices": part.mesh.vertices, "faces": part.mesh.faces}
        return {"kind": "solid", "material": part.material}, arrays
    if isinstance(part, Volume):
        kept = {"kind": "volume", "material": part.material, "voxel_mm": part.voxel_mm}
        return kept, {"values": part.values}
    if isinstance(part, Assembly):
        names = {kind: name for name, kind in PRIMITIVES.items()}
        bodies = [
            {
                "primitive": names[type(body.primitive)],
                "sizes": dataclasses.asdict(body.primitive),  # type: ignore[call-overload]
                "material": body.material,
                "place": dataclasses.asdict(body.place),
            }
            for body in part.bodies
        ]
        return {"kind": "assembly", "bodies": bodies}, {}
    raise errors.DataError(
        f"A part to keep must be a solid, an assembly or a volume. Got {type(part).__name__}. "
        "Use one of these."
    )


def _part_of(text: dict[str, Any], arrays: _Arrays) -> Part:
    """Return the part that `_described` described."""
    if text["kind"] == "solid":
        return Solid(Mesh(arrays["vertices"], arrays["faces"]), text["material"])
    if text["kind"] == "volume":
        return Volume(arrays["values"], text["voxel_mm"], text["material"])
    if text["kind"] == "assembly":
        return Assembly(
            [
                Body(
                    PRIMITIVES[body["primitive"]](**body["sizes"]),
                    body["material"],
                    Pose(**body["place"]),
                )
                for body in text["bodies"]
            ]
        )
    raise ValueError(f"a part of kind {text['kind']!r}")
