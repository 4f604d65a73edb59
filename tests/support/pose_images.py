"""Images of a small part in known poses, and how far a found pose is from the true one."""

import numpy as np
from xray_parts import IDEAL, SETUP, image

from inspection_tf.projection import motions
from inspection_tf.projection.pose_ranges import PoseRange
from inspection_tf.tasks.pose.refinement import RefinementSpec

KNOWN = RefinementSpec(
    open_value=IDEAL.open_value, spectrum_sd=0.0, scatter_sd=0.0, blur_sd=0.0, blur_px=0.5
)
"""All but the pose, the brightness and a constant is known."""
FREE = RefinementSpec(open_value=IDEAL.open_value)
RANGE = PoseRange(xy_mm=2.0, z_mm=4.0)


def near(pose, rng, turn=2.0, mm=0.6):
    """A pose not far from another one."""
    return motions.moved(pose, rng.normal(0, 1, 6) * np.array([turn] * 3 + [mm, mm, 5 * mm]))


def off(found, truth):
    """(6,), degrees and mm."""
    turns = [found.phi - truth.phi, found.theta - truth.theta, found.psi - truth.psi]
    around = [(turn + 180) % 360 - 180 for turn in turns]
    return np.array([*around, *(found.position - truth.position)])


def drawn(count, *, seed=0, setup=SETUP, exposure=IDEAL, samples=13):
    """(pose, image) as often as asked for."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        pose = RANGE.drawn(rng)
        yield pose, image(pose, seed=[seed, index], setup=setup, exposure=exposure, samples=samples)
