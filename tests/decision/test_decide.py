import json
import math

import cv2
import numpy as np
import pytest
from probability_maps import blank, point, with_boxes

from inspection_tf import decision, errors, thresholds


def three_spots():
    return with_boxes((1, 1, 3, 3, 0.9), (10, 1, 13, 3, 0.8), (20, 1, 24, 3, 0.7))  # 4, 6, 8 px


def zone(box=None, *, kind="ignore", name="zone", **fields):
    return decision.Zone(name=name, kind=kind, box_xyxy=box, **fields)


def random_case(seed):
    """A random map with blobs, and random rules that sometimes bite."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(9, 40, 2)
    noise = rng.random((int(height), int(width)))
    probability = cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(0.4, 2.0)))
    probability -= probability.min()
    probability = (probability / probability.max() * rng.uniform(0.3, 1)).astype(np.float32)

    def maybe(value):
        return value if rng.random() < 0.4 else None

    zones = (
        decision.Zone(name="left", box_xyxy=(0, 0, 0.4, 1), unit="fraction"),
        decision.Zone(name="middle", kind="inspect", box_xyxy=(2, 2, 30, 30)),
    )
    rules = decision.Rules(
        min_area_px=maybe(float(rng.integers(1, 12))),
        min_area_mm2=maybe(float(rng.uniform(0, 0.1))),
        min_length_px=maybe(float(rng.uniform(1, 6))),
        min_length_mm=maybe(float(rng.uniform(0.1, 0.6))),
        min_mean_score=maybe(float(rng.uniform(0.4, 0.8))),
        zones=tuple(zone for zone in zones if rng.random() < 0.3),
        min_count=int(rng.integers(1, 4)),
        min_pattern_ratio=maybe(float(rng.uniform(0, 0.1))),
        levels=(
            decision.Level(name="minor"),
            decision.Level(name="major", min_pattern_ratio=0.03, min_area_px=5),
        ),
        min_level=maybe("major"),
    )
    mask_threshold = float(rng.uniform(0.2, 0.8))
    return rng, probability, rules, mask_threshold


# The one rule


@pytest.mark.parametrize("seed", range(150))
def test_ng_if_and_only_if_the_score_reaches_the_threshold(seed):
    rng, probability, rules, mask_threshold = random_case(seed)
    score = decision.score(probability, rules, mask_threshold=mask_threshold, mm_per_px=0.1)
    at = [float(rng.random()) for _ in range(6)]
    order = []
    for threshold in sorted([*at, score, float(np.nextafter(score, 2)), mask_threshold]):
        verdict = decision.decide(
            probability, point(threshold, mask_threshold), rules, mm_per_px=0.1
        )
        assert verdict.score == score
        assert verdict.outcome == ("NG" if score >= threshold else "OK")
        order.append(verdict.outcome)
        if verdict.outcome == "OK":
            assert verdict.regions == ()
        elif threshold >= mask_threshold:  # then the regions that are shown meet the image rules
            assert verdict.defect_count >= rules.min_count
            assert verdict.pattern_ratio >= (rules.min_pattern_ratio or 0) * (1 - 1e-9)
            assert rules.min_level is None or verdict.level == "major"
    assert order == sorted(order)  # "NG" < "OK": once OK, a higher threshold stays OK


@pytest.mark.parametrize("seed", range(40))
def test_stricter_region_rules_never_raise_the_score(seed):
    _, probability, rules, mask_threshold = random_case(seed)
    options = {"mask_threshold": mask_threshold, "mm_per_px": 0.1}
    stricter = rules.model_copy(update={"min_area_px": (rules.min_area_px or 0) + 3})
    more = rules.model_copy(update={"min_count": rules.min_count + 1})
    score = decision.score(probability, rules, **options)
    assert decision.score(probability, stricter, **options) <= score
    assert decision.score(probability, more, **options) <= score


@pytest.mark.parametrize("seed", range(40))
def test_regions_agree_with_a_pixel_by_pixel_count(seed):
    _, probability, _, mask_threshold = random_case(seed)
    verdict = decision.decide(probability, point(mask_threshold, mask_threshold))
    above = probability >= mask_threshold
    assert np.array_equal(verdict.mask(), above)
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(above.astype(np.uint8))
    assert verdict.defect_count == count - 1
    for region in verdict.regions:
        x0, y0, x1, y1 = region.box_xyxy
        row, column = np.argwhere(region.mask)[0]
        label = labels[y0 + row, x0 + column]
        assert stats[label].tolist() == [x0, y0, x1 - x0, y1 - y0, region.area_px]
        assert centroids[label] == pytest.approx(region.centroid_xy)
        assert region.peak_score == probability[labels == label].max()
        assert region.mean_score == pytest.approx(probability[labels == label].mean())


def test_a_mask_threshold_that_float32_cannot_hold_is_not_rounded_down():
    below = np.float32(0.7)  # 0.699999988
    assert float(below) < 0.7
    probability = with_boxes((2, 2, 4, 4, below))
    assert decision.score(probability, mask_threshold=0.7) < 0.7
    assert decision.decide(probability, point(0.7, 0.7)).outcome == "OK"
    assert decision.decide(probability.astype(np.float64), point(0.7, 0.7)).outcome == "OK"


# Regions


def test_a_region_is_measured_in_pixels_and_millimetres():
    probability = with_boxes((3, 5, 9, 7, 0.7), (4, 5, 5, 6, 0.9))
    verdict = decision.decide(probability, point(), mm_per_px=0.5, classes=("scratch",))
    assert verdict.outcome == "NG"
    (region,) = verdict.regions
    assert region.class_name == "scratch"
    assert region.box_xyxy == (3, 5, 9, 7)
    assert region.centroid_xy == (5.5, 5.5)  # columns 3..8, rows 5..6
    assert region.area_px == 12
    assert region.area_mm2 == 3.0  # 12 * 0.5^2
    assert region.length_px == pytest.approx(6)  # six pixels in a row
    assert region.length_mm == pytest.approx(3)
    assert region.mean_score == pytest.approx((11 * 0.7 + 0.9) / 12)
    assert region.peak_score == pytest.approx(0.9)
    assert verdict.pattern_ratio == pytest.approx(12 / (20 * 31))
    assert verdict.mask().sum() == 12


def test_pixels_that_touch_at_corners_are_one_region():
    probability = blank()
    for step in range(5):
        probability[3 + step, 7 + step] = 0.9
    (region,) = decision.decide(probability, point()).regions
    assert region.area_px == 5
    assert region.length_px == pytest.approx(4 * math.sqrt(2) + 1, abs=1e-4)


def test_a_single_pixel_in_the_corner_is_a_region_of_length_1():
    probability = blank(7, 5)
    probability[6, 4] = 1.0
    (region,) = decision.decide(probability, point()).regions
    assert (region.box_xyxy, region.length_px) == ((4, 6, 5, 7), 1.0)


def test_a_map_that_is_defect_everywhere_is_one_region():
    verdict = decision.decide(blank(5, 9, 0.8), point())
    assert (verdict.defect_count, verdict.pattern_ratio) == (1, 1.0)


def test_only_regions_that_reach_the_threshold_are_reported():
    probability = with_boxes((1, 1, 3, 3, 0.55), (10, 1, 13, 3, 0.9), (20, 1, 23, 3, 0.7))
    verdict = decision.decide(probability, point(0.6))
    assert [round(region.peak_score, 2) for region in verdict.regions] == [0.9, 0.7]


# Outcomes and reasons


def test_reasons_say_what_was_found_and_what_it_was_measured_by():
    probability = with_boxes((2, 3, 12, 9, 0.97))
    verdict = decision.decide(probability, point(0.62), decision.Rules(min_area_px=50))
    assert verdict.reasons == ("1 region, 60 px, over 50 px", "score 0.97 at or above 0.62")
    exactly = decision.decide(probability, point(0.62), decision.Rules(min_area_px=60))
    assert exactly.reasons[0] == "1 region, 60 px, at or over 60 px"


def test_reasons_show_enough_digits_to_tell_score_and_threshold_apart():
    verdict = decision.decide(blank(value=0.6199), point(0.62))
    assert verdict.reasons == ("score 0.6199 under 0.6200",)


@pytest.mark.parametrize(
    ("peak", "outcome", "count"), [(0.59, "OK", 0), (0.65, "REVIEW", 1), (0.71, "NG", 1)]
)
def test_a_score_in_the_band_is_for_review(peak, outcome, count):
    verdict = decision.decide(with_boxes((2, 2, 5, 5, peak)), point(0.7, review_from=0.6))
    assert (verdict.outcome, verdict.defect_count) == (outcome, count)
    if outcome == "REVIEW":
        assert verdict.reasons[1] == "score 0.65 at or above 0.60, under 0.70"


def test_a_threshold_under_the_mask_threshold_points_at_the_peak():
    probability = blank()
    probability[4, 9] = 0.4
    verdict = decision.decide(probability, point(0.3))
    assert (verdict.outcome, verdict.regions) == ("NG", ())
    assert verdict.reasons == (
        "score 0.40 at or above 0.30, and no region reaches 0.5; the peak lies at (9, 4)",
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("threshold", [0.0, 0.6, 1.5])
def test_a_map_that_is_not_finite_is_never_ok(value, threshold):
    probability = three_spots()
    probability[19, 30] = value
    verdict = decision.decide(probability, point(threshold))
    assert verdict.outcome == "REVIEW"
    assert math.isnan(verdict.score)
    assert verdict.to_dict()["score"] is None
    assert verdict.reasons == ("1 value of the map not finite",)
    assert math.isnan(decision.score(probability, mask_threshold=0.5))
    assert verdict._repr_png_() is not None


def test_a_verdict_survives_json():
    rules = decision.Rules(min_area_px=3, levels=(decision.Level(name="minor"),))
    for scale in (None, 0.1):
        verdict = decision.decide(three_spots(), point(), rules, mm_per_px=scale)
        given = verdict.to_dict()
        assert json.loads(json.dumps(given, allow_nan=False)) == given
        assert given["outcome"] == "NG"
        assert given["defect_count"] == len(given["regions"]) == 3
        assert given["regions"][0]["box_xyxy"] == [1, 1, 3, 3]


def test_equal_maps_give_equal_verdicts():
    first, second = (decision.decide(three_spots(), point()) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)


# Audit


def test_a_defect_hidden_by_a_rule_is_listed_with_the_rule():
    probability = with_boxes((2, 2, 4, 4, 0.9), (10, 5, 16, 9, 0.8))
    mask = np.zeros((20, 31), bool)
    mask[1:5, 1:5] = True  # found as 4 px
    mask[5:9, 10:16] = True  # found in full
    mask[15:18, 25:28] = True  # not found: an escape of the network
    rules = decision.Rules(min_area_px=10)
    (hidden,) = decision.hidden_defects(probability, rules, mask, mask_threshold=0.5)
    assert hidden.rules == ("min_area_px",)
    assert (hidden.box_xyxy, hidden.area_px, hidden.found_px) == ((1, 1, 5, 5), 16, 4)
    assert hidden.peak_score == pytest.approx(0.9)
    none = decision.hidden_defects(probability, decision.Rules(), mask, mask_threshold=0.5)
    assert none == ()


def test_rules_on_position_and_on_the_image_hide_defects_too():
    probability = with_boxes((2, 2, 6, 6, 0.9))
    mask = probability > 0.5
    options = {"mask_threshold": 0.5}
    ignored = decision.Rules(zones=(zone((0, 0, 9, 9), name="clamp"),))
    (hidden,) = decision.hidden_defects(probability, ignored, mask, **options)
    assert hidden.rules == ("ignore zone 'clamp'",)
    elsewhere = decision.Rules(zones=(zone((10, 0, 31, 20), kind="inspect"),), min_length_px=9)
    (hidden,) = decision.hidden_defects(probability, elsewhere, mask, **options)
    assert hidden.rules == ("inspect zones",)
    (hidden,) = decision.hidden_defects(probability, decision.Rules(min_count=2), mask, **options)
    assert hidden.rules == ("min_count",)


def test_an_audit_of_a_quiet_map_finds_nothing():
    mask = np.ones((20, 31), bool)
    rules = decision.Rules(min_area_px=10)
    assert decision.hidden_defects(blank(), rules, mask, mask_threshold=0.5) == ()


def test_the_audit_wants_the_mask_in_the_size_of_the_map():
    with pytest.raises(errors.DataError, match="size of its map"):
        decision.hidden_defects(blank(), decision.Rules(), np.ones((3, 3)), mask_threshold=0.5)


def test_an_ellipse_outline_gives_a_full_ellipse_itself_and_fills_a_dented_one():
    y, x = np.mgrid[:60, :80]
    truth = ((x - 40) / 25) ** 2 + ((y - 30) / 12) ** 2 <= 1
    point = thresholds.OperatingPoint(threshold=0.5)
    rules = decision.Rules(outline="ellipse")
    whole = decision.decide(truth.astype(np.float32) * 0.9, point, rules)
    # the rim is one pixel wide at most: 942 px inside, under 5 % may differ
    assert (whole.mask() ^ truth).sum() < 0.05 * truth.sum()
    dented = truth & ~((np.abs(x - 40) < 4) & (np.abs(y - 30) > 6))
    plain = decision.decide(dented.astype(np.float32) * 0.9, point)
    drawn = decision.decide(dented.astype(np.float32) * 0.9, point, rules)
    assert (drawn.mask() ^ truth).sum() < (plain.mask() ^ truth).sum()
    # areas, scores and outcome stay those of the pixels
    assert drawn.regions[0].area_px == plain.regions[0].area_px == dented.sum()
    assert (drawn.outcome, drawn.score) == (plain.outcome, plain.score)


def test_an_ellipse_outline_stays_inside_the_image_and_takes_one_pixel():
    point = thresholds.OperatingPoint(threshold=0.5)
    rules = decision.Rules(outline="ellipse")
    corner = np.zeros((9, 11), np.float32)
    corner[:4, :5] = 0.8
    verdict = decision.decide(corner, point, rules)
    x0, y0, x1, y1 = verdict.regions[0].box_xyxy
    assert 0 <= x0 < x1 <= 11
    assert 0 <= y0 < y1 <= 9
    assert verdict.mask().any()
    one = np.zeros((9, 11), np.float32)
    one[4, 5] = 0.8
    assert decision.decide(one, point, rules).mask()[4, 5]
