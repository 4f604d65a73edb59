import itertools

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.projection import Body, Box, Mesh, Pose, Scanner, Sphere, path_lengths

CONE = Scanner(size=(61, 75), pixel_mm=0.5, source_detector_mm=400.0, source_part_mm=300.0)
SCANNERS = [CONE, CONE.model_copy(update={"beam": "parallel"})]
POSES = [Pose(), Pose(phi=90), Pose(phi=33, theta=7, psi=-4, x=1.5, y=-2.0, z=3.0), Pose(phi=200.1)]


def box(x, y, z):
    """A block; each side has two triangles."""
    corners = np.array(list(itertools.product((-x / 2, x / 2), (-y / 2, y / 2), (-z / 2, z / 2))))
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [face for a, b, c, d in sides for face in ((a, b, c), (a, c, d))]
    return Mesh(corners, np.array(faces))


def sphere(radius, rounds):
    """A ball of triangles, each round divided into four, all corners on the ball."""
    points = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    faces = [
        (0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5),
    ]  # fmt: skip
    points = [np.array(point, float) for point in points]
    for _ in range(rounds):
        middles, smaller = {}, []

        def middle(a, b, middles=middles):
            key = min(a, b), max(a, b)
            if key not in middles:
                between = points[a] + points[b]
                points.append(between / np.linalg.norm(between))
                middles[key] = len(points) - 1
            return middles[key]

        for a, b, c in faces:
            ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
            smaller += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = smaller
    return Mesh(radius * np.array(points), np.array(faces))


def by_primitive(primitive, scanner, pose, samples=1):
    rays = scanner.into_part(scanner.rays(samples=samples), pose)
    height, width = scanner.size[0] * samples, scanner.size[1]
    return path_lengths([Body(primitive, "iron")], rays)["iron"].reshape(height, width)


@pytest.mark.parametrize("scanner", SCANNERS, ids=["cone", "parallel"])
@pytest.mark.parametrize("pose", POSES)
def test_a_box_of_triangles_is_a_box(scanner, pose):
    for samples in (1, 5):
        found = box(8.0, 6.0, 5.0).path_lengths(scanner, pose, samples=samples)
        expected = by_primitive(Box(8.0, 6.0, 5.0), scanner, pose, samples)
        # A ray along a side may count as beside it or inside, by the last digit.
        is_equal = np.abs(found - expected) < 1e-9
        assert expected.max() > 4.9
        assert is_equal.mean() > (0.97 if pose.theta == 0 else 0.9999)


@pytest.mark.parametrize("scanner", SCANNERS, ids=["cone", "parallel"])
def test_a_ball_of_triangles_is_nearly_a_ball(scanner):
    mesh = sphere(7.0, 5)
    found = mesh.path_lengths(scanner, Pose(phi=12, theta=5))
    expected = by_primitive(Sphere(7.0), scanner, Pose())
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 343, rel=2e-3)
    assert found.sum() == pytest.approx(expected.sum(), rel=5e-3)
    inside = expected > 7
    np.testing.assert_allclose(found[inside], expected[inside], rtol=5e-3)


def test_there_are_no_streaks():
    # Ten turns, 8,192 faces: what is missing or doubled would show as a chord too long or too
    # short by several millimetres, or as one beside the ball.
    mesh = sphere(7.0, 5)
    for turn in range(10):
        found = mesh.path_lengths(CONE, Pose(phi=36.6 * turn, theta=turn, psi=-turn), samples=8)
        expected = by_primitive(Sphere(7.0), CONE, Pose(), 8)
        assert np.abs(found - expected)[expected > 4].max() < 0.05
        assert found[expected == 0].max() == 0


def test_a_part_beside_the_detector_is_cut_at_its_border():
    mesh = box(8.0, 6.0, 5.0)
    for x, y in ((15.0, 0.0), (-14.0, 9.0), (100.0, 0.0), (0.0, -100.0)):
        pose = Pose(phi=3, theta=2, x=x, y=y)
        expected = by_primitive(Box(8.0, 6.0, 5.0), CONE, pose)
        np.testing.assert_allclose(mesh.path_lengths(CONE, pose), expected, atol=1e-9)


def test_mass_does_not_change_as_it_turns():
    parallel = SCANNERS[1]
    mesh = box(8.0, 6.0, 5.0)
    for pose in POSES[2:]:
        found = mesh.path_lengths(parallel, pose, samples=13).sum() * 0.5**2 / 13
        assert found == pytest.approx(240, rel=1e-3)


CUBE = box(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("vertices", "faces", "match"),
    [
        (CUBE.vertices, CUBE.faces[:-1], "must be closed"),
        (CUBE.vertices, np.concatenate([CUBE.faces, CUBE.faces[:1]]), "must be closed"),
        (CUBE.vertices, CUBE.faces[:, ::-1], "must enclose a volume.* Got -1 mm3"),
        (CUBE.vertices * [1, 1, 0], CUBE.faces, "Got 0 mm3"),
        (CUBE.vertices, CUBE.faces[:0], "must have faces"),
        (CUBE.vertices[:-1], CUBE.faces, "must name vertices, 0 to 6"),
        (CUBE.vertices * np.nan, CUBE.faces, "be finite"),
        (CUBE.vertices[:, :2], CUBE.faces, r"Got \(8, 2\)"),
    ],
)
def test_what_is_no_closed_surface_is_refused(vertices, faces, match):
    with pytest.raises(errors.DataError, match=match):
        Mesh(vertices, faces)


def test_a_part_that_reaches_the_source_is_refused():
    with pytest.raises(errors.DataError, match="between the source and the detector"):
        CUBE.path_lengths(CONE, Pose(z=-300.0))
