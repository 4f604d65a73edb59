import json

import pytest
from field_recipe import toy

from benchmarks import locators
from inspection_tf import bundle, config, errors
from inspection_tf.datasets.drawn import photos
from inspection_tf.recipes import ladder
from pipelines import certificate_corners

# Without a second look, with folds, and the search


@pytest.mark.slow
def test_one_look_alone_makes_a_bundle(tmp_path):
    certificate_corners.run(toy(refine=False), tmp_path / "run")
    manifest = bundle.read(tmp_path / "run" / "bundle")
    assert manifest.settings.closeups is None
    assert [graph.name for graph in manifest.graphs] == ["locator"]


@pytest.mark.slow
def test_two_runs_with_one_seed_are_equal_bit_by_bit(field_run, tmp_path):
    assert certificate_corners.run(toy(), tmp_path / "run") == field_run[1]
    for name in ("bundle/model.onnx", "bundle/refiner.onnx", "evaluation/per_image.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (field_run[0] / name).read_bytes()


@pytest.mark.slow
def test_real_photos_of_a_table_without_a_missing_field_are_cross_validated(tmp_path):
    folder = tmp_path / "set"
    shown = photos.certificates(
        count=12,
        spec=toy().data.certificate.model_copy(update={"without_field_share": 0.0}),
        seed=3,
    )
    photos.write_folder(shown, folder, settings=toy().data.certificate, seed=3)
    values = toy().model_dump()
    values["data"] = toy().data.converted("corners").model_dump() | {"root": folder, "folds": 2}
    cfg = config.validate(certificate_corners.Config, values, origin="test")
    report = certificate_corners.run(cfg, tmp_path / "run")
    assert report["split"] == "out_of_fold"
    assert report["counts"] == {"images": 12, "defective": 0}


def climb(tmp_path, **changes):
    rungs = (
        {"name": "small", "settings": {"size": (24, 32), "model.filters": (4, 4)}},
        {"name": "large", "settings": {"model.filters": (8, 8), "train.epochs": 5}},
        {"name": "never", "settings": {"model.filters": (64, 64)}},
    )
    values = toy().model_dump() | {"search": True}
    values["locator"]["train"]["epochs"] = 4
    values["ladder"] |= {"rungs": rungs, "target": 0.99} | changes
    cfg = config.validate(certificate_corners.Config, values, origin="test")
    return certificate_corners.run(cfg, tmp_path / "run")


@pytest.mark.slow
def test_the_search_ends_on_the_first_size_that_solves(tmp_path, caplog):
    with caplog.at_level("INFO"):
        found = climb(tmp_path)
    assert [step["name"] for step in found["steps"]] == ["small"]
    assert found["smallest"] == "small"
    assert "rung 1 of 3, small" in caplog.text
    assert "solved: val_corner_error is" in caplog.text
    written = json.loads((tmp_path / "run" / "search.json").read_text())
    assert written == found["steps"]
    assert (tmp_path / "run" / "search.png").is_file()
    assert not (tmp_path / "run" / "bundle").exists()


@pytest.mark.slow
def test_the_search_says_why_smaller_sizes_fail(tmp_path, caplog):
    with caplog.at_level("INFO"):
        found = climb(tmp_path, target=1e-9)
    assert found["smallest"] is None
    kinds = [step["kind"] for step in found["steps"]]
    assert len(kinds) == 3
    assert "solved" not in kinds
    assert all("asked for <= 1e-09" in step["diagnosis"] for step in found["steps"])


@pytest.mark.parametrize(
    ("rung", "match"),
    [
        ({"model.width": 3}, "width"),
        ({"loader.batch_size": 3}, "may change size, model.FIELD and train.FIELD"),
        ({"model.filters": (4, 8), "size": (50, 64)}, "divisible by 4"),
    ],
)
def test_a_rung_that_does_not_fit_ends_a_search_before_it_begins(tmp_path, rung, match):
    with pytest.raises(errors.ConfigError, match=match):
        climb(tmp_path, rungs=({"name": "odd", "settings": rung},))


def test_a_search_needs_rungs_of_different_names(tmp_path):
    with pytest.raises(errors.ConfigError, match="no rung"):
        climb(tmp_path, rungs=())
    with pytest.raises(errors.ConfigError, match="names of rungs must differ"):
        climb(tmp_path, rungs=({"name": "a", "settings": {}},) * 2)


def test_the_smallest_is_the_first_that_solved():
    def step(name, kind):
        return ladder.Step(name, kind, kind, 0.1, 1, 1, 1, 1.0)

    steps = [step("a", "underfitting"), step("b", "solved"), step("c", "solved")]
    assert ladder.smallest(steps).name == "b"
    assert ladder.smallest(steps[:1]) is None


# Fine-tuning


@pytest.mark.slow
def test_a_training_can_start_from_the_weights_of_an_earlier_bundle(field_run, tmp_path):
    source = field_run[0] / "bundle" / "source"
    values = toy().model_dump()
    for name, file in (("locator", "model.keras"), ("refiner", "refiner.keras")):
        values[name]["weights"] = source / file
        # Too little to move anything: what comes out is what went in.
        values[name]["train"] |= {"learning_rate": 1e-12, "epochs": 1, "warmup_epochs": 0.0}
    cfg = config.validate(certificate_corners.Config, values, origin="test")
    report = certificate_corners.run(cfg, tmp_path / "run")
    name = "corner_error_px_mean"
    before, after = field_run[1]["metrics"][name]["value"], report["metrics"][name]["value"]
    # Batch norms settle on the training images again.
    assert after == pytest.approx(before, rel=0.35)


def test_weights_of_another_network_are_refused(field_run, tmp_path):
    values = toy().model_dump()
    values["locator"]["weights"] = field_run[0] / "bundle" / "source" / "refiner.keras"
    cfg = config.validate(certificate_corners.Config, values, origin="test")
    with pytest.raises(errors.BundleError, match="must be of the same network"):
        certificate_corners.run(cfg, tmp_path / "run")


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [(None, errors.ConfigError, "absent"), (b"no network", errors.BundleError, "Keras wrote")],
)
def test_weights_that_cannot_be_read_are_refused(tmp_path, data, error, match):
    path = tmp_path / "model.keras"
    if data is not None:
        path.write_bytes(data)
    values = toy().model_dump()
    values["locator"]["weights"] = path
    cfg = config.validate(certificate_corners.Config, values, origin="test")
    with pytest.raises(error, match=match):
        certificate_corners.run(cfg, tmp_path / "run")


# The benchmark


@pytest.mark.slow
def test_the_talks_network_is_trained_for_the_same_time_and_timed_beside(
    field_run, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(locators, "PHOTOS", 16)
    assert locators.main(field_run[0], tmp_path / "talk") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("both looks train for" in line for line in lines)
    row = next(line for line in lines if line.startswith("attempt2")).split()
    assert row[1] == "87,528"
    assert bundle.read(tmp_path / "talk" / "bundle").inputs[0].preprocessing.size == (300, 400)
    assert "times as fast" in lines[-1]
