"""How far scores have moved from those that the threshold was chosen on."""

import math
import re
import shutil

import numpy as np
import pytest
import service_process
from service_process import KEPT

from inspection_tf import bundle, decision, images, thresholds
from inspection_tf.editing import rethreshold
from inspection_tf.service import drift
from inspection_tf.service.tune_images import TuneImages

SEGMENTATION = KEPT / "schema_4_segmentation"


def scores_of(good, defective):
    every = [*good, *defective]
    return decision.TuneScores(
        ids=tuple(str(place) for place in range(len(every))),
        is_defect=tuple(place >= len(good) for place in range(len(every))),
        scores=tuple(every),
    )


def test_the_index_is_the_sum_over_the_bins():
    # Deciles of 0.0 to 0.9 part ten bins of one score each. The actual ones are all in the last:
    # shares (1 + 0.5) / 15 = 0.1 in each of ten bins before, (0.5 / 15) in nine and 10.5 / 15 in
    # the last after.
    expected = [place / 10 for place in range(10)]
    actual = [0.95] * 10
    few, many = 0.5 / 15, 10.5 / 15
    index = 9 * (few - 0.1) * math.log(few / 0.1) + (many - 0.1) * math.log(many / 0.1)
    assert drift.stability_index(expected, actual) == pytest.approx(index)
    assert drift.stability_index(expected, expected) == 0


def test_equal_scores_are_one_bin():
    assert drift.edges_of([0.0] * 50).tolist() == [0.0]
    assert drift.stability_index([0.0] * 50, [0.0] * 80) == pytest.approx(0, abs=0.01)
    assert drift.stability_index([0.0] * 50, [0.5] * 80) > drift.MUCH


def test_scores_of_the_line_are_compared_with_the_good_tune_images():
    rng = np.random.default_rng(0)
    found = drift.Drift(scores_of(rng.random(200), [2.0] * 300))
    assert "not known yet: 0 of 50" in found.in_words()
    for score in rng.random(drift.LATEST):
        found.add(float(score))
    assert found.index() < drift.SOME
    assert "have not moved" in found.in_words()
    for score in 0.5 * rng.random(drift.LATEST):  # these push the others out
        found.add(float(score))
    assert found.index() > drift.MUCH
    assert f"the last {drift.LATEST} scores have much moved" in found.in_words()


def test_without_a_good_image_all_are_expected_and_without_scores_none():
    found = drift.Drift(scores_of([], [0.5, 0.6]))
    for _ in range(drift.LEAST):
        found.add(0.5)
    assert found.index() is not None
    nothing = drift.Drift(None)
    for _ in range(drift.LEAST):
        nothing.add(0.5)
    assert nothing.index() is None
    assert "no scores of tune images" in nothing.in_words()


@pytest.fixture
def tuned(tmp_path):
    root = tmp_path / "bundle"
    shutil.copytree(SEGMENTATION, root)
    rethreshold.choose(root, thresholds.ThresholdSpec(method="f_beta"))
    return root


def test_a_service_tells_the_drift(tuned):
    with service_process.serving(f"m={tuned}") as service:
        image = sorted((tuned / "golden").glob("*.png"))[0].read_bytes()

        def told():
            text = service.ask("GET", "/metrics")[2].decode()
            return float(re.search(r'inspection_score_drift\{model="m"\} (\S+)', text)[1])

        assert math.isnan(told())
        for _ in range(drift.LEAST):
            service.json("POST", "/inspect", image)
        assert told() > 0
        (model,) = service.json("GET", "/status")["models"]
        assert "scores have" in model["drift"]
        assert service.json("POST", "/models/m/check") == {
            "passed": True,
            "said": "4 golden samples come out as they were recorded.",
        }
        sample = sorted((tuned / "golden").glob("*.npy"))[0]
        sample.write_bytes(sample.read_bytes()[:-4])
        checked = service.json("POST", "/models/m/check")
        assert not checked["passed"]
        assert service.json("POST", "/inspect", image)["outcome"]


def held(root, data=None):
    manifest = bundle.read(root)
    scores = bundle.read_tune_scores(root, manifest)
    return scores, TuneImages(root, manifest, scores, data)


def test_drawn_tune_images_are_drawn_again(tuned):
    scores, found = held(tuned)
    for place in range(len(scores.ids)):
        assert found.picture(place).shape == (64, 64)
    assert found.picture(len(scores.ids)) is found.picture(-1) is None


def test_tune_images_are_read_from_their_folder_and_else_from_the_bundle(toy_cascade):
    scores, found = held(toy_cascade.path, toy_cascade.root)
    every = {record.id: record for part in toy_cascade.parts.values() for record in part}
    for place, name in enumerate(scores.ids):
        np.testing.assert_array_equal(
            found.picture(place), images.to_8bit(every[name].read_image())
        )
    _, alone = held(toy_cascade.path)
    there = [alone.picture(place) is not None for place in range(len(scores.ids))]
    assert 0 < sum(there) <= 4  # golden samples
    _, elsewhere = held(toy_cascade.path, toy_cascade.path)  # no such images
    assert [elsewhere.picture(place) is not None for place in range(len(there))] == there
