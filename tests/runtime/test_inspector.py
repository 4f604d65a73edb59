import concurrent.futures
import dataclasses
import json
import math
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from inspection_tf import bundle, decision, errors, images, runtime
from inspection_tf.tasks import segmentation

ROOT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "keras", "scipy", "sklearn", "matplotlib", "tyro", "rich")
SECTIONS = ("pydantic", "inspection_tf.config", "inspection_tf.decision")


@pytest.fixture(scope="module")
def inspector(toy_bundle):
    return runtime.Inspector.load(toy_bundle, threads=1)


@pytest.fixture
def good(toy_records):
    return toy_records.where(is_defect=False)[0].read_image()


@pytest.fixture
def defective(toy_records):
    return toy_records.where(is_defect=True)[0].read_image()


class Fixed:
    """An engine that returns what it was given."""

    def __init__(self, output):
        self.output = output

    def run(self, batch, template=None):
        return self.output


def with_output(inspector, output, **changes):
    manifest = inspector.manifest.model_copy(update=changes)
    return runtime.Inspector(manifest, Fixed(output), model_sha256="0" * 64)


def facts(verdict):
    """What a verdict says of the image: everything but times."""
    return {name: value for name, value in verdict.to_dict().items() if name != "ms"}


def test_importing_the_runtime_loads_nothing_heavy():
    names = HEAVY + SECTIONS
    code = f"import sys, inspection_tf.runtime; print([n for n in {names} if n in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


def test_inspecting_loads_nothing_of_training(toy_bundle):
    code = (
        "import sys; from inspection_tf import runtime\n"
        f"verdict = runtime.Inspector.load({str(toy_bundle)!r}).inspect(sys.argv[1])\n"
        "print(verdict.outcome, [n for n in ('tensorflow', 'keras') if n in sys.modules])"
    )
    image = toy_bundle / "golden" / "0.png"
    found = subprocess.run(
        [sys.executable, "-c", code, str(image)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "NG []\n"


def test_a_verdict_names_image_model_and_times(inspector, toy_bundle, defective):
    verdict = inspector.inspect(defective, metadata={"camera": "3", "lot": "A"})
    assert verdict.outcome == "NG"
    assert verdict.regions
    assert verdict.score >= verdict.threshold == inspector.manifest.operating_point.threshold
    assert verdict.model_id == bundle.read(toy_bundle).model_id
    assert verdict.model_sha256 == bundle.read(toy_bundle).files["model.onnx"]
    assert verdict.image_sha256 == images.digest(defective)
    assert verdict.metadata == {"camera": "3", "lot": "A"}
    assert set(verdict.ms) == {"pre", "model", "post"}
    assert all(ms >= 0 for ms in verdict.ms.values())
    json.dumps(verdict.to_dict(), allow_nan=False)


def test_a_good_image_is_ok_without_regions(inspector, good):
    verdict = inspector.inspect(good)
    assert (verdict.outcome, verdict.regions, verdict.metadata) == ("OK", (), {})


def test_path_bytes_and_arrays_give_one_verdict(inspector, defective, tmp_path):
    path = tmp_path / "part.png"
    images.write_png(path, defective)
    expected = facts(inspector.inspect(defective))
    for source in (path, str(path), path.read_bytes(), defective[..., None]):
        assert facts(inspector.inspect(source)) == expected


def test_colour_and_depth_of_an_array_do_not_change_the_score(inspector, defective):
    expected = inspector.inspect(defective).score
    # Equal channels have their own value as grey; 16-bit v * 257 is 8-bit v (65535 = 255 * 257).
    rgb = np.repeat(defective[..., None], 3, axis=2)
    deep = defective.astype(np.uint16) * 257
    deep_rgb = rgb.astype(np.uint16) * 257
    for source in (rgb, deep, deep_rgb):
        verdict = inspector.inspect(source)
        assert verdict.score == expected
        assert verdict.image_sha256 == images.digest(source)


def test_an_array_is_left_as_it_was(inspector, defective):
    before = defective.copy()
    inspector.inspect(defective)
    np.testing.assert_array_equal(defective, before)


def test_many_images_are_inspected_in_order_and_a_few_ahead(inspector, good, defective):
    drawn = []

    def sources():
        for source in (good, defective, good) * 10:
            drawn.append(source)
            yield source

    verdicts = inspector.inspect_many(sources(), metadata={"lot": "A"})
    assert drawn == []
    assert next(verdicts).outcome == "OK"
    assert len(drawn) < 10
    rest = list(verdicts)
    assert [verdict.outcome for verdict in rest] == ["NG", "OK"] + ["OK", "NG", "OK"] * 9
    assert {verdict.metadata["lot"] for verdict in rest} == {"A"}
    assert all(verdict.ms.keys() == {"pre", "model", "post"} for verdict in rest)


@pytest.mark.parametrize("batch", [1, 2, 4, 16])
def test_a_batch_gives_the_verdicts_of_single_images(toy_bundle, toy_records, batch):
    sources = [record.read_image() for record in toy_records][:7]
    single = runtime.Inspector.load(toy_bundle)
    several = runtime.Inspector.load(toy_bundle, batch=batch)
    found = [facts(verdict) for verdict in several.inspect_many(sources)]
    for one, source in zip(found, sources, strict=True):
        expected = facts(single.inspect(source))
        assert one.pop("score") == pytest.approx(expected.pop("score"), abs=1e-5)
        assert one["outcome"] == expected["outcome"]


def test_a_verdict_does_not_wait_for_the_next_image(inspector, good):
    come = threading.Event()

    def camera():
        yield good
        assert come.wait(60)
        yield good

    verdicts = inspector.inspect_many(camera())
    assert next(verdicts).outcome == "OK"
    come.set()
    assert next(verdicts).outcome == "OK"


def test_images_are_decoded_run_and_decided_at_the_same_time(toy_bundle, good, monkeypatch):
    inspector = runtime.Inspector.load(toy_bundle, threads=1)
    prepared, ran = threading.Semaphore(0), threading.Semaphore(0)
    prepare, run, decide = inspector.prepare, inspector.networks["segmenter"].run, inspector.decide
    seen = []

    def first(name):
        seen.append(name)
        return seen.count(name) == 1

    def preparing(*given, **options):
        prepared.release()
        return prepare(*given, **options)

    def running(*given):
        if first("run"):  # goes on once another image is decoded meanwhile
            assert all(prepared.acquire(timeout=60) for _ in range(2))
        ran.release()
        return run(*given)

    def deciding(*given, **options):
        if first("decide"):  # goes on once another one runs meanwhile
            assert all(ran.acquire(timeout=60) for _ in range(2))
        return decide(*given, **options)

    monkeypatch.setattr(inspector, "prepare", preparing)
    monkeypatch.setattr(inspector.networks["segmenter"], "run", running)
    monkeypatch.setattr(inspector, "decide", deciding)
    assert [verdict.outcome for verdict in inspector.inspect_many([good] * 4)] == ["OK"] * 4
    assert seen.count("run") == seen.count("decide") == 4


def test_an_image_that_cannot_be_read_ends_a_stream_after_those_before_it(toy_bundle, good):
    inspector = runtime.Inspector.load(toy_bundle, batch=2)
    verdicts = inspector.inspect_many([good, good, good, b"no image", good])
    assert [next(verdicts).outcome for _ in range(3)] == ["OK"] * 3
    with pytest.raises(errors.ImageError):
        next(verdicts)


def test_what_the_caller_raises_in_between_reaches_the_caller(inspector, good):
    def sources():
        yield good
        raise KeyError("the camera is gone")

    verdicts = inspector.inspect_many(sources())
    assert next(verdicts).outcome == "OK"
    with pytest.raises(KeyError, match="the camera is gone"):
        next(verdicts)


def test_a_batch_must_be_positive(toy_bundle):
    with pytest.raises(errors.ConfigError, match=r"at least 1\. Got 0"):
        runtime.Inspector.load(toy_bundle, batch=0)


def test_four_threads_share_an_inspector(inspector, toy_records):
    sources = [record.read_image() for record in toy_records] * 4
    expected = [facts(inspector.inspect(source)) for source in sources]
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda source: facts(inspector.inspect(source)), sources))
    assert found == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("fit", ["exact", "stretch", "letterbox"])
def test_a_network_that_is_not_finite_anywhere_is_never_ok(inspector, value, fit):
    size, source = (64, 64), (64, 64) if fit == "exact" else (50, 90)
    output = np.zeros((1, *size, 1), np.float32)
    output[0, 32, 32, 0] = value
    spec = images.Preprocessing(size=size, fit=fit)
    given = bundle.Input(name="image", preprocessing=spec)
    verdict = with_output(inspector, output, inputs=(given,)).inspect(np.zeros(source, np.uint8))
    assert verdict.outcome == "REVIEW"
    assert math.isnan(verdict.score)
    assert "not finite" in verdict.reasons[0]
    assert verdict.to_dict()["score"] is None


def test_a_map_comes_back_in_the_size_of_the_image(inspector):
    given = bundle.Input(
        name="image", preprocessing=images.Preprocessing(size=(64, 64), fit="letterbox")
    )
    output = np.ones((1, 64, 64, 1), np.float32)
    verdict = with_output(inspector, output, inputs=(given,)).inspect(np.zeros((30, 100), np.uint8))
    assert verdict.image_size == (30, 100)
    assert [region.area_px for region in verdict.regions] == [3000]


@pytest.mark.parametrize(
    "output",
    [
        np.zeros((1, 32, 32, 1), np.float32),
        np.zeros((1, 64, 64), np.float32),
        np.zeros((1, 64, 64, 2), np.float32),
        np.zeros((1, 64, 64, 1), np.float64),
    ],
)
def test_a_network_that_returns_something_else_is_refused(inspector, output, good):
    with pytest.raises(errors.BundleError, match="must return float32 of shape") as caught:
        with_output(inspector, output).inspect(good)
    assert caught.value.exit_code == 4


def test_an_image_of_another_size_names_both_and_the_way_out(inspector):
    with pytest.raises(errors.ImageError, match=r"64.*65.*letterbox") as caught:
        inspector.inspect(np.zeros((65, 64), np.uint8))
    assert caught.value.exit_code == 3


def test_an_absent_image_is_a_data_error(inspector, tmp_path):
    with pytest.raises(errors.ImageError, match=r"no\.png"):
        inspector.inspect(tmp_path / "no.png")


def test_rules_decide_after_the_network(inspector, defective):
    rules = decision.Rules(min_area_px=64 * 64)
    settings = segmentation.Settings(rules=rules)
    strict = runtime.Inspector(
        inspector.manifest.model_copy(update={"settings": settings}),
        inspector.networks,
        model_sha256="",
    )
    verdict = strict.inspect(defective)
    assert verdict.outcome == "OK"
    assert any("min_area_px" in reason for reason in verdict.reasons)
    hidden = decision.hidden_defects(
        strict.probability(defective),
        rules,
        np.ones((64, 64), bool),
        mask_threshold=strict.manifest.operating_point.mask_threshold,
    )
    assert [defect.rules for defect in hidden] == [("min_area_px",)]


@pytest.mark.parametrize("model", [b"", b"no model", b"\x08\x07" * 50])
def test_bytes_that_onnxruntime_refuses_are_a_bundle_error(model):
    with pytest.raises(errors.BundleError, match="onnxruntime must be able to load"):
        runtime.Engine(model)


def test_a_network_fed_another_type_is_a_bundle_error(toy_bundle):
    engine = runtime.Engine((toy_bundle / "model.onnx").read_bytes(), threads=1)
    assert engine.providers == ("CPUExecutionProvider",)
    with pytest.raises(errors.BundleError, match=r"must accept float32 of shape \(1, 64, 64, 1\)"):
        engine.run(np.zeros((1, 64, 64, 1), np.float32))


@pytest.mark.parametrize("problem", [MemoryError(), RuntimeError("Failed to allocate memory")])
def test_a_network_without_memory_is_a_storage_error(toy_bundle, monkeypatch, problem):
    engine = runtime.Engine((toy_bundle / "model.onnx").read_bytes(), threads=1)

    class Session:
        def get_inputs(self):
            return [dataclasses.make_dataclass("Input", ["name"])("image")]

        def run(self, *_):
            raise problem

    monkeypatch.setattr(runtime.Engine, "session", Session())
    with pytest.raises(errors.StorageError, match="must fit into memory") as caught:
        engine.run(np.zeros((1, 64, 64, 1), np.uint8))
    assert caught.value.exit_code == 5


def test_verdicts_of_a_batch_do_not_wait_for_the_next_batch(toy_bundle, good):
    inspector = runtime.Inspector.load(toy_bundle, threads=1, batch=2)
    goes_on = threading.Event()

    def camera():
        yield from [good] * 3  # a batch, and half of the next one
        assert goes_on.wait(60)
        yield good

    verdicts = inspector.inspect_many(camera())
    assert [next(verdicts).outcome for _ in range(2)] == ["OK", "OK"]
    goes_on.set()
    assert [verdict.outcome for verdict in verdicts] == ["OK", "OK"]


def test_a_network_that_fails_does_not_take_the_verdicts_before_it_along(toy_bundle, good):
    inspector = runtime.Inspector.load(toy_bundle, threads=1, batch=2)
    run, calls = inspector.networks["segmenter"].run, []

    def fail(batch, template=None):
        calls.append(len(batch))
        if len(calls) == 2:
            raise errors.StorageError("no memory")
        return run(batch, template)

    inspector.networks = {"segmenter": SimpleNamespace(run=fail)}
    verdicts = inspector.inspect_many([good] * 6)
    assert [next(verdicts).outcome for _ in range(2)] == ["OK", "OK"]
    with pytest.raises(errors.StorageError, match="no memory"):
        next(verdicts)
