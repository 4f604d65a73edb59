"""Images perturbed in seven ways."""

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.evaluation import robustness
from inspection_tf.evaluation.robustness import appearance, covering, geometric, levels

NAMES = list(robustness.PERTURBATIONS)
SHAPES = [(33, 57), (41, 40, 3), (1, 1), (1, 7, 3), (64, 9)]


def rng(seed=7):
    return np.random.default_rng(seed)


def noise(shape, kind=np.uint8, seed=0, top=None):
    top = np.iinfo(kind).max if top is None else top
    return np.random.default_rng(seed).integers(0, top + 1, shape).astype(kind)


def smooth(shape, kind=np.uint8, top=200):
    """A picture that changes slowly, darker to the left and to the top."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    grey = top * (0.2 + 0.4 * x / max(shape[1], 2) + 0.4 * y / max(shape[0], 2))
    return np.broadcast_to(
        grey.reshape(*shape[:2], *[1] * (len(shape) - 2)), shape
    ).astype(kind)  # fmt: skip


def test_there_are_the_seven_of_the_talk():
    assert NAMES == [
        "viewpoint", "scale", "deformation", "occlusion", "illumination", "clutter", "within_class",
    ]  # fmt: skip
    assert all(one.full for one in robustness.PERTURBATIONS.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_size_and_type_stay_and_strength_0_changes_nothing(name, kind):
    for shape in SHAPES:
        image = noise(shape, kind)
        before = image.copy()
        found = robustness.perturb(name, image, 1.0, rng(), other=noise((20, 31), np.uint8))
        assert (found.shape, found.dtype) == (image.shape, image.dtype)
        assert (image == before).all()
        assert robustness.perturb(name, image, 0.0, rng()) is image


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_decides_and_more_strength_changes_more(name):
    image, other = smooth((48, 61, 3)), noise((48, 61), seed=4)
    found = [
        robustness.perturb(name, image, strength, rng(), other=other).astype(float)
        for strength in (0.1, 0.5, 1.0)
    ]
    again = robustness.perturb(name, image, 1.0, rng(), other=other)
    assert (found[2] == again).all()
    change = [np.abs(one - image).mean() for one in found]
    assert 0 < change[0] < change[1] < change[2]
    if name != "scale":  # of which nothing is drawn
        assert (robustness.perturb(name, image, 1.0, rng(8), other=other) != again).any()


def test_at_scale_strength_1_everything_is_half_as_large_in_the_middle():
    image = noise((40, 60))
    found = robustness.perturb("scale", image, 1.0, rng())
    # Each pixel of the 20 x 30 in the middle is the mean of 2 x 2; around it lies their mirror.
    mean = image.reshape(20, 2, 30, 2).mean(axis=(1, 3))
    assert np.abs(found[10:30, 15:45] - mean).max() <= 0.5
    assert (found[10:30, :15] == found[10:30, 30:15:-1]).all()
    assert (found[:10] == found[20:10:-1]).all()


def test_a_tilt_foreshortens_by_the_cosine_and_keeps_every_corner():
    points = np.array([[-30.0, 0], [30.0, 0], [0, -20.0], [0, 20.0]])
    # About the x axis by 60 degrees, seen from 90 px: y = 20 goes 17.3 px back and to
    # 20 * cos 60 * 90 / (90 + 17.32) = 8.386; y = -20 comes nearer: 10 * 90 / (90 - 17.32) = 12.38.
    found = geometric._tilted(points, 0.0, np.pi / 3, 60)
    assert found[:2].tolist() == points[:2].tolist()
    assert found[2:, 1] == pytest.approx([-12.383, 8.386], abs=1e-3)
    # A frame around the image is still there after the strongest tilt.
    for seed in range(6):
        image = np.full((50, 71), 10, np.uint8)
        image[:3] = image[-3:] = 250
        image[:, :3] = image[:, -3:] = 250
        found = robustness.perturb("viewpoint", image, 1.0, rng(seed))
        area = (found[2:-2, 2:-2] < 60).sum() / found.size
        # Tilted and fitted: the inside is smaller, and more is mirrored from it around.
        assert 0.2 < area < 0.95


def test_a_deformation_moves_at_most_its_share_and_not_at_the_border():
    # Levels are columns: the level of a pixel says where it comes from.
    image = np.tile(np.arange(100, dtype=np.uint16) * 100, (100, 1))
    found = robustness.perturb("deformation", image, 1.0, rng()).astype(float)
    moved = np.abs(found - image) / 100
    assert moved[2:-2, 2:-2].max() <= geometric.BEND * 100 + 0.05
    assert moved.max() > 1
    assert moved[:, [0, -1]].max() < 0.5
    # Smooth: neighbours move alike, so that no pixel overtakes the next one.
    assert (np.diff(found, axis=1) >= 0).all()


@pytest.mark.parametrize("strength", [0.2, 0.6, 1.0])
def test_a_patch_covers_its_share_of_the_area(strength):
    for seed in range(5):
        image = smooth((203, 157), np.uint16, top=900)
        found = robustness.perturb("occlusion", image, strength, rng(seed))
        rows, columns = np.nonzero(found != image)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        share = height * width / image.size
        assert share == pytest.approx(covering.COVERED * strength, rel=0.05)
        # All of it is one colour.
        patch = found[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert (patch == patch[0, 0]).all()


def test_clutter_stays_on_the_rim():
    image = smooth((101, 140, 3))
    for seed in range(5):
        found = robustness.perturb("clutter", image, 1.0, rng(seed))
        changed = (found != image).any(axis=2)
        rim = int(np.ceil(covering.RIM * 101))
        assert not changed[rim:-rim, rim:-rim].any()
        # On each of the four sides there is something.
        assert all(part.any() for part in (changed[:rim], changed[-rim:], changed[:, :rim],
                                           changed[:, -rim:]))  # fmt: skip
        half = robustness.perturb("clutter", image, 0.5, rng(seed))
        assert not (half != image)[rim // 2 + 1 : -rim // 2 - 1, rim // 2 + 1 : -rim // 2 - 1].any()


def test_light_is_gamma_then_gain_along_a_gradient():
    image = np.full((3, 201), 100, np.uint8)
    found = robustness.perturb("illumination", image, 1.0, rng(1)).astype(float)
    signs = rng(1).choice([-1.0, 1.0], 2)
    level = (100 / 255) ** (appearance.GAMMA ** signs[1]) * appearance.GAIN ** signs[0] * 255
    # In the middle there is no gradient.
    assert found[1, 100] == pytest.approx(level, abs=0.6)
    assert np.ptp(found) > 0.1 * level


def test_within_a_class_phases_and_mean_stay():
    image, other = noise((32, 45), seed=1), smooth((60, 60))
    own, theirs = levels.to_shares(image), levels.to_shares(other)
    theirs = appearance._fitted(other, image)
    mixed = appearance._mixed(own, theirs, 0.5)
    before, after, foreign = (np.fft.rfft2(part) for part in (own, mixed, theirs))
    assert mixed.mean() == pytest.approx(own.mean(), abs=1e-6)
    for k, m in ((0, 1), (2, 3), (6, 6), (-4, 2)):
        # Amplitudes lie half way between, at the phase of the image.
        expected = (abs(before[k, m]) + abs(foreign[k, m])) / 2
        assert after[k, m] == pytest.approx(expected * before[k, m] / abs(before[k, m]), abs=1e-3)
    assert after[7, 3] == pytest.approx(before[7, 3], abs=1e-3)
    assert after[2, 7] == pytest.approx(before[2, 7], abs=1e-3)


def test_noise_of_a_16_bit_camera_is_a_share_of_what_it_uses():
    image = np.full((60, 60), 2000, np.uint16)
    image[0, 0] = 4000
    found = robustness.perturb("within_class", image, 1.0, rng()).astype(float)
    assert found.max() <= 4000
    assert found[1:, 1:].std() == pytest.approx(appearance.NOISE * 4000, rel=0.1)


def test_what_is_no_perturbation_is_refused():
    with pytest.raises(errors.ConfigError, match="must be one of viewpoint, scale"):
        robustness.perturb("fog", noise((4, 4)), 0.5, rng())
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(errors.ConfigError, match=r"must be in 0..1"):
            robustness.perturb("scale", noise((4, 4)), strength, rng())
