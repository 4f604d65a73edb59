import dataclasses
import json
import math

import cv2
import numpy as np
import pytest
from probability_maps import blank, point, with_boxes

from inspection_tf import decision, errors

# Pictures


def decode(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_overlay_outlines_regions_on_the_image(shape, dtype):
    image = np.full(shape, 77, dtype)
    image[19, 30] = 255  # 16 bits are shown from 0 to the highest count
    verdict = decision.decide(with_boxes((4, 5, 10, 12, 0.9)), point())
    overlay = dataclasses.replace(verdict, image=image).overlay()
    assert overlay.shape == (20, 31, 3)
    assert overlay[0, 0].tolist() == [77, 77, 77]
    assert overlay[8, 7].tolist() == [77, 77, 77]  # the inside stays visible
    red = overlay[5, 4].tolist()
    assert red[0] > 200 > red[1]


def test_the_overlay_falls_back_to_the_map_and_then_to_nothing():
    verdict = decision.decide(blank(value=0.4), point())
    assert verdict.overlay()[0, 0].tolist() == [102, 102, 102]  # 0.4 * 255
    assert verdict.without_pixels()._repr_png_() is None


def test_the_map_is_kept_as_a_picture_where_one_was_made():
    probability = blank(value=0.4)
    probability[0, 0] = np.nan  # shows as certain
    score = decision.decide(probability, point()).pictures()["score"]
    assert score[0, :2].tolist() == [255, 102]  # 0.4 * 255
    assert score.dtype == np.uint8
    assert decision.decide(blank(value=0.4), point()).without_pixels().pictures() == {}


def test_jupyter_gets_a_png_with_the_outcome_above_it():
    png = decision.decide(with_boxes((4, 5, 10, 12, 0.9)), point())._repr_png_()
    picture = decode(png)
    zoom = 6  # 31 * 6 = 186: the first width of at least 160
    assert picture.shape == (24 + 20 * zoom, 31 * zoom, 3)
    assert picture[0, 0].tolist() == [230, 0, 40]


# Several in one


def spot(peak, threshold=0.7):
    return decision.decide(with_boxes((2, 2, 5, 5, peak)), point(threshold, review_from=0.6))


def test_the_worst_verdict_decides_and_is_named():
    ok, review, ng = spot(0.3), spot(0.65), spot(0.9)
    whole = decision.CompositeVerdict.of({"top": ok, "side": ng, "back": review})
    assert (whole.outcome, whole.decided_by) == ("NG", "side")
    assert whole.reasons == tuple(f"side: {reason}" for reason in ng.reasons)
    whole = decision.CompositeVerdict.of({"top": ok, "back": review})
    assert (whole.outcome, whole.decided_by) == ("REVIEW", "back")
    assert decision.CompositeVerdict.of({"top": ok}).outcome == "OK"
    given = whole.to_dict()
    assert json.loads(json.dumps(given, allow_nan=False)) == given
    assert list(given["verdicts"]) == ["top", "back"]


def test_of_equally_grave_verdicts_the_one_furthest_over_its_threshold_is_named():
    whole = decision.CompositeVerdict.of({"a": spot(0.75, 0.74), "b": spot(0.72, 0.65)})
    assert whole.decided_by == "b"  # 0.07 over, against 0.01
    assert {reason[:2] for reason in whole.reasons} == {"a:", "b:"}
    broken = decision.decide(blank(value=math.nan), point())
    whole = decision.CompositeVerdict.of({"a": spot(0.65), "b": broken})
    assert whole.decided_by == "b"
    same = decision.CompositeVerdict.of({"first": spot(0.9), "second": spot(0.9)})
    assert same.decided_by == "first"


def test_what_could_not_be_inspected_is_review_and_named():
    whole = decision.CompositeVerdict.of({"top": spot(0.3)}, {"side": "side.png is cut off."})
    assert (whole.outcome, whole.decided_by) == ("REVIEW", "side")
    assert whole.reasons == ("side: not inspected: side.png is cut off.",)
    assert whole.to_dict()["failures"] == {"side": "side.png is cut off."}
    whole = decision.CompositeVerdict.of({}, {"side": "gone"})
    assert (whole.outcome, whole.decided_by) == ("REVIEW", "side")


def test_a_failure_does_not_hide_what_is_graver():
    ng = spot(0.9)
    whole = decision.CompositeVerdict.of({"top": ng}, {"side": "gone"})
    assert (whole.outcome, whole.decided_by) == ("NG", "top")
    expected = [f"top: {reason}" for reason in ng.reasons]
    assert whole.reasons == (*expected, "side: not inspected: gone")
    with pytest.raises(errors.ConfigError, match=r"Got \['top'\] twice"):
        decision.CompositeVerdict.of({"top": ng}, {"top": "gone"})


def test_a_composite_stays_hashable_and_equal():
    first, second = (decision.CompositeVerdict.of({"top": spot(0.3)}, {"a": "b"}) for _ in "12")
    assert first == second
    assert hash(first) == hash(second)


def test_a_composite_of_nothing_is_refused():
    with pytest.raises(errors.ConfigError, match="at least one verdict"):
        decision.CompositeVerdict.of({})
