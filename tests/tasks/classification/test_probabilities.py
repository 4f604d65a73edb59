import math

import numpy as np
import pytest

from inspection_tf import images, thresholds
from inspection_tf.tasks import classification, preparation
from inspection_tf.tasks.base import Context, Prepared
from inspection_tf.tasks.classification import probabilities
from inspection_tf.tasks.classification.probabilities import ClassOutput

CLASSES = ("chipped", "worn")


def context(*, threshold=0.5, review_from=None, classes=CLASSES, **settings):
    return Context(
        classes=classes,
        preprocessing=images.Preprocessing(size=(4, 6)),
        settings=classification.Settings(**settings),
        operating_point=thresholds.OperatingPoint(threshold=threshold, review_from=review_from),
    )


def prepared(size=(4, 6)):
    spec = images.Preprocessing(size=(4, 6), fit="stretch")
    return Prepared(np.zeros((1, 4, 6, 1), np.uint8), None, images.placement(size, spec))


def decide(probability, evidence=None, novelty=None, **options):
    far = None if novelty is None else np.array([novelty], np.float32)
    output = ClassOutput(np.array(probability, np.float32), evidence, far)
    return probabilities.decide(output, prepared(), context(**options))


def test_by_a_threshold_the_score_is_the_sum_of_all_that_can_be_wrong():
    # 0.2 + 0.25 = 0.45 lies under 0.5 though OK is not even half sure of being alone.
    verdict = decide((0.55, 0.2, 0.25))
    assert verdict.score == pytest.approx(0.45)
    assert verdict.outcome == "OK"
    assert decide((0.55, 0.2, 0.25), threshold=0.45 - 1e-6).outcome == "NG"
    assert decide((0.55, 0.2, 0.25), review_from=0.4).outcome == "REVIEW"


def test_by_the_likeliest_class_an_image_is_ng_where_that_is_not_ok():
    # OK has 0.4 and is ahead, though what can be wrong has 0.6 together: 0.35 / 0.75 < 0.5.
    verdict = decide((0.4, 0.35, 0.25), decide_by="likeliest")
    assert verdict.outcome == "OK"
    assert verdict.score == pytest.approx(0.35 / 0.75)
    assert verdict.result.class_name == "OK"
    assert decide((0.3, 0.35, 0.35), decide_by="likeliest").outcome == "NG"
    # Neither is ahead: what may be wrong is NG.
    assert decide((0.5, 0.5, 0.0), decide_by="likeliest").outcome == "NG"


def test_a_small_margin_is_left_to_a_person_whatever_the_score():
    verdict = decide((0.3, 0.4, 0.3), min_margin=0.2)
    assert verdict.outcome == "REVIEW"
    assert verdict.reasons[0] == "chipped is ahead of OK by 0.10, under 0.2"
    assert decide((0.2, 0.6, 0.2), min_margin=0.2).outcome == "NG"
    assert decide((0.9, 0.05, 0.05), min_margin=0.2).outcome == "OK"


@pytest.mark.parametrize("decide_by", ["threshold", "likeliest"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_probability_that_is_not_finite_is_never_ok(decide_by, wrong):
    verdict = decide((0.9, wrong, 0.1), decide_by=decide_by)
    assert verdict.outcome == "REVIEW"
    assert math.isnan(verdict.score)
    assert verdict.result.class_name is None
    assert verdict.to_dict()["class_probability"] is None


def test_a_verdict_names_the_likeliest_class_its_margin_and_every_probability():
    found = decide((0.25, 0.5, 0.25), ok_name="intact").to_dict()
    assert found["class_name"] == "chipped"
    assert found["class_margin"] == 0.25
    assert found["class_probability"] == {"intact": 0.25, "chipped": 0.5, "worn": 0.25}
    assert found["regions"] == []
    assert found["reasons"] == ["chipped at 0.500; score 0.750, at or over 0.500"]


def test_heat_is_what_speaks_for_the_likeliest_defect_beyond_ok():
    evidence = np.zeros((2, 3, 3), np.float32)
    evidence[0, 0] = (1.0, 2.5, 9.0)  # chipped ahead of OK by 1.5
    evidence[1, 2] = (0.0, 4.0, 0.0)  # by 4
    evidence[1, 0] = (5.0, 1.0, 0.0)  # OK is ahead: nothing
    result = decide((0.2, 0.5, 0.3), evidence).result
    np.testing.assert_array_equal(result.cells(), [[1.5, 0, 0], [0, 0, 4]])
    heat = result.heat()
    assert heat.shape == (4, 6)
    assert heat.max() == 1.0 == heat[3, 5]
    mask = result.mask((4, 6))
    # The other place reaches 1.5 / 4 of the strongest, under half.
    assert mask[3, 5]
    assert not mask[0].any()
    assert set(result.pictures(None)) == {"heat"}
    assert result.pictures(None)["heat"][3, 5] == 255


def test_an_ok_image_marks_nothing_and_one_without_evidence_has_no_heat():
    evidence = np.ones((2, 3, 3), np.float32)
    evidence[..., 1] = 2
    ok = decide((0.9, 0.06, 0.04), evidence).result
    assert ok.heat().max() == 1.0
    assert not ok.mask((4, 6)).any()
    picture = np.full((4, 6, 3), 100, np.uint8)
    ok.mark(picture, (255, 0, 0), 1)
    assert (picture == 100).all()
    plain = decide((0.1, 0.8, 0.1)).result
    assert plain.heat() is None
    assert not plain.mask((4, 6)).any()
    assert plain.pictures(None) == {}
    assert plain.without_pixels() == plain


def test_an_ng_image_is_tinted_where_the_heat_is():
    evidence = np.zeros((2, 3, 3), np.float32)
    evidence[0, 0, 1] = 1
    picture = np.full((4, 6, 3), 100, np.uint8)
    decide((0.1, 0.8, 0.1), evidence).result.mark(picture, (255, 0, 0), 1)
    # 0.55 * 100 + 0.45 * 255 = 169.75, and 55 of the other two
    assert picture[0, 0].tolist() == [170, 55, 55]
    assert picture[3, 5].tolist() == [100, 100, 100]


def test_evidence_that_is_not_finite_is_no_heat():
    evidence = np.full((2, 3, 3), np.nan, np.float32)
    result = decide((0.1, 0.8, 0.1), evidence).result
    assert result.heat().max() == 0.0
    assert not result.mask((4, 6)).any()


def test_heat_lies_on_the_source_where_the_image_lies_in_the_input():
    spec = images.Preprocessing(size=(4, 8), fit="letterbox")
    placement = images.placement((8, 8), spec)  # 4 x 4 px, two black columns at each side
    evidence = np.zeros((1, 2, 2), np.float32)
    evidence[0, 1, 1] = 1.0
    output = ClassOutput(np.array([0.1, 0.9], np.float32), evidence)
    one = Prepared(np.zeros((1, 4, 8, 1), np.uint8), None, placement)
    heat = probabilities.decide(output, one, context(classes=("worn",))).result.heat()
    assert heat.shape == (8, 8)
    assert (heat[:, 7] > heat[:, 4]).all()
    assert (heat[:, 4] > heat[:, 0]).all()


def test_what_is_unlike_the_training_images_is_left_to_a_person_whatever_the_score():
    assert decide((0.9, 0.05, 0.05), novelty=1.0, max_novelty=1.0).outcome == "OK"
    for probability in ((0.9, 0.05, 0.05), (0.1, 0.8, 0.1)):
        verdict = decide(probability, novelty=1.25, max_novelty=1.0)
        assert verdict.outcome == "REVIEW"
        assert verdict.reasons[0] == "unlike the training images: novelty 1.25, over 1"
        assert verdict.to_dict()["class_novelty"] == 1.25
        assert decide(probability, novelty=1.25, max_novelty=1.5).outcome != "REVIEW"
    # Nothing is decided for lack of a number.
    unknown = decide((0.9, 0.05, 0.05), novelty=math.nan, max_novelty=1.0)
    assert unknown.outcome == "REVIEW"
    assert unknown.to_dict()["class_novelty"] is None
    assert "class_novelty" not in decide((0.9, 0.05, 0.05)).to_dict()


@pytest.mark.parametrize(("high", "outcome"), [(15, "REVIEW"), (16, "OK")])
def test_a_frame_that_shows_nothing_is_left_to_a_person(high, outcome):
    # 100 pixels: one hot and one dead pixel are the percents that do not count.
    values = np.full(100, 40, np.uint8)
    values[50:] += high
    values[[0, -1]] = 0, 255
    spec = images.Preprocessing(size=(10, 10))
    frame = Prepared(values.reshape(1, 10, 10, 1), None, images.placement((10, 10), spec))
    output = ClassOutput(np.array((0.9, 0.05, 0.05), np.float32))
    verdict = probabilities.decide(output, frame, context(min_gray_span=16))
    assert verdict.outcome == outcome
    assert verdict.limits == {"gray_span": (high, 16)}
    assert ("span 15, under 16" in verdict.reasons[0]) == (outcome == "REVIEW")
    assert probabilities.decide(output, frame, context()).outcome == "OK"


@pytest.mark.parametrize(("blue", "span"), [((0, 0), 0), ((0, 40), 40)])
def test_an_even_colour_shows_nothing(blue, span):
    values = np.zeros((1, 10, 10, 3), np.uint8)
    values[..., 0], values[..., 1] = 255, 90
    values[0, :5, :, 2], values[0, 5:, :, 2] = blue
    spec = images.Preprocessing(size=(10, 10), channels="rgb")
    frame = Prepared(values, None, images.placement((10, 10), spec))
    assert preparation.gray_span(frame) == span


def test_the_rim_of_a_letterbox_shows_nothing():
    spec = images.Preprocessing(size=(8, 8), fit="letterbox")
    frame, placement = images.preprocess(np.full((4, 8), 200, np.uint8), spec)
    assert frame.min() == 0
    assert preparation.gray_span(Prepared(frame[None], None, placement)) == 0
