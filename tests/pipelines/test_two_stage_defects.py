import csv
import json
import os
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from inspection_tf import bundle, config, errors, runtime
from inspection_tf.datasets import data_spec
from inspection_tf.models import backbones
from inspection_tf.recipes import command_line
from inspection_tf.training import fit
from inspection_tf.training.runs import run_folder
from pipelines import two_stage_defects

PIPELINES = Path(__file__).parents[2] / "pipelines"
STAGES = ("classifier", "segmenter")
SIDE = 64  # px
MODELS = ("bundle/model.onnx", "bundle/classifier.onnx")


def shrunk(values, *, size=SIDE, epochs=2, images=8):
    """Leave the settings of a YAML as they are but for what costs time."""
    values["preprocessing"]["size"] = (size, size)
    for name in STAGES:
        stage = values[name]
        stage["loader"] |= {"images_per_epoch": images, "batch_size": 4}
        # TensorFlow takes a second for each few layers of a training step.
        strides = [stride for stride in stage["model"]["backbone"]["strides"] if stride <= 16]
        stage["model"]["backbone"] = {"name": "cnn", "strides": strides}
        if "decoder_filters" in stage["model"]:
            stage["model"]["decoder_filters"] = (8,) * len(strides)
        phases = [{**phase, "epochs": 1} for phase in stage["train"]["phases"]]
        stage["train"] |= {
            "epochs": len(phases) or epochs, "phases": phases, "validate_every": 1, "pictures": 1
        }  # fmt: skip
    return values


def toy(name="two_stage_defects", data=None, sizes=None, **changes):
    values = config.load(two_stage_defects.Config, PIPELINES / f"{name}.yaml").model_dump()
    values = shrunk(values, **(sizes or {}))
    if name == "two_stage_defects":
        values["data"] |= {"count": 44, "surface": {"size": (SIDE, SIDE)}}
    values["data"] |= data or {}
    return config.validate(two_stage_defects.Config, values | changes, origin="test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("recipe") / "run"
    report = two_stage_defects.run(toy(), out)
    return out, report


def assert_same_run(out, other):
    for name in (*MODELS, "evaluation/per_image.csv", "evaluation/metrics.json"):
        assert (out / name).read_bytes() == (other / name).read_bytes(), name


# The files of settings


def test_the_settings_shipped_keep_the_mix_and_the_weights_of_the_talk():
    cfg = config.load(two_stage_defects.Config, PIPELINES / "two_stage_defects.yaml")
    # 7378 NG and 24812 OK images are 1 to 3.363, which the talk rounds up
    assert (1 - cfg.data.defective_share) / cfg.data.defective_share == pytest.approx(3.4, abs=0.01)
    assert cfg.segmenter.train.loss_options == {"bce_weight": 0.8, "dice_weight": 0.2}
    assert cfg.segmenter.loader.defective_share == 1
    assert cfg.cascade


@pytest.mark.parametrize("name", ["magnetic_tile", "deeppcb"])
def test_settings_of_real_data_load_and_ask_for_the_folder(name, tmp_path):
    cfg = config.load(two_stage_defects.Config, PIPELINES / f"{name}.yaml")
    assert (cfg.data.format, cfg.cascade) == (name, False)
    with pytest.raises(errors.ConfigError, match=r"needs data\.root"):
        two_stage_defects.run(cfg, tmp_path / "run")


# A cascade


def test_the_run_folder_holds_both_networks(finished):
    out, _ = finished
    for stage in STAGES:
        for name in ("history.csv", "checkpoints/last.npz", "evaluation/curves.png"):
            assert (out / stage / name).is_file(), (stage, name)
        assert list((out / stage / "tensorboard").rglob("events.*"))
    for name in (
        *MODELS, "evaluation/metrics.json", "evaluation/per_image.csv", "evaluation/worst.png",
        "report.html",
        "bundle/source/model.keras", "bundle/source/classifier.keras", "bundle/MODEL_CARD.md",
    ):  # fmt: skip
        assert (out / name).is_file(), name
    assert json.loads((out / "status.json").read_text())["state"] == "finished"
    assert config.load(two_stage_defects.Config, out / "config.yaml") == toy()
    assert (out / "data.json").is_file()


def test_the_classifier_is_trained_in_the_phases_of_the_settings(finished):
    rows = run_folder.History(finished[0] / "classifier" / "history.csv").rows
    phases = toy().classifier.train.phases  # of one epoch each
    assert [row["phase"] for row in rows] == list(range(1, 1 + len(phases))) != []
    rows = run_folder.History(finished[0] / "segmenter" / "history.csv").rows
    assert [("phase" in row, row["epoch"]) for row in rows] == [(False, 1), (False, 2)]


def test_the_bundle_is_a_cascade_and_its_report_is_the_one_written(finished):
    out, report = finished
    manifest = bundle.read(out / "bundle")
    assert manifest.task == "two_stage_segmentation"
    assert [graph.name for graph in manifest.graphs] == list(STAGES)
    assert set(manifest.stage_points) == {"classifier"}
    assert manifest.metrics == report
    assert json.loads((out / "evaluation" / "metrics.json").read_text()) == report
    splits = manifest.provenance.data.splits
    assert manifest.parity["images"] == len(splits["tune"]) + len(splits["test"])
    assert manifest.parity["changed_verdicts"] == []
    assert report["counts"]["images"] == len(splits["test"])


def test_each_measured_image_says_which_stage_decided(finished):
    out, _ = finished
    with (out / "evaluation" / "per_image.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["decided_by"] for row in rows} <= set(STAGES)
    assert all(row["outcome"] == "OK" for row in rows if row["decided_by"] == "classifier")
    assert all(row["decided_by"] == "segmenter" for row in rows if row["outcome"] == "NG")


@pytest.mark.slow
def test_two_runs_with_one_seed_are_equal_bit_by_bit(finished, tmp_path):
    again = two_stage_defects.run(toy(), tmp_path / "run")
    assert again == finished[1]
    assert_same_run(tmp_path / "run", finished[0])


class Stop(keras.callbacks.Callback):
    """Interrupts in an epoch, after its first step."""

    def __init__(self, epoch):
        super().__init__()
        self.wanted, self.epoch = epoch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.wanted:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_run_interrupted_in_the_second_training_ends_as_if_it_never_was(
    finished, tmp_path, monkeypatch
):
    out, whole = tmp_path / "run", fit.fit

    def cut(model, train, tune, stage):
        stop = (Stop(epoch=1),) if stage.folder.stage == "classifier" else ()
        return whole(model, train, tune, stage, extra_callbacks=stop)

    with monkeypatch.context() as patch:
        patch.setattr(fit, "fit", cut)
        with pytest.raises(KeyboardInterrupt):
            two_stage_defects.run(toy(), out)
    status = json.loads((out / "status.json").read_text())
    assert (status["state"], status["stage"], status["exit_code"]) == (
        "interrupted",
        "classifier",
        130,
    )
    # The segmenter is done, the classifier has its first phase behind it.
    lengths = [len(run_folder.History(out / stage / "history.csv").rows) for stage in STAGES]
    assert lengths == [1, 2]
    ended = (out / "segmenter" / "checkpoints" / "last.npz").read_bytes()
    assert two_stage_defects.run(toy(), out) == finished[1]
    assert (out / "segmenter" / "checkpoints" / "last.npz").read_bytes() == ended
    assert_same_run(out, finished[0])


# Its variants


@pytest.mark.slow
def test_a_single_stage_writes_a_bundle_of_one_network(tmp_path):
    out = tmp_path / "run"
    settings = toy(cascade=False)
    averaged = settings.segmenter.model_copy(update={"averaged_flips": "horizontal"})
    report = two_stage_defects.run(settings.model_copy(update={"segmenter": averaged}), out)
    manifest = bundle.read(out / "bundle")
    assert manifest.task == "segmentation"
    assert manifest.metrics == report
    assert not (out / "bundle" / "classifier.onnx").exists()
    assert not (out / "classifier").exists()
    assert (out / "segmenter" / "history.csv").is_file()
    surface = np.random.default_rng(0).integers(90, 110, (SIDE, SIDE), np.uint8)
    inspector = runtime.Inspector.load(out / "bundle")
    found, mirrored = (inspector.inspect(side) for side in (surface, surface[:, ::-1].copy()))
    assert found.decided_by == ""
    assert found.score == pytest.approx(mirrored.score, abs=1e-6)


@pytest.mark.slow
def test_cross_validation_trains_both_networks_in_each_fold(tmp_path):
    out = tmp_path / "run"
    report = two_stage_defects.run(toy(data={"folds": 2}), out)
    # 44 images at a share of 0.2273 hold floor(44 * 0.2273) = 10 defective ones
    assert report["split"] == "out_of_fold"
    assert report["counts"] == {"images": 44, "defective": 10}
    for stage in STAGES:
        for fold in ("1", "2"):
            assert (out / "folds" / fold / stage / "history.csv").is_file()
        assert (out / stage / "history.csv").is_file()
    manifest = bundle.read(out / "bundle")
    assert manifest.task == "two_stage_segmentation"
    assert manifest.operating_point.counts == {"images": 44, "defective": 10}
    assert len(manifest.provenance.data.splits["train"]) == 44


def launch(monkeypatch, *words):
    """Run the recipe as its command line does, in this process."""
    monkeypatch.setattr(sys, "argv", ["x", *(str(word) for word in words)])
    return command_line.launch(
        two_stage_defects.Config, two_stage_defects.run, two_stage_defects.__file__
    )


def frozen(path):
    """Write settings in which no backbone learns anything, and return their file."""
    cfg = toy()
    values = cfg.model_dump()
    for name in STAGES:
        values[name]["train"] |= {"epochs": 1, "phases": [{"epochs": 1, "backbone": "frozen"}]}
        values[name]["model"]["backbone"] |= {"name": "mobilenet", "first_stride": 2}
    values["classifier"]["start"] = ""
    cfg = config.validate(two_stage_defects.Config, values, origin="test")
    path.write_text(config.to_yaml(cfg))
    return path


@pytest.mark.slow
def test_pretrained_weights_of_the_command_line_are_what_is_shipped(tmp_path, monkeypatch):
    keras.utils.set_random_seed(9)
    options = {"name": "mobilenet", "first_stride": 2}
    file = tmp_path / "colour.weights.h5"
    colour = backbones.build(image_size=(SIDE, SIDE), channels=3, **options)
    colour.save_weights(file)
    words = [f"--{stage}.model.backbone.weights={file}" for stage in STAGES]
    out = tmp_path / "run"
    settings = frozen(tmp_path / "frozen.yaml")
    assert launch(monkeypatch, "--config", settings, "--out", out, *words) == 0
    given = {layer.name: layer.get_weights() for layer in colour.layers if layer.weights}
    # Grey has one channel: the kernels of the colours are summed.
    given["conv1"] = [given["conv1"][0].sum(axis=2, keepdims=True)]
    for name in ("model", "classifier"):
        saved = keras.saving.load_model(out / f"bundle/source/{name}.keras", compile=False)
        held = {layer.name: layer.get_weights() for layer in saved.get_layer("backbone").layers}
        learnt = {layer: arrays for layer, arrays in held.items() if arrays}
        assert "conv1" in learnt
        for layer, arrays in learnt.items():  # the file may hold deeper ones
            for own, expected in zip(arrays, given[layer], strict=True):
                np.testing.assert_allclose(own, expected, rtol=1e-6, err_msg=layer)


def test_weights_that_are_not_there_end_with_2_before_anything_is_trained(tmp_path, monkeypatch):
    settings, out = frozen(tmp_path / "frozen.yaml"), tmp_path / "run"
    words = ("--segmenter.model.backbone.weights", tmp_path / "none.weights.h5")
    assert launch(monkeypatch, "--config", settings, "--out", out, *words) == 2
    assert not list(out.rglob("*.onnx"))


# Real data

real = pytest.mark.skipif(
    "INSPECTION_DATA" not in os.environ,
    reason="needs INSPECTION_DATA, the folder of the real data sets",
)


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


@pytest.fixture
def tiles(tmp_path):
    """Six shots of six tiles of three classes each, with the groups they came with."""
    origin, root = Path(os.environ["INSPECTION_DATA"]) / "magnetic_tile", tmp_path / "tiles"
    with (origin / "groups.csv").open() as stream:
        listed = list(csv.DictReader(stream))
    kept = []
    for name, count in (("MT_Free", 12), ("MT_Blowhole", 6), ("MT_Break", 6)):
        first = {row["group"]: row for row in listed if row["file"].startswith(f"{name}/")}
        kept += list(first.values())[:count]
    for row in kept:
        copy(origin / row["file"], root / row["file"])
        mask = Path(row["file"]).with_suffix(".png")
        if (origin / mask).is_file():
            copy(origin / mask, root / mask)
    lines = ["file,group", *(f"{row['file']},{row['group']}" for row in kept)]
    (root / "groups.csv").write_text("\n".join(lines) + "\n")
    return root


@real
@pytest.mark.slow
def test_magnetic_tiles_train_a_cascade_over_five_classes(tiles, tmp_path):
    data = {"root": tiles, "folds": 0, "sealed": 0}
    cfg = toy("magnetic_tile", data=data, cascade=True)
    report = two_stage_defects.run(cfg, tmp_path / "run")
    manifest = bundle.read(tmp_path / "run" / "bundle")
    assert manifest.task == "two_stage_segmentation"
    assert manifest.classes == ("Blowhole", "Break", "Crack", "Fray", "Uneven")
    channels = {output.graph: output.shape[-1] for output in manifest.outputs}
    assert channels == {"segmenter": 5, "classifier": 6}  # The classifier has OK as well.
    assert 0 < report["counts"]["defective"] < report["counts"]["images"] < 24
    groups = {record.id: record.group for record in data_spec.read(cfg.data)}
    splits = {
        name: {groups[name] for name in ids}
        for name, ids in manifest.provenance.data.splits.items()
    }
    assert not splits["train"] & splits["test"]
    assert not splits["tune"] & splits["test"]


@pytest.fixture
def boards(tmp_path):
    """Two pairs of each of two boards."""
    origin, root = Path(os.environ["INSPECTION_DATA"]) / "deeppcb", tmp_path / "boards"
    for group in ("group00041", "group12100"):
        for path in sorted((origin / group).rglob("*_test.jpg"))[:2]:
            name = path.stem.removesuffix("_test")
            boxes = next((origin / group).rglob(f"{name}.txt"))
            for item in (path, path.with_name(f"{name}_temp.jpg"), boxes):
                copy(item, root / item.relative_to(origin))
    return root


@real
@pytest.mark.slow
def test_boards_are_compared_with_their_templates_each_left_out_in_turn(boards, tmp_path):
    data = {"root": boards, "folds": 2}
    sizes = {"size": 128, "epochs": 1, "images": 4}
    values = toy("deeppcb", data=data, sizes=sizes).model_dump()
    values["preprocessing"]["fit"] = "stretch"  # boards have 640 x 640 px
    cfg = config.validate(two_stage_defects.Config, values, origin="test")
    report = two_stage_defects.run(cfg, tmp_path / "run")
    assert report["counts"] == {"images": 4, "defective": 4, "groups": 2, "defective_groups": 2}
    manifest = bundle.read(tmp_path / "run" / "bundle")
    assert manifest.has_template
    assert manifest.task == "segmentation"
    assert manifest.classes == ("open", "short", "mousebite", "spur", "copper", "pin-hole")
    pair = sorted((boards / "group00041").rglob("*_test.jpg"))[0]
    template = pair.with_name(pair.name.replace("_test", "_temp"))
    verdict = runtime.Inspector.load(tmp_path / "run" / "bundle").inspect(pair, template=template)
    assert verdict.class_mask().shape == (640, 640)
