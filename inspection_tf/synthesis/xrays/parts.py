"""Parts to begin with: one without symmetry, one that looks alike four times in a turn."""

import dataclasses

from inspection_tf.projection import Assembly, Body, Box, Cone, Cylinder, Pose

MATERIAL = "part"
"""What the parts call what they are made of."""


@dataclasses.dataclass(frozen=True, slots=True)
class Design:
    """A part to begin with.

    Attributes:
        part: its bodies, mm.
        symmetry: how often it looks alike in a turn about its vertical axis; 1: once.
    """

    part: Assembly
    symmetry: int


def _solid(primitive: Box | Cylinder | Cone, place: Pose) -> Body:
    return Body(primitive, MATERIAL, place)


_BRACKET = Assembly(
    [
        # A foot, an upright at one end of it, and a boss: 44 x 30 x 28 mm in all.
        _solid(Box(44.0, 30.0, 9.0), Pose(z=9.5)),
        _solid(Box(11.0, 30.0, 19.0), Pose(x=-16.5, z=-4.5)),
        _solid(Cylinder(6.0, 7.0), Pose(x=9.0, y=-5.0, z=1.5)),
        Body(Cylinder(3.0, 40.0), None, Pose(x=9.0, y=-5.0, z=5.0)),
        Body(Cylinder(2.0, 20.0), None, Pose(x=15.0, y=8.0, z=9.5)),
        Body(Cylinder(3.5, 20.0), None, Pose(phi=90.0, x=-16.5, y=4.0, z=-7.0)),
        Body(Box(10.0, 7.0, 4.0), None, Pose(x=-1.0, y=9.0, z=6.5)),
        # Two small bores, of which one may be filled or missing.
        Body(Cylinder(0.5, 20.0), None, Pose(x=-3.0, y=-9.0, z=9.5)),
        Body(Cylinder(0.5, 20.0), None, Pose(x=17.0, y=-10.0, z=9.5)),
    ]
)
_HUB = Assembly(
    [
        # Discs and bores along the vertical axis: primitives lie along z, so they are tipped.
        _solid(Cylinder(18.0, 9.0), Pose(theta=90.0, y=4.5)),
        _solid(Cone(11.0, 8.0, 12.0), Pose(theta=90.0, y=-6.0)),
        Body(Cylinder(4.0, 60.0), None, Pose(theta=90.0)),
        *(
            Body(Cylinder(2.5, 60.0), None, Pose(theta=90.0, x=x, z=z))
            for x, z in ((13.5, 0.0), (0.0, 13.5), (-13.5, 0.0), (0.0, -13.5))
        ),
    ]
)
DESIGNS = {"bracket": Design(_BRACKET, 1), "hub": Design(_HUB, 4)}
"""The parts to begin with, by name."""
