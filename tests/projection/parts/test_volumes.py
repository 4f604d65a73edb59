import csv
import dataclasses
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.projection import Assembly, Body, Cylinder, Pose, Scanner, Sphere, Volume
from inspection_tf.projection.parts import volumes

pytest.importorskip("skimage")

PART = Assembly(
    [
        Body(Cylinder(12.0, 14.0), "resin", Pose(theta=90.0)),
        Body(Sphere(4.0), "steel", Pose(x=5.0, y=2.0, z=3.0)),
        Body(Sphere(2.5), "steel", Pose(x=-6.0, y=-3.0, z=4.0)),
    ]
)
MU = {"resin": 0.02, "steel": 0.15}
SCANNER = Scanner(beam="parallel", size=(20, 48), pixel_mm=1.0)
ANGLES = np.arange(0.0, 180.0, 4.0)


def attenuation(phi, scanner=SCANNER):
    lengths = PART.path_lengths(scanner, Pose(phi=phi), samples=5)
    fine = sum(MU[name] * length for name, length in lengths.items())
    return fine.reshape(20, 5, 48).mean(axis=1)


def scan(axis=0.0, angles=ANGLES):
    scanner = SCANNER.model_copy(update={"middle_px": (axis, 0.0)})
    return np.exp(-np.stack([attenuation(phi, scanner) for phi in angles]))


@pytest.mark.parametrize("axis", [0.0, -3.37, 2.61])
@pytest.mark.parametrize("angles", [ANGLES, np.append(ANGLES, 180.0)])
def test_the_axis_is_found_to_a_tenth_of_a_pixel(axis, angles):
    # Of the first angles no two are opposite; the second have the first view once more, mirrored.
    assert volumes.axis_px(scan(axis, angles), angles) == pytest.approx(axis, abs=0.1)


def test_a_scan_with_opposite_views_does_not_count_them_twice():
    once, twice = (
        volumes.from_scan(scan(0.0, angles), angles, pixel_mm=1.0, axis=0.0)
        for angles in (ANGLES, np.append(ANGLES, 180.0))
    )
    np.testing.assert_array_equal(once.values, twice.values)


@pytest.mark.parametrize("axis", [0.0, 2.61])
@pytest.mark.parametrize("phi", [2.0, 90.0, 133.0])
def test_a_volume_projects_as_the_part_that_was_scanned(axis, phi):
    volume = volumes.from_scan(scan(axis), ANGLES, pixel_mm=1.0)
    found = volume.path_lengths(SCANNER, Pose(phi=phi))["scan"]
    expected = attenuation(phi)
    assert np.abs(found - expected).mean() < 0.03 * expected.max()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_a_volume_turns_about_all_axes_and_moves():
    volume = volumes.from_scan(scan(), ANGLES, pixel_mm=1.0)
    pose = Pose(40.0, 8.0, -6.0, 1.0, 1.0, 0.0)
    found = volume.path_lengths(SCANNER, pose)["scan"]
    fine = PART.path_lengths(SCANNER, pose, samples=5)
    expected = sum(MU[n] * v for n, v in fine.items()).reshape(20, 5, 48).mean(axis=1)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_an_upright_part_is_projected_by_one_matrix_as_by_its_rays():
    rng = np.random.default_rng(3)
    volume = Volume(rng.random((9, 14, 11)).astype(np.float32), 0.8)
    scanner = SCANNER.model_copy(update={"middle_px": (1.3, -0.4)})
    upright = Pose(phi=37.0, x=2.1, y=-1.3)
    # A small tilt takes the other way, and changes nothing to speak of.
    tilted = dataclasses.replace(upright, theta=1e-2)
    one, other = (volume.path_lengths(scanner, pose)["scan"] for pose in (upright, tilted))
    np.testing.assert_allclose(one, other, atol=0.02 * one.max())
    several = volume.path_lengths(scanner, upright, samples=3)["scan"]
    assert several.shape == (60, 48)


def test_projections_between_those_of_a_scan_make_it_look_alike_at_all_angles():
    few = np.arange(0.0, 180.0, 9.0)
    plain, dense = (
        volumes.from_scan(scan(0.0, few), few, pixel_mm=1.0, axis=0.0, between=count)
        for count in (1, 5)
    )

    def off(volume, phi):
        found = volume.path_lengths(SCANNER, Pose(phi=phi))["scan"]
        return np.abs(found - attenuation(phi)).mean()

    # At its own angles a volume of few projections is better than between them.
    assert off(plain, 45.0) < 0.7 * off(plain, 49.5)
    assert off(dense, 49.5) < 1.2 * off(dense, 45.0)
    assert off(dense, 49.5) < 0.8 * off(plain, 49.5)


def test_a_cone_sees_a_volume_magnified():
    values = np.zeros((9, 9, 9), np.float32)
    values[4, 4, 4] = 1.0
    volume = Volume(values, 1.0)
    scanner = Scanner(size=(41, 41), pixel_mm=1.0, source_detector_mm=400.0, source_part_mm=200.0)
    found = volume.path_lengths(scanner, Pose(x=3.0, y=-2.0))["scan"]
    # Twice as far from the source: 3 mm right and 2 mm up are 6 and 4 px.
    assert np.unravel_index(found.argmax(), found.shape) == (20 - 4, 20 + 6)


def test_a_dead_pixel_is_as_its_neighbours():
    broken = scan()
    broken[:, 10, 24] = 0.0
    whole, mended = (volumes.from_scan(s, ANGLES, pixel_mm=1.0) for s in (scan(), broken))
    assert np.abs(whole.values - mended.values).max() < 0.05


def test_light_that_changes_during_a_scan_changes_nothing():
    gains = np.linspace(0.7, 1.0, len(ANGLES))[:, None, None] * np.linspace(1.0, 0.95, 48)
    steady, changing = (
        volumes.from_scan(s, ANGLES, pixel_mm=1.0, axis=0.0) for s in (scan(), scan() * gains)
    )
    assert np.abs(steady.values - changing.values).max() < 0.01


@pytest.mark.parametrize(
    ("transmission", "angles", "words"),
    [
        (np.ones((3, 4, 40)), [0, 60, 120], "show the part"),
        (np.full((2, 4, 40), 0.5), [0, 90], "three of them"),
        (np.full((3, 4, 40), 0.5), [0, 90], "an angle for each"),
        (np.full((4, 40), 0.5), [0, 60, 120], "finite projections"),
        (np.full((3, 4, 40), np.nan), [0, 60, 120], "finite projections"),
    ],
)
def test_what_is_no_scan_is_refused(transmission, angles, words):
    with pytest.raises(errors.DataError, match=words):
        volumes.from_scan(transmission, angles, pixel_mm=1.0)


@pytest.mark.parametrize(
    ("values", "side"),
    [(np.zeros((2, 2, 2)), 1.0), (np.ones((2, 2)), 1.0), (np.ones((2, 2, 2)), 0.0)],
)
def test_what_is_no_volume_is_refused(values, side):
    with pytest.raises(errors.DataError, match="volume needs"):
        Volume(values.astype(np.float32), side)


def test_a_real_scan_projects_as_it_was_seen():
    root = os.environ.get("INSPECTION_DATA")
    if not root:
        pytest.skip("INSPECTION_DATA is not set: it names the folder of real images")
    folder = Path(root) / "xray_series"
    rows = list(csv.DictReader((folder / "angles.csv").read_text().splitlines()))
    angles = np.array([float(row["angle_deg"]) for row in rows])
    images = [
        cv2.imread(str(folder / "images" / row["file"]), cv2.IMREAD_UNCHANGED) for row in rows
    ]
    part = np.stack(images)[:, 40:100:4] / 50000
    axis = volumes.axis_px(part[::2], angles[::2])
    # The first and the last view are half a turn apart: read from them by eye it is 6 to 7 px.
    assert axis == pytest.approx(6.4, abs=0.3)
    volume = volumes.from_scan(part[::2], angles[::2], pixel_mm=1.0, axis=axis)
    scanner = Scanner(beam="parallel", size=part.shape[1:], pixel_mm=1.0, middle_px=(axis, 0.0))
    found = volume.path_lengths(scanner, dataclasses.replace(Pose(), phi=angles[31]))["scan"]
    air = np.median(part[31][:, :8])
    seen = -np.log(np.maximum(part[31], 1e-4) / air)
    assert np.corrcoef(found.ravel(), seen.ravel())[0, 1] > 0.98


def test_a_few_views_are_enough_for_more_between_them():
    few = np.array([0.0, 60.0, 120.0, 180.0])
    volume = volumes.from_scan(scan(0.0, few), few, pixel_mm=1.0, axis=0.0, between=3)
    assert volume.values.max() > 0


def test_angles_are_checked_where_the_axis_is_given():
    with pytest.raises(errors.DataError, match="not opposite"):
        volumes.from_scan(scan()[:3], [0, 180, 0], pixel_mm=1.0, axis=0.0)
