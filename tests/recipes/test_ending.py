import subprocess
import types

import image_rows
import numpy as np
import pytest
import toy_records

from inspection_tf import bundle, config, decision, evaluation, thresholds
from inspection_tf.datasets import data_spec, records
from inspection_tf.recipes import ending
from inspection_tf.tasks.segmentation.labels import MaskLabels
from inspection_tf.training.runs.run_folder import RunFolder


class Settings(config.Section):
    rate: float
    """Of learning, per step."""


def provenance():
    found = toy_records.make(3)
    parts = {
        "train": records.Records.of(found.items[:2]),
        "test": records.Records.of(found.items[2:]),
    }
    data = data_spec.DataSpec(format="synthetic", count=3)
    made = ending.provenance("toy", Settings(rate=2), data, found, parts, seed=5)
    return made, found, data


def test_provenance_says_what_a_later_conversion_needs():
    made, found, data = provenance()
    assert (made.recipe, made.seed, made.config) == ("toy", 5, {"rate": 2.0})
    assert made.data.sha256 == found.sha256()
    assert made.data.splits == {"train": ["00", "01"], "test": ["02"]}
    assert data_spec.DataSpec.model_validate(made.data.source) == data
    assert {"python", "keras", "onnxruntime"} <= set(made.versions)


def test_provenance_names_the_commit_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert provenance()[0].commit is None

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "first")
    commit = provenance()[0].commit
    assert commit is not None
    assert len(commit) == 40


def test_provenance_needs_no_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance()[0].commit is None


def result(name, score, *, is_ng):
    found = 4 if score >= 0.5 else 0
    return image_rows.of_map(
        name,
        is_ng=is_ng,
        outcome="NG" if score >= 0.5 else "OK",
        score=score,
        overlap=found * is_ng,
        true=4 * is_ng,
        found=found,
    )


@pytest.mark.parametrize("split", ["test", "out_of_fold"])
def test_a_run_ends_with_its_evaluation_a_table_and_the_next_commands(split, tmp_path, capsys):
    run = RunFolder(tmp_path, is_resumed=False)
    point = thresholds.OperatingPoint(threshold=0.5, mask_threshold=0.5)
    rows = [
        result("a", 0.9, is_ng=True),
        result("b", 0.1, is_ng=False),
        result("c", 0.7, is_ng=False),
    ]
    report = evaluation.report(rows, split=split, operating_point=point, dataset_sha256="0" * 64)
    data = bundle.Data(format="synthetic", sha256="0" * 64, splits={"train": [], split: []})

    def show(name):
        probability = np.zeros((8, 8), np.float32)
        verdict = decision.decide(probability, point, decision.Rules())
        labels = MaskLabels(np.zeros((8, 8), np.uint8), None)
        return evaluation.Look(np.zeros((8, 8), np.uint8), labels, verdict)

    shipped = types.SimpleNamespace(
        manifest=types.SimpleNamespace(
            task="segmentation",
            operating_point=point,
            provenance=types.SimpleNamespace(data=data),
        ),
        rows=rows,
        report=report,
        show=show,
    )
    assert ending.report(run, shipped) == report
    for name in ("metrics.json", "per_image.csv", "pr.png", "roc.png", "scores.png", "worst.png"):
        assert (tmp_path / "evaluation" / name).is_file(), name
    printed = capsys.readouterr().out
    assert "dice_defective" in printed
    # A network that was cross-validated has seen every image; there is no test split to repeat.
    images = "--split test" if split == "test" else "ROOT"
    assert f"inspection evaluate {tmp_path}/bundle {images} --out DIR" in printed
    assert f"inspection verify {tmp_path}/bundle" in printed
