"""How far scores have moved from those that the threshold was chosen on."""

import hashlib
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


def test_the_index_is_the_sum_over_the_bins_less_what_chance_gives():
    # 100 scores, 0.00 to 0.99: deciles part ten bins of ten. All 100 actual ones are in the last:
    # shares 10.5 / 105 = 0.1 in each bin before, 0.5 / 105 in nine and 100.5 / 105 in the last
    # after. Nine degrees of freedom by chance: 9 * (1 / 100 + 1 / 100) = 0.18.
    expected = [place / 100 for place in range(100)]
    few, many = 0.5 / 105, 100.5 / 105
    index = 9 * (few - 0.1) * math.log(few / 0.1) + (many - 0.1) * math.log(many / 0.1)
    assert drift.stability_index(expected, [0.995] * 100) == pytest.approx(index - 0.18)
    assert drift.stability_index(expected, expected) == 0
    assert len(drift.edges_of(expected)) == 9
    assert len(drift.edges_of(expected[:50])) == 4  # ten scores a bin
    assert len(drift.edges_of(expected[:5])) == 2


@pytest.mark.parametrize(("images", "scores"), [(30, 200), (100, 200), (1000, 500)])
def test_scores_of_one_distribution_have_not_moved_much(images, scores):
    rng = np.random.default_rng(0)
    found = [
        drift.stability_index(rng.random(images).tolist(), rng.random(scores).tolist())
        for _ in range(200)
    ]
    assert np.mean(np.array(found) >= drift.SOME) < 0.12
    assert np.mean(np.array(found) >= drift.MUCH) < 0.02


def test_equal_scores_are_one_bin():
    assert drift.edges_of([0.0] * 50).tolist() == [0.0]
    assert drift.stability_index([0.0] * 50, [0.0] * 80) == 0
    assert drift.stability_index([0.0] * 50, [0.5] * 80) > drift.MUCH


def test_scores_of_the_line_are_compared_with_the_good_tune_images():
    rng = np.random.default_rng(0)
    found = drift.Drift(scores_of(rng.random(200), [2.0] * 300))
    assert "not known yet: 0 of 200" in found.in_words()
    for score in rng.random(drift.LATEST):
        found.add(float(score))
    assert found.index() < drift.SOME
    assert "have not moved" in found.in_words()
    for score in 0.5 * rng.random(drift.LATEST):  # these push the others out
        found.add(float(score))
    assert found.index() > drift.MUCH
    assert f"the last {drift.LATEST} scores have much moved" in found.in_words()


def test_without_a_good_image_all_are_expected_and_without_scores_none():
    found = drift.Drift(scores_of([], [0.5, 0.6] * 20))
    few = drift.Drift(scores_of([0.5] * 29, [0.6] * 40))
    for _ in range(drift.LEAST):
        found.add(0.5)
        found.add(float("nan"))
        few.add(0.5)
    assert found.index() is not None
    assert few.index() is None
    assert "29 of 30 tune images" in few.in_words()
    nothing = drift.Drift(None)
    for _ in range(drift.LEAST):
        nothing.add(0.5)
    assert nothing.index() is None
    assert "no scores of tune images" in nothing.in_words()


def test_scores_of_another_threshold_are_not_compared():
    scores = scores_of([0.1] * 40, [0.9]).model_copy(
        update={"threshold": 0.5, "mask_threshold": 0.4, "mask_range": (0.01, 0.4)}
    )
    point = thresholds.OperatingPoint(threshold=0.5, mask_threshold=0.4)
    assert scores.are_of(point)
    assert not scores.are_of(point.model_copy(update={"mask_threshold": 0.3}))
    moved = point.model_copy(update={"threshold": 0.6})
    assert scores.are_of(moved)  # of one network scores do not hang on it
    staged = scores.model_copy(update={"further_thresholds": 1})
    assert not staged.are_of(moved)
    found = drift.Drift(staged, moved)
    for _ in range(drift.LEAST):
        found.add(0.1)
    assert found.index() is None
    assert "threshold was set since" in found.in_words()


@pytest.fixture
def tuned(tmp_path):
    root = tmp_path / "bundle"
    shutil.copytree(SEGMENTATION, root)
    rethreshold.choose(root, thresholds.ThresholdSpec(method="f_beta"))
    return root


def with_scores(root, scores):
    """Let a bundle carry other scores."""
    manifest = bundle.read(root)
    text = scores.model_dump_json()
    (root / bundle.TUNE_SCORES).write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    sealed = manifest.model_copy(update={"files": {**manifest.files, bundle.TUNE_SCORES: digest}})
    (root / bundle.MANIFEST).write_text(sealed.model_dump_json(indent=2))


def test_a_service_tells_the_drift(tuned):
    point = bundle.chosen_threshold(tuned).operating_point
    scores = scores_of([place / 500 for place in range(40)], [0.9])
    with_scores(tuned, scores.model_copy(update={"mask_threshold": point.mask_threshold}))
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
        assert images.read(found.png(place)).shape == (64, 64)
    assert found.png(len(scores.ids)) is found.png(-1) is None


def test_tune_images_are_read_from_their_folder_and_else_from_the_bundle(toy_cascade):
    scores, found = held(toy_cascade.path, toy_cascade.root)
    every = {record.id: record for part in toy_cascade.parts.values() for record in part}
    for place, name in enumerate(scores.ids):
        np.testing.assert_array_equal(
            images.read(found.png(place)), images.to_8bit(every[name].read_image())
        )
    _, alone = held(toy_cascade.path)
    there = [alone.png(place) is not None for place in range(len(scores.ids))]
    assert 0 < sum(there) <= 4  # golden samples
    _, elsewhere = held(toy_cascade.path, toy_cascade.path)  # no such images
    assert [elsewhere.png(place) is not None for place in range(len(there))] == there
