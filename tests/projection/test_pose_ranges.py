import numpy as np
import pydantic
import pytest

from inspection_tf.projection.pose_ranges import PoseRange


def test_poses_are_drawn_from_all_of_the_range_and_nothing_else():
    poses = PoseRange(phi_deg=(-30, 60), theta_deg=5, psi_deg=2, xy_mm=1, z_mm=4)
    rng = np.random.default_rng(0)
    found = np.array(
        [
            [(p.phi + 180) % 360 - 180, p.theta, p.psi, p.x, p.y, p.z]
            for p in (poses.drawn(rng) for _ in range(500))
        ]
    )
    low, high = np.array([-30, -5, -2, -1, -1, -4]), np.array([60, 5, 2, 1, 1, 4])
    assert (found >= low).all()
    assert (found <= high).all()
    span = high - low
    assert (found.min(axis=0) < low + 0.05 * span).all()
    assert (found.max(axis=0) > high - 0.05 * span).all()


def test_a_grid_has_the_middles_of_even_steps():
    poses = PoseRange(phi_deg=(0, 360), theta_deg=10, psi_deg=0).grid(phi_step=90, tilt_step=10)
    assert sorted({p.phi for p in poses}) == [45, 135, 225, 315]
    assert sorted({p.theta for p in poses}) == [-5, 5]
    assert {p.psi for p in poses} == {0}
    assert len(poses) == 8


@pytest.mark.parametrize(
    "changes",
    [{"phi_deg": (10, 10)}, {"phi_deg": (0, 361)}, {"theta_deg": 90}, {"psi_deg": -1}],
)
def test_a_range_that_is_none_is_refused(changes):
    with pytest.raises(pydantic.ValidationError):
        PoseRange(**changes)
