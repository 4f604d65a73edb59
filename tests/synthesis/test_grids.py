import numpy as np
import pytest

from inspection_tf.datasets import data_spec
from inspection_tf.datasets.drawn import photos
from inspection_tf.images import geometry
from inspection_tf.synthesis import certificate, grids, photo

SMALL = grids.GridSpec().photo.model_copy(update={"size": (96, 128)})
SPEC = grids.GridSpec(photo=SMALL, without_field_share=0.25, portrait_share=0.5)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(6))
def test_the_corners_are_the_outer_edges_of_the_frame(seed):
    image, corners = grids.page(rng(seed), SPEC)
    (left, top), (right, bottom) = corners[0], corners[2]
    np.testing.assert_allclose(
        corners, [[left, top], [right, top], [right, bottom], [left, bottom]]
    )
    x0, y0, x1, y1 = (round(value + shift) for value, shift in zip(
        (left, top, right, bottom), (0.5, 0.5, -0.5, -0.5), strict=True
    ))  # fmt: skip
    ink = image[y0, x0]
    # The outermost pixels of all four sides are of one ink, and the paper beyond them is not.
    assert (image[y0, x0 : x1 + 1] == ink).all()
    assert (image[y1, x0 : x1 + 1] == ink).all()
    assert (image[y0 : y1 + 1, x0] == ink).all()
    assert (image[y0 : y1 + 1, x1] == ink).all()
    for y, x in ((y0 - 1, x0 - 1), (y0 - 1, x1 + 1), (y1 + 1, x1 + 1), (y1 + 1, x0 - 1)):
        assert (image[y, x].astype(int) - ink > 20).any()


def test_a_grid_is_as_square_as_its_cells():
    _, corners = grids.page(rng(3), SPEC)
    width, height = corners[2] - corners[0]
    assert width == pytest.approx(height, abs=2)


def test_photos_show_the_whole_grid_or_say_that_they_do_not():
    for index in range(16):
        found = grids.draw(index, seed=2, spec=SPEC)
        assert (found.corners_xy is None) == certificate.is_without_field(index, 0.25)
        if found.corners_xy is not None:
            size = found.image.shape[:2]
            assert photo.visible_part(found.corners_xy, size) == "all"
            assert geometry.is_convex(found.corners_xy)


def test_some_photos_are_portraits():
    shapes = {grids.draw(index, seed=2, spec=SPEC).image.shape for index in range(16)}
    assert shapes == {(96, 128, 3), (128, 96, 3)}


def test_a_photo_depends_on_seed_and_number_alone():
    first = grids.draw(5, seed=1, spec=SPEC)
    np.testing.assert_array_equal(first.image, grids.draw(5, seed=1, spec=SPEC).image)
    assert (
        first.image.shape != grids.draw(5, seed=2, spec=SPEC).image.shape
        or (first.image != grids.draw(5, seed=2, spec=SPEC).image).any()
    )


def test_records_of_drawn_grids():
    spec = data_spec.DataSpec(format="grid", count=8, seed=2, grid=SPEC)
    found = data_spec.read(spec)
    assert not found.has_masks
    assert found.is_defect.sum() == 2
    again = photos.printed_grids(count=8, spec=SPEC, seed=2)
    assert found.sha256() == again.sha256()
    np.testing.assert_array_equal(found[0].read_image(), grids.draw(0, seed=2, spec=SPEC).image)
