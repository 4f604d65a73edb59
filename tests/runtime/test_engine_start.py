"""Which device an engine starts on, and what it takes."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from inspection_tf import bundle, errors, runtime
from inspection_tf.engines import starting
from inspection_tf.engines.entry import BatchProfile, EngineEntry
from inspection_tf.engines.network import StoredNetwork
from inspection_tf.images.tile_plan import TilePlan
from inspection_tf.runtime import engine_start
from inspection_tf.tasks import segmentation


@pytest.mark.parametrize("engine", ["onnx", "auto"])
def test_a_device_that_onnxruntime_does_not_know_is_a_sentence(toy_bundle, engine):
    with pytest.raises(errors.ConfigError, match=r"must be cpu, cuda, tensorrt\. Got 'gpu'"):
        runtime.Inspector.load(toy_bundle, engine=engine, device="gpu")


def test_a_device_that_this_onnxruntime_lacks_is_named(toy_bundle, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(errors.BundleError, match="needs onnxruntime with CUDAExecutionProvider"):
        runtime.Inspector.load(toy_bundle, device="cuda")


def test_a_device_that_onnxruntime_gives_up_in_silence_is_refused(toy_bundle, monkeypatch):
    import onnxruntime

    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    session = SimpleNamespace(
        get_providers=lambda: ["CPUExecutionProvider"],
        get_outputs=lambda: [SimpleNamespace(name="probability")],
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_given, **_options: session)
    with pytest.raises(errors.BundleError, match="and CPUExecutionProvider instead"):
        runtime.Inspector.load(toy_bundle, device="cuda")


def test_litert_has_no_other_device():
    entry = SimpleNamespace(kind="litert", files={"segmenter": "segmenter.tflite"})
    with pytest.raises(errors.ConfigError, match=r"LiteRT's device must be cpu\. Got 'cuda'"):
        starting.start(StoredNetwork("segmenter", entry, lambda name: b""), device="cuda")


class Network:
    """Answers after as many steps of a clock as it is slow, and remembers its batches."""

    def __init__(self, clock, steps):
        self.clock, self.steps, self.seen = clock, steps, []

    def run(self, batch, template=None):
        self.seen.append(len(batch))
        self.clock.now += self.steps


@pytest.fixture
def clock(monkeypatch):
    """A clock that only networks move on."""
    found = SimpleNamespace(now=0)
    monkeypatch.setattr(engine_start.time, "perf_counter", lambda: found.now)
    return found


def test_all_networks_that_see_the_image_count_at_the_batch_that_is_asked(toy_cascade, clock):
    manifest = bundle.read(toy_cascade.path)
    fast_second = {"classifier": Network(clock, 9), "segmenter": Network(clock, 1)}
    even = {"classifier": Network(clock, 4), "segmenter": Network(clock, 4)}
    times = engine_start.batch_seconds(manifest, {"a": fast_second, "b": even}, 3)
    assert times == {"a": 10, "b": 8}
    assert set(even["classifier"].seen) == {3}


def test_auto_on_another_device_does_without_the_onnx_files(toy_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    manifest = bundle.read(toy_bundle)
    entry = EngineEntry(kind="openvino", precision="float32", state="passed", files={"a": "b"})
    manifest = manifest.model_copy(update={"engines": {"own": entry}})
    network = SimpleNamespace(run=lambda batch, template=None: np.zeros(1))
    monkeypatch.setattr(starting, "start", lambda *_given, **_options: network)
    found = engine_start.fastest(toy_bundle, manifest, lambda *_given: None, device="gpu")
    assert found == ("own", {"a": network})


def test_a_batch_beyond_the_profile_is_refused_at_the_start(toy_bundle):
    entry = EngineEntry(
        kind="tensorrt", precision="float32", state="passed", batch=BatchProfile(largest=8)
    )
    manifest = bundle.read(toy_bundle).model_copy(update={"engines": {"own": entry}})
    with pytest.raises(errors.ConfigError, match=r"at most 8 images a call\. Got batch 9"):
        engine_start.start(toy_bundle, manifest, "own", batch=9)


class Refusing:
    """Starts, and then has no memory for more than one image."""

    def run(self, batch, template=None):
        if len(batch) > 1:
            raise errors.StorageError("no memory")
        return np.zeros(1)


def test_an_engine_that_fails_at_the_batch_that_is_asked_is_not_the_fastest(toy_bundle, clock):
    manifest = bundle.read(toy_bundle)
    engines = {"onnx": {"segmenter": Network(clock, 3)}, "own": {"segmenter": Refusing()}}
    assert engine_start.batch_seconds(manifest, engines, 4) == {"onnx": 3}
    with pytest.raises(errors.StorageError, match="no memory"):
        engine_start.batch_seconds(manifest, {"own": engines["own"]}, 4)


def test_whoever_has_no_home_is_served_all_the_same(toy_bundle, monkeypatch):
    def homeless(self):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    assert runtime.Inspector.load(toy_bundle, engine="auto").engine_name == "onnx"


def test_tiles_beyond_the_profile_are_refused_at_the_start(toy_bundle):
    entry = EngineEntry(
        kind="tensorrt", precision="float32", state="passed", batch=BatchProfile(largest=8)
    )
    plan = TilePlan(stride=16, margin=8, total_stride=2, batch=9)
    manifest = bundle.read(toy_bundle).model_copy(
        update={"engines": {"own": entry}, "settings": segmentation.Settings(tiles=plan)}
    )
    with pytest.raises(errors.ConfigError, match="and 9 tiles a call"):
        engine_start.start(toy_bundle, manifest, "own")
