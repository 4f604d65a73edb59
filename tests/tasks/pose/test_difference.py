import dataclasses

import numpy as np
import pytest
from pose_images import KNOWN, near
from xray_parts import POSE, SETUP, image

from inspection_tf.projection import Assembly, Body, Box, Cylinder, Pose
from inspection_tf.tasks.pose.difference import Difference, DifferenceSpec, difference
from inspection_tf.tasks.pose.refinement import refine

SPEC = DifferenceSpec()
SURE = 6.0


def compared(part):
    pixels = image(POSE, setup=dataclasses.replace(SETUP, part=part), samples=34)
    start = near(POSE, np.random.default_rng(5), 1.0, 0.3)
    return difference(refine(pixels, SETUP, [start], KNOWN), SPEC)


def test_an_intact_part_differs_nowhere():
    found = compared(SETUP.part)
    assert found.significance.max() < SURE
    assert found.regions(SURE) == []


@pytest.mark.parametrize(
    ("body", "sign"),
    [
        (Body(Cylinder(1.0, 60.0), None, Pose(x=5.0, y=-6.0)), -1),
        (Body(Box(2.0, 2.0, 6.0), "aluminium", Pose(x=11.0, y=3.0)), 1),
    ],
    ids=["a bore too much", "material in a bore"],
)
def test_a_flaw_is_a_region_where_it_is_of_the_sign_that_it_has(body, sign):
    part = Assembly([*SETUP.part.bodies, body])
    found = compared(part)
    best = found.regions(SURE)[0]
    seen = SETUP.scanner.to_detector(body.place.position[None], POSE)[0]
    assert np.hypot(*(np.array(best.xy) - seen)) < 6
    assert np.sign(best.depth_mm) == sign
    assert best.significance > SURE
    # As deep as the ways through both parts differ, less what averaging takes.
    lengths = [one.path_lengths(SETUP.scanner, POSE)["aluminium"] for one in (part, SETUP.part)]
    deepest = np.abs(lengths[0] - lengths[1]).max()
    assert 0.15 * deepest < abs(best.depth_mm) < 1.1 * deepest


def test_regions_are_connected_and_the_surest_comes_first():
    depth = np.zeros((8, 9), np.float32)
    sure = np.zeros((8, 9), np.float32)
    sure[1:3, 1:3], depth[1:3, 1:3] = 7.0, -0.5
    sure[5, 4:8], depth[5, 4:8] = [7, 9, 7, 5], 1.5
    first, second = Difference(depth, sure).regions(6.0)
    # Three of four pixels of the row are over 6.
    assert (first.area_px, first.xy, first.significance) == (3, (5.0, 5.0), 9.0)
    assert (second.area_px, second.xy, second.depth_mm) == (4, (1.5, 1.5), -0.5)


def test_noise_alone_has_a_significance_of_noise():
    found = compared(SETUP.part).significance
    part = found[found > 0]
    # Of three scales the largest deviation of each pixel: over 1 on average, and rarely over 4.
    assert 0.8 < part.mean() < 2.0
    assert (part > 4).mean() < 0.005
