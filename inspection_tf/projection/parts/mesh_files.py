"""Files of meshes, such as STL, read by trimesh."""

from pathlib import Path
from typing import Literal

import numpy as np

from inspection_tf import errors
from inspection_tf.engines import installed
from inspection_tf.projection.parts.meshes import Mesh

Unit = Literal["mm", "in"]
MM: dict[Unit, float] = {"mm": 1.0, "in": 25.4}
"""Millimetres of each unit; a file of triangles does not say in which it is."""
_MERGED = 1e-6  # of the part's size: corners that are nearer are one


def read_mesh(path: str | Path, *, unit: Unit) -> Mesh:
    """Read a part.

    Args:
        path: STL, or another format of trimesh.
        unit: of the numbers in the file.

    Returns:
        The mesh, in mm, its origin in the middle of the box around it.

    Raises:
        errors.DataError: the file is absent or no mesh, or the surface is not closed or encloses
            nothing.
        errors.BundleError: trimesh is absent.
    """
    try:
        import trimesh
    except ImportError as problem:
        raise installed.missing("trimesh", "xray", "Reading a mesh") from problem
    path = Path(path)
    if not path.is_file():
        raise errors.DataError(
            f"A part must be a file of triangles, such as STL. Got none at {path}. Check the path."
        )
    try:
        found = trimesh.load_mesh(path, process=False)
        corners = np.asarray(found.vertices, np.float64)[np.asarray(found.faces)]
    except Exception as problem:  # its readers raise whatever they stumble over
        raise errors.DataError(
            f"{path} must be a file of triangles, such as STL. Got: {errors.first_line(problem)}. "
            "Export the part again."
        ) from problem
    if not corners.size:
        raise errors.DataError(f"{path}: a mesh must have faces. Got none. Export the part again.")
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    if not np.isfinite([low, high]).all():
        raise errors.DataError(
            f"{path}: corners must be finite. Got NaN or infinity. Export the part again."
        )
    centred = (corners - (low + high) / 2).reshape(-1, 3)
    # The corners of an STL file are written for each face anew.
    step = max(float((high - low).max()) * _MERGED, np.finfo(np.float64).tiny)
    _, first, index = np.unique(
        np.round(centred / step).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    faces = index.reshape(-1, 3).astype(np.int64)
    is_face = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    try:
        return Mesh(centred[first] * MM[unit], faces[is_face])
    except errors.DataError as problem:
        raise errors.DataError(f"{path}: {problem}") from problem
