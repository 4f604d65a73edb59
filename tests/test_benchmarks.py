import asyncio
import dataclasses
import importlib.util
import json
import math
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toy_records
from image_rows import of_map

from benchmarks import service_load
from inspection_tf import config, errors, images
from inspection_tf.config import bases
from inspection_tf.models import patching
from pipelines import dagm_segmentation, two_stage_defects

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
BUNDLE = Path(__file__).parent / "bundles" / "schema_4_segmentation"


def script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cascade():
    return script("cascade")


def test_fine_tuning_reuses_a_run_that_finished_with_these_settings_alone(tmp_path, monkeypatch):
    tuning = script("fine_tuning")
    weights = tmp_path / "some.weights.h5"
    arm = tuning.arms(weights, 4, 1e-4)["pretrained, two phases"]
    options = {"root": tmp_path, "seed": 1, "size": 64, "epochs": 4}
    cfg, other = (tuning.settings(arm, images=images, **options) for images in (8, 16))
    asked = []

    def run(given, out):
        asked.append(given)
        (out / "evaluation").mkdir(parents=True, exist_ok=True)
        (out / "config.yaml").write_text(config.to_yaml(given))
        (out / "status.json").write_text('{"state": "finished"}')
        (out / "evaluation" / "metrics.json").write_text('{"metrics": {"x": 1}}')

    monkeypatch.setattr(tuning.recipe, "run", run)
    assert [tuning._measured(tmp_path / "a", cfg) for _ in range(2)] == [{"x": 1}] * 2
    assert asked == [cfg]
    tuning._measured(tmp_path / "a", other)
    assert asked == [cfg, other]
    # One that ended between the bundle and its measurement is run to its end.
    (tmp_path / "a" / "status.json").write_text('{"state": "running"}')
    tuning._measured(tmp_path / "a", other)
    assert asked == [cfg, other, other]


def _measured_splits(folder, right, splits=4):
    """Leave what `benchmarks.choose` keeps of finished runs: which of 20 groups are right."""
    for split in range(splits):
        rows = [
            of_map(
                f"{group:02}",
                is_ng=True,
                outcome="NG" if group in right[split] else "OK",
                score=0.9 if group in right[split] else 0.1,
            )
            for group in range(20)
        ]
        path = folder / str(split)
        path.mkdir(parents=True)
        values = {"rows": rows, "classes": ("defect",), "minutes": 1.5}
        (path / "rows.pickle").write_bytes(pickle.dumps(values))


def test_a_configuration_is_chosen_where_it_is_ahead_beyond_noise(tmp_path, monkeypatch, capsys):
    choose = script("choose")
    for name in ("simple", "lucky", "better"):
        (tmp_path / f"{name}.yaml").write_text("{}")
    half = [set(range(0, 20, 2))] * 4
    # One group more or less in each split is luck; eight groups more are not.
    lucky = [half[0] | {1}, half[0] | {3}, half[0] - {0}, half[0] | {5}]
    better = [half[0] | {1, 3, 5, 7, 9, 11, 13, 15}] * 4
    for name, right in (("simple", half), ("lucky", lucky), ("better", better)):
        _measured_splits(tmp_path / "out" / name, right)
    words = [f"{tmp_path}/{name}.yaml" for name in ("simple", "lucky")]
    options = ["--out", str(tmp_path / "out"), "--splits", "4"]
    monkeypatch.setattr(sys, "argv", ["choose", "two_stage_defects", *words, *options])
    assert choose.main() == 0
    assert "chosen: simple" in capsys.readouterr().out
    words.append(f"{tmp_path}/better.yaml")
    monkeypatch.setattr(sys, "argv", ["choose", "two_stage_defects", *words, *options])
    assert choose.main() == 0
    out = capsys.readouterr().out
    assert "better - simple" in out
    assert "chosen: better" in out
    monkeypatch.setattr(sys, "argv", ["choose", "two_stage_defects", words[0], *options])
    with pytest.raises(errors.ConfigError, match="needs two configurations"):
        choose.main()


def test_variants_of_the_simplest_stand_in_one_file(tmp_path):
    choose = script("choose")
    folder, out = tmp_path / "recipes", tmp_path / "out"
    folder.mkdir()
    (folder / "base.yaml").write_text("model: {width: 4, depth: 2}\nepochs: 8\n")
    (folder / "small.yaml").write_text("base: base.yaml\nepochs: 2\n")
    file = tmp_path / "tried.yaml"
    file.write_text("wide: {model: {width: 9}}\nlong:\n  epochs: 30\n")
    given = choose.Options("recipe", (folder / "small.yaml",), out, variants=file)
    found = choose.with_variants(given).configurations
    assert [path.stem for path in found] == ["small", "wide", "long"]
    assert bases.read(found[1]).values == {"model": {"width": 9, "depth": 2}, "epochs": 2}
    assert bases.read(found[2]).values == {"model": {"width": 4, "depth": 2}, "epochs": 30}
    for text in ("small: {epochs: 3}\n", "wide: 3\n"):
        file.write_text(text)
        with pytest.raises(errors.ConfigError, match=r"a variant must be a name of its own"):
            choose.with_variants(given)


def test_the_variants_of_tiles_are_configurations(tmp_path):
    choose = script("choose")
    simplest = Path(dagm_segmentation.__file__).with_name("magnetic_tile.yaml")
    given = choose.Options(
        "two_stage_defects", (simplest,), tmp_path, variants=BENCHMARKS / "tiles.yaml"
    )
    plain, *others = [
        config.load(two_stage_defects.Config, path)
        for path in choose.with_variants(given).configurations
    ]
    assert len(others) >= 5
    assert all(other != plain for other in others)


@pytest.mark.slow
def test_a_run_of_a_comparison_ends_with_its_sealed_images_measured(tmp_path):
    choose = script("choose")
    path = tmp_path / "small.yaml"
    base = Path(dagm_segmentation.__file__).with_suffix(".yaml")
    shutil.copy(base, tmp_path)
    path.write_text(
        f"base: {base.name}\ndata: {{count: 48, surface: {{size: [64, 64]}}}}\n"
        "preprocessing: {size: [64, 64]}\nmodel: {filters: [4, 8]}\n"
        "loader: {images_per_epoch: 8, batch_size: 4}\ntrain: {epochs: 1}\n"
    )
    options = choose.Options(
        "dagm_segmentation", (path, path), tmp_path / "out", share=0.25, set=(("seed", "7"),)
    )
    found = choose.run(options, path, 3)
    folder = tmp_path / "out" / "small" / "3"
    config_text = (folder / "config.yaml").read_text()
    assert "seed: 7" in config_text
    assert "sealed: 0.25" in config_text
    assert len(found["rows"]) == 12
    assert json.loads((folder / "sealed.json").read_text())["looks"][0]["number"] == 1
    assert choose.run(options, path, 3)["minutes"] == found["minutes"]  # it is not repeated
    assert len(json.loads((folder / "sealed.json").read_text())["looks"]) == 1
    options = dataclasses.replace(options, set=(("train.epochs", "none"),))
    with pytest.raises(errors.InspectionError, match=r"Got exit code 2 of small on split 4"):
        choose.run(options, path, 4)


@pytest.mark.slow
def test_the_table_of_backbones_holds_both_with_finite_figures(tmp_path):
    ended = subprocess.run(
        [sys.executable, str(BENCHMARKS / "backbones.py"), "--quick", "--out", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    rows = json.loads((tmp_path / "backbones.json").read_text())
    assert [row.pop("backbone") for row in rows] == ["vgg10", "mobilenet"]
    for row in rows:
        for name, value in row.items():
            assert math.isfinite(value), name
            # Two steps of training may find nothing yet.
            assert 0 <= value <= 1 if name.endswith("_iou") else value > 0, name
    vgg10, mobilenet = rows
    assert mobilenet["macs_m"] < vgg10["macs_m"]
    lines = (tmp_path / "backbones.md").read_text().splitlines()
    assert len(lines) == 4  # heading, rule and two backbones
    assert len({line.count("|") for line in lines}) == 1
    for name in ("vgg10", "mobilenet", *vgg10):
        assert name in "\n".join(lines)
        assert name in ended.stdout


@pytest.mark.parametrize(
    ("escapes", "overkill"),
    [
        (0, 2),  # at 0.2, the lowest defective score: 0.5 and 0.7
        (1, 1),  # at 0.6: 0.7
        (2, 0),  # at 0.9
        (3, 0),  # all may escape: still at 0.9
    ],
)
def test_overkill_is_counted_at_the_highest_threshold_with_so_many_escapes(
    cascade, escapes, overkill
):
    score = np.array([0.1, 0.2, 0.5, 0.6, 0.7, 0.9])
    is_defect = np.array([False, True, False, True, False, True])
    assert cascade.overkill_at(score, is_defect, escapes) == overkill


def test_a_cascade_is_compared_with_its_own_segmenter(cascade, toy_cascade, tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    assert cascade.main(toy_cascade.path, out=out) == 0
    lines = capsys.readouterr().out.splitlines()
    # A third of twelve images is tested, two of them defective; both networks know all by heart.
    assert lines[0] == "4 images, 2 defective; 0 escapes in both"
    said = [" ".join(line.split()) for line in lines]
    assert said[1] == "cascade 0 of 2 good images overkill (0.000)"
    assert said[2] == "segmenter alone 0 of 2 good images overkill (0.000)"
    assert said[3] == "ratio nan"
    assert images.read(out / "joint_thresholds.png").ndim == 3


@pytest.fixture(scope="module")
def inserts():
    return script("insert_strategies")


def test_photos_are_cut_as_a_network_of_patches_cuts_them(inserts):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 2, 48, 64, 1), np.uint8)
    seen = images.Preprocessing(size=(48, 64))
    view = inserts.View(seen, patching.PatchSpec(size_px=32, stride_px=16))
    found = inserts.cut(pixels, view)
    assert found.shape == (3, 2, 6, 32, 32, 1)
    for version, photos in enumerate(pixels):
        # The network puts them along the batch: (patches * photos, ...).
        expected = np.asarray(patching.cut(photos, view.patches)).reshape(6, 2, 32, 32, 1)
        np.testing.assert_array_equal(found[version].swapaxes(0, 1), expected)


def test_patches_along_the_rows_and_along_the_batch_are_told_apart(inserts):
    features = np.random.default_rng(1).normal(size=(2, 3, 4, 5, 1)).astype(np.float32)
    stacked = np.asarray(inserts.patching_rows(features.reshape(2, 12, 5, 1), 3))
    np.testing.assert_array_equal(stacked, np.moveaxis(features, 1, 0).reshape(6, 4, 5, 1))
    together = np.asarray(patching.ByImage(patches=3)(stacked[:, 0, 0]))
    np.testing.assert_array_equal(together, features[:, :, 0, 0])


def test_each_photo_is_tested_by_what_saw_neither_it_nor_its_series(inserts):
    records = toy_records.make(20, group=lambda n: "abcde"[n // 4])
    series = np.array(records.groups)
    photos = inserts.Photos(
        inserts.VIEWS["whole"], np.arange(20) % 2, tuple(series), ("OK", "worn"),
        *[np.zeros(0)] * 4, None,
    )  # fmt: skip
    seen = {"plain": [], "series left out": []}

    def strategy(photos, train, test, groups):
        kind = "series left out" if list(groups) == list(records.groups) else "plain"
        seen[kind].append(len(set(series[train]) & set(series[test])))
        assert sorted([*train, *test]) == list(range(20))
        return np.stack([test, 1.0 - test], axis=1)

    found = inserts.validate(strategy, photos, records, repeats=2)
    assert {kind: len(rounds) for kind, rounds in found.items()} == {
        "plain": 2,
        "series left out": 1,
    }
    for probability in (*found["plain"], *found["series left out"]):
        np.testing.assert_array_equal(probability[:, 0], np.arange(20))
    assert seen["series left out"] == [0] * 5
    assert len(seen["plain"]) == 10
    assert max(seen["plain"]) > 0


def test_what_was_found_is_compared_and_drawn(inserts, tmp_path, capsys):
    records = toy_records.make(20, group=lambda n: "abcde"[n // 4])
    rng = np.random.default_rng(0)
    sure = np.array([record.label for record in records]) * 0.6 + 0.2

    def told(noise):
        ng = np.clip(sure + rng.normal(0, noise, (1, 20)), 0.01, 0.99)
        return np.stack([1 - ng, ng], axis=-1).tolist()

    kept = {
        f"series left out/{view}/{name}": told(noise)
        for view, name, noise in (
            ("whole", "features", 0.5), ("corner", "features", 0.05), ("corner", "frozen", 0.2),
        )
    }  # fmt: skip
    inserts.report({**kept, "plain/whole/features": told(0.1)}, records, tmp_path)
    printed = capsys.readouterr().out
    assert printed.count("| p ") == 2
    assert "corner" in printed
    assert {path.name for path in tmp_path.iterdir()} == {
        "roc.png",
        "confusion.png",
        "reliability.png",
    }


def test_the_learning_curve_tests_series_that_never_teach(inserts):
    records = toy_records.make(36, group=lambda n: "abcdefghi"[n // 4])
    label = np.array([record.label for record in records])
    vectors = np.random.default_rng(0).normal(size=(1, 36, 1, 6)) + 2 * label[None, :, None, None]
    photos = inserts.Photos(
        inserts.VIEWS["corner"], label, tuple(records.groups), ("OK", "worn"),
        np.zeros(0), np.zeros(0), vectors, np.zeros(0), None,
    )  # fmt: skip
    points = inserts.learning_curve(photos, records)
    assert points[-1].images == 24  # two thirds of the series
    assert points[-1].estimate.value > 0.9


@pytest.fixture(scope="module")
def served():
    return service_load.Case.of(BUNDLE, BUNDLE / "golden")


@pytest.mark.slow
def test_under_load_all_is_answered_rightly_or_refused_with_a_time_to_come_back(served):
    (found,) = asyncio.run(service_load.load(served, [5], 5.0))
    statuses = {one.status for _, one in found.answers}
    assert statuses == {200, 503}
    assert found.unexplained == {}
    assert found.wrong == 0
    assert "0 wrong" in found.told()


@pytest.mark.slow
def test_of_many_requests_the_bad_ones_alone_are_refused(served):
    found = asyncio.run(service_load.many(served, 500))
    assert found.statuses == {200: 500 - found.bad, 422: found.bad}
    assert 0 < found.bad < 100  # a tenth of them
    assert found.wrong == 0


@pytest.mark.slow
def test_no_request_fails_while_bundles_take_over_or_are_refused(served):
    found = asyncio.run(service_load.swaps(served, 6))
    assert found.results == {"taken": 5, "refused": 1}
    assert found.statuses.keys() == {200}
    assert found.wrong == 0


@pytest.mark.slow
def test_what_was_accepted_is_answered_by_a_service_that_is_told_to_stop(served):
    found = asyncio.run(service_load.stops(served, 3))
    assert found.codes == {errors.SIGTERM: 3}
    assert found.statuses.keys() <= {200, 503, 0}
    assert found.statuses[503] > 0  # while it says that it stops
    assert found.lost == 0
