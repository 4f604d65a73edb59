import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import bench, bundle, cli, config, errors, images, runtime
from inspection_tf.datasets import corners, photographed, sources
from inspection_tf.export import gate
from inspection_tf.training import ladder
from pipelines import certificate_corners

PIPELINES = Path(__file__).parents[2] / "pipelines"
PHOTO = {"size": (96, 128)}


def toy(**changes):
    """The settings shipped, but for what costs time."""
    path = PIPELINES / "certificate_corners.yaml"
    values = config.load(certificate_corners.Config, path).model_dump()
    values["data"] |= {"count": 40, "unseen_count": 10, "tune": 0.25}
    for name in ("certificate", "unseen"):
        values["data"][name]["photo"] |= PHOTO
    values["preprocessing"]["size"] = (48, 64)
    values["locator"]["model"] |= {"filters": (4, 8), "raised": 1}
    values["refiner"]["model"] |= {"filters": (4, 8), "raised": 1}
    values["refiner"]["closeups"]["size_px"] = 16
    for name, shown in (("locator", 16), ("refiner", 64)):
        values[name]["loader"] |= {"batch_size": 8, "images_per_epoch": shown}
        values[name]["train"] |= {"epochs": 2, "validate_every": 1, "pictures": 2}
    values["threshold"]["method"] = "f_beta"
    return config.validate(certificate_corners.Config, values | changes, origin="test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("recipe") / "run"
    return out, certificate_corners.run(toy(), out)


@pytest.fixture(scope="module")
def inspector(finished):
    return runtime.Inspector.load(finished[0] / "bundle")


@pytest.fixture
def photos():
    cfg = toy().data
    return photographed.certificates(count=4, spec=cfg.unseen, seed=9)


# The settings


def test_test_pages_have_layouts_fonts_and_backgrounds_that_training_never_saw():
    data = config.load(certificate_corners.Config, PIPELINES / "certificate_corners.yaml").data
    seen, unseen = data.certificate, data.unseen
    assert seen.layouts[1] <= unseen.layouts[0]
    assert not set(seen.fonts) & set(unseen.fonts)
    new = set(unseen.photo.backgrounds) - set(seen.photo.backgrounds)
    assert {"moire", "cells"} <= new
    found = sources.read(data.model_copy(update={"count": 20, "unseen_count": 10}))
    assert [record.split for record in found if record.id.startswith("unseen")] == ["test"] * 10


# A run


def test_the_run_folder_holds_both_looks(finished):
    out, _ = finished
    for look in ("locator", "refiner"):
        for name in ("history.csv", "checkpoints/last.npz", "evaluation/curves.png"):
            assert (out / look / name).is_file(), (look, name)
        assert (out / look / "validation" / "epoch_0002.png").is_file()
        assert "epochs" in (out / look / "evaluation" / "diagnosis.txt").read_text()
    for name in (
        "bundle/model.onnx", "bundle/refiner.onnx", "bundle/source/model.keras",
        "bundle/source/refiner.keras", "bundle/MODEL_CARD.md", "evaluation/metrics.json",
        "evaluation/per_image.csv", "evaluation/worst.png", "evaluation/corners.png",
    ):  # fmt: skip
        assert (out / name).is_file(), name


def test_the_bundle_says_what_it_locates(finished):
    out, report = finished
    manifest = bundle.read(out / "bundle")
    assert (manifest.task, manifest.schema_version) == ("corners", 3)
    assert [graph.name for graph in manifest.graphs] == ["locator", "refiner"]
    assert [output.shape[1] for output in manifest.outputs] == [9, 3]
    assert manifest.classes == ("no field",)
    assert manifest.metrics == report
    assert manifest.parity["max_corner_difference_px"] <= gate.MAX_CORNER_DIFFERENCE_PX
    assert manifest.parity["changed_verdicts"] == []
    card = (out / "bundle" / "MODEL_CARD.md").read_text()
    assert "four corners" in card
    assert "Dice" not in card


def test_metrics_are_those_of_corners(finished):
    out, report = finished
    assert report["counts"] == {"images": 10, "defective": 5}
    for name in ("corner_error_px_mean", "corner_error_relative_mean", "quad_iou_mean"):
        assert report["metrics"][name]["value"] >= 0
    with (out / "evaluation" / "per_image.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert sum(row["quad_iou"] != "" for row in rows) == 5


def test_a_photo_gets_a_verdict_with_corners_in_its_own_pixels(inspector, photos):
    verdict = inspector.inspect(photos[0].read_image())
    assert verdict.guess_xy.shape == (4, 2)
    assert verdict.image_size == (96, 128)
    assert set(verdict.ms) == {"pre", "model", "post"}
    assert 0 <= verdict.confidence <= 1
    assert verdict.score == pytest.approx(1 - verdict.confidence)


def test_the_confidence_is_the_lowest_of_all_looks(inspector, photos):
    prepared = inspector.prepare(photos[0].read_image())
    coarse = inspector.engine.run(prepared.image)[0]
    assert inspector.located(prepared)[8] <= coarse[8]


class Fixed:
    """A network that returns the same whatever it sees."""

    def __init__(self, *rows):
        self.rows, self.seen = np.array(rows, np.float32), None

    def run(self, batch, template=None):
        self.seen = batch
        return self.rows


def fixed(finished, coarse, close):
    manifest = bundle.read(finished[0] / "bundle")
    return runtime.Inspector(manifest, Fixed(coarse), model_sha256="", refiner=Fixed(*close))


FLAT = (0.25, 0.25, 0.75, 0.25, 0.75, 0.5, 0.25, 0.5)  # shares of the network's input


def test_the_second_look_moves_each_corner_along_its_own_sides(finished):
    # A close-up of 16 px spans this share of sqrt(64 x 24) px: what one px in it is of the photo.
    step = toy().refiner.closeups.span * (64 * 24) ** 0.5 / 16
    close = [(0.5 + 1 / 16, 0.5, 0.8), (0.5, 0.5, 0.7), (0.5, 0.5 + 2 / 16, 0.6), (0.5, 0.5, 0.9)]
    inspector = fixed(finished, (*FLAT, 0.95), close)
    found = inspector.located(inspector.prepare(np.zeros((96, 128, 3), np.uint8)))
    moved = found[:8].reshape(4, 2) * (128, 96) - np.array(FLAT).reshape(4, 2) * (128, 96)
    # Top left goes one px along the text; bottom right two px up, into the field.
    expected = [[step, 0], [0, 0], [0, -2 * step], [0, 0]]
    np.testing.assert_allclose(moved, expected, atol=1e-4)
    assert found[8] == pytest.approx(0.6)


def test_corners_without_an_area_get_no_second_look(finished):
    crossed = (0.25, 0.25, 0.75, 0.5, 0.75, 0.25, 0.25, 0.5, 0.9)
    inspector = fixed(finished, crossed, [(0.5, 0.5, 0.1)] * 4)
    prepared = inspector.prepare(np.zeros((96, 128, 3), np.uint8))
    found = inspector.located(prepared)
    assert inspector.refiner.seen is None
    np.testing.assert_allclose(found, crossed, atol=1e-6)
    assert inspector.locate(found, (96, 128)).outcome != "OK"


@pytest.mark.parametrize("place", [0, 8])
def test_what_is_not_finite_is_never_ok(finished, place):
    coarse = [*FLAT, 0.95]
    coarse[place] = np.nan
    inspector = fixed(finished, coarse, [(0.5, 0.5, 0.9)] * 4)
    assert inspector.inspect(np.zeros((96, 128, 3), np.uint8)).outcome == "REVIEW"


def test_a_network_of_another_shape_is_refused(finished):
    inspector = fixed(finished, FLAT, [(0.5, 0.5, 0.9)] * 4)
    with pytest.raises(errors.BundleError, match=r"must return float32 of shape \(1, 9\)"):
        inspector.inspect(np.zeros((96, 128, 3), np.uint8))
    inspector = fixed(finished, (*FLAT, 0.9), [(0.5, 0.5, 0.9)] * 3)
    with pytest.raises(errors.BundleError, match=r"must return float32 of shape \(4, 3\)"):
        inspector.inspect(np.zeros((96, 128, 3), np.uint8))


def test_a_refiner_and_its_close_ups_belong_together(finished):
    manifest = bundle.read(finished[0] / "bundle")
    with pytest.raises(errors.BundleError, match="must have a refiner"):
        runtime.Inspector(manifest, Fixed((*FLAT, 0.9)), model_sha256="")


def test_the_gate_refuses_corners_that_moved(finished):
    from inspection_tf.export.gate import Parity

    parity = Parity(3, 1e-6, 1e-3, 1e-4, (), max_corner_difference_px=0.2)
    with pytest.raises(errors.GateError, match=r"corners within 0\.1 px.*of 0\.2 px"):
        parity.require()
    Parity(3, 1e-6, 1e-3, 1e-4, (), max_corner_difference_px=0.09).require()


# The command line


def test_verify_predict_and_evaluate(finished, photos, tmp_path, capsys):
    root = finished[0] / "bundle"
    assert cli.main(["verify", str(root)]) == 0
    names = []
    for number, record in enumerate(photos):
        names.append(str(tmp_path / f"{number}.png"))
        images.write_png(names[-1], record.read_image())
    out = tmp_path / "out"
    capsys.readouterr()
    assert cli.main(["predict", str(root), *names, "--out", str(out), "--json"]) in (0, 1)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 4
    for number, line in enumerate(lines):
        assert (line["corners_xy"] is None) == (line["outcome"] == "NG")
        assert (out / f"{number}.field.png").exists() == (line["corners_xy"] is not None)
        assert (out / f"{number}.overlay.png").exists()
    assert cli.main(["evaluate", str(root), "--out", str(tmp_path / "again")]) == 0
    for name in ("metrics.json", "per_image.csv"):
        again = (tmp_path / "again" / name).read_bytes()
        assert again == (finished[0] / "evaluation" / name).read_bytes()


def test_evaluate_reads_a_table_of_corners(finished, photos, tmp_path, capsys):
    folder = photographed.write_folder(photos, tmp_path / "set", settings=toy().data.unseen, seed=9)
    root = str(finished[0] / "bundle")
    out = tmp_path / "out"
    assert cli.main(["evaluate", root, str(folder), "--out", str(out)]) == 0
    first = json.loads((out / "metrics.json").read_text())
    assert first["counts"] == {"images": 4, "defective": 2}
    # The same table in another order of columns, which the command is told.
    text = (folder / corners.CSV_NAME).read_text()
    for old, new in (("tl", "p1"), ("tr", "p2"), ("br", "p3"), ("bl", "p4")):
        text = text.replace(f"{old}_", f"{new}_")
    (folder / corners.CSV_NAME).write_text(text)
    asked = ["--order", "tl", "tr", "br", "bl", "--format", "corners"]
    assert cli.main(["evaluate", root, str(folder), "--out", str(tmp_path / "o2"), *asked]) == 0
    assert json.loads((tmp_path / "o2" / "metrics.json").read_text()) == first


def test_bench_times_both_looks_and_another_bundle(finished):
    root = finished[0] / "bundle"
    timings = bench.run(root, repeats=1, with_keras=False, against=root)
    model = bundle.read(root).model_id
    assert [timing.name for timing in timings] == [
        "CPUExecutionProvider", f"{model}: CPUExecutionProvider"
    ]  # fmt: skip
    assert timings[0].outcomes == timings[1].outcomes
    operators = bench.profile(root, repeats=2)
    assert {operator.graph for operator in operators} == {"locator", "refiner"}


@pytest.mark.slow
def test_a_process_that_has_not_built_the_networks_times_them_too(finished):
    root = str(finished[0] / "bundle")
    command = [sys.executable, "-m", "inspection_tf.cli", "bench", root, "--repeats", "1", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line["name"] for line in json.loads(ran.stdout)] == ["CPUExecutionProvider", "keras"]


# Without a second look, with folds, and the search


@pytest.mark.slow
def test_one_look_alone_makes_a_bundle(tmp_path):
    certificate_corners.run(toy(refine=False), tmp_path / "run")
    manifest = bundle.read(tmp_path / "run" / "bundle")
    assert manifest.closeups is None
    assert [graph.name for graph in manifest.graphs] == ["locator"]


@pytest.mark.slow
def test_two_runs_with_one_seed_are_equal_bit_by_bit(finished, tmp_path):
    assert certificate_corners.run(toy(), tmp_path / "run") == finished[1]
    for name in ("bundle/model.onnx", "bundle/refiner.onnx", "evaluation/per_image.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (finished[0] / name).read_bytes()


@pytest.mark.slow
def test_real_photos_of_a_table_without_a_missing_field_are_cross_validated(photos, tmp_path):
    folder = tmp_path / "set"
    shown = photographed.certificates(
        count=12,
        spec=toy().data.certificate.model_copy(update={"without_field_share": 0.0}),
        seed=3,
    )
    photographed.write_folder(shown, folder, settings=toy().data.certificate, seed=3)
    values = toy().model_dump()
    values["data"] |= {"format": "corners", "root": folder, "folds": 2, "unseen": None}
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


def test_a_training_can_start_from_the_weights_of_an_earlier_bundle(finished, tmp_path):
    source = finished[0] / "bundle" / "source"
    values = toy().model_dump()
    for name, file in (("locator", "model.keras"), ("refiner", "refiner.keras")):
        values[name]["weights"] = source / file
        # Too little to move anything: what comes out is what went in.
        values[name]["train"] |= {"learning_rate": 1e-12, "epochs": 1, "warmup_epochs": 0.0}
    cfg = config.validate(certificate_corners.Config, values, origin="test")
    report = certificate_corners.run(cfg, tmp_path / "run")
    name = "corner_error_px_mean"
    before, after = finished[1]["metrics"][name]["value"], report["metrics"][name]["value"]
    # Batch norms settle on the training images again.
    assert after == pytest.approx(before, rel=0.35)


def test_weights_of_another_network_are_refused(finished, tmp_path):
    values = toy().model_dump()
    values["locator"]["weights"] = finished[0] / "bundle" / "source" / "refiner.keras"
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
