"""Limits of flank wear: outcome, reasons, level, what a verdict says, and composites."""

import dataclasses
import json
import math

import numpy as np
import pydantic
import pytest
from probability_maps import blank, point

from inspection_tf import decision, errors
from inspection_tf.decision import results

UM = 0.005  # mm per px


def worn(height=20, peak=0.9, *, chip=0, size=(60, 101)):
    """A map of a wear land from row 20 on over the whole width; 5 um a px."""
    probability = blank(*size)
    probability[20 : 20 + height] = peak
    probability[20 : 20 + chip, 30:50] = 0.1
    return probability


def decide(probability, *, threshold=0.95, scale=UM, rules=None, **wear):
    wear = decision.WearRules(**{"edge_side": "top", **wear})
    rules = decision.Rules(wear=wear, **(rules or {}))
    return decision.decide(probability, point(threshold), rules, mm_per_px=scale)


# Outcome and reasons


@pytest.mark.parametrize(
    ("wear", "outcome", "reason"),
    [
        # 20 px are 100 um, the chip of 6 px is 30 um deep
        ({"max_vb_um": 100}, "OK", "flank wear VB_B 100 um, within 100 um"),
        ({"max_vb_um": 99.5}, "NG", "flank wear VB_B 100.0 um, over 99.5 um"),
        ({"max_vb_um": 90}, "NG", "flank wear VB_B 100 um, over 90 um"),
        ({"max_vb_peak_um": 90}, "NG", "flank wear VB_Bmax 100 um, over 90 um"),
        ({"max_chipping_um": 30}, "OK", "chipping 30 um, within 30 um"),
        ({"max_chipping_um": 29}, "NG", "chipping 30 um, over 29 um"),
        (
            {"max_vb_um": 110, "review_share": 0.9},
            "REVIEW",
            "flank wear VB_B 100 um, over 99 um, 0.9 of 110 um",
        ),
        ({"max_vb_um": 120, "review_share": 0.9}, "OK", "flank wear VB_B 100 um, within 120 um"),
        ({}, "OK", "flank wear VB_B 100 um"),
    ],
)
def test_over_a_limit_an_image_is_ng_whatever_its_score(wear, outcome, reason):
    verdict = decide(worn(chip=6), **wear)
    assert verdict.outcome == outcome
    assert reason in verdict.reasons
    assert verdict.score == pytest.approx(0.9)  # which knows no wear
    assert "score 0.90 under 0.95" in verdict.reasons
    assert verdict.defect_count == (0 if outcome == "OK" else 1)  # what it is about is shown


def test_the_gravest_of_several_limits_decides():
    limits = {"max_vb_um": 110, "max_chipping_um": 20, "review_share": 0.9}
    assert decide(worn(chip=6), **limits).outcome == "NG"
    assert decide(worn(chip=3), **limits).outcome == "REVIEW"  # 15 um, and 100 um over 99 um


def test_wear_within_its_limits_makes_no_image_ok():
    verdict = decide(worn(), threshold=0.6, max_vb_um=200)
    assert verdict.outcome == "NG"  # by its score, as without wear
    assert verdict.reasons[0] == "flank wear VB_B 100 um, within 200 um"
    plain = decision.decide(worn(), point(0.6), mm_per_px=UM)
    assert (verdict.score, verdict.regions) == (plain.score, plain.regions)
    assert verdict.reasons[1:] == plain.reasons


@pytest.mark.parametrize("wear", [{"max_vb_um": 200}, {"levels": {"new": 0}}])
def test_without_a_scale_a_wear_land_that_must_be_judged_is_for_a_person(wear):
    verdict = decide(worn(), scale=None, **wear)
    assert (verdict.outcome, verdict.level) == ("REVIEW", None)
    assert "flank wear VB_B 20.0 px, not judged without mm_per_px" in verdict.reasons
    assert verdict.wear.vb_mean_px == pytest.approx(20)
    assert decide(blank(60, 101), scale=None, **wear).outcome == "OK"  # nothing is worn
    assert decide(worn(), scale=None).outcome == "OK"  # measured, not judged


def test_a_map_that_is_not_finite_is_not_measured():
    verdict = decide(blank(value=math.nan), max_vb_um=100)
    assert (verdict.outcome, verdict.wear) == ("REVIEW", None)
    assert "wear" not in verdict.to_dict()


def test_wear_is_that_of_the_regions_that_no_rule_drops():
    probability = worn(10)
    probability[50:55, 90:] = 0.8  # 55 px
    assert decide(probability, rules={"min_area_px": 60}).wear.vb_mean_um == pytest.approx(50)
    dropped = decide(probability, rules={"min_area_px": 2000}, max_vb_um=10)
    assert (dropped.outcome, dropped.wear.vb_mean_um) == ("OK", 0)


def test_wear_is_that_of_one_class_where_it_is_named():
    probability = np.stack([worn(10), np.full((60, 101), 0.0, np.float32)], axis=-1)
    probability[40:60, :, 1] = 0.8
    rules = decision.Rules(wear=decision.WearRules(class_name="flank_wear", edge_side="top"))
    for classes, width in ((("flank_wear", "broken"), 10), (("broken", "flank_wear"), 20)):
        verdict = decision.decide(probability, point(0.95), rules, classes=classes)
        assert verdict.wear.vb_mean_px == pytest.approx(width)
    # A broken place beside the land is one region with it, of the class of the larger part.
    probability[30:40, :, 1] = 0.8
    verdict = decision.decide(probability, point(), rules, classes=("flank_wear", "broken"))
    assert [region.class_name for region in verdict.regions] == ["broken"]
    assert verdict.wear.vb_mean_px == pytest.approx(10)
    with pytest.raises(errors.ConfigError, match=r"wear\.class_name .* Got 'flank_wear'"):
        decision.decide(worn(), point(), rules, classes=("defect",))


# Within the limits OK


def test_limits_that_acquit_are_a_rule_on_the_image():
    limits = {"max_vb_um": 150, "acquits": True}
    verdict = decide(worn(), threshold=0.6, **limits)
    assert (verdict.outcome, verdict.score) == ("OK", np.nextafter(0.5, 0))
    assert verdict.reasons[-1] == "1 region, not enough for the limits of wear"
    over = decide(worn(31), threshold=0.6, **limits)
    assert (over.outcome, over.score) == ("NG", pytest.approx(0.9))  # 155 um
    rules = decision.Rules(wear=decision.WearRules(edge_side="top", **limits))
    options = {"mask_threshold": 0.5, "mm_per_px": UM}
    for height in (20, 31):  # thresholds are chosen on the score that verdicts have
        expected = decide(worn(height), threshold=0.6, **limits).score
        assert decision.score(worn(height), rules, **options) == expected


def test_what_acquitting_limits_hide_is_audited():
    rules = decision.Rules(wear=decision.WearRules(max_vb_um=150, acquits=True, edge_side="top"))
    mask = worn() > 0.5
    (hidden,) = decision.hidden_defects(worn(), rules, mask, mask_threshold=0.5, mm_per_px=UM)
    assert hidden.rules == ("the limits of wear",)


# Levels


@pytest.mark.parametrize(
    ("height", "level"), [(0, "new"), (20, "new"), (30, "used"), (59, "used"), (60, "worn")]
)
def test_the_level_is_the_gravest_that_vb_reaches(height, level):
    levels = {"new": 0, "used": 150, "worn": 300}  # um; 30 px and 60 px
    assert decide(worn(height, size=(90, 101)), levels=levels).level == level


def test_levels_of_areas_and_of_wear_exclude_each_other():
    wear = decision.WearRules(levels={"new": 0})
    with pytest.raises(pydantic.ValidationError, match="got both"):
        decision.Rules(levels=(decision.Level(name="large"),), wear=wear)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"zone": (0.5, 0.5)}, "two rising shares"),
        ({"zone": (-0.1, 1)}, "two rising shares"),
        ({"levels": {"used": 100, "new": 0}}, "rising widths"),
        ({"levels": {"used": 100, "worn": 100}}, "rising widths"),
        ({"acquits": True}, "needs a limit"),
        ({"max_vb_um": 0}, "greater than 0"),
        ({"max_vb_um": math.inf}, "finite"),
        ({"review_share": 1}, "less than 1"),
        ({"edge_side": "above"}, "top"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(fields, said):
    with pytest.raises(pydantic.ValidationError, match=said):
        decision.WearRules(**fields)


# What is written


def test_rules_without_wear_are_written_as_ever():
    assert "wear" not in decision.Rules().model_dump(mode="json")
    assert "wear" not in decision.Rules().model_dump_json()
    assert decision.Rules().model_dump(exclude_defaults=True) == {}
    rules = decision.Rules(wear=decision.WearRules(max_vb_um=200, levels={"new": 0}))
    assert decision.Rules.model_validate_json(rules.model_dump_json()) == rules
    assert hash(rules) == hash(rules.model_copy()) != hash(decision.Rules())


def test_a_verdict_says_its_wear_only_where_it_was_measured():
    plain = decision.decide(worn(), point(), mm_per_px=UM).to_dict()
    assert "wear" not in plain
    assert "wear" not in results.EMPTY
    verdict = decide(worn(chip=6), levels={"new": 0, "used": 80})
    said = verdict.to_dict()
    assert said.keys() - plain.keys() == {"wear"}
    assert said["level"] == "used"
    assert said["wear"]["vb_mean_um"] == pytest.approx(100)
    assert said["wear"]["chipping_um"] == pytest.approx(30)
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    lean = verdict.without_pixels()
    assert lean.to_dict() == said
    assert lean.wear.profile_px.shape == (0,)
    assert hash(lean) == hash(verdict)


def test_the_overlay_draws_the_ideal_edge_and_the_widest_place():
    image = np.full((60, 101), 77, np.uint8)
    probability = worn(20, chip=8)
    probability[40:48, 70:80] = 0.9  # the widest place: 28 px in columns 70 to 79
    marked, plain = (
        dataclasses.replace(verdict, image=image).overlay().astype(int)
        for verdict in (
            decide(probability, max_vb_um=1),
            decision.decide(probability, point(0.6), mm_per_px=UM),
        )
    )
    changed = (marked != plain).any(axis=-1)
    assert changed[19:21, 32:48].any(axis=0).all()  # over the chip, where no outline is
    assert changed[24:44, 68:74].any(axis=1).all()  # across the land
    assert not changed[:17].any()


# All inserts of one tool head


def insert(position, height, *, peak=0.9, **options):
    limits = {"max_vb_um": 200, "levels": {"new": 0, "used": 100, "worn": 200}}
    verdict = decide(worn(height, peak, size=(90, 101)), **limits, **options)
    return dataclasses.replace(verdict, metadata={"position": position, "head": "A"})


def test_six_inserts_of_a_tool_head_come_worst_first():
    broken = dataclasses.replace(
        decide(blank(value=math.nan)), metadata={"position": "6"}
    )  # REVIEW, not measured
    inserts = [
        insert("1", 10),  # 50 um
        insert("2", 50),  # 250 um
        insert("3", 0),  # nothing
        insert("4", 60),  # 300 um
        insert("5", 30),  # 150 um
        broken,
    ]
    head = decision.CompositeVerdict.by_position(inserts)
    assert (head.outcome, head.decided_by) == ("NG", "4")
    assert list(head.verdicts) == ["4", "2", "6", "5", "1", "3"]
    said = head.to_dict()
    assert list(said["wear"]) == ["4", "2", "5", "1", "3"]
    assert said["wear"]["4"]["vb_mean_um"] == pytest.approx(300)
    assert [one["level"] for one in said["wear"].values()] == [
        "worn", "worn", "used", "new", "new",
    ]  # fmt: skip
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert head.reasons[0].startswith("4: flank wear VB_B 300 um, over 200 um")


def test_of_equal_wear_the_score_decides_and_then_the_order():
    inserts = [insert("a", 20, peak=0.8), insert("b", 20, peak=0.9), insert("c", 20, peak=0.9)]
    head = decision.CompositeVerdict.by_position(inserts)
    assert list(head.verdicts) == ["b", "c", "a"]


def test_each_insert_has_a_position_of_its_own():
    first = insert("1", 10)
    with pytest.raises(errors.ConfigError, match="Got 1 twice"):
        decision.CompositeVerdict.by_position([first, first])
    with pytest.raises(errors.ConfigError, match=r"Got none\. .*metadata=\{'slot': '3'\}"):
        decision.CompositeVerdict.by_position([first], key="slot")
    with pytest.raises(errors.ConfigError, match="at least one verdict"):
        decision.CompositeVerdict.by_position([])


def test_composites_without_wear_are_as_ever():
    verdict = decision.decide(worn(), point(0.6))
    said = decision.CompositeVerdict.of({"top": verdict}).to_dict()
    assert list(said) == ["outcome", "decided_by", "reasons", "verdicts", "failures"]
