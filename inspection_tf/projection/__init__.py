"""What an X-ray of a part shows: how a beam passes through it, in millimetres, without any noise.

The frame of the scanner has its origin in the source (of a parallel beam: as far before the part as
the source would be), x to the right and y down on the detector, and z from the source to the
detector's plane: right-handed. A part has a frame of its own, which its pose lays into that.
"""

from inspection_tf.projection.bodies import Body, path_lengths
from inspection_tf.projection.meshes import Mesh
from inspection_tf.projection.poses import Pose
from inspection_tf.projection.primitives import Box, Cone, Cylinder, Sphere
from inspection_tf.projection.scanner import Rays, Scanner

__all__ = [
    "Body",
    "Box",
    "Cone",
    "Cylinder",
    "Mesh",
    "Pose",
    "Rays",
    "Scanner",
    "Sphere",
    "path_lengths",
]
