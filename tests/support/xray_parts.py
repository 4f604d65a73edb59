"""A small part without symmetry before a small scanner, and images of it."""

import numpy as np

from inspection_tf.projection import (
    Assembly,
    Body,
    Box,
    Cylinder,
    Exposure,
    Pose,
    Scanner,
    Setup,
    Spectrum,
    Sphere,
)

PART = Assembly(
    [
        Body(Box(40.0, 24.0, 16.0), "aluminium"),
        Body(Box(14.0, 10.0, 20.0), "aluminium", Pose(x=-12.0, y=-10.0, z=4.0)),
        Body(Cylinder(4.0, 60.0), None, Pose(x=11.0, y=3.0)),
        Body(Cylinder(2.5, 60.0), None, Pose(phi=90.0, y=6.0, z=-3.0)),
        Body(Sphere(5.0), None, Pose(x=-4.0, y=2.0, z=8.0)),
    ]
)
SCANNER = Scanner(size=(96, 112), pixel_mm=0.8, source_detector_mm=600.0, source_part_mm=420.0)
# About that of aluminium at 40, 60 and 100 keV, per mm.
SPECTRUM = Spectrum(np.array([40.0, 60.0, 100.0]), np.array([0.25, 0.5, 0.25]))
MU = {"aluminium": np.array([0.153, 0.075, 0.046])}
SETUP = Setup(PART, SCANNER, SPECTRUM, MU)
IDEAL = Exposure(focal_spot_mm=0.0, scatter=0.0)
POSE = Pose(50.0, 4.0, -3.0, 1.0, -0.7, 3.0)


def image(pose, *, seed=0, setup=SETUP, exposure=IDEAL, samples=13):
    """What a detector shows of the part in a pose."""
    rng = np.random.default_rng(seed)
    return exposure.render(rng, exposure.expected(setup, pose, samples=samples))
