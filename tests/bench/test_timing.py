import json
import math
import sys

import numpy as np
import pytest

from inspection_tf import bench, errors, images, runtime
from inspection_tf.bench import peak_memory, timing

CPU = "CPUExecutionProvider"


class Fixed:
    """A network that returns a row for each image of a batch and remembers their number."""

    def __init__(self, *rows):
        self.rows, self.seen = np.array(rows, np.float32), []

    def run(self, batch, template=None):
        self.seen.append(len(batch))
        return self.rows[: len(batch)]


def timings(path, **options):
    options = {"repeats": 1, "threads": 1, "with_keras": False} | options
    return {timing.name: timing for timing in bench.run(path, **options)}


def test_an_engine_that_takes_no_such_batch_is_left_out(toy_bundle, monkeypatch, caplog):
    made = timing.Way

    def narrow(name, inspector, **options):
        return made(name, inspector, **{**options, "largest": 2})

    monkeypatch.setattr(timing, "Way", narrow)
    found = bench.run(toy_bundle, repeats=1, with_keras=False, batch_sizes=(1, 2, 3))
    assert [(timing.name, timing.batch_size) for timing in found] == [(CPU, 1), (CPU, 2)]
    assert caplog.text == ""
    assert bench.run(toy_bundle, repeats=1, with_keras=False, batch_sizes=(3,)) == []
    assert f"{CPU} is left out: it takes no batch of 3" in caplog.text


def test_a_provider_that_does_not_start_is_not_timed_as_another(toy_bundle, monkeypatch, caplog):
    # onnxruntime lists what it was built with, and takes the next one where that does not start.
    monkeypatch.setattr(timing, "providers", lambda: ["CUDAExecutionProvider", CPU])
    made = runtime.Engine

    def on_processor(model, *, threads, providers, outputs):
        return made(model, threads=threads, providers=(CPU,), outputs=outputs)

    monkeypatch.setattr(runtime, "Engine", on_processor)
    assert list(timings(toy_bundle)) == [CPU]
    assert "CUDAExecutionProvider is left out" in caplog.text


@pytest.fixture(scope="module")
def frames(toy_classes):
    return [(record.read_image(), None) for record in toy_classes]


@pytest.fixture(scope="module")
def expected(toy_cascade, frames):
    inspector = runtime.Inspector.load(toy_cascade.path, threads=1)
    return tuple(inspector.inspect(image).outcome for image, _ in frames)


def test_golden_frames_are_the_images_and_templates_of_the_bundle(toy_cascade, toy_pair):
    alone, pairs = bench.golden_frames(toy_cascade.path), bench.golden_frames(toy_pair.path)
    assert [template for _, template in alone] == [None] * 4
    for number, (image, template) in enumerate(pairs):
        folder = toy_pair.path / "golden"
        np.testing.assert_array_equal(image, images.read(folder / f"{number}.png"))
        np.testing.assert_array_equal(template, images.read(folder / f"{number}_template.png"))


def test_a_cascade_is_timed_as_it_is_and_with_both_networks_and_in_keras(toy_cascade):
    found = timings(toy_cascade.path, with_keras=True)
    assert {CPU, f"{CPU}, both graphs", "keras"} <= set(found)
    golden = json.loads((toy_cascade.path / "golden" / "expected.json").read_text())
    outcomes = tuple(sample["outcome"] for sample in golden)
    assert {timing.outcomes for timing in found.values()} == {outcomes}
    assert (found[CPU].threads, found["keras"].threads) == (1, None)
    # 2 of the 4 golden images are good and stopped
    assert found[CPU].segmented_share == found["keras"].segmented_share == 0.5
    assert found[f"{CPU}, both graphs"].segmented_share == 1.0
    json.dumps([timing.to_dict() for timing in found.values()])


@pytest.mark.parametrize("batch_size", [1, 3, 12])
def test_every_way_decides_each_frame_as_inspect_does(toy_cascade, frames, expected, batch_size):
    found = timings(toy_cascade.path, frames=frames, batch_sizes=(batch_size,))
    assert len(found) >= 2
    for timed in found.values():
        assert timed.outcomes == expected
        assert timed.batch_size == batch_size
    assert found[CPU].segmented_share == expected.count("NG") / 12


def test_pairs_are_timed_with_their_templates(toy_pair):
    single = timings(toy_pair.path, with_keras=True)
    assert set(single) == {CPU, "keras"}  # one network: no second way
    assert {timing.outcomes for timing in single.values()} == {("NG", "NG", "OK", "OK")}
    batched = timings(toy_pair.path, batch_sizes=(4,))
    assert batched[CPU].outcomes == single[CPU].outcomes
    assert batched[CPU].segmented_share == 1.0


def test_frames_that_fill_no_batch_are_left_out_and_few_are_repeated(toy_cascade, frames, expected):
    some = timings(toy_cascade.path, frames=frames, batch_sizes=(5,))[CPU]
    assert some.outcomes == expected[:10]
    few = timings(toy_cascade.path, frames=frames[:2], batch_sizes=(3,))[CPU]
    assert few.outcomes == (expected[:2] * 2)[:3]


def test_times_of_a_timing_fit_each_other(toy_cascade):
    for timed in timings(toy_cascade.path, repeats=2).values():
        assert set(timed.stages_ms) == {"pre", "model", "post"}
        assert all(ms > 0 for ms in timed.stages_ms.values())
        assert timed.p95_ms >= timed.p50_ms > 0
        assert timed.images_per_s == pytest.approx(1e3 / sum(timed.stages_ms.values()))
        assert 0 < timed.copy_ms < timed.stages_ms["pre"]  # a part of it


def test_the_first_batch_of_a_turn_does_not_count(toy_cascade, frames, monkeypatch):
    turns = []

    def once(way, batch):
        first = turns[-1:] != [way.name]  # with one size of batches every turn is another way's
        turns.append(way.name)
        return {"pre": 0.0, "model": 1000.0 if first else 1.0, "post": 0.0}, ["OK"], 1

    monkeypatch.setattr(timing, "once", once)
    found = timings(toy_cascade.path, frames=frames, repeats=2)
    # For each way three turns, the first one of the round that does not count: 12 images and one.
    assert len(turns) == len(found) * 3 * 13
    assert {timing.p99_ms for timing in found.values()} == {1.0}


@pytest.mark.parametrize(("every_stage", "seen"), [(False, [1]), (True, [3])])
def test_a_batch_is_stopped_image_by_image(toy_cascade, every_stage, seen):
    found = np.zeros((3, 64, 64, 2))
    found[:, 8:16, 8:16, 0] = 1.0  # the segmenter would say NG of each
    first = Fixed([1, 0, 0], [0, 0.5, 0.5], [0.5, math.nan, 0.5])
    second = Fixed(*found)
    inspector = runtime.Inspector(
        toy_cascade.shipped.manifest,
        {"segmenter": second, "classifier": first},
        model_sha256="",
    )
    way = timing.Way("fixed", inspector, every_stage)
    times, outcomes, segmented = timing.once(way, [(np.zeros((64, 64), np.uint8), None)] * 3)
    assert outcomes == ["OK", "NG", "REVIEW"]
    assert (first.seen, second.seen, segmented) == ([3], seen, seen[0])
    assert set(times) == {"copy", "pre", "model", "post"}
    assert 0 < times["copy"] < times["pre"]


def test_without_keras_the_rest_is_timed(toy_cascade, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)  # as in a base installation
    assert "keras" not in timings(toy_cascade.path, with_keras=True)


def test_no_frame_at_all_is_a_data_error_and_not_the_golden_images(toy_cascade):
    with pytest.raises(errors.DataError, match=r"There must be an image to time\. Got none"):
        timings(toy_cascade.path, frames=[])


@pytest.mark.parametrize("options", [{"repeats": 0}, {"batch_sizes": (0,)}, {"repeats": -1}])
def test_numbers_must_be_positive(toy_cascade, options):
    with pytest.raises(errors.ConfigError, match="repeats and batch sizes must be at least 1"):
        timings(toy_cascade.path, **options)


def test_frames_without_templates_are_an_image_error(toy_pair, frames):
    with pytest.raises(errors.ImageError, match="compares each image with its template"):
        timings(toy_pair.path, frames=frames)


def test_memory_is_that_of_the_engine_alone_however_much_is_held_here(toy_bundle):
    held = np.ones(2**27)  # 1 GiB
    found = peak_memory.of_engine(toy_bundle, "onnx", 1, 1)
    assert found is not None
    assert 30e6 < found < held.nbytes
