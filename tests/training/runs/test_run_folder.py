import concurrent.futures
import errno
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inspection_tf import config, errors, files, process
from inspection_tf.training.runs import run_folder

ROOT = Path(__file__).parents[3]


class Settings(config.Section):
    seed: int = 1
    """Of the run."""
    rate: float = 3e-4
    """Of learning."""


def open_run(out, settings=None):
    return run_folder.open_run(out, settings or Settings(), name="recipe")


def status(path):
    return json.loads((path / "status.json").read_text())


def tree(path):
    """Return every file below a folder, but its lock, with its content and time of change."""
    return {
        item.relative_to(path): (item.read_bytes() if item.is_file() else b"", item.stat().st_mtime)
        for item in path.rglob("*")
        if item.name != ".lock"
    }


def finish(path):
    folder = open_run(path)
    with folder.guarded():
        pass
    return folder


def test_a_new_run_has_its_configuration_folders_and_status(tmp_path):
    folder = open_run(tmp_path / "deep" / "run")
    assert not folder.is_resumed
    assert config.load(Settings, folder.path / "config.yaml") == Settings()
    for name in ("checkpoints", "evaluation", "validation", "tensorboard"):
        assert (folder.path / name).is_dir()
    found = status(folder.path)
    assert (found["state"], found["recipe"]) == ("running", "recipe")
    assert (found["exit_code"], found["error"]) == (None, None)
    assert {"python", "keras", "numpy"} <= set(found["versions"])
    assert found["started"].endswith("+00:00")
    assert not (folder.path.parent / "latest").exists()  # only where the name was left to us


def test_an_empty_folder_is_taken(tmp_path):
    assert not open_run(tmp_path).is_resumed


def test_without_out_the_folder_is_a_time_and_latest_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = open_run(None), open_run(None)  # both within one second
    assert first.path != second.path
    assert first.path.parent.as_posix() == "runs/recipe"
    assert ":" not in first.path.name  # Windows refuses it
    assert (tmp_path / "runs/recipe/latest").read_text() == second.path.name + "\n"


def test_runs_that_start_at_the_same_moment_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder.datetime, "datetime", At)
    start = threading.Barrier(8)

    def make(number):
        start.wait()
        return run_folder._new_default("recipe")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    assert len(set(made)) == 8
    assert sorted(path.name for path in made)[:2] == ["2026-01-31T120000Z", "2026-01-31T120000Z-2"]
    assert all(path.is_dir() for path in made)


class At(run_folder.datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 31, 12, 0, 0, tzinfo=tz)


def test_two_processes_that_start_together_both_train(tmp_path):
    program = (
        "import sys\n"
        "from inspection_tf.training.runs import run_folder\n"
        "from tests.training.runs.test_run_folder import At, Settings\n"
        "run_folder.datetime.datetime = At\n"
        "sys.stdin.read()\n"
        "print(run_folder.open_run(None, Settings(), name='recipe').path)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, cwd=tmp_path, env=environment, **piped) for _ in range(2)]
    for one in both:
        one.stdin.close()
    paths = {one.stdout.read().strip() for one in both}
    assert [one.wait() for one in both] == [0, 0]
    for one in both:
        one.stdout.close()
    assert paths == {f"runs/recipe/2026-01-31T120000Z{n}" for n in ("", "-2")}


def test_an_unfinished_run_is_resumed_with_what_it_holds(tmp_path):
    folder = open_run(tmp_path)
    (folder.path / "checkpoints" / "last.npz").write_bytes(b"kept")
    folder.update("running", epoch=3)
    again = open_run(tmp_path)
    assert again.is_resumed
    assert (again.path / "checkpoints" / "last.npz").read_bytes() == b"kept"
    assert status(tmp_path)["epoch"] == 3


@pytest.mark.parametrize("problem", [errors.DivergedError("x"), KeyboardInterrupt()])
def test_a_resumed_run_forgets_how_the_last_attempt_ended(tmp_path, problem):
    with pytest.raises(type(problem)), open_run(tmp_path).guarded():
        raise problem
    assert status(tmp_path)["exit_code"] in (6, 130)
    open_run(tmp_path)
    found = status(tmp_path)
    assert (found["state"], found["exit_code"], found["error"]) == ("running", None, None)


def test_a_resumed_run_that_wrote_its_bundle_may_write_it_again(tmp_path):
    folder = open_run(tmp_path)
    with files.new_folder(folder.path / "bundle") as draft:
        (draft / "manifest.json").write_text("{}")
    again = open_run(tmp_path)
    with files.new_folder(again.path / "bundle") as draft:
        (draft / "manifest.json").write_text('{"new": 1}')
    assert (tmp_path / "bundle" / "manifest.json").read_text() == '{"new": 1}'


def test_a_resumed_run_removes_what_a_killed_process_left_half_done(tmp_path):
    folder = open_run(tmp_path)
    leftovers = [
        folder.path / ".status.json.123-4.tmp",
        folder.path / "checkpoints" / ".last.npz.123-4.tmp",
    ]
    for path in leftovers:
        path.write_bytes(b"half")
    (folder.path / ".bundle.x1y2").mkdir()
    (folder.path / ".bundle.x1y2" / "model.onnx").write_bytes(b"half")
    open_run(tmp_path)
    assert not any(path.exists() for path in (*leftovers, folder.path / ".bundle.x1y2"))


def test_a_process_killed_at_its_first_file_does_not_block_the_folder(tmp_path):
    (tmp_path / ".config.yaml.123-4.tmp").write_bytes(b"half")
    assert not open_run(tmp_path).is_resumed
    assert not (tmp_path / ".config.yaml.123-4.tmp").exists()


def test_a_finished_run_is_refused_and_left_as_it_is(tmp_path):
    folder = finish(tmp_path)
    (folder.path / "bundle").mkdir()
    before = tree(tmp_path)
    with pytest.raises(errors.ConfigError, match=r"a finished run\. Choose another") as caught:
        open_run(tmp_path)
    assert caught.value.exit_code == 2
    assert tree(tmp_path) == before


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    (tmp_path / "bundle").mkdir()
    before = tree(tmp_path)
    with pytest.raises(errors.ConfigError, match=r"holds other files\. Choose another folder"):
        open_run(tmp_path)
    assert tree(tmp_path) == before


def test_another_configuration_is_refused_and_names_the_one_that_fits(tmp_path):
    open_run(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(errors.ConfigError, match=r"Give --config .*config\.yaml"):
        open_run(tmp_path, Settings(seed=2))
    assert tree(tmp_path) == before


def test_a_folder_in_which_another_process_trains_is_refused_until_it_ends(tmp_path):
    program = (
        "import sys\n"
        "from inspection_tf.training.runs import run_folder\n"
        "from tests.training.runs.test_run_folder import Settings\n"
        "folder = run_folder.open_run(sys.argv[1], Settings(), name='recipe')\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout.readline() == "open\n"
        before = tree(tmp_path)
        with pytest.raises(errors.ConfigError, match="no other process trains in") as caught:
            open_run(tmp_path)
        assert caught.value.exit_code == 2
        assert tree(tmp_path) == before
        other.kill()  # without a chance to tidy up
    assert open_run(tmp_path).is_resumed


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(errors.ConfigError, match="--out must be a folder"):
        open_run(tmp_path / "file")


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(errors.StorageError, match=r"must be writable\. Got: Not a directory"):
        open_run(tmp_path / "file" / "run")


def test_status_of_a_run_that_ends_well(tmp_path):
    folder = open_run(tmp_path)
    folder.update("running", epoch=2, seconds_left=40)
    with folder.guarded():
        assert folder.status()["state"] == "running"
    found = folder.status()
    assert (found["state"], found["exit_code"], found["error"]) == ("finished", 0, None)
    assert (found["epoch"], found["seconds_left"]) == (2, 0)


@pytest.mark.parametrize(
    ("problem", "state", "code"),
    [
        (errors.ConfigError("no"), "failed", 2),
        (errors.DataError("no"), "failed", 3),
        (errors.StorageError("no"), "failed", 5),
        (errors.DivergedError("no"), "failed", 6),
        (errors.GateError("no"), "failed", 7),
        (OSError(errno.ENOSPC, "no"), "failed", 5),
        (ValueError("no"), "failed", 70),
        (KeyboardInterrupt(), "interrupted", 130),
        (process.Terminated(), "interrupted", 143),
    ],
)
def test_status_of_a_run_that_ends_otherwise(tmp_path, problem, state, code):
    folder = open_run(tmp_path)
    with pytest.raises(type(problem)), folder.guarded():
        raise problem
    found = status(tmp_path)
    assert (found["state"], found["exit_code"]) == (state, code)
    assert found["error"] == (str(problem) or type(problem).__name__)
    assert open_run(tmp_path).is_resumed


def test_a_full_disk_at_the_end_does_not_hide_the_first_problem(tmp_path, monkeypatch):
    folder = open_run(tmp_path)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.GateError, match="first"), folder.guarded():
        raise errors.GateError("first")
    assert status(tmp_path)["state"] == "running"  # the old file, whole


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_a_damaged_status_counts_as_unfinished(tmp_path, text):
    finish(tmp_path)
    (tmp_path / "status.json").write_text(text)
    assert open_run(tmp_path).is_resumed
    assert status(tmp_path)["state"] == "running"


def test_a_fold_has_its_own_folders_and_reports_to_the_run(tmp_path):
    folder = open_run(tmp_path)
    fold = folder.fold(2)
    assert fold.path == tmp_path / "folds" / "2"
    assert (fold.path / "checkpoints").is_dir()
    assert (fold.number, folder.number) == (2, None)
    fold.update("running", fold=2, epoch=1)
    assert fold.status() == folder.status()
    assert (status(tmp_path)["fold"], status(tmp_path)["epoch"]) == (2, 1)
    assert not (fold.path / "status.json").exists()
    assert open_run(tmp_path).fold(2).is_resumed


def test_a_stage_has_its_own_folders_and_reports_its_name_to_the_run(tmp_path):
    folder = open_run(tmp_path)
    stage = folder.within("classifier")
    assert stage.path == tmp_path / "classifier"
    assert (stage.path / "checkpoints").is_dir()
    assert (stage.stage, stage.number, stage.is_resumed) == ("classifier", None, False)
    stage.update("running", epoch=1)
    assert (status(tmp_path)["stage"], status(tmp_path)["epoch"]) == ("classifier", 1)
    folder.within("segmenter").update("running", epoch=2)
    assert (status(tmp_path)["stage"], status(tmp_path)["epoch"]) == ("segmenter", 2)
    assert stage.status() == folder.status()
    assert not (stage.path / "status.json").exists()


def test_a_stage_of_a_fold_lies_in_the_fold(tmp_path):
    stage = open_run(tmp_path).fold(2).within("segmenter")
    assert stage.path == tmp_path / "folds" / "2" / "segmenter"
    assert (stage.stage, stage.number) == ("segmenter", 2)
    stage.update("running", fold=stage.number)
    assert (status(tmp_path)["stage"], status(tmp_path)["fold"]) == ("segmenter", 2)
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("status.json")] == [
        (tmp_path / "status.json").relative_to(tmp_path)
    ]


def test_a_run_without_stages_names_none(tmp_path):
    folder = open_run(tmp_path)
    folder.fold(1).update("running", epoch=1)
    assert folder.stage == ""
    assert "stage" not in status(tmp_path)


def test_an_unfinished_run_finds_the_checkpoints_of_its_stages(tmp_path):
    stage = open_run(tmp_path).within("segmenter")
    (stage.path / "checkpoints" / "last.npz").write_bytes(b"kept")
    (stage.path / "checkpoints" / ".last.npz.123-4.tmp").write_bytes(b"half")
    again = open_run(tmp_path).within("segmenter")
    assert again.is_resumed
    assert [path.name for path in (again.path / "checkpoints").iterdir()] == ["last.npz"]


def test_the_log_says_whether_a_run_is_new_or_resumed(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="inspection_tf"):
        open_run(tmp_path)
        open_run(tmp_path)
    assert [record.message.split(" run in")[0] for record in caplog.records] == [
        "new",
        "resuming the",
    ]


def test_history_is_on_disk_after_each_row(tmp_path):
    path = tmp_path / "history.csv"
    history = run_folder.History(path)
    assert history.rows == []
    rows = [
        {"epoch": 1.0, "loss": 0.1 + 0.2},
        {"epoch": 2.0, "loss": 0.25, "val_loss": 1e-17},
        {"epoch": 3.0, "loss": 0.125},
    ]
    for count, row in enumerate(rows, start=1):
        history.add(row)
        # To the last bit, and a cell that was not measured stays absent.
        assert run_folder.History(path).rows == rows[:count]
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,loss,val_loss"
    assert lines[3] == "3.0,0.125,"


def test_history_forgets_what_will_come_again(tmp_path):
    history = run_folder.History(tmp_path / "history.csv")
    for epoch in (1.0, 2.0, 3.0):
        history.add({"epoch": epoch, "loss": epoch})
    resumed = run_folder.History(tmp_path / "history.csv")
    resumed.keep(1)
    resumed.add({"epoch": 2.0, "loss": 9.0})
    assert [row["loss"] for row in run_folder.History(tmp_path / "history.csv").rows] == [1, 9]


@pytest.mark.parametrize("line", ["2.0,x", "2.0,0.5,7", ",0.5"])
def test_a_history_that_was_edited_is_refused_with_its_line(tmp_path, line):
    (tmp_path / "history.csv").write_text(f"epoch,loss\n1.0,0.5\n{line}\n")
    with pytest.raises(errors.DataError, match=r"history\.csv, line 3: .*as the run wrote it"):
        run_folder.History(tmp_path / "history.csv")
