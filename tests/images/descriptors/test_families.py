import numpy as np
import pytest

from inspection_tf.images.descriptors import (
    co_occurrence,
    gradients,
    local_patterns,
    region_shape,
)


def of(family, gray, *, named=None, **options):
    """The values of a family by their names; `named` are the options that names depend on."""
    names = list(family.names(**(options if named is None else named)))
    values = family.values(np.asarray(gray, np.uint8), **options)
    assert len(names) == len(values)
    return dict(zip(names, values, strict=True))


def shape_of(gray, **options):
    chosen = {"is_bright": True, "harmonics": 3, **options}
    return of(region_shape, gray, named={"harmonics": chosen["harmonics"]}, **chosen)


def drawn(is_inside, side=101):
    """White where a function of x and y, counted from the middle, holds."""
    y, x = np.mgrid[:side, :side] - side // 2
    return np.where(is_inside(x, y), 255, 0)


# Directions of gradients


def test_a_vertical_edge_has_a_gradient_along_the_rows():
    gray = np.zeros((40, 40))
    gray[:, 20:] = 200  # between the second and the third of four cells
    found = of(gradients, gray, cells=4, directions=9)
    strong = {name for name, value in found.items() if value > 1e-6}
    # Its gradient points along x, 0 degrees, which the first direction of 0 to 20 holds.
    assert {name.rsplit("_", 1)[1] for name in strong} == {"10deg"}
    # The pixels on both sides of it lie in the columns 1 and 2 of cells. Four equal values make a
    # block in the middle: 1 / sqrt(4) = 0.5, cut at 0.2, and 0.5 again.
    assert found["block0.1_cell0.0_10deg"] == pytest.approx(0.5, abs=1e-3)
    assert found["block0.0_cell0.0_10deg"] == 0


def test_what_is_left_over_beside_the_cells_is_not_looked_at():
    plain = np.tile(np.arange(40, dtype=np.uint8), (40, 1))
    larger = np.pad(plain, ((0, 3), (0, 3)), mode="edge")
    found = of(gradients, larger, cells=4, directions=9)
    assert len(found) == 9 * 4 * 9


# Local patterns


def test_a_constant_image_has_neighbours_as_bright_all_around():
    found = of(local_patterns, np.full((20, 20), 7), radii=(1, 2))
    # All 8 are as bright in the image; at its border skimage sees 0, darker, beyond.
    inner = 18 * 18 / 400
    assert found["r1_8"] == pytest.approx(inner)
    assert found["r2_8"] == pytest.approx(16 * 16 / 400)
    assert sum(value for name, value in found.items() if name.startswith("r1")) == pytest.approx(1)


def test_patterns_do_not_depend_on_right_angles():
    gray = np.random.default_rng(0).integers(0, 256, (30, 30))
    found, turned = (of(local_patterns, image, radii=(1,)) for image in (gray, np.rot90(gray)))
    assert found == pytest.approx(turned, abs=0.03)  # neighbours between pixels are interpolated


# Co-occurrence


def test_stripes_have_contrast_across_and_none_along():
    gray = np.tile([0, 128], (16, 8))  # columns of the levels 0 and 1 of 2
    found = of(co_occurrence, gray, named={"distances": (1,)}, distances=(1,), levels=2)
    # Every pair along a row differs by 1 level, every pair along a column by none.
    assert found["contrast_d1_0deg"] == pytest.approx(1)
    assert found["contrast_d1_90deg"] == pytest.approx(0)
    assert found["homogeneity_d1_0deg"] == pytest.approx(1 / (1 + 1))
    # P is 1/2 at two places: sqrt(1/4 + 1/4).
    assert found["energy_d1_0deg"] == pytest.approx(np.sqrt(0.5))
    assert found["correlation_d1_0deg"] == pytest.approx(-1)
    assert found["correlation_d1_90deg"] == pytest.approx(1)


def test_a_constant_image_correlates_with_itself():
    found = of(
        co_occurrence, np.full((8, 8), 255), named={"distances": (1,)}, distances=(1,), levels=32
    )
    assert {name: value for name, value in found.items() if name.endswith("_0deg")} == {
        "contrast_d1_0deg": 0, "homogeneity_d1_0deg": 1, "energy_d1_0deg": 1,
        "correlation_d1_0deg": 1,
    }  # fmt: skip


# Shape of a region


def test_a_square_is_solid_round_and_has_the_moments_of_a_square():
    side = 40
    gray = np.zeros((100, 80))
    gray[10 : 10 + side, 20 : 20 + side] = 200
    found = shape_of(gray)
    assert found["area"] == pytest.approx(side**2 / (100 * 80))
    assert found["solidity"] == pytest.approx(1)
    assert found["eccentricity"] == pytest.approx(0)
    # The variance of n whole numbers is (n^2 - 1) / 12; the first invariant is the sum of both
    # variances over the area: 2 (n^2 - 1) / (12 n^2).
    first = 2 * (side**2 - 1) / (12 * side**2)
    assert found["hu1"] == pytest.approx(np.log10(1 + first / 1e-9))
    # The others are 0 for what looks the same after a quarter turn.
    assert max(abs(found[f"hu{order}"]) for order in range(2, 8)) < 1e-3
    assert found["fourier_m1"] == pytest.approx(0, abs=1e-3)
    # The corners make the third harmonic against the outline: a turn of 4 steps from the first.
    assert found["fourier_m3"] > 0.05 > 0.01 > found["fourier_p3"]


def test_a_circle_has_no_harmonics():
    found = shape_of(drawn(lambda x, y: x**2 + y**2 <= 40**2))
    harmonics = [value for name, value in found.items() if name.startswith("fourier")]
    assert max(harmonics) < 0.01
    assert found["eccentricity"] < 0.02


def test_an_ellipse_has_the_eccentricity_and_harmonic_of_its_axes():
    found = shape_of(drawn(lambda x, y: (x / 45) ** 2 + (y / 27) ** 2 <= 1))
    assert found["eccentricity"] == pytest.approx(np.sqrt(1 - (27 / 45) ** 2), abs=0.01)
    # Let a = 1 + e and b = 1 - e: z(t) = exp(it) + e exp(-it), with the speed 1 - e cos 2t. At
    # equal distances s along the outline t is s + e/2 sin 2s, so that exp(it) adds
    # -e/4 exp(-is): 3/4 e are left, and e is (45 - 27) / (45 + 27).
    assert found["fourier_m1"] == pytest.approx(0.75 * 0.25, abs=0.01)


def test_the_shape_does_not_depend_on_place_turn_and_scale():
    def wedge(x, y):
        return (x > -20) & (y > -30) & (x + y < 20)

    plain = drawn(wedge)
    for changed in (
        np.roll(plain, (7, -5), axis=(0, 1)),
        np.rot90(plain),
        np.kron(plain, np.ones((2, 2))),
        np.pad(plain, 30),
    ):
        found, expected = shape_of(changed), shape_of(plain)
        del found["area"], expected["area"]
        assert found == pytest.approx(expected, abs=0.08)


def test_a_mirrored_shape_differs_in_the_seventh_moment():
    gray = np.zeros((60, 60))
    gray[10:50, 10:20] = gray[40:50, 10:40] = gray[10:16, 10:18] = 200  # an L with a foot
    found, mirrored = shape_of(gray), shape_of(gray[:, ::-1])
    assert found["hu7"] == pytest.approx(-mirrored["hu7"])
    assert found["hu7"] != 0
    assert found["hu2"] == pytest.approx(mirrored["hu2"])


def test_the_largest_region_counts_and_may_touch_the_border():
    gray = np.zeros((50, 50))
    gray[:30, :20] = 200  # 600 px in the corner
    gray[40:45, 40:45] = 255
    found = region_shape.largest_region(gray.astype(np.uint8), is_bright=True)
    assert found.sum() == 600
    assert shape_of(gray)["solidity"] == pytest.approx(1)


def test_the_dark_side_of_the_threshold_can_be_described():
    gray = 255 - drawn(lambda x, y: x**2 + y**2 <= 30**2)
    assert shape_of(gray, is_bright=False)["area"] == pytest.approx(
        np.pi * 30**2 / 101**2, rel=0.01
    )
    assert shape_of(gray)["area"] == pytest.approx(1 - np.pi * 30**2 / 101**2, rel=0.01)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_constant_image_has_no_region(value):
    assert set(shape_of(np.full((20, 20), value)).values()) == {0.0}
