import logging
import os
import signal
import subprocess
import types

import image_rows
import numpy as np
import pytest

from inspection_tf import bundle, config, decision, errors, evaluation, thresholds
from inspection_tf.datasets import data_spec, records
from inspection_tf.recipes import stages
from inspection_tf.tasks.segmentation.labels import MaskLabels
from inspection_tf.training.run_folder import RunFolder


class Settings(config.Section):
    rate: float
    """Of learning, per step."""


@pytest.fixture(autouse=True)
def log_as_it_was():
    """`launch` sends the log to the stderr of its moment, which is gone after the test."""
    log = logging.getLogger("inspection_tf")
    handlers, level = log.handlers[:], log.level
    yield
    log.handlers[:] = handlers
    log.setLevel(level)


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """Run a recipe that stands in a folder of its own with its YAML."""
    (tmp_path / "toy.yaml").write_text("rate: 3e-4\n")

    def run(body, *words):
        monkeypatch.setattr("sys.argv", ["toy", *words])
        return stages.launch(Settings, body, str(tmp_path / "toy.py"))

    return run


def test_launch_reads_the_yaml_beside_the_recipe_and_the_command_line(launch, tmp_path):
    seen = []
    assert launch(lambda *given: seen.append(given)) == 0
    assert launch(lambda *given: seen.append(given), "--rate", "0.5", "--out", "here") == 0
    assert [(settings.rate, out and out.name) for settings, out in seen] == [
        (3e-4, None),
        (0.5, "here"),
    ]
    other = tmp_path / "other.yaml"
    other.write_text("rate: 2\n")
    assert launch(lambda *given: seen.append(given), "--config", str(other)) == 0
    assert seen[-1][0].rate == 2


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.DataError("no images"), 3),
        (errors.StorageError("disk full"), 5),
        (errors.DivergedError("not finite"), 6),
        (errors.GateError("differs"), 7),
        (RuntimeError("a bug"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_launch_turns_a_problem_into_its_exit_code_and_a_sentence(launch, capsys, problem, code):
    def body(settings, out):
        raise problem

    assert launch(body) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last == (f"error: {problem}" if str(problem) else "Stopped; what is on disk stays.")


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM is POSIX")
def test_launch_ends_with_143_when_it_is_told_to_stop(launch):
    def body(settings, out):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    assert launch(body) == 143


def test_launch_ends_with_2_at_a_misspelt_field(launch, tmp_path, capsys):
    (tmp_path / "toy.yaml").write_text("rate: 1\nraet: 1\n")
    assert launch(lambda *given: None) == 2
    assert "Perhaps you meant 'rate'" in capsys.readouterr().err


def test_help_lists_the_fields_with_their_units(launch, capsys):
    with pytest.raises(SystemExit) as caught:
        launch(lambda *given: None, "--help")
    assert caught.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "--rate" in shown
    assert "Of learning, per step." in shown
    assert "--out DIR" in shown


# Provenance


class Source:
    def read_image(self, *, orientation="apply"):
        return np.zeros((4, 4), np.uint8)

    def read_mask(self, *, orientation="apply"):
        return np.zeros((4, 4), np.bool_)

    def identity(self):
        return b"4"


def provenance():
    found = records.Records.of(records.Record(f"{n}", False, Source()) for n in range(3))
    parts = {
        "train": records.Records.of(found.items[:2]),
        "test": records.Records.of(found.items[2:]),
    }
    data = data_spec.DataSpec(format="synthetic", count=3)
    made = stages.provenance("toy", Settings(rate=2), data, found, parts, seed=5)
    return made, found, data


def test_provenance_says_what_a_later_conversion_needs():
    made, found, data = provenance()
    assert (made.recipe, made.seed, made.config) == ("toy", 5, {"rate": 2.0})
    assert made.data.sha256 == found.sha256()
    assert made.data.splits == {"train": ["0", "1"], "test": ["2"]}
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


# The end of a run


def result(name, score, *, is_defect):
    found = 4 if score >= 0.5 else 0
    return image_rows.of_map(
        name,
        group="",
        is_ng=is_defect,
        outcome="NG" if score >= 0.5 else "OK",
        score=score,
        overlap=found * is_defect,
        true=4 * is_defect,
        found=found,
    )


@pytest.mark.parametrize("split", ["test", "out_of_fold"])
def test_finish_writes_the_evaluation_and_prints_table_and_next_commands(split, tmp_path, capsys):
    run = RunFolder(tmp_path, is_resumed=False)
    point = thresholds.OperatingPoint(threshold=0.5, mask_threshold=0.5)
    rows = [
        result("a", 0.9, is_defect=True),
        result("b", 0.1, is_defect=False),
        result("c", 0.7, is_defect=False),
    ]
    report = evaluation.report(rows, split=split, operating_point=point, dataset_sha256="0" * 64)
    data = bundle.Data(format="synthetic", sha256="0" * 64, splits={"train": [], split: []})

    def show(name):
        probability = np.zeros((8, 8), np.float32)
        verdict = decision.decide(probability, point, decision.Rules())
        blank = np.zeros((8, 8), np.uint8)
        return evaluation.Look(blank, MaskLabels(blank), verdict)

    shipped = types.SimpleNamespace(
        manifest=types.SimpleNamespace(
            task="segmentation", operating_point=point, provenance=types.SimpleNamespace(data=data)
        ),
        rows=rows,
        report=report,
        show=show,
    )
    assert stages.finish(run, shipped) == report
    for name in ("metrics.json", "per_image.csv", "pr.png", "roc.png", "scores.png", "worst.png"):
        assert (tmp_path / "evaluation" / name).is_file(), name
    printed = capsys.readouterr().out
    assert "dice_defective" in printed
    # A network that was cross-validated has seen every image; there is no test split to repeat.
    images = "--split test" if split == "test" else "ROOT"
    assert f"inspection evaluate {tmp_path}/bundle {images} --out DIR" in printed
    assert f"inspection verify {tmp_path}/bundle" in printed
