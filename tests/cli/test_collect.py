"""`inspection collect`: from corrections to a data set, and its exit codes."""

import numpy as np
import pytest
from corrections import grey, keep

from inspection_tf import cli
from inspection_tf.datasets.readers import folder

MASK = np.zeros((6, 8), np.uint8)
MASK[1:3, 2:5] = 1


@pytest.fixture
def labels(tmp_path):
    keep(tmp_path / "labels", grey(1), "OK")
    keep(tmp_path / "labels", grey(2), "NG", mask=MASK)
    keep(tmp_path / "labels", grey(3), "region", mask=MASK)
    return tmp_path / "labels"


def run(*words):
    return cli.main(["collect", *map(str, words)])


def test_corrections_become_a_data_set(labels, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(labels, "--out", out) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == str(out)
    assert second == (
        "2 images in dataset (format folder): 1 OK, 1 NG; 1 left to label in to_label: "
        "1 marked wrongly, 0 not marked"
    )
    assert len(folder.read_folder(out / "dataset")) == 2
    assert sorted(path.name for path in out.iterdir()) == [
        "coco.json", "dataset", "label_studio.json", "label_studio.xml", "to_label",
    ]  # fmt: skip


def test_several_folders_and_files_are_one_data_set(labels, tmp_path, capsys):
    keep(tmp_path / "more", grey(4), "OK")
    assert run(labels, tmp_path / "more" / "labels.jsonl", "--out", tmp_path / "out") == 0
    assert "2 OK, 1 NG" in capsys.readouterr().out


def test_one_model_of_several(labels, tmp_path, capsys):
    keep(labels, grey(5), "OK", model="other", classes=("scratch",))
    assert run(labels, "--out", tmp_path / "out") == 3
    said = capsys.readouterr().err
    assert "must have the same classes" in said
    assert "--model NAME" in said
    assert run(labels, "--model", "other", "--out", tmp_path / "out") == 0
    assert run(labels, "--model", "none", "--out", tmp_path / "third") == 3


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda file: file.write_text("no JSON\n"), "labels.jsonl, line 1: a correction must be"),
        (lambda file: file.unlink(), "must be a readable text file"),
        (lambda file: next(file.parent.glob("images/*")).unlink(), "must be the file that the"),
    ],
)
def test_bad_input_ends_with_3_and_leaves_nothing(labels, tmp_path, capsys, spoil, sentence):
    spoil(labels / "labels.jsonl")
    assert run(labels, "--out", tmp_path / "out") == 3
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.err.startswith("error: ")
    assert told.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]


def test_a_command_line_that_is_none_ends_with_2(labels, tmp_path, capsys):
    assert run("--out", tmp_path / "out") == 2
    assert "at least one folder of corrections" in capsys.readouterr().err
    assert run(labels, "--out", labels) == 2
    assert "which holds something" in capsys.readouterr().err
