import dataclasses

import numpy as np
import pytest
from pose_images import RANGE, drawn
from xray_parts import IDEAL, SETUP, image

from inspection_tf import errors
from inspection_tf.projection import Assembly, Body, Cylinder, Pose, Scanner
from inspection_tf.tasks.pose.bank import Bank, BankSpec, likeliest


@pytest.fixture(scope="module")
def bank():
    return Bank(SETUP, RANGE, BankSpec(phi_step_deg=8.0, tilt_step_deg=7.0))


def signal(pixels):
    return (pixels / IDEAL.open_value).astype(np.float32)


def test_one_of_the_best_poses_is_near_the_true_one(bank):
    nearest = []
    for truth, pixels in drawn(12, seed=4):
        found = likeliest(bank.best(signal(pixels), 3))
        nearest.append(min(pose.turn_to(truth) for pose in found))
    # Neighbours are 8 and 7 degrees apart: the nearest is at most about 6.4 away.
    assert max(nearest) < 12
    assert np.median(nearest) < 6


def test_the_shift_says_where_the_part_is(bank):
    truth = dataclasses.replace(bank.poses[100], x=2.4, y=-1.8)
    (best,) = bank.best(signal(image(truth)), 1)
    assert best.pose.turn_to(truth) < 1e-6
    # The bank's pixels are 0.56 mm wide.
    assert abs(best.pose.x - 2.4) < 0.6
    assert abs(best.pose.y + 1.8) < 0.6
    assert 0.99 < best.likeness <= 1


def test_poses_differ_and_the_likeliest_is_the_first(bank):
    (_, pixels), *_ = drawn(1, seed=5)
    found = bank.best(signal(pixels), 6)
    assert len(found) == 6
    likeness = [match.likeness for match in found]
    assert likeness == sorted(likeness, reverse=True)
    for index, match in enumerate(found):
        for other in found[:index]:
            assert match.pose.turn_to(other.pose) >= 12


def test_brightness_does_not_matter(bank):
    _, pixels = next(drawn(1, seed=6))
    one, other = (bank.best(share * signal(pixels), 1)[0] for share in (1.0, 0.6))
    assert one.pose == other.pose
    assert one.likeness == pytest.approx(other.likeness, abs=1e-3)


def test_an_empty_image_is_like_nothing(bank):
    empty = np.ones(SETUP.scanner.size, np.float32)
    assert all(match.likeness == 0 for match in bank.best(empty, 3))


def test_no_more_poses_come_than_differ():
    rod = dataclasses.replace(SETUP, part=Assembly([Body(Cylinder(5.0, 20.0), "aluminium")]))
    narrow = RANGE.model_copy(update={"phi_deg": (0.0, 4.0), "theta_deg": 0.0, "psi_deg": 0.0})
    found = Bank(rod, narrow, BankSpec()).best(signal(image(Pose(phi=2.0), setup=rod)), 3)
    assert len(found) == 1


@pytest.mark.parametrize("size", [(57, 131), (40, 64), (112, 113)])
def test_any_size_of_image_works(size):
    setup = dataclasses.replace(
        SETUP, scanner=SETUP.scanner.model_copy(update={"size": size, "pixel_mm": 1.4})
    )
    assert isinstance(setup.scanner, Scanner)
    bank = Bank(setup, RANGE, BankSpec(phi_step_deg=45.0, tilt_step_deg=20.0))
    truth = dataclasses.replace(bank.poses[3], x=1.0)
    pixels = image(truth, setup=setup)
    (best,) = bank.best(signal(pixels), 1)
    assert best.pose.turn_to(truth) < 1e-6


def test_an_image_of_another_size_is_refused(bank):
    with pytest.raises(errors.DataError, match="needs an image of"):
        bank.best(np.ones((10, 10), np.float32), 1)
