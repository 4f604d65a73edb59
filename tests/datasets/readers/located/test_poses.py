import dataclasses

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets.readers import formats
from inspection_tf.datasets.readers.located import poses
from inspection_tf.projection import Pose
from inspection_tf.synthesis import xrays

HEADER = "file,phi,theta,psi,x,y,z"


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "sub/b.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        images.write_png(path, np.full((20, 30), 700, np.uint16))
    return tmp_path


def table(folder, *rows, header=HEADER):
    (folder / "poses.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_poses_are_read_with_their_images(folder):
    first, second = poses.read_poses(
        table(folder, "a.png,359.5,1,-2,0.5,0,3", "sub/b.png,-10,0,0,0,0,0")
    )
    assert first.read_pose() == Pose(359.5, 1.0, -2.0, 0.5, 0.0, 3.0)
    assert (first.id, first.label_kind, first.is_defect) == ("a", "pose", False)
    assert second.read_pose() == Pose(350.0)  # a turn less
    assert second.read_image().dtype == np.uint16
    assert not second.read_mask().any()
    assert second.read_mask().shape == (20, 30)


def test_angles_beyond_what_a_pose_is_told_by_are_told_anew(folder):
    for theta, psi in ((359.5, 0), (100, 0), (0, 270)):
        (found,) = poses.read_poses(table(folder, f"a.png,30,{theta},{psi},0,0,0"))
        pose = found.read_pose()
        assert abs(pose.theta) <= 90
        assert abs(pose.psi) <= 180
        np.testing.assert_allclose(pose.rotation, Pose(30, theta, psi).rotation, atol=1e-9)


def test_an_angle_that_rounds_to_a_turn_is_none(folder):
    (found,) = poses.read_poses(table(folder, "a.png,-1e-20,0,0,0,0,0"))
    assert found.read_pose().phi == 0


def test_groups_defects_and_symmetry_are_read(folder):
    header = f"{HEADER},group,defective"
    rows = ("a.png,1,0,0,0,0,0,part 1,1", "sub/b.png,1,0,0,0,0,0,part 1,")
    first, second = poses.read_poses(table(folder, *rows, header=header), symmetry=4)
    assert (first.is_defect, second.is_defect) == (True, False)
    assert first.group == second.group == "part 1"
    assert first.symmetry == 4


def test_what_synthesis_writes_is_read_again(tmp_path):
    spec = xrays.XraySpec(size=(48, 48), samples=1)
    xrays.write_folder(tmp_path / "x", count=4, spec=spec, seed=3, flawed_share=0.5)
    found = poses.read_poses(tmp_path / "x")
    assert [record.is_defect for record in found] == [False, True, False, True]
    for index, record in enumerate(found):
        drawn = xrays.draw(index, seed=3, spec=spec, is_flawed=record.is_defect)
        np.testing.assert_array_equal(record.read_image(), drawn.image)
        written = dataclasses.astuple(record.read_pose())
        assert written == pytest.approx(dataclasses.astuple(drawn.pose), abs=1e-8)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("a.png,x,0,0,0,0,0", "phi must be a number of degrees"),
        ("a.png,,0,0,0,0,0", "phi must be a number of degrees"),
        ("a.png,nan,0,0,0,0,0", "phi must be a number of degrees"),
        ("a.png,1,361,0,0,0,0", "theta must be a number of degrees, -360 to 360"),
        ("a.png,1,0,0,1_0,0,0", "x must be a number of mm"),
        ("a.png,1,0,0,0,0,inf", "z must be a number of mm"),
        ("gone.png,1,0,0,0,0,0", "each listed image must exist"),
        ("../a.png,1,0,0,0,0,0", "a.png"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused_with_its_line(row, why, folder):
    with pytest.raises(errors.DataError, match=rf"poses\.csv, line 2.*{why}"):
        poses.read_poses(table(folder, row))


def test_a_flag_is_1_or_0(folder):
    header = f"{HEADER},defective"
    with pytest.raises(errors.DataError, match=r"line 2: defective must be 1 or 0\. Got"):
        poses.read_poses(table(folder, "a.png,1,0,0,0,0,0,yes", header=header))


def test_a_column_that_is_missing_is_named(folder):
    with pytest.raises(errors.DataError, match="none called psi"):
        poses.read_poses(table(folder, "a.png,1,0,0,0,0", header="file,phi,theta,x,y,z"))


def test_an_image_is_listed_once(folder):
    row = "a.png,1,0,0,0,0,0"
    with pytest.raises(errors.DataError, match=r"a\.png"):
        poses.read_poses(table(folder, row, row))


def test_a_folder_without_the_table_is_refused(folder):
    with pytest.raises(errors.DataError, match=r"must hold poses\.csv"), formats.explained("poses"):
        poses.read_poses(folder)


def test_another_pose_is_another_identity(folder):
    (one,) = poses.read_poses(table(folder, "a.png,1,0,0,0,0,0"))
    (other,) = poses.read_poses(table(folder, "a.png,2,0,0,0,0,0"))
    assert one.source.identity() != other.source.identity()
