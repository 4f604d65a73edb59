import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import config, images

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


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
