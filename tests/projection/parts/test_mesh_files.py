import itertools
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.projection import Pose, Scanner
from inspection_tf.projection.parts import mesh_files

trimesh = pytest.importorskip("trimesh")


def write_box(path, *, faces=slice(None), offset=(0, 0, 0)):
    made = trimesh.creation.box((2.0, 3.0, 5.0))
    made.apply_translation(offset)
    made.faces = made.faces[faces]
    made.export(path)
    return path


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1.0), ("in", 25.4)])
def test_a_part_is_read_in_mm_around_its_middle(tmp_path, unit, scale):
    mesh = mesh_files.read_mesh(write_box(tmp_path / "a.STL", offset=(70, -3, 0.2)), unit=unit)
    assert len(mesh.vertices) == 8
    assert len(mesh.faces) == 12
    assert mesh.volume == pytest.approx(30 * scale**3, rel=1e-5)
    np.testing.assert_allclose(
        mesh.vertices.max(axis=0), np.array([1, 1.5, 2.5]) * scale, rtol=1e-5
    )
    np.testing.assert_allclose(mesh.vertices.min(axis=0), -mesh.vertices.max(axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "faces", "size_in"),
    [
        ("featuretype", 3476, (5.0, 2.5, 1.375)),
        ("angle_block", 704, None),
        ("idler_riser", 1572, None),
    ],
)
@pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)
def test_machine_parts_are_closed(name, faces, size_in):
    root = Path(os.environ["INSPECTION_DATA"])
    mesh = mesh_files.read_mesh(root / "meshes" / f"{name}.STL", unit="in")
    assert len(mesh.faces) == faces
    if size_in:
        np.testing.assert_allclose(
            np.ptp(mesh.vertices, axis=0), np.array(size_in) * 25.4, rtol=1e-5
        )


def test_what_is_no_part_is_refused(tmp_path):
    with pytest.raises(errors.DataError, match=r"Got none at .*b\.stl"):
        mesh_files.read_mesh(tmp_path / "b.stl", unit="mm")
    with pytest.raises(errors.DataError, match=r"a\.stl: A mesh must be closed"):
        mesh_files.read_mesh(write_box(tmp_path / "a.stl", faces=slice(1, None)), unit="mm")
    for name, content in itertools.product(
        ("c.stl", "c.xyz", "c.docx"), (b"", b"solid", b"\0" * 99)
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(errors.DataError, match=r"c\.\w+(:| must be)"):
            mesh_files.read_mesh(tmp_path / name, unit="mm")


def test_without_trimesh_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(errors.BundleError, match=r'pip install "inspection-tf\[xray\]"'):
        mesh_files.read_mesh(tmp_path / "b.stl", unit="mm")


def cast(mesh, rays):
    """Return the chords of rays by a caster of its own: each ray against each face.

    Source: Moeller and Trumbore 1997, "Fast, minimum storage ray-triangle intersection".
    """
    first, second, third = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    one, other = second - first, third - first
    chords = []
    for origin, direction in zip(*np.broadcast_arrays(rays.origin, rays.direction), strict=True):
        across = np.cross(direction, other)
        volume = (one * across).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = ((origin - first) * across).sum(axis=1) / volume
            aside = np.cross(origin - first, one)
            v = (aside @ direction) / volume
            t = (other * aside).sum(axis=1) / volume
        hit = (u >= 0) & (v >= 0) & (u + v <= 1)
        # Where the ray enters, it sees a face from outside; where it leaves, from inside.
        chords.append(-(np.sign(volume) * t)[hit].sum())
    return np.array(chords)


@pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)
@pytest.mark.parametrize("beam", ["cone", "parallel"])
@pytest.mark.parametrize("name", ["featuretype", "angle_block", "idler_riser"])
def test_chords_are_those_of_an_independent_caster(name, beam):
    root = Path(os.environ["INSPECTION_DATA"])
    mesh = mesh_files.read_mesh(root / "meshes" / f"{name}.STL", unit="in")
    scanner = Scanner(beam=beam, pixel_mm=0.9)
    pose = Pose(phi=211.3, theta=6.1, psi=-3.7, x=2.2, y=-1.3, z=4.0)
    found = mesh.path_lengths(scanner, pose).ravel()
    assert found.max() > 10
    rows = np.random.default_rng(0).choice(np.flatnonzero(found > 0), 300, replace=False)
    chords = cast(mesh, scanner.into_part(scanner.rays(), pose).some(rows))
    np.testing.assert_allclose(found[rows], chords, atol=1e-6)
