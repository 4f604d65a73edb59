import json
import math

import numpy as np
import pydantic
import pytest

from inspection_tf import config, decision, errors, thresholds

CLASSES = ("scratch", "dent")


def quiet(*, classes=2, size=(20, 31), value=0.1):
    return np.full((*size, classes), value / classes, np.float32)


def with_boxes(*boxes, classes=2):
    """Paint (x0, y0, x1, y1, probability of each class) on a quiet map."""
    probability = quiet(classes=classes)
    for x0, y0, x1, y1, *values in boxes:
        probability[y0:y1, x0:x1] = values
    return probability


def point(threshold=0.6, mask_threshold=0.5, review_from=None):
    return thresholds.OperatingPoint(
        threshold=threshold, mask_threshold=mask_threshold, review_from=review_from
    )


def decide(probability, rules=None, *, threshold=0.6, classes=CLASSES):
    rules = decision.Rules() if rules is None else rules
    return decision.decide(probability, point(threshold), rules, classes=classes)


def random_map(seed, *, classes=3):
    """A softmax over background and classes, with blobs of each class."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (24, 31, classes + 1))
    logits[..., 0] += 2
    for channel in range(1, classes + 1):
        x, y = rng.integers(0, 20, 2)
        logits[y : y + rng.integers(1, 6), x : x + rng.integers(1, 8), channel] += 5
    odds = np.exp(logits)
    return (odds / odds.sum(axis=2, keepdims=True))[..., 1:].astype(np.float32)


# One channel


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_map_with_one_channel_is_the_map_without_it(dtype):
    plain = np.full((20, 31), 0.1, dtype)
    plain[3:6, 4:9] = 0.9
    one, other = (decision.decide(given, point()) for given in (plain, plain[..., None]))
    assert one == other
    assert other.probability.shape == (20, 31)
    assert one.probability is plain
    assert one.classes == ("defect",)
    assert one.class_probability is None
    assert decision.score(plain, mask_threshold=0.5) == decision.score(
        plain[..., None], mask_threshold=0.5
    )
    assert one.class_mask().tolist() == one.mask().astype(int).tolist()


# The defect map


def test_the_defect_map_is_the_sum_of_the_classes():
    # Neither class reaches 0.5, both together do: 0.45 + 0.35 = 0.8
    probability = with_boxes((3, 5, 9, 7, 0.45, 0.35))
    verdict = decide(probability)
    assert (verdict.outcome, verdict.score) == ("NG", pytest.approx(0.8))
    assert verdict.probability.shape == (20, 31)
    assert verdict.probability[5, 3] == pytest.approx(0.8)
    assert verdict.class_probability is probability
    assert decision.score(probability, mask_threshold=0.5) == verdict.score


def test_a_sum_that_rounding_lifts_over_one_is_one():
    probability = with_boxes((3, 5, 9, 7, 0.5, 0.5))
    probability[5, 3] = np.float32(0.5), np.nextafter(np.float32(0.5), np.float32(1))
    verdict = decide(probability)
    assert verdict.score == verdict.probability.max() == 1.0


@pytest.mark.parametrize("broken", [(math.nan, 0), (math.inf, 0), (math.inf, -math.inf)])
def test_a_map_with_one_class_that_is_not_finite_is_for_review(broken):
    probability = with_boxes((3, 5, 9, 7, 0.9, 0.0))
    probability[19, 30] = broken
    verdict = decide(probability)
    count = int((~np.isfinite(probability)).sum())
    assert verdict.outcome == "REVIEW"
    assert math.isnan(verdict.score)
    assert verdict.reasons == (f"{count} value{'s' * (count > 1)} of the map not finite",)


@pytest.mark.parametrize("seed", range(20))
def test_ng_if_and_only_if_the_score_reaches_the_threshold(seed):
    probability, names = random_map(seed), ("scratch", "dent", "stain")
    rng = np.random.default_rng(seed)
    areas = {name: float(rng.integers(1, 20)) for name in names if rng.random() < 0.7}
    rules = decision.Rules(class_min_area_px=areas, min_count=int(rng.integers(1, 3)))
    score = decision.score(probability, rules, mask_threshold=0.5, classes=names)
    for threshold in (score, float(np.nextafter(score, 2)), 0.5, *rng.uniform(0.5, 1, 4)):
        verdict = decide(probability, rules, threshold=threshold, classes=names)
        assert verdict.score == score
        assert verdict.outcome == ("NG" if score >= threshold else "OK")
        for region in verdict.regions:
            assert region.area_px >= areas.get(region.class_name, 0)


# The class of a region


def test_a_region_has_the_class_with_the_largest_sum_over_its_pixels():
    # 8 px of 0.6 / 0.3 and 4 px of 0.0 / 0.95: 4.8 of scratch, 2.4 + 3.8 = 6.2 of dent
    probability = with_boxes((2, 2, 6, 4, 0.6, 0.3), (6, 2, 8, 4, 0.0, 0.95))
    verdict = decide(probability)
    (region,) = verdict.regions
    assert (region.class_name, region.area_px) == ("dent", 12)
    # with 2 px of them: 4.8 against 2.4 + 1.9
    probability[3, 6:8] = 0
    assert decide(probability).regions[0].class_name == "scratch"


def test_with_one_class_all_regions_have_that_of_the_largest_sum_over_all():
    # 12 px of 0.6 / 0.2, then 4 px of 0.1 / 0.9: 7.2 + 0.4 = 7.6 of scratch, 2.4 + 3.6 of dent
    probability = with_boxes((2, 2, 6, 5, 0.6, 0.2), (12, 2, 14, 4, 0.1, 0.9))

    def names(**rules):
        verdict = decide(probability, decision.Rules(**rules))
        return [region.class_name for region in verdict.regions]

    assert names() == ["dent", "scratch"]  # by falling peak: 1.0 and 0.8
    assert names(one_class=True) == ["scratch", "scratch"]
    verdict = decide(probability, decision.Rules(one_class=True))
    assert np.unique(verdict.class_mask()).tolist() == [0, 1]
    # The rules on areas see that class; score and outcome do not hang on it.
    assert names(one_class=True, class_min_area_px={"dent": 13}) == ["scratch", "scratch"]
    assert names(one_class=True, class_min_area_px={"scratch": 5}) == ["scratch"]
    assert verdict.score == decide(probability).score


def test_what_another_stage_thinks_of_the_classes_multiplies_their_sums():
    # 12 px of 0.6 / 0.2 and 4 px of 0.1 / 0.8: sums of 7.2 / 2.4 and 0.4 / 3.2
    probability = with_boxes((2, 2, 6, 5, 0.6, 0.2), (12, 2, 14, 4, 0.1, 0.8))

    def verdict(weight, **rules):
        options = {"classes": CLASSES, "class_weight": np.array(weight, np.float32)}
        return decision.decide(probability, point(0.5), decision.Rules(**rules), **options)

    def names(weight, **rules):
        by_place = sorted(verdict(weight, **rules).regions, key=lambda region: region.box_xyxy)
        return [region.class_name for region in by_place]

    assert names([0.5, 0.5]) == ["scratch", "dent"]
    assert names([0.2, 0.7]) == ["dent", "dent"]  # 1.44 / 1.68
    assert names([0.3, 0.7]) == ["scratch", "dent"]  # 2.16 / 1.68
    assert names([0.9, 0.1]) == ["scratch", "scratch"]  # 0.36 / 0.32
    assert names([0.43, 0.57], one_class=True) == ["scratch"] * 2  # 7.6 / 5.6: 3.268 / 3.192
    assert names([0.42, 0.58], one_class=True) == ["dent"] * 2  # 3.192 / 3.248
    plain = decide(probability, threshold=0.5)
    for weight in ([0.2, 0.7], [0.9, 0.1]):
        found = verdict(weight)
        assert (found.score, found.outcome) == (plain.score, plain.outcome)
        np.testing.assert_array_equal(found.mask(), plain.mask())


def test_weights_that_are_not_one_for_each_class_are_refused():
    with pytest.raises(errors.ConfigError, match=r"one number for each of 2 .* Got shape \(3,\)"):
        decision.decide(
            with_boxes((2, 2, 6, 5, 0.6, 0.2)), point(), classes=CLASSES, class_weight=np.ones(3)
        )


def test_classes_named_by_both_stages_do_not_drop_regions():
    with pytest.raises(ValueError, match="class_min_area_px needs class_by segmenter"):
        decision.Rules(class_by="both", class_min_area_px={"scratch": 5})


def test_what_does_not_count_has_no_say_in_the_one_class():
    # 100 px of scratch in a zone that is ignored, 4 px of dent outside.
    probability = with_boxes((0, 0, 10, 10, 0.9, 0.0), (20, 12, 22, 14, 0.0, 0.9))
    zone = decision.Zone(name="rim", box_xyxy=(0, 0, 11, 11))
    for rules in ({"zones": (zone,)}, {"min_length_px": 2, "zones": (zone,)}):
        (region,) = decide(probability, decision.Rules(one_class=True, **rules)).regions
        assert region.class_name == "dent"
    # Where rules drop every region all of them say what they are.
    verdict = decide(probability, decision.Rules(one_class=True, min_area_px=500))
    assert verdict.outcome == "OK"


def test_one_class_changes_nothing_where_there_is_one():
    probability = np.zeros((20, 31), np.float32)
    one = decision.Rules(one_class=True)
    assert decide(probability, one, classes=("defect",)).regions == ()
    probability[3:5, 3:9] = 0.9
    for rules in (one, decision.Rules()):
        (region,) = decide(probability, rules, classes=("defect",)).regions
        assert (region.class_name, region.area_px) == ("defect", 12)


def test_equal_sums_take_the_first_class():
    assert decide(with_boxes((2, 2, 6, 4, 0.4, 0.4))).regions[0].class_name == "scratch"


@pytest.mark.parametrize("seed", range(10))
def test_classes_agree_with_a_sum_over_each_region(seed):
    probability, names = random_map(seed), ("scratch", "dent", "stain")
    verdict = decide(probability, threshold=0.5, classes=names)
    assert verdict.defect_count > 0
    for region in verdict.regions:
        x0, y0, x1, y1 = region.box_xyxy
        sums = probability[y0:y1, x0:x1][region.mask].sum(axis=0)
        assert region.class_name == names[int(sums.argmax())]


def test_the_class_mask_holds_ids_from_one():
    verdict = decide(with_boxes((2, 2, 4, 4, 0.9, 0.0), (10, 5, 13, 6, 0.1, 0.8)))
    mask = verdict.class_mask()
    assert (mask.dtype, mask.shape) == (np.uint8, (20, 31))
    assert (mask == 1).sum() == 4
    assert mask[5, 10:13].tolist() == [2, 2, 2]
    assert np.array_equal(mask > 0, verdict.mask())


def test_where_outlines_overlap_the_higher_peak_gives_the_class():
    verdict = decision.Verdict(
        outcome="NG",
        score=0.9,
        threshold=0.5,
        result=decision.Regions(
            tuple(
                decision.Region(name, box, (0, 0), 4, 2.0, peak, peak)
                for name, box, peak in (("dent", (0, 0, 2, 2), 0.9), ("scratch", (1, 0, 4, 2), 0.8))
            )
        ),
        image_size=(2, 4),
        classes=CLASSES,
    )
    assert verdict.class_mask().tolist() == [[2, 2, 1, 1]] * 2


def test_reasons_and_json_name_the_classes():
    probability = with_boxes(
        (2, 2, 4, 4, 0.9, 0.0), (10, 5, 13, 6, 0.0, 0.8), (20, 5, 23, 6, 0.0, 0.7)
    )
    verdict = decide(probability)
    assert verdict.reasons[0] == "3 regions (2 dent, 1 scratch), 10 px together"
    assert decide(probability, threshold=0.85).reasons[0] == "1 region (scratch), 4 px"
    given = verdict.to_dict()
    assert given["classes"] == ["scratch", "dent"]
    assert [region["class_name"] for region in given["regions"]] == ["scratch", "dent", "dent"]
    assert json.loads(json.dumps(given, allow_nan=False)) == given


# Rules on classes


def test_a_class_has_a_smallest_area_of_its_own():
    probability = with_boxes((2, 2, 4, 4, 0.9, 0.0), (10, 5, 12, 7, 0.0, 0.8))  # 4 px each
    small_dents = decision.Rules(class_min_area_px={"dent": 5})
    assert [region.class_name for region in decide(probability, small_dents).regions] == ["scratch"]
    both = decision.Rules(class_min_area_px={"dent": 5, "scratch": 4.5})
    verdict = decide(probability, both)
    assert verdict.outcome == "OK"
    assert verdict.score == np.nextafter(0.5, 0)
    assert verdict.reasons[1:] == (
        "1 region dropped by class_min_area_px 'dent' 5",
        "1 region dropped by class_min_area_px 'scratch' 4.5",
    )
    at_the_limit = decision.Rules(class_min_area_px={"dent": 4, "scratch": 4})
    assert decide(probability, at_the_limit).defect_count == 2


def test_the_audit_names_the_class_whose_rule_hides_a_defect():
    probability = with_boxes((2, 2, 4, 4, 0.9, 0.0), (10, 5, 12, 7, 0.0, 0.8))
    ids = np.zeros((20, 31), np.uint8)
    ids[2:4, 2:4], ids[5:7, 10:12] = 1, 2
    rules = decision.Rules(class_min_area_px={"dent": 5})
    (hidden,) = decision.hidden_defects(
        probability, rules, ids, mask_threshold=0.5, classes=CLASSES
    )
    assert hidden.rules == ("class_min_area_px 'dent'",)
    assert (hidden.box_xyxy, hidden.area_px) == ((10, 5, 12, 7), 4)
    with pytest.raises(errors.DataError, match="size of its map"):
        decision.hidden_defects(probability, rules, ids[:3], mask_threshold=0.5, classes=CLASSES)


@pytest.mark.parametrize("value", [0.1, 0.9])
def test_a_rule_on_a_class_that_is_not_decided_is_refused(value):
    rules = decision.Rules(class_min_area_px={"stain": 5})
    with pytest.raises(errors.ConfigError, match=r"\['stain'\]; the classes are.*'dent'"):
        decide(quiet(value=value), rules)


def test_rules_on_classes_need_their_names():
    rules = decision.Rules(class_min_area_px={"dent": 5})
    with pytest.raises(errors.ConfigError, match="need the names"):
        decision.score(quiet(), rules, mask_threshold=0.5)
    assert decision.score(quiet(), mask_threshold=0.5) == pytest.approx(0.1)


@pytest.mark.parametrize("classes", [("defect",), ("a", "b", "c"), ("a", "a")])
def test_every_channel_has_one_name(classes):
    with pytest.raises(errors.ConfigError, match="each of the 2 channels"):
        decide(quiet(), classes=classes)


def test_rules_on_classes_are_checked_hashed_and_kept_in_yaml(tmp_path):
    rules = decision.Rules(class_min_area_px={"dent": 5, "scratch": 2})
    same = decision.Rules(class_min_area_px={"scratch": 2, "dent": 5})
    assert rules == same
    assert hash(rules) == hash(same)
    assert {rules, decision.Rules()} == {decision.Rules(), same}
    assert decision.Rules().class_min_area_px == {}
    path = tmp_path / "rules.yaml"
    path.write_text(config.to_yaml(rules))
    assert config.load(decision.Rules, path) == rules
    for area in (-1, math.nan, math.inf):
        with pytest.raises(pydantic.ValidationError, match="class_min_area_px"):
            decision.Rules(class_min_area_px={"dent": area})


def test_rules_on_classes_can_be_given_on_the_command_line(tmp_path):
    class Recipe(config.Section):
        rules: decision.Rules = decision.Rules()

    path = tmp_path / "recipe.yaml"
    path.write_text("{}")
    options = {"default_path": path, "program": "recipe", "description": ""}
    words = ["--rules.class-min-area-px", "dent", "7", "scratch", "2.5"]
    recipe, _ = config.from_command_line(Recipe, words, **options)
    assert recipe.rules.class_min_area_px == {"dent": 7, "scratch": 2.5}
    path.write_text("rules: {class_min_area_px: {dent: 5}}")
    words = ["--rules.class-min-area-px.dent", "6"]  # what the file names is a field of its own
    recipe, _ = config.from_command_line(Recipe, words, **options)
    assert recipe.rules.class_min_area_px == {"dent": 6}
