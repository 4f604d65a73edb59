import concurrent.futures
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import bundle, decision, errors, images, runtime, thresholds
from inspection_tf.tasks import cascade

ROOT = Path(__file__).parents[2]
BLANK = np.zeros((64, 64), np.uint8)


class Counted:
    """A network that returns what it was given and counts its calls."""

    def __init__(self, output):
        self.output, self.calls = output, 0

    def run(self, batch, template=None):
        self.calls += 1
        return self.output


def classifier(*probabilities):
    return Counted(np.array([probabilities], np.float32))


def segmenter(peak, *, class_id=1):
    """A map of two classes with a square of 10 x 10 px."""
    output = np.zeros((1, 64, 64, 2), np.float32)
    output[0, 20:30, 40:50, class_id - 1] = peak
    return Counted(output)


@pytest.fixture(scope="module")
def inspector(toy_cascade):
    return runtime.Inspector.load(toy_cascade.path, threads=1)


@pytest.fixture
def join(toy_cascade):
    """Return a function that joins two networks: t1 = 0.25, t2 = 0.5, unless said otherwise."""

    def run(first, second, *, threshold=0.5, first_threshold=0.25, review_from=None, **changes):
        rules = changes.pop("rules", decision.Rules())
        stage = thresholds.OperatingPoint(threshold=first_threshold, review_from=review_from)
        manifest = toy_cascade.shipped.manifest.model_copy(
            update={
                "operating_point": thresholds.OperatingPoint(threshold=threshold),
                "stage_points": {"classifier": stage},
                "settings": cascade.Settings(rules=rules),
                **changes,
            }
        )
        networks = {"classifier": first, "segmenter": second}
        return runtime.Inspector(manifest, networks, model_sha256="")

    return run


# Which stage decides


def test_a_stopped_image_is_ok_and_the_segmenter_does_not_run(join):
    first, second = classifier(0.875, 0.125), segmenter(1.0)
    verdict = join(first, second).inspect(BLANK)
    assert (first.calls, second.calls) == (1, 0)
    assert (verdict.outcome, verdict.decided_by) == ("OK", "classifier")
    assert verdict.stages == {"classifier": 0.125}
    assert verdict.score == 0.25  # 0.5 * 0.125 / 0.25
    assert verdict.reasons == ("classifier: score 0.125 under 0.250",)
    assert (verdict.regions, verdict.probability) == ((), None)
    assert verdict.image_size == (64, 64)


@pytest.mark.parametrize(("peak", "outcome"), [(0.75, "NG"), (0.25, "OK")])
def test_an_image_that_is_passed_on_is_decided_by_the_segmenter(join, peak, outcome):
    first, second = classifier(0.25, 0.75), segmenter(peak)
    verdict = join(first, second).inspect(BLANK)
    assert (first.calls, second.calls) == (1, 1)
    assert (verdict.outcome, verdict.decided_by) == (outcome, "segmenter")
    assert verdict.stages == {"classifier": 0.75, "segmenter": peak}
    assert verdict.score == peak
    assert "classifier: score 0.750, passed on" in verdict.reasons


@pytest.mark.parametrize("first", [0.0, 0.125, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("second", [0.0, 0.25, 0.5, 1.0])
def test_ng_means_that_both_scores_reach_their_thresholds(join, first, second):
    verdict = join(classifier(1 - first, first), segmenter(second)).inspect(BLANK)
    is_ng = first >= 0.25 and second >= 0.5
    assert verdict.outcome == ("NG" if is_ng else "OK")
    assert (verdict.score >= verdict.threshold) == is_ng  # one number ranks all
    assert bool(verdict.regions) == is_ng


def test_the_first_score_is_the_sum_over_all_kinds_of_defects(join):
    second = segmenter(1.0)
    assert join(classifier(0.75, 0.125, 0.125), second).inspect(BLANK).outcome == "NG"
    assert join(classifier(0.75, 0.25, 0.0), second).inspect(BLANK).outcome == "NG"
    assert join(classifier(0.75, 0.125, 0.0625), second).inspect(BLANK).outcome == "OK"


def test_a_first_score_keeps_its_digits_where_ok_is_nearly_sure(join):
    # In float32 1 - 3e-9 is 1: taken from 1, the score would be 0.
    first = classifier(1.0, 1e-9, 2e-9)
    verdict = join(first, segmenter(1.0), first_threshold=1e-9).inspect(BLANK)
    assert verdict.outcome == "NG"
    assert verdict.stages["classifier"] == pytest.approx(3e-9)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_classifier_that_is_not_finite_is_for_review_and_the_segmenter_does_not_run(join, value):
    first, second = classifier(0.5, value), segmenter(1.0)
    verdict = join(first, second).inspect(BLANK)
    assert (verdict.outcome, verdict.decided_by) == ("REVIEW", "classifier")
    assert second.calls == 0
    assert math.isnan(verdict.score)
    assert verdict.reasons == ("classifier: score not finite",)
    json.dumps(verdict.to_dict(), allow_nan=False)


def test_a_segmenter_that_is_not_finite_is_for_review(join):
    verdict = join(classifier(0.0, 1.0), segmenter(math.nan)).inspect(BLANK)
    assert (verdict.outcome, verdict.decided_by) == ("REVIEW", "segmenter")


def test_a_score_in_the_band_of_the_classifier_is_for_review(join):
    second = segmenter(1.0)
    verdict = join(classifier(0.875, 0.125), second, review_from=0.125).inspect(BLANK)
    assert (verdict.outcome, verdict.decided_by) == ("REVIEW", "classifier")
    assert second.calls == 0


def test_a_first_threshold_of_0_lets_every_image_pass(join):
    verdict = join(classifier(1.0, 0.0), segmenter(1.0), first_threshold=0.0).inspect(BLANK)
    assert (verdict.outcome, verdict.decided_by) == ("NG", "segmenter")


# Classes


@pytest.mark.parametrize(("class_id", "name"), [(1, "bright"), (2, "dark")])
def test_a_region_has_the_class_of_its_channel(join, class_id, name):
    verdict = join(classifier(0.0, 1.0), segmenter(0.75, class_id=class_id)).inspect(BLANK)
    (region,) = verdict.regions
    assert (region.class_name, region.area_px) == (name, 100)
    found = verdict.class_mask()
    assert (found[20, 40], found[0, 0], np.count_nonzero(found)) == (class_id, 0, 100)
    assert verdict.classes == ("bright", "dark")


def test_two_classes_that_share_a_pixel_make_one_defect_of_their_sum(join):
    second = segmenter(0.25)
    second.output[0, 20:30, 40:50, 1] = 0.375  # 0.25 + 0.375 reach 0.5 together
    verdict = join(classifier(0.0, 1.0), second).inspect(BLANK)
    assert verdict.outcome == "NG"
    assert verdict.score == 0.625
    assert [region.class_name for region in verdict.regions] == ["dark"]
    assert verdict.probability.shape == (64, 64)


def test_a_rule_on_one_class_leaves_the_other_alone(join):
    rules = decision.Rules(class_min_area_px={"dark": 101.0})
    outcomes = [
        join(classifier(0.0, 1.0), segmenter(0.75, class_id=number), rules=rules).inspect(BLANK)
        for number in (1, 2)
    ]
    assert [verdict.outcome for verdict in outcomes] == ["NG", "OK"]


def test_maps_of_several_classes_come_back_in_the_size_of_the_image(join):
    spec = images.Preprocessing(size=(64, 64), fit="letterbox")
    inputs = (bundle.Input(name="image", preprocessing=spec),)
    second = Counted(np.full((1, 64, 64, 2), 0.5, np.float32))
    joined = join(classifier(0.0, 1.0), second, inputs=inputs)
    source = np.zeros((30, 100), np.uint8)
    assert joined.probability(source).shape == (30, 100, 2)
    assert [region.area_px for region in joined.inspect(source).regions] == [3000]


# What does not fit


@pytest.mark.parametrize("shape", [(1, 64, 64, 1), (1, 64, 64, 3), (1, 64, 64)])
def test_a_segmenter_of_other_classes_is_refused(join, shape):
    second = Counted(np.zeros(shape, np.float32))
    match = r"float32 of shape \(1, 64, 64, 2\). Got float32 of shape"
    with pytest.raises(errors.BundleError, match=match):
        join(classifier(0.0, 1.0), second).inspect(BLANK)


@pytest.mark.parametrize("shape", [(1, 1), (2,), (2, 2), (1, 2, 1)])
def test_a_classifier_that_returns_something_else_is_refused(join, shape):
    first = Counted(np.zeros(shape, np.float32))
    with pytest.raises(errors.BundleError, match=r"\(1, classes\), OK first. Got") as caught:
        join(first, segmenter(1.0)).inspect(BLANK)
    assert caught.value.exit_code == 4


def test_a_cascade_without_its_classifier_is_refused_and_one_too_many_as_well(join, toy_shipped):
    match = "must be those of the manifest, classifier, segmenter. Got segmenter"
    with pytest.raises(errors.BundleError, match=match):
        runtime.Inspector(join(None, None).manifest, segmenter(1.0), model_sha256="")
    networks = {"segmenter": segmenter(1.0), "classifier": classifier(0.0, 1.0)}
    with pytest.raises(errors.BundleError, match=r"manifest, segmenter\. Got classifier"):
        runtime.Inspector(toy_shipped.shipped.manifest, networks, model_sha256="")


def test_networks_are_also_taken_as_older_repositories_of_triton_give_them(join):
    first, second = classifier(0.875, 0.125), segmenter(1.0)
    manifest = join(first, second).manifest
    inspector = runtime.Inspector(manifest, second, model_sha256="", classifier=first, refiner=None)
    assert list(inspector.networks.items()) == [("classifier", first), ("segmenter", second)]


def test_both_stages_may_name_the_class(join):
    # The map: 0.9 of scratch at 100 px. The classifier: 0.1 of scratch, 0.8 of the other class.
    manifest = join(classifier(0.1, 0.1, 0.8), segmenter(0.9)).manifest
    names = manifest.classes
    output = np.zeros((1, 64, 64, 2), np.float32)
    output[0, 20:30, 40:50] = (0.5, 0.4)
    seen = {}
    for who in ("segmenter", "both"):
        rules = decision.Rules(class_by=who)
        inspector = join(classifier(0.1, 0.1, 0.8), Counted(output), rules=rules)
        verdict = inspector.inspect(BLANK)
        assert (verdict.outcome, verdict.stages["classifier"]) == ("NG", pytest.approx(0.9))
        seen[who] = verdict.regions[0].class_name
    assert seen == {"segmenter": names[0], "both": names[1]}


def test_a_single_network_has_no_first_score(toy_bundle):
    alone = runtime.Inspector.load(toy_bundle, threads=1)
    prepared = alone.prepare(BLANK)
    (output,) = alone.run([prepared], every_stage=True)
    assert alone.stage_scores(output, prepared) == {}


# The shipped bundle


def test_the_shipped_cascade_tells_its_images_apart(inspector, toy_classes):
    for record in toy_classes:
        verdict = inspector.inspect(record.read_image())
        if not record.is_defect:
            assert (verdict.outcome, verdict.decided_by) == ("OK", "classifier")
            continue
        assert (verdict.outcome, verdict.decided_by) == ("NG", "segmenter")
        (class_id,) = record.class_ids()
        assert verdict.regions[0].class_name == toy_classes.classes[class_id - 1]


def test_verdicts_are_those_of_both_networks_on_every_image(inspector, toy_classes):
    manifest = inspector.manifest
    t1, t2 = manifest.stage_points["classifier"].threshold, manifest.operating_point.threshold
    for record in toy_classes:
        prepared = inspector.prepare(record.read_image())
        (output,) = inspector.run([prepared], every_stage=True)
        scores = inspector.task.scores(output, prepared, inspector.context)
        is_ng = scores["first_score"] >= t1 and scores["score"] >= t2
        assert inspector.judge(prepared).outcome == ("NG" if is_ng else "OK")


def test_four_threads_share_a_cascade(inspector, toy_classes):
    def facts(source):
        return inspector.inspect(source).to_dict() | {"ms": 0}

    sources = [record.read_image() for record in toy_classes] * 2
    expected = [facts(source) for source in sources]
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert list(threads.map(facts, sources)) == expected


def test_inspecting_with_two_stages_loads_nothing_of_training(toy_cascade):
    code = (
        "import sys; from inspection_tf import runtime\n"
        f"verdict = runtime.Inspector.load({str(toy_cascade.path)!r}).inspect(sys.argv[1])\n"
        "heavy = ('tensorflow', 'keras', 'onnx', 'scipy', 'sklearn', 'matplotlib', 'tyro')\n"
        "print(verdict.outcome, [name for name in heavy if name in sys.modules])"
    )
    image = toy_cascade.path / "golden" / "0.png"
    found = subprocess.run(
        [sys.executable, "-c", code, str(image)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "NG []\n"


# Golden samples


@pytest.fixture
def copy(toy_cascade, tmp_path):
    return shutil.copytree(toy_cascade.path, tmp_path / "bundle")


def refused(root, match):
    with pytest.raises(errors.BundleError, match=match) as caught:
        runtime.Inspector.load(root, threads=1)
    assert caught.value.exit_code == 4


def edit_sample(root, number, **changes):
    path = root / runtime.GOLDEN
    samples = json.loads(path.read_text())
    samples[number] |= changes
    path.write_text(json.dumps(samples))


@pytest.mark.parametrize("name", ["classifier.onnx", "model.onnx"])
def test_golden_samples_find_either_network_spoilt(copy, reseal, name):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(copy / name)
    kernel = max(proto.graph.initializer, key=lambda tensor: len(tensor.dims))
    weights = onnx.numpy_helper.to_array(kernel) * np.float32(0.5)
    kernel.CopyFrom(onnx.numpy_helper.from_array(weights, kernel.name))
    (copy / name).write_bytes(proto.SerializeToString())
    refused(reseal(copy), "Golden sample golden/0.png must come out as recorded")


def test_golden_samples_check_the_segmenter_on_stopped_images_too(copy, reseal):
    samples = json.loads((copy / runtime.GOLDEN).read_text())
    stopped = next(n for n, s in enumerate(samples) if s["decided_by"] == "classifier")
    path = copy / samples[stopped]["output"]
    np.save(path, np.load(path) + np.float32(0.002))  # twice the tolerance
    refused(reseal(copy), f"Golden sample golden/{stopped}.png must come out as recorded")


@pytest.mark.parametrize("number", [0, 2])  # decided by the segmenter, by the classifier
@pytest.mark.parametrize("value", [0.5, math.nan, None])
def test_a_golden_first_score_altered_with_its_hash_is_refused(copy, reseal, number, value):
    edit_sample(copy, number, first_score=value)
    refused(reseal(copy), f"Golden sample golden/{number}.png must come out as recorded")


def test_a_golden_sample_without_a_first_score_is_refused(copy, reseal):
    path = copy / runtime.GOLDEN
    samples = json.loads(path.read_text())
    del samples[0]["first_score"]
    path.write_text(json.dumps(samples))
    refused(reseal(copy), "must hold golden samples that can be read. Got: 'first_score'")


@pytest.mark.parametrize("stage", ["classifier", "whole"])
def test_thresholds_altered_in_the_manifest_are_found(copy, reseal, stage):
    manifest = json.loads((copy / bundle.MANIFEST).read_text())
    point = {"threshold": 1.5}  # no image would be NG
    if stage == "classifier":
        reseal(copy, stage_points={"classifier": manifest["stage_points"]["classifier"] | point})
    else:
        reseal(copy, operating_point=manifest["operating_point"] | point)
    refused(copy, r"Golden sample golden/0.png must come out as recorded \(NG")
