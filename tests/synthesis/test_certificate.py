import numpy as np
import pydantic
import pytest

from inspection_tf import errors
from inspection_tf.images import geometry
from inspection_tf.synthesis import certificate, page_layouts, photo, writing

SMALL = {"size": (240, 320)}
DOTS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "k": (0, 0, 0)}
# Everything that bends and dims, and nothing that hides colours.
HARD = photo.PhotoSpec(
    size=(360, 480),
    backgrounds=("plain",),
    perspective=0.15,
    rotation_deg=40,
    turned_share=0.5,
    cut_off_share=0.3,
    occlusion_share=0.0,
    shadow_share=0.0,
    shading=0.1,
    blur_px=1.5,
    motion_px=5,
    noise=2,
    jpeg_quality=(85, 100),
)


def spec(**values):
    return certificate.CertificateSpec(photo=photo.PhotoSpec(**SMALL), **values)


def rng(*key):
    return np.random.default_rng(list(key))


def test_a_sample_depends_on_seed_and_index_alone():
    first = certificate.draw(3, seed=1, spec=spec())
    again = certificate.draw(3, seed=1, spec=spec())
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.corners_xy, again.corners_xy)
    assert (certificate.draw(4, seed=1, spec=spec()).image != first.image).any()
    assert (certificate.draw(3, seed=2, spec=spec()).image != first.image).any()


def test_an_image_is_colour_in_the_size_asked_for():
    found = certificate.draw(0, seed=0, spec=spec())
    assert found.image.shape == (240, 320, 3)
    assert found.image.dtype == np.uint8


def test_a_photo_that_is_to_show_the_field_shows_all_of_it():
    chosen = spec(without_field_share=0.0)
    chosen = chosen.model_copy(update={"photo": photo.PhotoSpec(**SMALL, cut_off_share=1.0)})
    for index in range(40):
        corners = certificate.draw(index, seed=5, spec=chosen).corners_xy
        assert corners is not None
        assert photo.visible_part(corners, (240, 320)) == "all"
        assert geometry.is_convex(corners)
        assert geometry.turns(corners)[0] > 0  # clockwise: never mirrored


def test_photos_without_the_field_are_as_many_as_asked_for_and_known_by_their_number():
    chosen = spec(without_field_share=0.4)
    missing = [
        certificate.draw(index, seed=6, spec=chosen).corners_xy is None for index in range(60)
    ]
    assert sum(missing) == 24  # 0.4 of 60
    assert missing == [certificate.is_without_field(index, 0.4) for index in range(60)]


def test_corners_of_the_page_are_those_of_its_paper():
    plain = photo.PhotoSpec(
        **SMALL, backgrounds=("plain",), shadow_share=0, occlusion_share=0, shading=0, noise=0,
        coverage=(0.6, 0.7), cut_off_share=0, blur_px=0, motion_px=0, jpeg_quality=(100, 100),
    )  # fmt: skip
    chosen = certificate.CertificateSpec(field="page", photo=plain, without_field_share=0.25)
    for index in range(12):
        found = certificate.draw(index, seed=3, spec=chosen)
        missing = certificate.is_without_field(index, 0.25)
        assert (found.corners_xy is None) == missing
        if found.corners_xy is not None:
            assert photo.visible_part(found.corners_xy, (240, 320)) == "all"
            # A page is as large as its corners say: much larger than a number.
            assert geometry.area(found.corners_xy) > 0.15 * 240 * 320


@pytest.mark.parametrize("wanted", ["all", "none"])
def test_a_view_shows_what_is_wanted_even_where_no_place_that_is_drawn_does(wanted):
    # A page twice as large as the photo, around its middle: no place shows all of it, or none.
    large = photo.PhotoSpec(
        **SMALL, coverage=(2.0, 2.0), rotation_deg=0, turned_share=0, cut_off_share=0, perspective=0
    )
    field = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
    unit = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    for seed in range(5):
        page = photo.view(rng(seed), 1.4, field, large, wanted=wanted)
        moved = geometry.transform_points(field, geometry.homography(unit, page))
        assert photo.visible_part(moved, (240, 320)) == wanted


def weighted_centre(image, colour, near):
    """Return where a dot lies: the centre of what is like its colour around a place."""
    x, y = np.round(near).astype(int)
    rows, columns = np.mgrid[y - 7 : y + 8, x - 7 : x + 8]
    inside = np.hypot(rows - y, columns - x) <= 7
    rows, columns = rows[inside], columns[inside]
    pixels = image[rows, columns].astype(float)
    paper = np.median(pixels, axis=0)
    direction = np.array(colour, float) - paper
    weight = np.clip((pixels - paper) @ direction / (direction @ direction), 0, None)
    weight[weight < 0.25 * weight.max()] = 0
    return np.array([columns @ weight, rows @ weight]) / weight.sum()


def offsets(found, size):
    """Return how far each dot is from its label, px, where no border or other dot is near."""
    corners = found.corners_xy
    if corners is None:
        return []
    apart = np.hypot(*(corners[:, None] - corners[None]).transpose(2, 0, 1)) + 99 * np.eye(4)
    inside = ((corners > 8) & (corners < np.array(size[::-1]) - 9)).all(axis=1)
    colours = list(DOTS.values())
    return [
        np.hypot(*(weighted_centre(found.image, colours[k], corners[k]) - corners[k]))
        for k in range(4)
        if inside[k] and apart[k].min() > 18
    ]


def with_dots(page, corners, radius):
    """Paint a dot on each corner of a page, over what is there."""
    rows, columns = np.mgrid[: page.shape[0], : page.shape[1]]
    page = page.copy()
    for x, y in corners:
        page[np.hypot(columns - x, rows - y) < 6 * radius] = 255
    for (x, y), colour in zip(corners, DOTS.values(), strict=True):
        distance = np.hypot(columns - x, rows - y)
        cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None]
        page = page * (1 - cover) + np.array(colour) * cover
    return np.rint(page).astype(np.uint8)


@pytest.fixture
def dotted(monkeypatch):
    """Draw certificates with a dot on each corner of the label."""
    real = certificate._photographed

    def photographed(rng, page, corners, page_xy, spec):
        scale = np.sqrt(geometry.area(page_xy) / (page.shape[0] * page.shape[1]))
        if corners is not None:
            page = with_dots(page, corners, radius=2.0 / scale)
        return real(rng, page, corners, page_xy, spec)

    monkeypatch.setattr(certificate, "_photographed", photographed)


@pytest.mark.usefixtures("dotted")
def test_labels_lie_where_dots_on_the_page_lie():
    near = HARD.model_copy(update={"coverage": (1.2, 1.5), "size": (480, 640)})
    chosen = certificate.CertificateSpec(without_field_share=0.0, photo=near)
    drawn = [certificate.draw(index, seed=8, spec=chosen) for index in range(20)]
    off = [value for found in drawn for value in offsets(found, near.size)]
    assert len(off) > 20
    assert max(off) < 0.5


def test_corners_keep_their_meaning_on_a_page_upside_down():
    page = np.full((100, 150, 3), 230, np.uint8)
    field = np.array([[20.0, 10.0], [80.0, 10.0], [80.0, 30.0], [20.0, 30.0]])
    upright = photo.PhotoSpec(**SMALL, rotation_deg=0, turned_share=1.0, perspective=0.0)
    template = certificate.from_template(page, field)
    turned = set()
    for seed in range(12):
        corners = template.render(rng(seed), upright).corners_xy
        if corners is not None:
            dx, dy = corners[1] - corners[0]
            turned.add((round(np.sign(dx)) * (abs(dx) > 1), round(np.sign(dy)) * (abs(dy) > 1)))
    # Along the text: down, to the left and up, never to the right.
    assert turned == {(0, 1), (-1, 0), (0, -1)}


def test_the_field_of_a_template_is_seen_at_its_corners():
    page = np.full((300, 420, 3), 240, np.uint8)
    field = np.array([[60.0, 50.0], [300.0, 60.0], [310.0, 200.0], [50.0, 190.0]])
    template = certificate.from_template(with_dots(page, field, radius=3.0), field)
    drawn = [template.render(rng(seed), HARD) for seed in range(8)]
    off = [value for found in drawn for value in offsets(found, HARD.size)]
    assert len(off) > 12
    assert max(off) < 0.5


def test_a_gray_template_will_do():
    template = certificate.from_template(
        np.full((60, 90), 200, np.uint8), [[10, 10], [50, 10], [50, 30], [10, 30]]
    )
    assert template.render(rng(0), photo.PhotoSpec(**SMALL)).image.shape == (240, 320, 3)


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        ([[10, 10], [95, 10], [50, 30], [10, 30]], "inside the image of 90 x 60 px"),
        ([[10, 10], [50, 30], [50, 10], [10, 30]], "convex area inside"),
        ([[10, 10], [50, 30]], "four finite"),
    ],
)
def test_corners_that_cannot_be_a_templates_are_refused(corners, message):
    with pytest.raises(errors.DataError, match=message):
        certificate.from_template(np.zeros((60, 90), np.uint8), corners)


def test_a_template_is_eight_bit():
    with pytest.raises(errors.ImageError, match=r"uint8\. Got shape"):
        certificate.from_template(np.zeros((60, 90)), np.zeros((4, 2)))


def test_layouts_differ_and_stay_as_they_are():
    first, again, other = (page_layouts.layout(number) for number in (4, 4, 5))
    assert first == again
    assert first.cells != other.cells


@pytest.mark.parametrize("number", range(0, 60, 7))
def test_the_number_fits_into_its_cell_and_onto_the_page(number):
    layout = page_layouts.layout(number)
    for font in writing.FILES:
        page, box = page_layouts.draw(
            rng(number), layout, fonts=(font,), unit=3.0, has_field=True, number="MW 888 OO"
        )
        x0, y0, x1, y1 = layout.cells[layout.field].box
        assert x0 * 3 < box[0] < box[2] < x1 * 3 + 1
        assert y0 * 3 < box[1] < box[3] < y1 * 3 + 1
        assert page.shape[0] == round(layout.size[0] * 3)


def test_ink_is_where_the_box_says():
    page = writing.Page((20, 40), 4.0, (255, 255, 255))
    for font in writing.FILES:
        page.box((0, 0, 40, 20), fill=(255, 255, 255))
        x0, y0, x1, y1 = page.write((5, 6), "KR 484", font, height=5, ink=(0, 0, 0))
        rows, columns = np.nonzero(page.array()[..., 0] < 128)
        assert (x0, y0) == (19.5, 23.5)
        assert (columns.min() - 0.5, rows.min() - 0.5) == (x0, y0)
        assert (columns.max() + 0.5, rows.max() + 0.5) == (x1, y1)


@pytest.mark.parametrize(
    "values", [{"coverage": (1.0, 0.5)}, {"jpeg_quality": (0, 50)}, {"perspective": 0.3}]
)
def test_ranges_of_a_photo_are_checked(values):
    with pytest.raises(pydantic.ValidationError):
        photo.PhotoSpec(**values)


def test_a_range_of_layouts_rises():
    with pytest.raises(pydantic.ValidationError, match="layouts must be a rising range"):
        certificate.CertificateSpec(layouts=(5, 5))


def test_a_motion_blur_moves_nothing():
    for length, angle in ((1.5, 0.0), (4.2, 0.7), (7.0, 2.5)):
        kernel = photo._motion(length, angle)
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-6)
        assert kernel.sum() == pytest.approx(1)
