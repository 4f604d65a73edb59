import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import cli, config, errors, images, runtime
from inspection_tf.datasets import data_spec
from pipelines import insert_wear

PIPELINES = Path(__file__).parents[2] / "pipelines"
SIZE = (64, 96)


def toy(name="insert_wear", **changes):
    values = config.load(insert_wear.Config, PIPELINES / f"{name}.yaml").model_dump()
    values["preprocessing"]["size"] = SIZE
    for stage in (values["classifier"], values["wear"]["segmenter"]):
        stage["loader"] |= {"images_per_epoch": 8, "batch_size": 4}
        stage["train"] |= {"epochs": 1, "validate_every": 1, "pictures": 0}
    if name == "insert_wear":
        values["data"] |= {"count": 46, "sealed": 0.12}
        values["data"] |= {"insert": {"size": SIZE, "mm_per_px": 0.015}}
        values["mm_per_px"] = 0.015
        values["wear"]["segmenter"]["model"]["decoder_filters"] = (8, 8, 8, 8)
    return config.validate(insert_wear.Config, values | changes, origin="test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("recipe") / "run"
    return out, insert_wear.run(toy(), out)


def test_a_run_leaves_two_bundles_and_their_evaluations(finished):
    out, report = finished
    for folder, task in ((out, "classification"), (out / "wear", "segmentation")):
        manifest = json.loads((folder / "bundle" / "manifest.json").read_text())
        assert manifest["task"] == task
        written = json.loads((folder / "evaluation" / "metrics.json").read_text())
        assert 10_000 < (folder / "report.html").stat().st_size < 6_000_000
        assert written["metrics"] == (
            report if folder == out else report["wear"]
        )["metrics"]  # fmt: skip
    assert {"class_accuracy", "balanced_accuracy", "calibration_error"} <= set(report["metrics"])
    assert {"vb_error_um_mean", "iou_class_flank_wear"} <= set(report["wear"]["metrics"])
    assert (out / "evaluation" / "confusion.png").is_file()


def test_both_bundles_judge_the_same_images_split_alike(finished):
    out, _ = finished
    splits = [
        json.loads((folder / "bundle" / "manifest.json").read_text())["provenance"]["data"][
            "splits"
        ]
        for folder in (out, out / "wear")
    ]
    assert splits[0] == splits[1]
    assert len(splits[0]["sealed"]) == 6  # reading one would have ended the run


def test_the_classifier_shows_where_it_sees_its_class(finished):
    out, _ = finished
    inspector = runtime.Inspector.load(out / "bundle", check_golden=False)
    image = data_spec.read(toy().data)[0].read_image()
    verdict = inspector.inspect(image)
    heat = verdict.pictures()["heat"]
    assert heat.shape == SIZE
    assert set(verdict.to_dict()["class_probability"]) == {"unbroken", "broken"}
    assert np.isclose(sum(verdict.to_dict()["class_probability"].values()), 1.0)


def test_the_run_can_be_measured_again_and_verified(finished, tmp_path):
    out, _ = finished
    for folder in (out, out / "wear"):
        assert cli.main(["verify", str(folder / "bundle")]) == errors.OK
        again = tmp_path / folder.name
        asked = ["evaluate", str(folder / "bundle"), "--split", "test", "--out", str(again)]
        assert cli.main(asked) == errors.OK
        assert (again / "metrics.json").read_bytes() == (
            folder / "evaluation" / "metrics.json"
        ).read_bytes()


def test_a_run_that_was_cut_off_between_its_bundles_is_resumed(finished, tmp_path):
    out, report = finished
    cut = shutil.copytree(out, tmp_path / "run")
    shutil.rmtree(cut / "wear" / "bundle")
    status = json.loads((cut / "status.json").read_text()) | {"state": "interrupted"}
    (cut / "status.json").write_text(json.dumps(status))
    again = insert_wear.run(toy(), cut)
    assert again["metrics"] == report["metrics"]
    assert again["wear"]["metrics"] == report["wear"]["metrics"]
    assert (cut / "wear" / "bundle" / "manifest.json").is_file()


def test_photos_in_a_folder_for_each_class_are_cross_validated(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["file,group"]
    for number in range(12):
        name = f"{'worn' if number % 2 else 'intact'}/{number}.png"
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        images.write_png(tmp_path / "photos" / name, rng.integers(0, 256, (70, 90, 3), np.uint8))
        rows.append(f"{name},series{number // 4}")
    (tmp_path / "photos" / "groups.csv").write_text("\n".join(rows))
    real = toy("insert_real")
    values = real.model_dump()
    values["data"] |= {"root": tmp_path / "photos", "folds": 3}
    values["preprocessing"] |= {"size": (32, 32)}
    values["classifier"] |= {"strategy": "scratch"}
    values["classifier"]["model"]["backbone"] |= {"name": "cnn", "strides": (16,)}
    report = insert_wear.run(
        config.validate(insert_wear.Config, values, origin="test"), tmp_path / "run"
    )
    assert report["split"] == "out_of_fold"
    assert report["counts"]["groups"] == 3
    assert "wear" not in report


def test_wear_of_photos_whose_labels_are_classes_is_refused_before_anything_is_read(tmp_path):
    values = toy("insert_real").model_dump() | {"measure_wear": True}
    values["classifier"] |= {"strategy": "scratch"}
    asked = config.validate(insert_wear.Config, values, origin="test")
    with pytest.raises(errors.ConfigError, match="measure_wear needs drawn inserts"):
        insert_wear.run(asked, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_strategy_without_weights_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(errors.ConfigError, match="strategy features needs a backbone"):
        insert_wear.run(toy("insert_real"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
