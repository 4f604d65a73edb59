import math

import numpy as np
import pydantic
import pytest
from probability_maps import blank, point, with_boxes

from inspection_tf import decision, errors

# Rules on one region


@pytest.mark.parametrize(
    ("rules", "survives"),
    [
        ({"min_area_px": 12}, True),
        ({"min_area_px": 13}, False),
        ({"min_area_mm2": 0.12}, True),  # 12 * 0.1^2, which is 0.12000000000000002
        ({"min_area_mm2": 0.13}, False),
        ({"min_length_px": 6}, True),
        ({"min_length_px": 6.5}, False),
        ({"min_length_mm": 0.6}, True),
        ({"min_length_mm": 0.65}, False),
        ({"min_mean_score": 0.79}, True),
        ({"min_mean_score": 0.81}, False),
    ],
)
def test_a_region_at_its_limit_survives_and_one_under_it_is_dropped(rules, survives):
    probability = with_boxes((3, 5, 9, 7, 0.8))
    verdict = decision.decide(probability, point(), decision.Rules(**rules), mm_per_px=0.1)
    assert verdict.outcome == ("NG" if survives else "OK")
    if not survives:
        (name,) = rules
        assert f"1 region dropped by {name}" in verdict.reasons[-1]
        assert verdict.score == np.nextafter(0.5, 0)


def test_the_score_passes_to_the_next_region_that_survives():
    probability = with_boxes((1, 1, 2, 2, 0.95), (10, 5, 15, 9, 0.7))
    rules = decision.Rules(min_area_px=4)
    assert decision.score(probability, rules, mask_threshold=0.5) == pytest.approx(0.7)
    assert decision.score(probability, mask_threshold=0.5) == pytest.approx(0.95)


def zone(box=None, *, kind="ignore", name="zone", **fields):
    return decision.Zone(name=name, kind=kind, box_xyxy=box, **fields)


def test_a_region_is_ignored_when_its_centroid_lies_in_an_ignored_zone():
    probability = with_boxes((4, 4, 7, 7, 0.9))  # centroid (5, 5): its centre is at 5.5 of the edge
    for edge, outcome in ((6, "OK"), (5.6, "OK"), (5.4, "NG"), (4, "NG")):
        rules = decision.Rules(zones=(zone((0, 0, edge, 20), name="logo"),))
        verdict = decision.decide(probability, point(), rules)
        assert verdict.outcome == outcome, edge
    rules = decision.Rules(zones=(zone((0, 0, 6, 20), name="logo"),))
    reasons = decision.decide(probability, point(), rules).reasons
    assert "1 region dropped by ignore zone 'logo'" in reasons


def test_only_inspected_zones_count_where_there_are_any():
    probability = with_boxes((2, 2, 4, 4, 0.9), (20, 2, 22, 4, 0.8))
    rules = decision.Rules(
        zones=(
            zone((0.5, 0, 1, 1), kind="inspect", unit="fraction", name="right"),
            zone((25, 0, 31, 20), name="rim"),
        )
    )
    verdict = decision.decide(probability, point(), rules)
    (region,) = verdict.regions
    assert region.box_xyxy[0] == 20
    # right half: 15.5 <= x + 0.5 -> columns 15..30, without 25..30: 10 columns of 20 pixels
    assert verdict.pattern_ratio == pytest.approx(4 / 200)


def test_polygons_hold_the_pixels_whose_centres_lie_inside():
    triangle = decision.Zone(name="corner", polygon_xy=((0, 0), (6, 0), (0, 6)), kind="inspect")
    probability = with_boxes((0, 0, 31, 20, 0.9))
    probability[:] = 0.1
    probability[1, 3] = 0.9  # centre (3.5, 1.5): 3.5 + 1.5 = 5 < 6
    rules = decision.Rules(zones=(triangle,))
    verdict = decision.decide(probability, point(), rules)
    # rows hold columns with x + y + 1 < 6: 5 + 4 + 3 + 2 + 1 = 15 pixels, and the diagonal is out
    assert verdict.pattern_ratio == pytest.approx(1 / 15)
    probability[1, 3], probability[3, 3] = 0.1, 0.9  # 3.5 + 3.5 = 7
    assert decision.decide(probability, point(), rules).outcome == "OK"


def test_a_quiet_map_is_scored_in_the_inspected_area_only():
    probability = with_boxes((2, 2, 4, 4, 0.4))
    rules = decision.Rules(zones=(zone((0, 0, 8, 8)),))
    assert decision.score(probability, rules, mask_threshold=0.5) == pytest.approx(0.1)
    assert decision.score(probability, mask_threshold=0.5) == pytest.approx(0.4)


def test_zones_that_leave_nothing_are_refused():
    rules = decision.Rules(zones=(zone((0, 0, 1, 1), unit="fraction", name="all"),))
    with pytest.raises(errors.ConfigError, match=r"leave something to inspect.*'all'"):
        decision.score(blank(), rules, mask_threshold=0.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "either box_xyxy or polygon_xy"),
        ({"box_xyxy": (0, 0, 1, 1), "polygon_xy": ((0, 0), (1, 0), (1, 1))}, "either"),
        ({"box_xyxy": (2, 0, 1, 1)}, "left < right"),
        ({"polygon_xy": ((0, 0), (1, 0))}, "at least 3"),
    ],
)
def test_a_zone_has_one_proper_outline(fields, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        decision.Zone(name="zone", **fields)


# Rules on the image


def three_spots():
    return with_boxes((1, 1, 3, 3, 0.9), (10, 1, 13, 3, 0.8), (20, 1, 24, 3, 0.7))  # 4, 6, 8 px


def test_the_score_is_the_peak_of_the_region_that_completes_the_count():
    for count, expected in ((1, 0.9), (2, 0.8), (3, 0.7)):
        rules = decision.Rules(min_count=count)
        assert decision.score(three_spots(), rules, mask_threshold=0.5) == pytest.approx(expected)
    rules = decision.Rules(min_count=4)
    assert decision.score(three_spots(), rules, mask_threshold=0.5) == np.nextafter(0.5, 0)
    verdict = decision.decide(three_spots(), point(), rules)
    assert verdict.reasons == (
        "score 0.50 under 0.60",
        "3 regions, not enough for min_count 4",
    )


def test_the_pattern_ratio_accumulates_over_regions_by_falling_peak():
    # 620 pixels: 4 / 620 = 0.0065, 10 / 620 = 0.0161, 18 / 620 = 0.0290
    for ratio, expected in ((0.006, 0.9), (0.01, 0.8), (0.02, 0.7)):
        rules = decision.Rules(min_pattern_ratio=ratio)
        assert decision.score(three_spots(), rules, mask_threshold=0.5) == pytest.approx(expected)
    verdict = decision.decide(three_spots(), point(), decision.Rules(min_pattern_ratio=0.02))
    assert verdict.reasons[:2] == ("3 regions, 18 px together", "pattern ratio 0.029, limit 0.02")


LEVELS = (
    decision.Level(name="minor"),
    decision.Level(name="major", min_area_px=10),
    decision.Level(name="critical", min_area_mm2=0.18),
)


def test_the_gravest_level_that_the_regions_reach_is_named():
    rules = decision.Rules(levels=LEVELS)
    # peaks at or above 0.85, 0.75, 0.65: 4, 10, 18 px, and 18 * 0.1^2 = 0.18 mm2
    for threshold, level in ((0.85, "minor"), (0.75, "major"), (0.65, "critical")):
        verdict = decision.decide(three_spots(), point(threshold), rules, mm_per_px=0.1)
        assert verdict.level == level
        assert f"level {level}" in verdict.reasons
    assert decision.decide(blank(), point(), rules, mm_per_px=0.1).level is None


def test_a_level_can_be_what_it_takes_for_ng():
    rules = decision.Rules(levels=LEVELS[:2], min_level="major")
    assert decision.score(three_spots(), rules, mask_threshold=0.5) == pytest.approx(0.8)
    small = with_boxes((1, 1, 3, 3, 0.9))
    verdict = decision.decide(small, point(), rules)
    assert verdict.outcome == "OK"
    assert verdict.reasons[-1] == "1 region, not enough for min_level major"


def test_levels_and_zones_have_names_of_their_own():
    with pytest.raises(pydantic.ValidationError, match="must differ"):
        decision.Rules(levels=(LEVELS[0], LEVELS[0]))
    with pytest.raises(pydantic.ValidationError, match="must name one of the levels"):
        decision.Rules(levels=LEVELS, min_level="huge")


@pytest.mark.parametrize(
    "rules",
    [
        {"min_area_mm2": 1},
        {"min_length_mm": 0},
        {"levels": (decision.Level(name="big", min_area_mm2=1),)},
    ],
)
def test_rules_in_millimetres_need_the_scale(rules):
    with pytest.raises(errors.ConfigError, match="need the scale"):
        decision.decide(blank(), point(), decision.Rules(**rules))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan])
def test_a_scale_is_a_positive_length(scale):
    with pytest.raises(errors.ConfigError, match="positive length"):
        decision.score(blank(), decision.Rules(), mask_threshold=0.5, mm_per_px=scale)


@pytest.mark.parametrize(
    "probability",
    [
        np.zeros((1, 2, 2, 1), np.float32),
        np.zeros((2, 2, 0), np.float32),
        np.zeros((0, 3), np.float32),
        np.zeros((3, 3), np.uint8),
    ],
)
def test_what_is_no_map_is_refused(probability):
    with pytest.raises(errors.ConfigError, match="floating-point array"):
        decision.decide(probability, point())


def test_half_precision_maps_are_decided_as_well():
    assert decision.decide(three_spots().astype(np.float16), point()).defect_count == 3
