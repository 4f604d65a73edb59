import numpy as np
import pydantic
import pytest

from inspection_tf.projection import Pose, Scanner

CONE = Scanner(size=(5, 7), pixel_mm=2.0, source_detector_mm=100.0, source_part_mm=50.0)
PARALLEL = CONE.model_copy(update={"beam": "parallel"})


def test_a_cone_comes_from_one_point_and_meets_each_pixel():
    rays = CONE.rays()
    np.testing.assert_array_equal(rays.origin, [[0, 0, 0]])
    met = rays.direction * (100 / rays.direction[:, 2:])
    # The middle of 7 columns is the fourth pixel; the first lies three pixels of 2 mm before it.
    np.testing.assert_allclose(met.reshape(5, 7, 3)[0, 0], [-6, -4, 100])
    np.testing.assert_allclose(met.reshape(5, 7, 3)[2, 3], [0, 0, 100])
    np.testing.assert_allclose(np.linalg.norm(rays.direction, axis=1), 1)


def test_parallel_rays_lie_where_the_pixels_are():
    rays = PARALLEL.rays()
    np.testing.assert_array_equal(rays.direction, [[0, 0, 1]])
    np.testing.assert_allclose(rays.origin.reshape(5, 7, 3)[4, 6], [6, 4, 0])


def test_samples_lie_evenly_in_each_pixel():
    rays = PARALLEL.rays(samples=2).origin.reshape(5, 2, 7, 3)
    # The middle pixel spans -1..1 mm: its halves have their middles at -0.5 and 0.5.
    np.testing.assert_allclose(rays[2, :, 3, :2], [[-0.5, -0.5], [0.5, 0.5]])


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 8, 13])
def test_each_row_and_column_of_a_pixel_has_one_of_its_rays(samples):
    rays = PARALLEL.rays(samples=samples).origin.reshape(5, samples, 7, 3)[2, :, 3, :2]
    even = (np.arange(samples) + 0.5) * 2 / samples - 1
    np.testing.assert_allclose(np.sort(rays, axis=0), np.stack([even, even], axis=1), atol=1e-12)


@pytest.mark.parametrize("scanner", [CONE, PARALLEL])
def test_a_point_is_seen_where_the_ray_through_it_meets_the_detector(scanner):
    scanner = scanner.model_copy(update={"middle_px": (0.5, -1.0)})
    pose = Pose(phi=25, theta=-8, psi=3, x=0.3, y=-0.7, z=2.0)
    rays = scanner.into_part(scanner.rays(), pose)
    origin, direction = np.broadcast_arrays(rays.origin, rays.direction)
    seen = scanner.to_detector(origin + 51 * direction, pose)
    rows, columns = np.mgrid[:5, :7]
    np.testing.assert_allclose(seen, np.stack([columns.ravel(), rows.ravel()], axis=1), atol=1e-9)


def test_the_field_of_view_is_that_in_the_plane_of_the_part():
    assert CONE.magnification == 2
    assert CONE.field_of_view_mm == (5, 7)
    assert PARALLEL.field_of_view_mm == (10, 14)


def test_a_part_behind_the_detector_is_refused():
    with pytest.raises(pydantic.ValidationError, match="must be less than source_detector_mm"):
        Scanner(source_detector_mm=100.0, source_part_mm=100.0)


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("size", [(12, 18), (13, 17), (14, 19)])
def test_a_coarser_scanner_sees_the_same_at_the_same_place(factor, size):
    fine = Scanner(size=size, pixel_mm=0.5, middle_px=(0.7, -1.2))
    coarse = fine.coarser(factor)
    points = np.array([[1.0, 2.0, 700.0], [-2.0, 0.5, 800.0]])
    left_out = [side % factor // 2 for side in reversed(size)]
    # A wide pixel has its middle in that of the narrow ones: (factor - 1) / 2 after the first.
    expected = (fine.on_detector(points) - left_out - (factor - 1) / 2) / factor
    np.testing.assert_allclose(coarse.on_detector(points), expected, atol=1e-12)
