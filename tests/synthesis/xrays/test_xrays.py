import csv
import dataclasses
import itertools

import numpy as np
import pydantic
import pytest

from inspection_tf import errors, images
from inspection_tf.projection import Detector, Pose, setup_files
from inspection_tf.projection.pose_ranges import PoseRange
from inspection_tf.synthesis.xrays import PartSpec, XraySpec, draw, write_folder
from inspection_tf.synthesis.xrays.parts import DESIGNS

pytest.importorskip("xraydb")

SMALL = XraySpec(size=(48, 60), samples=3)
CUBE = """solid cube
{facets}endsolid cube
"""


def cube_file(path, side):
    """An STL file of a cube."""
    corners = np.array(list(itertools.product((0, side), repeat=3)), float)
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    facets = ""
    for a, b, c, d in sides:
        for face in ((a, b, c), (a, c, d)):
            lines = "".join(f"vertex {x} {y} {z}\n" for x, y, z in corners[list(face)])
            facets += f"facet normal 0 0 0\nouter loop\n{lines}endloop\nendfacet\n"
    path.write_text(CUBE.format(facets=facets))
    return path


def test_an_image_follows_from_seed_and_index_alone():
    nominal = SMALL.nominal()
    one, same = draw(3, seed=1, spec=SMALL), draw(3, seed=1, spec=SMALL, nominal=nominal)
    np.testing.assert_array_equal(one.image, same.image)
    assert one.pose == same.pose
    for index, seed in ((4, 1), (3, 2)):
        other = draw(index, seed=seed, spec=SMALL, nominal=nominal)
        assert other.pose != one.pose
        assert (other.image != one.image).any()


def test_an_image_shows_the_part_in_its_pose():
    spec = SMALL.model_copy(update={"size": (112, 112), "detector": Detector(photons=1e6)})
    nominal = spec.nominal()
    found = draw(0, seed=5, spec=spec, nominal=nominal)
    light = found.image / spec.detector.open_value
    here = np.corrcoef(light.ravel(), nominal.signal(found.pose).ravel())[0, 1]
    assert here > 0.99
    for turn in (10, -10):
        turned = dataclasses.replace(found.pose, phi=found.pose.phi + turn)
        assert np.corrcoef(light.ravel(), nominal.signal(turned).ravel())[0, 1] < here


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_looks_alike_as_often_as_it_says(name):
    design = DESIGNS[name]
    spec = SMALL.model_copy(update={"part": PartSpec(design=name), "size": (96, 96)})
    assert spec.part.symmetry == design.symmetry
    setup = spec.nominal()
    step = 360 / design.symmetry
    first = setup.signal(Pose(phi=20.0), samples=13)
    for turn in np.arange(15.0, 360.0, 15.0):
        off = np.abs(setup.signal(Pose(phi=20.0 + turn), samples=13) - first).max()
        assert (off < 0.02) == (turn % step == 0), turn


def test_a_folder_holds_images_poses_and_the_part(tmp_path):
    done = []
    spec = SMALL.model_copy(update={"detector": Detector(bits=8)})
    out = write_folder(tmp_path / "set", count=3, spec=spec, seed=2, progress=done.append)
    assert done == [1, 2, 3]
    assert sorted(path.name for path in out.iterdir()) == [
        "0000.png",
        "0001.png",
        "0002.png",
        "part.npz",
        "poses.csv",
        "settings.yaml",
    ]
    rows = list(csv.DictReader((out / "poses.csv").read_text().splitlines()))
    assert list(rows[0]) == ["file", "phi", "theta", "psi", "x", "y", "z"]
    nominal = spec.nominal()
    for index, row in enumerate(rows):
        drawn = draw(index, seed=2, spec=spec, nominal=nominal)
        np.testing.assert_array_equal(images.read(out / row.pop("file")), drawn.image)
        written = Pose(**{name: float(text) for name, text in row.items()})
        np.testing.assert_allclose(dataclasses.astuple(written), dataclasses.astuple(drawn.pose))
    kept = setup_files.read(out / "part.npz")
    np.testing.assert_array_equal(kept.signal(Pose()), nominal.signal(Pose()))


def test_a_part_of_ones_own_is_read_in_its_unit(tmp_path):
    pytest.importorskip("trimesh")
    path = cube_file(tmp_path / "cube.stl", 1)
    for unit, side in (("mm", 1.0), ("in", 25.4)):
        spec = SMALL.model_copy(update={"part": PartSpec(file=path, unit=unit)})
        setup = spec.nominal()
        assert setup.part.reach == pytest.approx(side * np.sqrt(3) / 2)
        # The image shows all of it, and not much more.
        assert min(setup.scanner.field_of_view_mm) > 2 * setup.part.reach


def test_a_part_in_the_wrong_unit_is_told_of(tmp_path):
    pytest.importorskip("trimesh")
    path = cube_file(tmp_path / "cube.stl", 100)
    inches = SMALL.model_copy(update={"part": PartSpec(file=path, unit="in")})
    with pytest.raises(errors.DataError, match="source must lie outside the part"):
        inches.nominal()
    narrow = SMALL.model_copy(update={"part": PartSpec(file=path, unit="mm"), "pixel_mm": 1.0})
    with pytest.raises(errors.DataError, match="beside the field of view"):
        narrow.nominal()


def test_no_image_is_no_set(tmp_path):
    with pytest.raises(errors.ConfigError, match="at least 1"):
        write_folder(tmp_path / "set", count=0, spec=SMALL, seed=0)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"kv": (180.0, 140.0)},
        {"scatter": (0.1, 1.0)},
        {"focal_spot_mm": (-1.0, 1.0)},
        {"scatter_px": (0.0, 3.0)},
        {"part": {"file": "a.stl"}},
        {"part": {"unit": "mm"}},
        {"part": {"density": 0}},
        {"source_part_mm": 1200.0},
        {"poses": {"theta_deg": 90}},
    ],
)
def test_a_spec_that_is_none_is_refused(changes):
    with pytest.raises(pydantic.ValidationError):
        XraySpec.model_validate(changes)


def test_a_parallel_beam_is_drawn_too():
    spec = SMALL.model_copy(update={"beam": "parallel", "poses": PoseRange(z_mm=0.0)})
    assert draw(0, seed=0, spec=spec).image.shape == (48, 60)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"poses": PoseRange(xy_mm=30.0), "pixel_mm": 1.0}, "beside the field of view"),
        ({"poses": PoseRange(z_mm=290.0)}, "detector must lie outside"),
        ({"part": PartSpec(density=1e-9)}, "part must show"),
        ({"copper_mm": (1e6, 1e6)}, "must let something"),
        ({"part": PartSpec(formula="H0")}, "formula of part"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning:xraydb")
def test_what_could_not_be_seen_is_told_of(changes, words):
    with pytest.raises(errors.DataError, match=words):
        SMALL.model_copy(update=changes).nominal()
