import dataclasses
import json
import math

import numpy as np
import pytest

from inspection_tf import images, thresholds
from inspection_tf.projection import Pose
from inspection_tf.projection.pose_ranges import PoseRange
from inspection_tf.tasks.base import Context, Prepared
from inspection_tf.tasks.pose import DifferenceRules, Settings, Tolerances, rules
from inspection_tf.tasks.pose.difference import Region
from inspection_tf.tasks.pose.measuring import Measured
from inspection_tf.tasks.pose.modes import Mode

SIZE = (24, 32)
POSE = Pose(100.0, 2.0, -1.0, 0.5, 0.0, 3.0)
MODE = Mode(Pose(101.0, 2.5, -1.0), 0.9, (1.0,) * 6)
PREPARED = Prepared(
    np.zeros((1, *SIZE, 1), np.uint8),
    None,
    images.locate(np.zeros(SIZE, np.uint8), images.Preprocessing(size=SIZE)),
)


def measured(*, surest=3.0, area=4, pose=POSE, refused=(), deviations=(0.01,) * 6):
    significance = np.full(SIZE, 1.0, np.float16)
    significance[3:5, 4:6] = surest
    differs = significance > 6
    region = Region(area_px=area, xy=(4.5, 3.5), depth_mm=-1.5, significance=surest)
    regions = (region,) if surest > 6 else ()
    light = np.full(SIZE, 0.5, np.float16)
    return Measured(pose, deviations, 1.0, 500.0, refused, regions, differs, significance, light)


def decided(found, settings=None, *, threshold=0.5, modes=(MODE,)):
    settings = settings or Settings()
    rules_of_six = settings.difference.model_copy(update={"min_significance": 6.0})
    settings = settings.model_copy(update={"difference": rules_of_six})
    context = Context(
        ("deviation",),
        images.Preprocessing(size=SIZE),
        settings,
        thresholds.OperatingPoint(threshold=threshold),
    )
    output = rules.PoseOutput(modes, np.zeros((1, 13), np.float32), found)
    return rules.decide(output, PREPARED, context)


def test_a_part_as_its_model_is_ok_and_its_pose_is_told():
    verdict = decided(measured())
    assert verdict.outcome == "OK"
    assert verdict.score == pytest.approx(0.5 / 1.5)  # 3 of 6 standard deviations: r = 1/2
    said = json.loads(json.dumps(verdict.to_dict()))
    assert said["pose"]["phi_deg"] == 100.0
    assert said["pose"]["z_mm"] == 3.0
    assert said["pose_deviation"]["phi_deg"] == 0.01
    assert said["pose_modes"][0]["probability"] == 0.9
    assert said["differences"] == []
    assert (said["defect_count"], said["regions"]) == (0, [])
    assert "as its model: differs by 3.0" in verdict.reasons[0]


def test_a_place_that_differs_surely_is_ng_with_area_and_depth():
    verdict = decided(measured(surest=12.0))
    assert verdict.outcome == "NG"
    assert verdict.score == pytest.approx(2 / 3)
    (region,) = verdict.to_dict()["differences"]
    assert verdict.defect_count == verdict.to_dict()["defect_count"] == 1
    assert region == {"area_px": 4, "xy": [4.5, 3.5], "depth_mm": -1.5, "significance": 12.0}
    assert "1.5 mm less at" in verdict.reasons[0]
    assert verdict.mask().sum() == 4


def test_what_is_too_small_to_count_is_ok_however_sure_it_is():
    found = dataclasses.replace(measured(surest=20.0), regions=())
    verdict = decided(found, Settings(difference=DifferenceRules(min_area_px=9)))
    assert verdict.outcome == "OK"
    assert verdict.score < 0.5


def test_a_pose_that_is_refused_is_left_to_a_person_with_the_reason():
    verdict = decided(measured(surest=30.0, refused=("the part does not fit",)))
    assert verdict.outcome == "REVIEW"
    assert verdict.reasons[0] == "the part does not fit"


def test_of_a_refused_pose_neither_place_nor_likeness_is_told():
    far = measured(pose=dataclasses.replace(POSE, x=900.0), refused=("the part does not fit",))
    verdict = decided(far, Settings(tolerances=Tolerances(phi=(1.0, 2.0))))
    assert verdict.outcome == "REVIEW"
    first, last = verdict.reasons
    assert first == "the part does not fit"
    assert last.startswith("phi 100.000")


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ((101.0, 110.0), "phi 100 deg is outside of its tolerance, 101 to 110 deg"),
        (
            (100.01, 110.0),
            "phi 100 deg is too near to an end of its tolerance, 100.01 to 110 deg, to tell",
        ),
    ],
)
def test_what_a_tolerance_says_is_a_sentence(span, told):
    assert decided(measured(), Settings(tolerances=Tolerances(phi=span))).reasons[0] == told


def test_without_a_pose_nothing_is_ok():
    for found, modes in (("no start before the source", (MODE,)), (None, ())):
        verdict = decided(found, modes=modes)
        assert verdict.outcome == "REVIEW"
        assert math.isnan(verdict.score)
        assert json.loads(json.dumps(verdict.to_dict()))["pose"] is None


def test_the_network_alone_tells_its_likeliest_pose():
    within = Tolerances(phi=(91.0, 111.0))
    verdict = decided(None, Settings(refine=False, compare=False, tolerances=within))
    assert (verdict.outcome, verdict.score) == ("OK", 0.0)
    assert verdict.to_dict()["pose"]["phi_deg"] == 101.0
    assert verdict.to_dict()["pose_deviation"]["theta_deg"] == 1.0


@pytest.mark.parametrize(
    ("span", "outcome"),
    [
        ((90.0, 110.0), "OK"),
        ((99.99, 110.0), "REVIEW"),  # 0.01 from its end, and known to 0.01
        ((100.01, 110.0), "REVIEW"),
        ((101.0, 110.0), "NG"),
        ((350.0, 110.0), "OK"),  # across 0
        ((350.0, 10.0), "NG"),
    ],
)
def test_a_tolerance_of_phi_is_kept_broken_or_too_near_to_tell(span, outcome):
    verdict = decided(measured(), Settings(tolerances=Tolerances(phi=span)))
    assert verdict.outcome == outcome
    assert (verdict.score >= 0.5) == (outcome == "NG" or span == (100.01, 110.0))
    if outcome != "OK":
        assert "phi 100 deg" in " ".join(verdict.reasons)


def test_a_tolerance_of_a_place_is_in_mm():
    kept = Settings(tolerances=Tolerances(x=(0.0, 1.0), z=(2.0, 4.0)))
    assert decided(measured(), kept).outcome == "OK"
    broken = Settings(tolerances=Tolerances(z=(-1.0, 1.0)))
    verdict = decided(measured(), broken)
    assert verdict.outcome == "NG"
    assert verdict.score == pytest.approx(3 / 4)  # three times half its width from the middle


def test_a_number_too_near_to_its_tolerance_does_not_hide_what_is_surely_wrong():
    settings = Settings(tolerances=Tolerances(phi=(99.99, 110.0)))
    assert decided(measured(surest=12.0), settings).outcome == "NG"
    both = Settings(tolerances=Tolerances(phi=(99.99, 110.0), theta=(5.0, 6.0)))
    assert decided(measured(), both).outcome == "NG"


def test_of_a_part_that_looks_alike_the_pose_that_lies_best_is_judged():
    # A quarter of a turn further it is at 190 degrees, tilted the other way.
    other = POSE.alike(4)[1]
    span = (other.phi - 1, other.phi + 1)
    kept = Settings(symmetry=4, tolerances=Tolerances(phi=span, theta=(0.0, 2.0)))
    assert decided(measured(), kept).outcome == "OK"
    once = kept.model_copy(update={"symmetry": 1})
    assert decided(measured(), once).outcome == "NG"
    poses = PoseRange(theta_deg=0.9, psi_deg=2.5)  # theta 2 and psi -1 are beyond, turned not
    assert decided(measured(pose=Pose(100.0, 2.0, -0.5)), Settings(poses=poses)).outcome == "REVIEW"
    turned = Settings(poses=poses, symmetry=4)
    assert decided(measured(pose=Pose(100.0, 2.0, -0.5)), turned).outcome == "OK"


def test_a_depth_that_no_image_shows_is_no_reason():
    found = measured(deviations=(0.01,) * 5 + (math.inf,))
    verdict = decided(found)
    assert verdict.outcome == "OK"
    assert verdict.to_dict()["pose_deviation"]["z_mm"] is None
    asked = decided(found, Settings(tolerances=Tolerances(z=(2.0, 4.0))))
    assert asked.outcome == "REVIEW"


@pytest.mark.parametrize(
    ("pose", "poses", "why"),
    [
        (Pose(100.0, 10.4), PoseRange(), ""),
        (Pose(100.0, 11.0), PoseRange(), "theta is 11 deg, outside of -10 to 10 deg"),
        (Pose(100.0, 0.0, 0.0, 0.0, 4.0), PoseRange(), "y is 4 mm"),
        (Pose(100.0), PoseRange(phi_deg=(0.0, 90.0)), "phi is 100 deg, outside of 0 to 90 deg"),
        (Pose(92.0), PoseRange(phi_deg=(0.0, 90.0)), ""),
        (Pose(359.0), PoseRange(phi_deg=(0.0, 90.0)), ""),
    ],
)
def test_a_pose_outside_of_what_the_bundle_knows_is_left_to_a_person(pose, poses, why):
    verdict = decided(measured(pose=pose), Settings(poses=poses))
    assert verdict.outcome == ("REVIEW" if why else "OK")
    assert why in verdict.reasons[0]


def test_stated_deviations_are_scaled():
    settings = Settings(deviation_scale=(2.0, 1.0, 1.0, 1.0, 1.0, 3.0))
    said = decided(measured(), settings).to_dict()["pose_deviation"]
    assert (said["phi_deg"], said["theta_deg"], said["z_mm"]) == pytest.approx((0.02, 0.01, 0.03))


def test_a_picture_shows_what_was_measured_what_should_be_and_how_they_differ():
    verdict = decided(measured(surest=12.0))
    image = np.full(SIZE, 30_000, np.uint16)
    picture = verdict.result.pictures(image)["difference"]
    assert picture.shape == (24, 3 * 32, 3)
    assert picture.dtype == np.uint8
    assert picture[3, 64 + 4].tolist() == [255, 0, 0]
    assert verdict.result.pictures(None) == {}
    alone = verdict.without_pixels()
    assert alone.to_dict()["differences"] == verdict.to_dict()["differences"]
    assert not alone.mask().any()


@pytest.mark.parametrize(
    "given",
    [
        {"tolerances": {"theta": (2.0, 1.0)}},
        {"tolerances": {"phi": (10.0, 370.0)}},
        {"refine": False},
        {"deviation_scale": (1.0, 2.0)},
    ],
)
def test_settings_that_contradict_themselves_are_refused(given):
    with pytest.raises(ValueError, match=r"got|Field required"):
        Settings.model_validate(given)


def test_a_threshold_that_was_set_never_hides_a_limit():
    beyond = measured(surest=9.0)
    assert decided(beyond, threshold=0.99).outcome == "NG"
    assert decided(beyond, threshold=0.99).threshold == rules.AT_LIMIT
    strict = decided(measured(surest=5.0), threshold=0.2)
    assert strict.outcome == "NG"
    assert strict.reasons[0] == (
        "differs from its model by 5.0 standard deviations at most: under 6, but enough for a "
        "threshold of 0.200"
    )
    chosen = Settings(decide_by="threshold")
    assert decided(beyond, chosen, threshold=0.99).outcome == "OK"


def test_what_was_neither_measured_nor_tolerated_is_left_to_a_person():
    unchecked = Settings(refine=False, compare=False)
    verdict = decided(None, unchecked)
    assert verdict.outcome == "REVIEW"
    assert "nothing was checked" in verdict.reasons[0]
    tolerated = unchecked.model_copy(update={"tolerances": Tolerances(phi=(60.0, 140.0))})
    assert decided(None, tolerated).outcome == "OK"
