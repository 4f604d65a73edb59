import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspection_tf import bundle, cli, config, errors, runtime
from inspection_tf.datasets import data_spec
from inspection_tf.recipes import command_line
from inspection_tf.tasks.segmentation.measures import MEASURES
from pipelines import dagm_segmentation

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "pipelines"


def toy(**data):
    """The shipped configuration at toy size: only what costs time is changed."""
    path = PIPELINES / "dagm_segmentation.yaml"
    values = config.load(dagm_segmentation.Config, path).model_dump()
    values["data"] |= {"count": 32, "surface": {"size": (64, 64)}} | data
    values["preprocessing"]["size"] = (64, 64)
    values["model"] |= {"filters": (8, 16)}
    values["loader"] |= {"images_per_epoch": 8, "batch_size": 4}
    values["train"] |= {"epochs": 2, "validate_every": 1, "pictures": 2}
    return config.validate(dagm_segmentation.Config, values, origin="test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("recipe") / "run"
    report = dagm_segmentation.run(toy(), out)
    return out, report


def test_every_yaml_in_pipelines_fits_its_recipe():
    names = sorted(PIPELINES.glob("dagm*.yaml"))
    assert len(names) >= 3
    for path in names:
        config.load(dagm_segmentation.Config, path)


def test_the_run_folder_holds_what_the_design_names(finished):
    out, _ = finished
    for name in (
        "config.yaml", "data.json", "status.json", "history.csv",
        "checkpoints/last.npz", "checkpoints/best.npz",
        "evaluation/metrics.json", "evaluation/per_image.csv", "evaluation/curves.png",
        "report.html",
        "validation/epoch_0001.png", "bundle/manifest.json", "bundle/model.onnx",
        "bundle/source/model.keras", "bundle/MODEL_CARD.md", "bundle/golden/expected.json",
    ):  # fmt: skip
        assert (out / name).is_file(), name
    assert list((out / "tensorboard").rglob("events.*"))
    assert json.loads((out / "status.json").read_text())["state"] == "finished"
    assert config.load(dagm_segmentation.Config, out / "config.yaml") == toy()


def test_the_report_is_what_metrics_json_and_the_bundle_hold(finished):
    out, report = finished
    assert json.loads((out / "evaluation" / "metrics.json").read_text()) == report
    assert bundle.read(out / "bundle").metrics == report
    assert set(MEASURES.meanings(("defect",))) == set(report["metrics"])
    # 32 images, a quarter tested
    assert report["counts"] == {"images": 8, "defective": 4}


def test_the_promise_is_null_with_the_number_it_would_need(finished):
    out, _ = finished
    point = bundle.read(out / "bundle").operating_point
    assert point.promise is None
    assert point.promise_needs == 59  # ln 0.05 / ln 0.95 = 58.4


def test_the_gate_saw_every_tune_and_test_image(finished):
    manifest = bundle.read(finished[0] / "bundle")
    splits = manifest.provenance.data.splits
    assert manifest.parity["images"] == len(splits["tune"]) + len(splits["test"]) == 16
    assert manifest.parity["max_score_difference"] <= 1e-4
    assert manifest.parity["changed_verdicts"] == []


@pytest.mark.slow
def test_two_runs_with_one_seed_give_identical_weights_and_metrics(finished, tmp_path):
    out, report = finished
    again = dagm_segmentation.run(toy(), tmp_path / "again")
    assert again == report
    model = "bundle/model.onnx"
    assert (tmp_path / "again" / model).read_bytes() == (out / model).read_bytes()
    csv = "evaluation/per_image.csv"
    assert (tmp_path / "again" / csv).read_bytes() == (out / csv).read_bytes()


def test_a_finished_run_is_not_overwritten(finished):
    out, _ = finished
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(errors.ConfigError, match="a finished run"):
        dagm_segmentation.run(toy(), out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_cross_validation_tests_every_image_once_and_trains_the_shipped_network_on_all(tmp_path):
    report = dagm_segmentation.run(toy(folds=2), tmp_path / "run")
    assert report["split"] == "out_of_fold"
    assert report["counts"] == {"images": 32, "defective": 16}
    manifest = bundle.read(tmp_path / "run" / "bundle")
    assert len(manifest.provenance.data.splits["train"]) == 32
    assert manifest.operating_point.counts == {"images": 32, "defective": 16}
    assert (tmp_path / "run" / "folds" / "2" / "history.csv").is_file()


@pytest.mark.slow
def test_composed_defects_train_and_the_real_ones_are_all_tested(tmp_path):
    settings = toy(defects="composed", compose={"per_image": 2}, count=40)
    report = dagm_segmentation.run(settings, tmp_path / "run")
    # 20 good images, a quarter tested, and all 20 defective ones
    assert report["counts"] == {"images": 25, "defective": 20}
    ids = bundle.read(tmp_path / "run" / "bundle").provenance.data.splits
    found = data_spec.read(settings.data)
    assert set(found.where(is_defect=True).ids) <= set(ids["test"])
    assert not set(found.where(is_defect=True).ids) & set(ids["train"])


@pytest.mark.slow
def test_good_images_alone_are_enough_to_start(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "set" / "good").mkdir(parents=True)
    for number in range(16):
        path = tmp_path / "set" / "good" / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(90, 110, (64, 64), np.uint8))
    settings = toy(
        format="folder", root=tmp_path / "set", defects="composed", compose={"per_image": 2}
    )
    report = dagm_segmentation.run(settings, tmp_path / "run")
    # A quarter of 16 is tested, each also with a composed defect: two images of one part.
    assert report["counts"] == {"images": 8, "defective": 4, "groups": 4, "defective_groups": 4}
    out = tmp_path / "evaluated"
    assert cli.main(["evaluate", str(tmp_path / "run" / "bundle"), "--out", str(out)]) == 0
    assert json.loads((out / "metrics.json").read_text()) == report


def test_a_folder_of_images_trains_like_synthetic_ones(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("good", "defect", "masks"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for number in range(12):
        image = rng.integers(90, 110, (64, 64), np.uint8)
        if number % 2:
            mask = np.zeros((64, 64), np.uint8)
            mask[20:40, 10:30] = 255
            image[20:40, 10:30] += 80
            cv2.imwrite(str(tmp_path / "set" / "masks" / f"{number}.png"), mask)
        folder = "defect" if number % 2 else "good"
        cv2.imwrite(str(tmp_path / "set" / folder / f"{number}.png"), image)
    settings = toy(format="folder", root=tmp_path / "set")
    dagm_segmentation.run(settings, tmp_path / "run")
    verdict = runtime.Inspector.load(tmp_path / "run" / "bundle").inspect(
        tmp_path / "set" / "good" / "0.png"
    )
    assert verdict.outcome in ("OK", "NG")


def launch(*words, cwd):
    """Run the recipe as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "pipelines.dagm_segmentation", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def test_a_misspelt_field_ends_with_2_and_says_what_was_meant(tmp_path):
    path = tmp_path / "wrong.yaml"
    text = (PIPELINES / "dagm_segmentation.yaml").read_text()
    path.write_text(text.replace("  epochs:", "  epoch:"))
    ended = launch("--config", str(path), "--out", str(tmp_path / "run"), cwd=ROOT)
    assert ended.returncode == 2
    assert "Perhaps you meant 'train.epochs'" in ended.stderr
    assert not (tmp_path / "run").exists()
    ended = launch("--train.epoch", "3", "--out", str(tmp_path / "run"), cwd=ROOT)
    assert ended.returncode == 2
    assert "--train.epochs" in ended.stdout + ended.stderr
    assert not (tmp_path / "run").exists()


def test_a_missing_root_ends_with_2_and_an_absent_one_with_3(tmp_path, monkeypatch):
    real = str(PIPELINES / "dagm_real.yaml")
    script = dagm_segmentation.__file__
    monkeypatch.setattr(sys, "argv", ["x", "--config", real, "--out", str(tmp_path / "a")])
    assert command_line.launch(dagm_segmentation.Config, dagm_segmentation.run, script) == 2
    words = ["--data.root", str(tmp_path / "none"), "--out", str(tmp_path / "b")]
    monkeypatch.setattr(sys, "argv", ["x", "--config", real, *words])
    assert command_line.launch(dagm_segmentation.Config, dagm_segmentation.run, script) == 3
    status = json.loads((tmp_path / "b" / "status.json").read_text())
    assert status["state"] == "failed"
    assert status["exit_code"] == 3
