"""What is X-rayed: surfaces of triangles, bodies of a closed form, volumes of a scan."""

from inspection_tf.projection.parts.bodies import Body, path_lengths
from inspection_tf.projection.parts.joined import Joined
from inspection_tf.projection.parts.meshes import Mesh
from inspection_tf.projection.parts.part import Part, PathLengths
from inspection_tf.projection.parts.primitives import Box, Cone, Cylinder, Sphere
from inspection_tf.projection.parts.solids import Assembly, Solid
from inspection_tf.projection.parts.volumes import Volume

__all__ = [
    "Assembly",
    "Body",
    "Box",
    "Cone",
    "Cylinder",
    "Joined",
    "Mesh",
    "Part",
    "PathLengths",
    "Solid",
    "Sphere",
    "Volume",
    "path_lengths",
]
