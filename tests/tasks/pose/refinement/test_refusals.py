import dataclasses

import numpy as np
import pytest
from pose_images import FREE, near
from xray_parts import IDEAL, POSE, SETUP, image

from inspection_tf.projection import Assembly, Body, Box, Cylinder, Deviations, Pose
from inspection_tf.projection.radiographs import cut_share
from inspection_tf.tasks.pose.refinement import refine, refusals
from inspection_tf.tasks.pose.refinement.refusals import RefusalLimits, reasons

LIMITS = RefusalLimits()
NEAR = near(POSE, np.random.default_rng(2), 1.0, 0.3)


def why(pixels, setup=SETUP, starts=(NEAR,)):
    return reasons(refine(pixels, setup, starts, FREE), pixels, setup, LIMITS)


def test_a_good_image_is_trusted():
    assert why(image(POSE)) == ()


def test_an_empty_image_fits_and_is_refused():
    empty = IDEAL.render(np.random.default_rng(0), np.ones(SETUP.scanner.size, np.float32))
    found = refine(empty, SETUP, [NEAR], FREE)
    assert found.fit.chi2 == pytest.approx(1, abs=0.05)
    assert any("known to" in reason for reason in reasons(found, empty, SETUP, LIMITS))


def test_an_image_in_other_levels_than_stated_is_told_of_alone():
    (reason,) = why((image(POSE) // 256).astype(np.uint8))  # 8 bits, where 16 are stated
    assert "of the open beam, under 2%" in reason
    assert "rules.refinement.open_value" in reason


def test_another_part_is_refused():
    other = Assembly(
        [
            Body(Box(36.0, 26.0, 18.0), "aluminium"),
            Body(Cylinder(6.0, 60.0), None, Pose(x=-8.0, y=-3.0)),
        ]
    )
    pixels = image(POSE, setup=dataclasses.replace(SETUP, part=other))
    assert any("does not fit" in reason for reason in why(pixels))


def test_a_face_that_is_off_is_refused_or_does_no_harm():
    _, *rest = SETUP.part.bodies
    larger = Assembly([Body(Box(40.0, 24.0, 16.5), "aluminium", Pose(z=0.25)), *rest])
    pixels = image(POSE, setup=dataclasses.replace(SETUP, part=larger))
    assert any("residuals of neighbours" in reason for reason in why(pixels))


def test_a_saturated_image_is_refused():
    bright = IDEAL.expected(SETUP, POSE, samples=13) * 1.5
    pixels = IDEAL.render(np.random.default_rng(0), bright)
    assert any("end of their range" in reason for reason in why(pixels))


@pytest.mark.parametrize(
    ("rows", "columns", "is_refused"), [(1, 2, False), (2, 2, True), (1, 9, True)]
)
def test_pixels_that_were_not_compared_are_few_or_the_image_is_refused(rows, columns, is_refused):
    # A flaw of much contrast looks like dead pixels; one or two of them are no flaw.
    pixels = image(POSE)
    shadow = np.argwhere(pixels < 0.5 * pixels.max())
    row, column = shadow[len(shadow) // 2]
    pixels[row : row + rows, column : column + columns] = 0
    told = [reason for reason in why(pixels) if "that touch were not compared" in reason]
    assert bool(told) == is_refused
    assert not is_refused or told[0].startswith(f"{rows * columns} px of the part")


def test_dead_pixels_beside_the_part_change_nothing():
    pixels = image(POSE)
    pixels[2:5, 2:5] = 0
    assert why(pixels) == ()


def test_a_part_half_out_of_view_is_refused():
    aside = dataclasses.replace(POSE, x=30.0)
    start = near(aside, np.random.default_rng(3), 0.5, 0.2)
    assert any("beside the image" in reason for reason in why(image(aside), starts=[start]))


def test_what_lies_beside_the_image_is_a_share():
    assert cut_share(SETUP, Pose()) == pytest.approx(0, abs=1e-6)
    slab = dataclasses.replace(SETUP, part=Assembly([Body(Box(30.0, 20.0, 2.0), "aluminium")]))
    # The image shows 62.7 mm of the part's plane: with its middle on the border, half of it.
    edge = Pose(x=SETUP.scanner.field_of_view_mm[1] / 2)
    assert cut_share(slab, edge) == pytest.approx(0.5, abs=0.02)
    assert cut_share(SETUP, Pose(x=1000.0)) == 1.0


KNOWN_WELL = Deviations(0.01, 0.01, 0.01, 0.01, 0.01, 0.1)


@dataclasses.dataclass(frozen=True)
class _Fit:
    pose: Pose = POSE
    chi2: float = 1.0
    deviations: Deviations = KNOWN_WELL
    light: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(SETUP.scanner.size))


@dataclasses.dataclass(frozen=True)
class _Measured:
    values: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(SETUP.scanner.size))
    noise: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(SETUP.scanner.size))


@dataclasses.dataclass(frozen=True)
class _Refined:
    fit: _Fit = _Fit()
    measured: _Measured = _Measured()
    structure: float = 1.0
    margin: float = np.inf


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (_Refined(), None),
        (_Refined(fit=_Fit(chi2=1.2)), "mean squared residual 1.2, over 1.1"),
        (_Refined(fit=_Fit(chi2=np.nan)), "does not fit"),
        (_Refined(structure=2.0), "agree by 2, over 1.3"),
        (_Refined(structure=np.nan), "in places"),
        (_Refined(margin=3.0), "two poses fit alike"),
        (
            _Refined(fit=_Fit(deviations=Deviations(0.2, 0.0, 0.0, 0.0, 0.0, 0.0))),
            "an angle is known to 0.2 deg, over",
        ),
        (
            _Refined(fit=_Fit(deviations=Deviations(*[np.inf] * 6))),
            "known to no extent",
        ),
        (
            _Refined(fit=_Fit(deviations=Deviations(0.0, 0.0, 0.0, 0.0, 0.0, 2.0))),
            "the place is known to 2 mm, over",
        ),
    ],
)
def test_each_limit_has_its_reason(found, words):
    given = refusals.reasons(found, image(POSE), SETUP, LIMITS)
    if words is None:
        assert given == ()
    else:
        assert any(words in reason for reason in given)


def test_photons_that_are_too_few_for_the_noise_are_told_of():
    pixels = image(POSE)
    spec = FREE.model_copy(update={"photons": 500.0})
    found = refine(pixels, SETUP, [NEAR], spec)
    assert any("less noise" in reason for reason in reasons(found, pixels, SETUP, LIMITS))
