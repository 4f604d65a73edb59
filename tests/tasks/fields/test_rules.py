"""Corners and a confidence -> verdict."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from inspection_tf import images, thresholds
from inspection_tf.images import geometry
from inspection_tf.tasks.base import Prepared
from inspection_tf.tasks.fields import closeups, refinement
from inspection_tf.tasks.fields import rules as field_rules

SIZE = (100, 200)
FIELD = np.array([[20.0, 30.0], [120.0, 30.0], [120.0, 60.0], [20.0, 60.0]])
POINT = thresholds.OperatingPoint(threshold=0.4, review_from=0.2)


def located(corners=FIELD, confidence=0.9, point=POINT, **rules):
    chosen = field_rules.FieldRules(**rules)
    return field_rules.locate(np.asarray(corners), confidence, point, chosen, image_size=SIZE)


def test_a_confident_field_is_ok_and_has_corners():
    verdict = located()
    assert (verdict.outcome, verdict.confidence) == ("OK", 0.9)
    assert verdict.score == pytest.approx(0.1)
    assert verdict.corners_xy == tuple(map(tuple, FIELD.tolist()))
    assert verdict.reasons == ("field found: confidence 0.9, it takes more than 0.6",)
    assert json.loads(json.dumps(verdict.to_dict()))["corners_xy"] == FIELD.tolist()


@pytest.mark.parametrize(
    ("confidence", "outcome"), [(0.6, "NG"), (0.3, "NG"), (0.61, "REVIEW"), (0.81, "OK")]
)
def test_ng_if_and_only_if_the_score_reaches_the_threshold(confidence, outcome):
    verdict = located(confidence=confidence)
    assert verdict.outcome == outcome
    assert (verdict.score >= verdict.threshold) == (outcome == "NG")


def test_without_a_field_there_are_no_corners_but_what_was_guessed():
    verdict = located(confidence=0.1)
    assert verdict.corners_xy is None
    assert verdict.crop() is None
    assert verdict.pictures() == {}
    assert "no field: confidence 0.1" in verdict.reasons[0]
    assert verdict.to_dict()["corners_xy"] is None
    np.testing.assert_array_equal(verdict.guess_xy, FIELD)


@pytest.mark.parametrize(
    ("corners", "why"),
    [
        (FIELD[[0, 2, 1, 3]], "clockwise around a convex area"),
        (FIELD[[1, 0, 3, 2]], "clockwise around a convex area"),  # mirrored
        # sides (100, 0) and (90, 10): the angle at the top left is atan(10 / 90), 6.3 degrees
        ([[20, 30], [120, 30], [210, 40], [110, 40]], "an angle is 6 degrees"),
        # top 100 px, bottom 20 px, angles of 45 degrees
        ([[20, 10], [120, 10], [80, 50], [60, 50]], "a side is 5.0 times as long"),
        # 1 px2 of 20000
        ([[20, 30], [21, 30], [21, 31], [20, 31]], "its area is 5e-05 of the image's"),
        # 9.5 px beyond the border at -0.5, of 200
        ([[-10, 30], [120, 30], [120, 60], [-10, 60]], "a corner lies 0.048 of the width outside"),
    ],
)
def test_corners_that_cannot_be_a_field_are_left_to_a_person(corners, why):
    verdict = located(np.array(corners, float))
    assert verdict.outcome == "REVIEW"
    assert "no field looks like this" in verdict.reasons[0]
    assert why in verdict.reasons[0]
    assert located(np.array(corners, float), confidence=0.1).outcome == "NG"


def test_rules_can_be_opened():
    narrow = np.array([[20, 10], [120, 10], [80, 50], [60, 50]], float)
    assert located(narrow, max_side_ratio=6.0).outcome == "OK"


def test_a_field_that_touches_the_border_is_like_any_other():
    at_border = FIELD - [20.5, 30.5]  # its top left corner is that of the image
    assert located(at_border).outcome == "OK"


@pytest.mark.parametrize(
    ("corners", "confidence"), [(FIELD * math.nan, 0.9), (FIELD, math.nan), (FIELD, math.inf)]
)
def test_an_output_that_is_not_finite_is_never_ok(corners, confidence):
    verdict = located(corners, confidence)
    assert verdict.outcome == "REVIEW"
    assert math.isnan(verdict.score)
    assert verdict.corners_xy is None
    assert json.loads(json.dumps(verdict.to_dict()))["score"] is None


def test_the_mask_and_the_overlay_show_the_field():
    verdict = located()
    # Centres from 20 to 120 and from 30 to 60, borders included: 101 x 31.
    assert verdict.mask().sum() == 101 * 31
    import dataclasses

    shown = dataclasses.replace(verdict, image=np.full((*SIZE, 3), 90, np.uint8)).overlay()
    assert (shown != 90).any()
    assert (shown[45, 70] == 90).all()  # inside of it the photo is as it was


def test_the_crop_is_upright_wherever_the_field_lies():
    import dataclasses

    image = np.zeros((*SIZE, 3), np.uint8)
    image[40:80, 50:70] = [200, 100, 50]  # 20 px wide, 40 px high
    image[40:50, 50:60] = 255  # marks one corner
    around = geometry.check_corners([[49.5, 39.5], [69.5, 39.5], [69.5, 79.5], [49.5, 79.5]])
    upright = dataclasses.replace(located(around), image=image).crop()
    (picture,) = dataclasses.replace(located(around), image=image).pictures().values()
    np.testing.assert_array_equal(picture, upright)
    assert upright.shape == (40, 20, 3)
    np.testing.assert_array_equal(upright, image[40:80, 50:70])
    # Read from the right: its top left corner is the one at the lower left.
    turned = dataclasses.replace(located(around[[3, 0, 1, 2]]), image=image).crop()
    assert turned.shape == (20, 40, 3)
    np.testing.assert_array_equal(turned, np.rot90(image[40:80, 50:70], -1))


def test_inside_counts_centres():
    found = geometry.inside([[0.5, 0.5], [3.5, 0.5], [3.5, 2.5], [0.5, 2.5]], (4, 5))
    assert found.sum() == 6
    assert found[1:3, 1:4].all()
    turned = geometry.inside([[0.5, 0.5], [0.5, 2.5], [3.5, 2.5], [3.5, 0.5]], (4, 5))
    np.testing.assert_array_equal(found, turned)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 2])
def test_a_second_look_that_is_not_finite_is_never_ok(value, place):
    size = (200, 200)
    spec = images.Preprocessing(size=size)
    pixels = np.zeros(size, np.uint8)
    prepared = Prepared(pixels[None, ..., None], None, images.placement(size, spec), pixels)
    seen = np.array([[0.5, 0.5, 0.9]] * 4, np.float32)
    seen[3, place] = value
    row = np.array([0.2, 0.2, 0.8, 0.2, 0.8, 0.8, 0.2, 0.8, 0.95], np.float32)
    coarse = refinement.FieldCorners.from_row(row)
    refiner = SimpleNamespace(run=lambda batch: seen)
    found = refinement.refined(coarse, prepared, closeups.CloseupSpec(), refiner)
    assert np.isnan(found.as_row()).all()
    verdict = field_rules.locate(
        found.to_px(size),
        found.confidence,
        thresholds.OperatingPoint(threshold=0.5),
        field_rules.FieldRules(),
        image_size=size,
    )
    assert verdict.outcome != "OK"
