import dataclasses
import json

import numpy as np
import pytest
from xray_parts import POSE, SETUP

from inspection_tf import errors
from inspection_tf.projection import (
    Assembly,
    Body,
    Cone,
    Mesh,
    Pose,
    Solid,
    Sphere,
    Volume,
    setup_files,
)

CORNERS = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9]], float)
TETRAHEDRON = Mesh(CORNERS, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]))
PARTS = {
    "assembly": SETUP.part,
    "cone": Assembly([Body(Cone(0.0, 4.0, 9.0), "aluminium"), Body(Sphere(2.0), None)]),
    "solid": Solid(TETRAHEDRON, "aluminium"),
    "volume": Volume(np.arange(27, dtype=np.float32).reshape(3, 3, 3), 2.0, "aluminium"),
}


@pytest.mark.parametrize("name", PARTS)
def test_what_was_written_projects_alike(tmp_path, name):
    setup = dataclasses.replace(SETUP, part=PARTS[name])
    setup_files.write(setup, tmp_path / "part.npz")
    found = setup_files.read(tmp_path / "part.npz")
    assert found.scanner == setup.scanner
    np.testing.assert_array_equal(found.signal(POSE), setup.signal(POSE))


def test_the_same_setup_is_the_same_file(tmp_path):
    for name in ("one", "two"):
        setup_files.write(SETUP, tmp_path / f"{name}.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_part_of_another_kind_is_refused(tmp_path):
    class Other:
        materials = ("aluminium",)

    with pytest.raises(errors.DataError, match="solid, an assembly or a volume"):
        setup_files.write(dataclasses.replace(SETUP, part=Other()), tmp_path / "part.npz")


def test_no_such_file_is_told_of(tmp_path):
    with pytest.raises(errors.BundleError, match=r"must hold a part.*no such file\. Write it with"):
        setup_files.read(tmp_path / "absent.npz")


@pytest.mark.parametrize("cut", [0, 30, -40])
def test_a_broken_file_is_told_of(tmp_path, cut):
    path = tmp_path / "part.npz"
    setup_files.write(SETUP, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(errors.BundleError, match="must hold a part"):
        setup_files.read(path)


def edited(path, **changes):
    with np.load(path) as stored:
        arrays = dict(stored)
    text = json.loads(str(arrays.pop("text"))) | changes
    np.savez(path, text=np.array(json.dumps(text)), **arrays)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "schema 1"),
        ({"part": {"kind": "cloud"}}, "kind 'cloud'"),
        ({"part": {"kind": "assembly", "bodies": []}}, "some material"),
        ({"scanner": {"beam": "fan"}}, "must hold a part"),
        ({"materials": []}, "must hold a part"),
    ],
)
def test_what_does_not_fit_is_told_of(tmp_path, changes, words):
    path = tmp_path / "part.npz"
    setup_files.write(SETUP, path)
    edited(path, **changes)
    with pytest.raises(errors.BundleError, match=words):
        setup_files.read(path)


def test_no_code_comes_out_of_a_file(tmp_path):
    path = tmp_path / "part.npz"
    np.savez(path, text=np.array([Pose()], dtype=object))
    with pytest.raises(errors.BundleError, match="must hold a part"):
        setup_files.read(path)


def test_a_byte_that_changed_is_told_of_or_changes_nothing_else(tmp_path):
    path = tmp_path / "part.npz"
    setup_files.write(SETUP, str(path))
    whole = path.read_bytes()
    refused = 0
    for place in range(10, len(whole), len(whole) // 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            setup_files.read(str(path))
        except errors.BundleError:
            refused += 1
    assert refused > 10
