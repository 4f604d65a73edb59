"""`inspection evaluate --robustness` on bundles that were shipped."""

import csv
import json
from pathlib import Path

import pytest

from inspection_tf import cli
from inspection_tf.evaluation import robustness
from inspection_tf.synthesis import surface

BUNDLE = Path(__file__).parents[1] / "bundles" / "schema_4_segmentation"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two good and two defective images of 64 x 64 px."""
    folder = tmp_path_factory.mktemp("robustness") / "set"
    spec = surface.SurfaceSpec(size=(64, 64))
    surface.write_folder(folder, count=4, defective_fraction=0.5, spec=spec, seed=5)
    return folder


def evaluated(root, out, *words):
    command = ["evaluate", str(BUNDLE), str(root), "--format", "folder", "--out", str(out)]
    assert cli.main([*command, *words]) == 0


def test_evaluate_says_how_verdicts_fare_on_perturbed_images(root, tmp_path, capsys):
    evaluated(root, tmp_path / "with", "--robustness")
    shown = capsys.readouterr().out
    with (tmp_path / "with" / "robustness.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["perturbation"], line["strength"]) for line in lines] == [
        (name, strength)
        for name in robustness.PERTURBATIONS
        for strength in ("0.0", "0.25", "0.5", "0.75", "1.0")
    ]
    report = json.loads((tmp_path / "with" / "metrics.json").read_text())
    as_they_are = report["metrics"]["ok_ng_accuracy"]["value"]
    assert {line["images"] for line in lines} == {"4"}
    assert {float(line["ok_ng_accuracy"]) for line in lines[::5]} == {as_they_are}
    assert (tmp_path / "with" / "robustness.png").stat().st_size > 10_000
    assert all(name in shown for name in robustness.PERTURBATIONS)
    # All else is as it is without.
    evaluated(root, tmp_path / "without")
    files = {path.name for path in (tmp_path / "without").iterdir()}
    more = {path.name for path in (tmp_path / "with").iterdir()} - files
    assert more == {"robustness.csv", "robustness.png"}
    for name in ("metrics.json", "per_image.csv"):
        first, second = ((tmp_path / f / name).read_bytes() for f in ("with", "without"))
        assert first == second
