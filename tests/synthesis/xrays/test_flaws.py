import numpy as np
import pytest

from inspection_tf.projection import Assembly, Pose
from inspection_tf.projection.parts import Joined
from inspection_tf.synthesis.xrays import XraySpec, draw, flaws, is_flawed
from inspection_tf.synthesis.xrays.parts import MATERIAL

SPEC = XraySpec(size=(96, 96), samples=2)
NOMINAL = SPEC.nominal()
POSE = Pose(40.0, 3.0, -2.0)


def flawed(seed, setup=NOMINAL, diameter=2.0):
    rng = np.random.default_rng(seed)
    return flaws.flawed(rng, setup, POSE, diameter_mm=diameter, material=MATERIAL)


def test_a_flaw_changes_some_light_and_leaves_most_as_it_was():
    intact = NOMINAL.signal(POSE, samples=1)
    for seed in range(8):
        off = np.abs(flawed(seed).signal(POSE, samples=1) - intact)
        assert off.max() >= 0.015  # 2 % of what pixels twice as large show
        assert np.mean(off > 0.01) < 0.1


def test_parts_of_bodies_are_drilled_filled_or_carry_a_ball():
    found = [flawed(seed).part for seed in range(24)]
    bodies = len(NOMINAL.part.bodies)
    counts = {len(part.bodies) - bodies for part in found if isinstance(part, Assembly)}
    assert counts == {-1, 1}
    assert any(isinstance(part, Joined) for part in found)


def test_an_image_of_a_flaw_differs_in_nothing_else():
    one, other = (draw(3, seed=1, spec=SPEC, nominal=NOMINAL, is_flawed=flaw) for flaw in (0, 1))
    assert one.pose == other.pose
    off = np.abs(one.image.astype(float) - other.image) / SPEC.detector.open_value
    assert np.median(off) < 0.02  # photons
    assert off.max() > 0.02


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.2, 20), (0.25, 25), (1.0, 100)])
def test_flaws_are_spread_evenly(share, count):
    found = [is_flawed(index, share) for index in range(100)]
    assert sum(found) == count
    if 0 < share < 1:
        places = np.flatnonzero(found)
        assert set(np.diff(places)) == {round(1 / share)}
