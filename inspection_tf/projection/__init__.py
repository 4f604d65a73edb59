"""What an X-ray of a part shows: how a beam passes through it and what a detector makes of it.

The frame of the scanner has its origin in the source (of a parallel beam: as far before the part as
the source would be), x to the right and y down on the detector, and z from the source to the
detector's plane: right-handed. A part has a frame of its own, which its pose lays into that.
"""

from inspection_tf.projection.attenuation import Material, Spectrum
from inspection_tf.projection.exposure import Detector, Exposure
from inspection_tf.projection.limits import Deviations, motion_limit, pose_limit
from inspection_tf.projection.parts import (
    Assembly,
    Body,
    Box,
    Cone,
    Cylinder,
    Mesh,
    Part,
    Solid,
    Sphere,
    Volume,
    path_lengths,
)
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.radiographs import Setup
from inspection_tf.projection.scanner import Rays, Scanner

__all__ = [
    "Assembly",
    "Body",
    "Box",
    "Cone",
    "Cylinder",
    "Detector",
    "Deviations",
    "Exposure",
    "Material",
    "Mesh",
    "Part",
    "Pose",
    "Rays",
    "Scanner",
    "Setup",
    "Solid",
    "Spectrum",
    "Sphere",
    "Volume",
    "motion_limit",
    "path_lengths",
    "pose_limit",
]
