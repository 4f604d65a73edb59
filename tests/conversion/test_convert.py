import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from engine_checks import contents, manifest_values, spec

from inspection_tf import bench, bundle, cli, errors, runtime
from inspection_tf.conversion import convert, engine_gate, retreat
from inspection_tf.engines import openvino_engine, starting

pytest.importorskip("openvino")
RUN = ("openvino", "openvino-bf16", "openvino-int8", "onnx-int8", "onnx-fp16", "litert")


@pytest.fixture(scope="module")
def converted(toy_bundle, tmp_path_factory):
    """The toy bundle with an engine of its own, made once: leave it as it is."""
    root = shutil.copytree(toy_bundle, tmp_path_factory.mktemp("converted") / "bundle")
    convert.convert(root, "openvino", spec=spec())
    return root


def test_an_engine_lies_in_its_folder_and_in_the_manifest(converted, toy_bundle):
    manifest = bundle.read(converted)
    assert manifest.schema_version == bundle.SCHEMA_VERSION
    (entry,) = manifest.engines.values()
    assert (entry.kind, entry.precision, entry.state) == ("openvino", "float32", "passed")
    assert entry.files == {"segmenter": "engines/openvino/segmenter.xml"}
    assert entry.parity["splits"] == ["tune", "test"]
    assert entry.parity["images"] == 8
    assert entry.parity["batch_sizes"] == [1, 4]
    assert entry.parity["changed_verdicts"] == []
    assert entry.parity["max_output_difference"] < 1e-5
    assert set(entry.speed["engine_ms"]) == {"1", "4"}
    assert "openvino" in entry.versions
    assert "| openvino | float32 | passed | 8 | 0 |" in (converted / "MODEL_CARD.md").read_text()
    # Everything else is as it was.
    before, after = contents(toy_bundle), contents(converted)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"manifest.json", "MODEL_CARD.md"}
    assert all(name.startswith("engines/openvino/") for name in set(after) - set(before))


def test_an_inspector_runs_on_it_and_says_so(converted, toy_records):
    plain = runtime.Inspector.load(converted)
    other = runtime.Inspector.load(converted, engine="openvino", threads=1, batch=4)
    assert (plain.engine_name, other.engine_name) == ("onnx", "openvino")
    images = [record.read_image() for record in toy_records]
    for image, verdict in zip(images, other.inspect_many(images), strict=True):
        expected = plain.inspect(image)
        assert verdict.outcome == expected.outcome
        assert verdict.score == pytest.approx(expected.score, abs=1e-5)
        assert verdict.model_sha256 != expected.model_sha256


def test_auto_takes_the_fastest_that_reproduces_itself_and_remembers(
    converted, tmp_path, monkeypatch
):
    from inspection_tf.runtime import engine_start

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    timed = []

    def times(manifest, started, batch):
        timed.append(sorted(started))
        return {name: {"onnx": 2.0, "openvino": 1.0}[name] for name in started}

    monkeypatch.setattr(engine_start, "batch_seconds", times)
    assert runtime.Inspector.load(converted, engine="auto").engine_name == "openvino"
    assert runtime.Inspector.load(converted, engine="auto").engine_name == "openvino"
    assert timed == [["onnx", "openvino"]]  # once
    assert runtime.Inspector.load(converted, engine="auto", threads=1).engine_name == "openvino"
    assert len(timed) == 2  # for other threads again
    runtime.Inspector.load(converted, engine="auto", batch=4)
    assert len(timed) == 3  # and for other batches
    (tmp_path / "inspection_tf" / "engines.json").write_text("no JSON")
    assert runtime.Inspector.load(converted, engine="auto").engine_name == "openvino"
    # What it needs is gone: the next one.
    monkeypatch.setattr(starting, "start", refuse)
    assert runtime.Inspector.load(converted, engine="auto").engine_name == "onnx"


def refuse(*_given, **_options):
    raise errors.BundleError("it is not installed")


def test_an_unwritable_cache_is_no_reason_to_fail(converted, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert runtime.Inspector.load(converted, engine="auto").engine_name in ("onnx", "openvino")


def test_an_engine_that_is_not_there_is_named_with_those_that_are(converted):
    with pytest.raises(errors.ConfigError, match=r"one of auto, onnx, openvino\. Got 'tensorrt'"):
        runtime.Inspector.load(converted, engine="tensorrt")


def test_an_engine_that_decides_otherwise_here_refuses_to_start(converted, tmp_path, reseal):
    root = shutil.copytree(converted, tmp_path / "bundle")
    values = manifest_values(root)
    values["engines"]["openvino"]["golden"][0]["score"] = 0.5
    reseal(root, **values)
    with pytest.raises(errors.BundleError, match="of the engine openvino must come out"):
        runtime.Inspector.load(root, engine="openvino")
    path = root / values["engines"]["openvino"]["golden"][1]["output"]
    np.save(path, np.load(path) + np.float32(0.01))
    values["engines"]["openvino"]["golden"] = values["engines"]["openvino"]["golden"][1:]
    reseal(root, **values)
    with pytest.raises(errors.BundleError, match="has 3 of them"):
        runtime.Inspector.load(root, engine="openvino")
    assert runtime.Inspector.load(root).engine_name == "onnx"


def test_an_engine_that_did_not_pass_is_not_started(converted, tmp_path, reseal):
    root = shutil.copytree(converted, tmp_path / "bundle")
    values = manifest_values(root)
    values["engines"]["openvino"]["state"] = "built, not run"
    reseal(root, **values)
    with pytest.raises(errors.BundleError, match="must have passed the gate"):
        runtime.Inspector.load(root, engine="openvino")
    assert runtime.Inspector.load(root, engine="auto").engine_name == "onnx"


def test_bench_times_the_engines_and_the_best_batch(converted, tmp_path, capsys):
    words = ["bench", str(converted), "--engines", "all", "--repeats", "2"]
    out = tmp_path / "out"
    words += ["--batch-sizes", "1", "4", "--out", str(out)]
    assert cli.main(words) == 0
    assert "openvino" in capsys.readouterr().out
    assert (out / "bench.png").stat().st_size > 5000
    timings = bench.run(converted, engines=["openvino"], repeats=1, with_keras=False, memory=True)
    assert [timing.name for timing in timings] == ["CPUExecutionProvider", "openvino"]
    for timing in timings:
        assert timing.p50_ms <= timing.p95_ms <= timing.p99_ms
        assert timing.peak_bytes > 30e6
    root, entry = converted, bundle.read(converted).engines["openvino"]
    weights = (root / entry.files["segmenter"]).with_suffix(".bin").stat().st_size
    assert timings[1].file_bytes > weights > 1000
    with pytest.raises(errors.ConfigError, match="must be one of"):
        bench.run(converted, engines=["other"])


def test_best_keeps_the_smallest_and_the_fastest_batch():
    def timing(name, size, speed):
        return bench.Timing(name, size, 1.0, 1.0, 1.0, {}, speed)

    one, two, four = timing("a", 1, 5.0), timing("a", 2, 9.0), timing("a", 4, 7.0)
    alone = timing("b", 1, 3.0)
    assert bench.best([one, two, four, alone, timing("b", 4, 2.0)]) == [one, two, alone]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--to", "coreml"), 2, "--to must be one of"),
        (("--to", "tensorrt", "--precision", "fp8"), 2, "precision must be one of"),
        (("--to", "triton", "--engine", "openvino-int8"), 2, "must be an engine of the bundle"),
        (("--to", "openvino", "--name", "onnx"), 2, "--name must be of lower-case letters"),
        (("--to", "onnx-int8", "--calibration-images", "0"), 2, "calibration_images"),
        (("--to", "openvino", "--data", "/nowhere"), 0, ""),  # drawn images need no folder
    ],
)
def test_what_cannot_be_converted_is_said_in_a_sentence(toy_bundle_copy, words, code, said, capsys):
    before = contents(toy_bundle_copy)
    assert cli.main(["convert", str(toy_bundle_copy), *words]) == code
    assert said in capsys.readouterr().err
    assert (contents(toy_bundle_copy) == before) == bool(code)


@pytest.mark.parametrize("name", ["../../outside", "{outside}", ".", "A", "a/b"])
def test_a_name_is_no_way_to_another_folder(toy_bundle_copy, tmp_path, name, capsys):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("keep")
    before = contents(toy_bundle_copy)
    words = ["--to", "openvino", "--name", name.format(outside=outside)]
    assert cli.main(["convert", str(toy_bundle_copy), *words]) == 2
    assert "--name must be" in capsys.readouterr().err
    assert (outside / "precious.txt").read_text() == "keep"
    assert contents(toy_bundle_copy) == before


def test_what_somebody_else_changed_meanwhile_is_kept(toy_bundle_copy, monkeypatch, capsys):
    from inspection_tf.conversion import engine_gate
    from inspection_tf.editing import rethreshold

    compare = engine_gate.compare

    def interrupted(*given):
        rethreshold.set_threshold(toy_bundle_copy, 0.61)
        return compare(*given)

    monkeypatch.setattr(engine_gate, "compare", interrupted)
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "openvino"]) == 4
    assert "must stay as it is while it is worked on" in capsys.readouterr().err
    manifest = bundle.read(toy_bundle_copy)
    assert (manifest.operating_point.threshold, manifest.engines) == (0.61, {})


def test_other_data_than_the_bundles_own_is_exit_3(toy_bundle_copy, reseal, capsys):
    values = manifest_values(toy_bundle_copy)
    values["provenance"]["data"]["sha256"] = "0" * 64
    reseal(toy_bundle_copy, **values)
    before = contents(toy_bundle_copy)
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "openvino"]) == 3
    assert "must be what the bundle was made from" in capsys.readouterr().err
    assert contents(toy_bundle_copy) == before


def test_without_the_library_the_sentence_names_what_to_install(
    toy_bundle_copy, monkeypatch, capsys
):
    import sys

    for module, to in (("openvino", "openvino"), ("nncf", "openvino-int8"), ("onnx", "onnx-fp16")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            assert cli.main(["convert", str(toy_bundle_copy), "--to", to]) == 4
        assert "pip install" in capsys.readouterr().err


def test_a_full_disk_leaves_the_bundle_as_it_was(toy_bundle_copy, monkeypatch, capsys):
    before = contents(toy_bundle_copy)

    def full(*_given, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle.Draft, "seal", full)
    assert cli.main(["convert", str(toy_bundle_copy), "--to", "openvino"]) == 5
    assert "No space left" in capsys.readouterr().err
    assert contents(toy_bundle_copy) == before
    assert [path.name for path in toy_bundle_copy.parent.iterdir()] == ["bundle"]


@pytest.mark.slow
@pytest.mark.parametrize("made", ["toy_shipped", "toy_cascade", "toy_pair"])
@pytest.mark.parametrize("to", RUN)
def test_every_engine_of_every_bundle_decides_alike(request, tmp_path, monkeypatch, made, to):
    monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda: True)
    source = request.getfixturevalue(made).path
    root = shutil.copytree(source, tmp_path / "bundle")
    # Toy networks have few channels, and few images: verdicts must hold, not every metric.
    found = convert.convert(root, to, spec=spec(gate=toy_gate()))
    assert found.entry.state == "passed"
    assert sorted(found.entry.files) == sorted(graph.name for graph in found.manifest.graphs)
    assert (found.entry.calibration is not None) == ("int8" in to)
    plain, other = runtime.Inspector.load(root), runtime.Inspector.load(root, engine=to, batch=3)
    frames = bench.golden_frames(root)
    pictures = [image for image, _ in frames]
    templates = None if frames[0][1] is None else [template for _, template in frames]
    verdicts = list(other.inspect_many(pictures, templates=templates))
    for (image, template), verdict in zip(frames, verdicts, strict=True):
        assert verdict.outcome == plain.inspect(image, template=template).outcome


def toy_gate():
    from inspection_tf.conversion import engine_gate

    # Eight images hold a handful of regions: one more or less is a fifth of their F1.
    return engine_gate.GateSpec(metric_drop=0.4, batch_sizes=(1, 3))


def test_what_the_processor_cannot_compute_in_is_built_and_not_run(
    toy_bundle_copy, monkeypatch, caplog
):
    pytest.importorskip("openvino")
    monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda: False)
    entry = convert.convert(toy_bundle_copy, "openvino-bf16", spec=spec()).entry
    assert (entry.precision, entry.state, entry.parity) == ("bfloat16", "built, not run", {})
    assert "does not compute in bfloat16" in caplog.text
    with pytest.raises(errors.BundleError, match="must have passed the gate"):
        runtime.Inspector.load(toy_bundle_copy, engine="openvino-bf16")


@pytest.mark.slow
def test_accuracy_control_keeps_what_the_metrics_need(toy_bundle_copy):
    found = convert.convert(
        toy_bundle_copy, "openvino-int8", spec=spec(accuracy_control=True, gate=toy_gate())
    )
    assert found.entry.precision == "int8"
    kept = found.entry.float_operators["segmenter"]  # as many as this processor's rounding needs
    assert len(kept) < 8


def test_images_that_calibrated_are_not_compared(toy_bundle_copy, monkeypatch, reseal, caplog):
    pytest.importorskip("nncf")
    values = manifest_values(toy_bundle_copy)
    data = values["provenance"]["data"]
    every = [name for ids in data["splits"].values() for name in ids]
    data["splits"] = {"train": every}
    data["source"]["folds"] = 2  # all of a cross-validated bundle is train
    reseal(toy_bundle_copy, provenance=values["provenance"])
    monkeypatch.setattr(retreat, "rungs", lambda _operators: [()])
    gate = engine_gate.GateSpec(band=1.0, flipped_share=1.0, metric_drop=1.0, batch_sizes=(1, 3))
    entry = convert.convert(toy_bundle_copy, "openvino-int8", spec=spec(gate=gate)).entry
    assert entry.parity["splits"] == ["train"]
    assert entry.parity["images"] == len(every) - len(entry.calibration.ids)
    assert entry.parity["attempts"] == 1
    assert "every image taught the networks" in caplog.text


@pytest.mark.parametrize("to", ["savedmodel", "litert"])
def test_code_in_a_keras_file_is_not_run(toy_bundle_copy, reseal, capsys, tmp_path, to):
    canary = tmp_path / "canary"
    image = keras.Input((64, 64, 1), dtype="uint8", name="image")
    run = keras.layers.Lambda(lambda x, path=str(canary): Path(path).touch() or x / 255)
    model = keras.Model({"image": image}, {"probability": run(image)})
    canary.unlink(missing_ok=True)
    for write in (
        lambda path: model.save(path),
        lambda path: path.write_bytes(b"no zip"),
    ):
        write(toy_bundle_copy / "source" / "model.keras")
        reseal(toy_bundle_copy)
        assert cli.main(["convert", str(toy_bundle_copy), "--to", to]) == 4
        assert "must be a Keras file of known layers, without code" in capsys.readouterr().err
        assert cli.main(["bench", str(toy_bundle_copy), "--repeats", "1"]) == 4
        assert not canary.exists()


_OFFLINE = """
import sys

seen = []


def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request"):
        seen.append((event, str(arguments)))


sys.addaudithook(watch)
from inspection_tf import cli

words = ["--to", "openvino-int8", "--gate.metric-drop", "0.4"]
assert cli.main(["convert", sys.argv[1], *words]) == 0
assert cli.main(["verify", sys.argv[1], "--engine", "openvino-int8"]) == 0
import time

time.sleep(2)  # whatever a thread may still send
assert not seen, seen
assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
"""


@pytest.mark.slow
def test_nobody_is_told_over_the_network(toy_bundle_copy, tmp_path):
    import os
    import subprocess
    import sys

    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        [sys.executable, "-c", _OFFLINE, str(toy_bundle_copy)],
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
