"""A task that lives in tests/toy_task goes all the way, and the package knows nothing of it."""

import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest

from inspection_tf import (
    bundle,
    cli,
    errors,
    evaluation,
    files,
    images,
    plots,
    runtime,
    tasks,
    thresholds,
)
from inspection_tf.conversion import engine_gate
from inspection_tf.datasets import data_spec, records
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.export import gate, ship
from inspection_tf.runtime.runner import Runner
from inspection_tf.tasks import saved_networks
from inspection_tf.training import fit
from inspection_tf.training.runs.run_folder import RunFolder
from tests.tasks import test_contract
from tests.toy_task import network
from tests.toy_task.results import Brightness
from tests.toy_task.task import NETWORK, TASK, Settings, Share

ROOT = Path(__file__).parents[2]
SIDE, COUNT = 24, 24
BANDS = 11  # of kernels of 3 rows at a stride of 2: (24 - 3) // 2 + 1
FOLDER = ROOT / "tests" / "toy_task"
MODULE = "tests.toy_task.task"


@pytest.fixture(scope="module", autouse=True)
def registered():
    """All that the package is told: the name of the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.TASKS, TASK.name, MODULE)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of images: half of them of a grey value near 128, the others much darker."""
    root = tmp_path_factory.mktemp("brightness")
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        is_defect = index % 2 == 1
        mean = rng.uniform(20, 60) if is_defect else rng.uniform(118, 138)
        image = np.clip(rng.normal(mean, 8, (SIDE, SIDE)), 0, 255).astype(np.uint8)
        folder = root / ("defect" if is_defect else "good")
        folder.mkdir(exist_ok=True)
        images.write_png(folder / f"{index:02}.png", image)
        if is_defect:  # all of it is too dark
            (root / "masks").mkdir(exist_ok=True)
            images.write_png(root / "masks" / f"{index:02}.png", np.ones_like(image))
    return data_spec.DataSpec(format="folder", root=root, tune=1 / 3, test=1 / 3)


@pytest.fixture(scope="module")
def parts(data):
    return data_spec.split(data_spec.read(data), data, seed=0)


PREPROCESSING = images.Preprocessing(size=(SIDE, SIDE))


@pytest.fixture(scope="module")
def trained(parts, tmp_path_factory):
    """The network after a training: `.model`, `.rows` of its history, `.run` its folder."""
    folder = tmp_path_factory.mktemp("training")
    fit.seed_everything(0, deterministic=False)
    model = network.build((SIDE, SIDE))
    stage = fit.Stage(
        spec=fit.TrainSpec(
            epochs=60, learning_rate=0.03, loss="brightness_mae", validate_every=30, pictures=3
        ),
        loading=loader.LoaderSpec(batch_size=4),
        augmentation=augment.AugmentSpec(),
        seed=0,
        folder=RunFolder(folder, is_resumed=False),
    )
    caches = [loader.cache(parts[name], PREPROCESSING) for name in ("train", "tune")]
    return types.SimpleNamespace(model=model, rows=fit.fit(model, *caches, stage), run=folder)


@pytest.fixture(scope="module")
def shipped(trained, data, parts, tmp_path_factory):
    """The bundle: `.path`, and `.shipped`, what `ship.ship` returned. Tests only add to it."""
    found, source = data_spec.read(data), data.model_dump(mode="json")
    path = tmp_path_factory.mktemp("shipped") / "bundle"
    written = ship.ship(
        {NETWORK: network.deployed(trained.model)},
        out=path,
        tuning=[(None, parts["tune"])],
        measured=[(None, parts["test"])],
        split="test",
        spec=ship.BundleSpec(
            TASK.name,
            PREPROCESSING,
            thresholds.ThresholdSpec(method="f_beta"),
            settings=Settings(nominal=130),
        ),
        provenance=bundle.Provenance(
            recipe="toy",
            config={"data": source},
            seed=0,
            versions={},
            data=bundle.Data(
                format="folder",
                root=str(data.root),
                sha256=found.sha256(),
                splits=records.split_ids(parts),
                source=source,
            ),
        ),
    )
    return types.SimpleNamespace(path=path, shipped=written)


@pytest.fixture(scope="module")
def inspector(shipped):
    return runtime.Inspector.load(shipped.path, threads=1)


def run(*words):
    """Run the command line in this process; returns its exit code."""
    return cli.main([str(word) for word in words])


def flat(value):
    return np.full((SIDE, SIDE), value, np.uint8)


# One place


def test_the_package_knows_nothing_of_it_and_it_lies_in_one_folder(trained):
    words = (FOLDER.name, TASK.name, NETWORK, "brightness_error")
    for folder in ("inspection_tf", "pipelines"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                text = path.read_text(encoding="utf-8")
                assert not [word for word in words if word in text], path
    modules = (MODULE, *TASK.learning, *TASK.keras_modules)
    assert {Path(sys.modules[name].__file__).parent for name in modules} == {FOLDER}
    naming = {
        path
        for path in (ROOT / "tests").rglob("*.py")
        if "tests.toy_task" in path.read_text(encoding="utf-8") and FOLDER not in path.parents
    }
    assert naming == {Path(__file__)}


# From images to a bundle


def test_its_network_is_trained_watched_and_drawn(trained):
    first, last = (row["loss"] for row in (trained.rows[0], trained.rows[-1]))
    assert last < 0.05 < first
    assert trained.rows[-1]["val_brightness_error"] < 0.05
    assert (trained.run / "validation" / "epoch_0060.png").is_file()


def test_a_loss_of_another_output_is_refused(trained, data):
    spec = fit.TrainSpec(epochs=1, loss="bce_dice")
    with pytest.raises(
        errors.ConfigError, match=r"output brightness.* Choose one of brightness_mae"
    ):
        fit.compile_model(keras.models.clone_model(trained.model), spec, steps_per_epoch=1)


def test_its_bundle_is_verified_and_decides_by_the_threshold_that_was_chosen(inspector):
    point = inspector.manifest.operating_point
    # Off by 12 of 255 at most where they are good, by 70 at least where they are not.
    assert 12 / 255 < point.threshold < 70 / 255
    good, dark, bright = (inspector.inspect(flat(value)) for value in (128, 30, 240))
    assert [verdict.outcome for verdict in (good, dark, bright)] == ["OK", "NG", "NG"]
    low, high = good.result.limits
    assert (low + high) / 2 == 130


def test_a_verdict_has_its_keys_beside_those_of_all(inspector):
    verdict = inspector.inspect(flat(128))
    assert isinstance(verdict.result, Brightness)
    found = verdict.to_dict()
    assert found["brightness"] == pytest.approx(128, abs=12)
    assert found["brightness_limits"] == list(verdict.result.limits)
    assert found["regions"] == []
    assert found["corners_xy"] is None
    json.dumps(found)


def test_an_output_that_is_not_finite_is_left_to_a_person(inspector):
    prepared = inspector.prepare(flat(128))
    undefined = np.array([np.nan], np.float32)
    verdict = inspector.decide(Share(undefined, undefined), prepared)
    assert verdict.outcome == "REVIEW"
    assert verdict.to_dict()["brightness"] is None


def test_the_gate_of_the_export_and_the_metrics_are_in_the_manifest(shipped):
    manifest = shipped.shipped.manifest
    assert manifest.parity["passed"]
    assert (
        manifest.parity["max_brightness_difference"] < TASK.limits["brightness_difference"].at_most
    )
    error = manifest.metrics["metrics"]["brightness_error_mean"]
    assert error["low"] < error["value"] < error["high"] < 0.1
    assert manifest.metrics["metrics"]["escape_rate"]["value"] == 0


class Brighter(runtime.Network):
    """A network that is off by a share of white."""

    def __init__(self, network, share):
        self.network, self.share = network, share

    def run_all(self, batch, template=None):
        return tuple(output + np.float32(self.share) for output in self.network.run_all(batch))


def brighter(inspector, share):
    return {NETWORK: Brighter(inspector.networks[NETWORK], share)}


def test_the_gate_of_the_export_refuses_by_its_limits(inspector, parts):
    off = 0.2 / 255  # grey values; 0.05 are allowed
    reference = Runner(TASK, brighter(inspector, off), inspector.context)
    parity = gate.compare(reference, inspector, parts["test"])
    assert parity.distances["brightness_difference"] == pytest.approx(0.2, abs=0.01)
    with pytest.raises(errors.GateError, match=r"and mean grey values within 0\.05 of 255\. Got"):
        parity.require()


def test_the_gate_of_engines_refuses_by_its_metrics_as_they_are_bounded(inspector, parts):
    manifest = inspector.manifest
    other = engine_gate.inspector(manifest, brighter(inspector, 0.2), "brighter")
    spec = engine_gate.GateSpec(band=1, flipped_share=1)
    parity = engine_gate.compare(inspector, other, {"test": parts["test"]}, spec)
    assert parity.changes["brightness_error_grey_mean"]["value"] > 10  # bounded by the other one
    (failure,) = [text for text in parity.failures if "brightness" in text]
    assert failure.startswith("brightness_error_mean worse by 0.")
    assert failure.endswith("more than 0.0005")


def test_the_manifest_lists_both_outputs_of_its_network_the_one_that_decides_first(inspector):
    manifest = inspector.manifest
    assert manifest.output_names(NETWORK) == ("brightness", "bands")
    assert [output.shape for output in manifest.outputs] == [("batch", 1), ("batch", BANDS)]


def bands_of(inspector, image):
    """Return what the network says of an image: its brightness and that of its bands."""
    found = inspector.task.run(inspector.networks, [inspector.prepare(image)], inspector.context)
    return found[0].of_white, found[0].of_bands


def striped():
    """Return an image that is grey but for its last rows, which are black."""
    image = flat(128)
    image[-4:] = 0
    return image


def test_a_verdict_says_by_the_second_output_where_an_image_is_off(inspector):
    assert inspector.inspect(striped()).to_dict()["furthest_band"] == BANDS - 1
    # The network's brightness is the mean over its bands.
    brightness, bands = bands_of(inspector, striped())
    assert bands.shape == (BANDS,)
    assert brightness[0] == pytest.approx(bands.mean(), abs=1e-6)
    assert bands.std() > 0.01


def test_the_networks_run_alone_give_the_output_that_decides(inspector):
    network = inspector.networks[NETWORK]
    batch = inspector.prepare(striped()).image
    brightness, bands = network.run_all(batch)
    assert (brightness.shape, bands.shape) == ((1, 1), (1, BANDS))
    np.testing.assert_array_equal(network.run(batch), brightness)


def test_the_card_and_the_page_have_its_words(shipped):
    card = (shipped.path / "MODEL_CARD.md").read_text()
    assert "Measures how bright images are" in card
    assert "| brightness_error_mean | 0.0" in card
    page = (shipped.path / "INTEGRATION.md").read_text()
    assert "`brightness` float32 (batch, 1), brightness, share of white; `bands` float32" in page
    assert "`bands` float32 (batch, 11), band_brightness, share of white" in page
    assert "NG when |255 brightness - 130| / 255 >=" in page


def test_its_golden_samples_show_both_labels_and_are_checked_without_the_package(shipped):
    samples = json.loads((shipped.path / runtime.GOLDEN).read_text())
    assert sorted(sample["outcome"] for sample in samples) == ["NG", "NG", "OK", "OK"]
    assert runtime.Inspector.load(shipped.path).check_golden(shipped.path) == 4
    done = checked(shipped.path)
    assert done.returncode == 0, done.stdout + done.stderr


def checked(path):
    """Run the script of a bundle."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(path / "golden" / "check.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_script_of_its_bundle_compares_the_second_output_too(shipped, tmp_path):
    root = shutil.copytree(shipped.path, tmp_path / "bundle")
    samples = json.loads((root / runtime.GOLDEN).read_text())
    (tensors,) = next(sample["tensors"] for sample in samples if "tensors" in sample)
    assert np.load(root / tensors["output"]).shape == (1, 1)
    path = root / tensors["further"]["bands"]
    bands = np.load(path)
    assert (path.name, bands.shape) == (f"0_{NETWORK}_bands.npy", (1, BANDS))
    bands[0, -1] += 0.5  # as if the network returned half of white less there
    np.save(path, bands)
    manifest = json.loads((root / bundle.MANIFEST).read_text())
    manifest["files"][tensors["further"]["bands"]] = files.sha256(path)
    (root / bundle.MANIFEST).write_text(json.dumps(manifest))
    done = checked(root)
    assert done.returncode == 1
    assert f"WRONG  {NETWORK} on golden/0.png: off by 0.5" in done.stdout


def test_a_manifest_that_lists_other_outputs_is_refused(shipped, tmp_path):
    root = shutil.copytree(shipped.path, tmp_path / "bundle")
    values = json.loads((root / bundle.MANIFEST).read_text())
    for outputs, got in ((values["outputs"][:1], "brightness"), (values["outputs"][::-1], "bands")):
        (root / bundle.MANIFEST).write_text(json.dumps({**values, "outputs": outputs}))
        with pytest.raises(
            errors.BundleError,
            match=rf"outputs of the {NETWORK} must be brightness, bands\. Got {got}",
        ):
            bundle.read(root)


def test_a_network_without_its_second_output_is_not_shipped(trained, shipped, parts, tmp_path):
    with pytest.raises(
        errors.BundleError, match=r"must return brightness, bands\. Got brightness\."
    ):
        ship.ship(
            {NETWORK: trained.model},
            out=tmp_path / "bundle",
            tuning=[(None, parts["tune"])],
            measured=[(None, parts["test"])],
            split="test",
            spec=ship.BundleSpec(TASK.name, PREPROCESSING, thresholds.ThresholdSpec()),
            provenance=shipped.shipped.manifest.provenance,
        )


def test_its_saved_network_is_loaded_with_its_own_layers(shipped):
    model = saved_networks.load(shipped.path / "source" / "photometer.keras")
    assert isinstance(model.get_layer("root"), network.SquareRoot)


# What holds for every task


@pytest.fixture(scope="module")
def toy(shipped):
    """What the tests of `test_contract` ask for, here of this task."""
    return test_contract.Toy(shipped.path)


globals().update(
    {name: value for name, value in vars(test_contract).items() if name.startswith("test_")}
)


# Evaluation and the command line


def test_images_are_measured_with_intervals_and_drawn(inspector, parts, tmp_path):
    rows = evaluation.measure(inspector, parts["test"])
    report = evaluation.report(rows, split="test", operating_point=None, dataset_sha256="")
    assert list(report["metrics"]) == list(TASK.measures.meanings(("defect",)))
    evaluation.write(tmp_path, rows, report)
    header = (tmp_path / "per_image.csv").read_text().splitlines()[0]
    assert header.endswith("brightness,brightness_error")
    words = evaluation.table(report, TASK.measures).columns[3].cells
    assert "mean error, grey values" in list(words)
    by_id = {record.id: record for record in parts["test"]}

    def show(name):
        return evaluation.look(inspector, by_id[name])

    written = plots.write_evaluation(tmp_path, rows, task=TASK, threshold=0.1, show=show)
    assert [path.name for path in written] == ["pr.png", "roc.png", "scores.png", "brightness.png"]


def test_the_command_line_predicts(shipped, data, tmp_path, capsys):
    image = next((data.root / "defect").iterdir())
    assert run("predict", shipped.path, image, "--json", "--out", tmp_path / "out") == errors.NOT_OK
    line = json.loads(capsys.readouterr().out)
    assert line["outcome"] == "NG"
    assert line["brightness"] < line["brightness_limits"][0]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    pictures = {f"{image.stem}.mask.png", f"{image.stem}.overlay.png"}
    assert names == {*pictures, "verdicts.jsonl"}
    assert run("predict", shipped.path, image, "--part", "folder") == errors.NOT_OK
    assert "limits" in capsys.readouterr().out


def test_the_command_line_verifies_and_times(shipped, capsys):
    assert run("verify", shipped.path) == errors.OK
    capsys.readouterr()
    options = ("--repeats", 1, "--batch-sizes", 1, 2, "--json")
    assert run("bench", shipped.path, *options) == errors.OK
    timings = json.loads(capsys.readouterr().out)
    assert {row["batch_size"] for row in timings} == {1, 2}
    assert {"OK", "NG"} == {outcome for row in timings for outcome in row["outcomes"]}


def test_the_command_line_evaluates_its_own_data_and_a_folder(shipped, data, tmp_path, capsys):
    assert run("evaluate", shipped.path, "--out", tmp_path / "own") == errors.OK
    own = json.loads((tmp_path / "own" / "metrics.json").read_text())
    assert own["metrics"] == shipped.shipped.report["metrics"]
    assert run("evaluate", shipped.path, data.root, "--out", tmp_path / "all") == errors.OK
    every = json.loads((tmp_path / "all" / "metrics.json").read_text())
    assert every["counts"]["images"] == COUNT
    assert (tmp_path / "all" / "brightness.png").is_file()
    assert "mean error, share of white" in capsys.readouterr().out


# Conversion and edits


def says_the_same(engine, shipped, *, atol):
    """Compare both outputs with those of the float32 ONNX file, each under its own name."""
    reference = runtime.Inspector.load(shipped.path)
    for found, expected in zip(
        bands_of(engine, striped()), bands_of(reference, striped()), strict=True
    ):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=atol)
    batch = engine.prepare(striped()).image
    first = engine.networks[NETWORK].run(batch)
    np.testing.assert_array_equal(first, engine.networks[NETWORK].run_all(batch)[0])


def test_it_becomes_an_engine_of_openvino(shipped):
    pytest.importorskip("openvino")
    assert run("convert", shipped.path, "--to", "openvino") == errors.OK
    engine = runtime.Inspector.load(shipped.path, engine="openvino")
    assert engine.inspect(flat(30)).outcome == "NG"
    says_the_same(engine, shipped, atol=1e-5)
    assert "brightness_error_mean" in engine.manifest.engines["openvino"].parity["changes"]


def test_it_becomes_int8_on_onnxruntime(shipped):
    pytest.importorskip("onnx")
    options = ("--to", "onnx-int8", "--calibration-images", 4, "--judged-images", 4)
    options += ("--gate.corner-error-rise", 0.05)  # processors round int8 differently
    assert run("convert", shipped.path, *options) == errors.OK
    engine = runtime.Inspector.load(shipped.path, engine="onnx-int8")
    assert engine.manifest.engines["onnx-int8"].calibration.ids
    assert engine.inspect(flat(30)).outcome == "NG"
    says_the_same(engine, shipped, atol=0.05)


def test_it_becomes_float16_on_onnxruntime_and_still_returns_float32(shipped):
    pytest.importorskip("onnx")
    assert run("convert", shipped.path, "--to", "onnx-fp16") == errors.OK
    says_the_same(runtime.Inspector.load(shipped.path, engine="onnx-fp16"), shipped, atol=2e-3)


def test_it_becomes_int8_of_openvino(shipped):
    pytest.importorskip("nncf")
    options = ("--to", "openvino-int8", "--calibration-images", 4, "--judged-images", 4)
    assert run("convert", shipped.path, *options, "--gate.corner-error-rise", 0.05) == errors.OK
    engine = runtime.Inspector.load(shipped.path, engine="openvino-int8")
    says_the_same(engine, shipped, atol=0.05)


def test_its_keras_file_becomes_a_network_of_litert(shipped):
    pytest.importorskip("ai_edge_litert")
    assert run("convert", shipped.path, "--to", "litert") == errors.OK
    engine = runtime.Inspector.load(shipped.path, engine="litert")
    assert engine.inspect(flat(30)).outcome == "NG"
    says_the_same(engine, shipped, atol=1e-5)


def test_its_keras_file_becomes_a_savedmodel(shipped):
    assert run("convert", shipped.path, "--to", "savedmodel") == errors.OK
    entry = bundle.read(shipped.path).engines["savedmodel"]
    assert entry.state == "passed"


def test_it_becomes_a_repository_of_triton(shipped):
    assert run("convert", shipped.path, "--to", "triton") == errors.OK
    models = shipped.path / "engines" / "triton" / "models"
    assert {path.name for path in models.iterdir()} == {NETWORK, "inspection"}
    text = (models / NETWORK / "config.pbtxt").read_text()
    assert (
        'output [\n  { name: "brightness" data_type: TYPE_FP32 dims: [1] },\n'
        '  { name: "bands" data_type: TYPE_FP32 dims: [11] }\n]'
    ) in text


def test_its_threshold_is_set_and_chosen_anew(shipped):
    before = bundle.read(shipped.path).operating_point.threshold
    assert run("threshold", shipped.path, "--set", 0.02) == errors.OK
    strict = runtime.Inspector.load(shipped.path)
    assert strict.manifest.operating_point.threshold == 0.02
    assert strict.inspect(flat(100)).outcome == "NG"
    assert run("threshold", shipped.path, "--f-beta", 1) == errors.OK
    found = bundle.read(shipped.path)
    assert found.operating_point.threshold == before
    assert len(found.audit) == 2
    assert "Edited on" in (shipped.path / "MODEL_CARD.md").read_text()
