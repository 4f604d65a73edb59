import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from field_recipe import PIPELINES, toy
from gate_checks import compared

from inspection_tf import bench, bundle, cli, config, errors, images, runtime, tasks
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.drawn import photos as drawn_photos
from inspection_tf.datasets.readers.located import corners
from inspection_tf.export import gate, onnx
from inspection_tf.tasks.fields.learning import network as locators
from inspection_tf.training import initial_weights
from pipelines import certificate_corners

CORNERS = tasks.get("corners").limits["corner_difference_px"]


@pytest.fixture(scope="module")
def inspector(field_run):
    return runtime.Inspector.load(field_run[0] / "bundle")


@pytest.fixture
def photos():
    cfg = toy().data
    return drawn_photos.certificates(count=4, spec=cfg.unseen, seed=9)


# The settings


def test_test_pages_have_layouts_fonts_and_backgrounds_that_training_never_saw():
    data = config.load(certificate_corners.Config, PIPELINES / "certificate_corners.yaml").data
    seen, unseen = data.certificate, data.unseen
    assert seen.layouts[1] <= unseen.layouts[0]
    assert not set(seen.fonts) & set(unseen.fonts)
    new = set(unseen.photo.backgrounds) - set(seen.photo.backgrounds)
    assert {"moire", "cells"} <= new
    found = data_spec.read(data.model_copy(update={"count": 20, "unseen_count": 10}))
    assert [record.split for record in found if record.id.startswith("unseen")] == ["test"] * 10


# A run


def test_the_run_folder_holds_both_looks(field_run):
    out, _ = field_run
    for look in ("locator", "refiner"):
        for name in ("history.csv", "checkpoints/last.npz", "evaluation/curves.png"):
            assert (out / look / name).is_file(), (look, name)
        assert (out / look / "validation" / "epoch_0002.png").is_file()
        assert "epochs" in (out / look / "evaluation" / "diagnosis.txt").read_text()
    for name in (
        "bundle/model.onnx", "bundle/refiner.onnx", "bundle/source/model.keras",
        "bundle/source/refiner.keras", "bundle/MODEL_CARD.md", "evaluation/metrics.json",
        "evaluation/per_image.csv", "evaluation/worst.png", "evaluation/corners.png", "report.html",
        "config.yaml", "data.json",
    ):  # fmt: skip
        assert (out / name).is_file(), name


def test_the_bundle_says_what_it_locates(field_run):
    out, report = field_run
    manifest = bundle.read(out / "bundle")
    assert (manifest.task, manifest.schema_version) == ("corners", bundle.SCHEMA_VERSION)
    assert [graph.name for graph in manifest.graphs] == ["locator", "refiner"]
    assert [output.shape[1] for output in manifest.outputs] == [9, 3]
    assert manifest.classes == ("no field",)
    assert manifest.metrics == report
    assert manifest.parity["max_corner_difference_px"] <= CORNERS.at_most
    assert manifest.parity["changed_verdicts"] == []
    card = (out / "bundle" / "MODEL_CARD.md").read_text()
    assert "four corners" in card
    assert "Dice" not in card


def test_metrics_are_those_of_corners(field_run):
    out, report = field_run
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
    coarse = inspector.networks["locator"].run(prepared.image)[0]
    assert inspector.array_of(prepared)[8] <= coarse[8]


class Fixed:
    """A network that returns the same whatever it sees."""

    def __init__(self, *rows):
        self.rows, self.seen = np.array(rows, np.float32), None

    def run(self, batch, template=None):
        self.seen = batch
        return self.rows


def fixed(manifest, coarse, close):
    networks = {"locator": Fixed(coarse), "refiner": Fixed(*close)}
    return runtime.Inspector(manifest, networks, model_sha256="")


@pytest.fixture
def manifest(field_run):
    return bundle.read(field_run[0] / "bundle")


FLAT = (0.25, 0.25, 0.75, 0.25, 0.75, 0.5, 0.25, 0.5)  # shares of the network's input


def test_the_second_look_moves_each_corner_along_its_own_sides(manifest):
    # A close-up of 16 px spans this share of sqrt(64 x 24) px: what one px in it is of the photo.
    step = toy().refiner.closeups.span * (64 * 24) ** 0.5 / 16
    close = [(0.5 + 1 / 16, 0.5, 0.8), (0.5, 0.5, 0.7), (0.5, 0.5 + 2 / 16, 0.6), (0.5, 0.5, 0.9)]
    inspector = fixed(manifest, (*FLAT, 0.95), close)
    found = inspector.array_of(inspector.prepare(np.zeros((96, 128, 3), np.uint8)))
    moved = found[:8].reshape(4, 2) * (128, 96) - np.array(FLAT).reshape(4, 2) * (128, 96)
    # Top left goes one px along the text; bottom right two px up, into the field.
    expected = [[step, 0], [0, 0], [0, -2 * step], [0, 0]]
    np.testing.assert_allclose(moved, expected, atol=1e-4)
    assert found[8] == pytest.approx(0.6)


def test_corners_without_an_area_get_no_second_look(manifest):
    crossed = (0.25, 0.25, 0.75, 0.5, 0.75, 0.25, 0.25, 0.5, 0.9)
    inspector = fixed(manifest, crossed, [(0.5, 0.5, 0.1)] * 4)
    prepared = inspector.prepare(np.zeros((96, 128, 3), np.uint8))
    found = inspector.array_of(prepared)
    assert inspector.networks["refiner"].seen is None
    np.testing.assert_allclose(found, crossed, atol=1e-6)
    assert inspector.judge(prepared).outcome != "OK"


@pytest.mark.parametrize("place", [0, 8])
def test_what_is_not_finite_is_never_ok(manifest, place):
    coarse = [*FLAT, 0.95]
    coarse[place] = np.nan
    inspector = fixed(manifest, coarse, [(0.5, 0.5, 0.9)] * 4)
    assert inspector.inspect(np.zeros((96, 128, 3), np.uint8)).outcome == "REVIEW"


def test_a_network_of_another_shape_is_refused(manifest):
    inspector = fixed(manifest, FLAT, [(0.5, 0.5, 0.9)] * 4)
    with pytest.raises(errors.BundleError, match=r"must return float32 of shape \(1, 9\)"):
        inspector.inspect(np.zeros((96, 128, 3), np.uint8))
    inspector = fixed(manifest, (*FLAT, 0.9), [(0.5, 0.5, 0.9)] * 3)
    with pytest.raises(errors.BundleError, match=r"must return float32 of shape \(4, 3\)"):
        inspector.inspect(np.zeros((96, 128, 3), np.uint8))


def test_a_refiner_and_its_close_ups_belong_together(manifest):
    with pytest.raises(errors.BundleError, match="must be those of the manifest, locator, refiner"):
        runtime.Inspector(manifest, {"locator": Fixed((*FLAT, 0.9))}, model_sha256="")
    settings = manifest.settings.model_copy(update={"closeups": None})
    alone = manifest.model_copy(update={"settings": settings, "graphs": manifest.graphs[:1]})
    with pytest.raises(errors.BundleError, match=r"must be those of the manifest, locator\. Got"):
        fixed(alone, (*FLAT, 0.9), [(0.5, 0.5, 0.9)] * 4)


def test_the_gate_refuses_corners_that_moved():
    name = "corner_difference_px"

    def parity(px):
        return gate.Parity(3, 1e-6, 1e-3, 1e-4, (), distances={name: px}, limits={name: CORNERS})

    with pytest.raises(errors.GateError, match=r"corners within 0\.1 px.*of 0\.2 px"):
        parity(0.2).require()
    parity(0.09).require()


# The command line


def test_verify_predict_and_evaluate(field_run, photos, tmp_path, capsys):
    root = field_run[0] / "bundle"
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
        assert again == (field_run[0] / "evaluation" / name).read_bytes()


def test_evaluate_reads_a_table_of_corners(field_run, photos, tmp_path, capsys):
    folder = drawn_photos.write_folder(photos, tmp_path / "set", settings=toy().data.unseen, seed=9)
    root = str(field_run[0] / "bundle")
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


def test_a_bundle_of_fields_gets_its_threshold_by_a_method(field_run, tmp_path, capsys):
    root = shutil.copytree(field_run[0] / "bundle", tmp_path / "bundle")
    assert cli.main(["threshold", str(root), "--recall", "0.5"]) == 0
    point = runtime.Inspector.load(root).manifest.operating_point
    assert (point.method, point.parameters) == ("recall", {"min_recall": 0.5})
    assert point.tune["recall"] >= 0.5
    assert "on the tune images: " in capsys.readouterr().out


def test_bench_times_both_looks_and_another_bundle(field_run):
    root = field_run[0] / "bundle"
    timings = bench.run(root, repeats=1, with_keras=False, against=root)
    model = bundle.read(root).model_id
    assert [timing.name for timing in timings] == [
        "CPUExecutionProvider", f"{model}: CPUExecutionProvider"
    ]  # fmt: skip
    assert timings[0].outcomes == timings[1].outcomes
    operators = bench.profile(root, repeats=2)
    assert {operator.graph for operator in operators} == {"locator", "refiner"}


@pytest.mark.slow
def test_a_process_that_has_not_built_the_networks_times_them_too(field_run):
    root = str(field_run[0] / "bundle")
    command = [sys.executable, "-m", "inspection_tf.cli", "bench", root, "--repeats", "1", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [(line["name"], line["batch_size"]) for line in json.loads(ran.stdout)] == [
        (name, size) for name in ("CPUExecutionProvider", "keras") for size in (1, 4)
    ]


def test_the_integrators_page_says_which_corner_is_which(field_run):
    text = (field_run[0] / "bundle" / "INTEGRATION.md").read_text()
    assert "top left, top right, bottom right, bottom left of the text" in text
    spec = bundle.read(field_run[0] / "bundle").settings.closeups
    assert f"{spec.size_px} px for {spec.span:g} times the square root of the field's area" in text
    assert len([line for line in text.splitlines() if line[:1].isdigit()]) == 10


class Aside:
    """A network whose corners are moved aside."""

    def __init__(self, network, by):
        self.network, self.by = network, by

    def run(self, batch, template=None):
        output = np.array(self.network.run(batch))
        output[:, :-1] += np.float32(self.by)
        return output


@pytest.fixture(scope="module")
def looks(field_run):
    """A first look that always says the same, and the second one of the toy run."""
    first = locators.build(image_size=(48, 64), head="dense", filters=(4, 4))
    dense = first.get_layer("coordinates")
    dense.set_weights([np.zeros(dense.kernel.shape), np.array(FLAT)])
    path = field_run[0] / "bundle" / "source" / "refiner.keras"
    return {"locator": locators.deployed(first), "refiner": initial_weights.load_network(path)}


@pytest.mark.parametrize(
    ("look", "by", "px"),
    # 0.01 of 128 x 96 px aside; and of a close-up, which shows 0.75 of sqrt(64 x 24) px: 0.59 px.
    [("", 0.0, 0.0), ("locator", 0.01, 1.6), ("refiner", 0.02, 0.02 * 0.75 * 39.19 * 2**0.5)],
)
def test_the_gate_compares_both_looks(manifest, looks, photos, look, by, px):
    never_ng = manifest.operating_point.model_copy(update={"threshold": 1.1})
    networks = {name: runtime.Engine(onnx.convert(model)) for name, model in looks.items()}
    if look:
        networks[look] = Aside(networks[look], by)
    inspector = runtime.Inspector(
        manifest.model_copy(update={"operating_point": never_ng}), networks, model_sha256=""
    )
    parity = compared(looks, inspector, photos)
    assert parity.distances["corner_difference_px"] == pytest.approx(px, abs=1e-3)
    assert parity.passed == (not look)
