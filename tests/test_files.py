import csv
import errno
import io
import json
import os
from pathlib import Path

import pytest

from inspection_tf import errors, files


@pytest.fixture
def full_disk(monkeypatch):
    def refuse(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)


def test_a_written_file_holds_the_bytes_and_nothing_else_is_left(tmp_path):
    files.write(tmp_path / "a.txt", "ä\n")
    files.write(tmp_path / "b.bin", b"\0\1", sync=False)
    assert (tmp_path / "a.txt").read_bytes() == "ä\n".encode()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.bin"]


def test_a_full_disk_keeps_the_previous_file(tmp_path, full_disk):
    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(errors.StorageError, match=r"a.txt.*No space left.*Free space") as caught:
        files.write(tmp_path / "a.txt", "after")
    assert caught.value.exit_code == 5
    assert (tmp_path / "a.txt").read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_an_interrupt_while_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "a.txt", "after")
    assert [p.name for p in tmp_path.iterdir()] == []


def test_text_that_is_no_unicode_leaves_nothing_behind(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        files.write(tmp_path / "a.txt", "\udcff")
    assert [p.name for p in tmp_path.iterdir()] == []


def test_a_missing_folder_is_a_storage_error(tmp_path):
    with pytest.raises(errors.StorageError, match="No such file"):
        files.write(tmp_path / "no" / "a.txt", "")


def test_json_is_written_without_not_a_number(tmp_path):
    files.write_json(tmp_path / "a.json", {"a": [1.5, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})


def test_a_folder_is_made_with_its_parents_or_refused(tmp_path):
    assert files.make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(errors.StorageError, match="must be writable"):
        files.make_folder(tmp_path / "file" / "b")


def test_a_new_folder_appears_whole_at_the_end(tmp_path):
    final = tmp_path / "a" / "final"
    with files.new_folder(final) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "x").write_text("x")
        assert not final.exists()
    assert (final / "sub" / "x").read_text() == "x"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["final"]


def test_an_empty_folder_may_be_the_target(tmp_path):
    (tmp_path / "final").mkdir()
    with files.new_folder(tmp_path / "final") as folder:
        (folder / "x").touch()
    assert [p.name for p in (tmp_path / "final").iterdir()] == ["x"]


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_target_that_holds_something_is_kept(tmp_path, is_folder):
    held = tmp_path / "final" / "x" if is_folder else tmp_path / "final"
    held.parent.mkdir(exist_ok=True)
    held.write_text("before")
    context = files.new_folder(tmp_path / "final")
    with pytest.raises(errors.ConfigError, match="must not exist yet") as caught:
        context.__enter__()
    assert caught.value.exit_code == 2
    assert held.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["final"]


@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_nothing(tmp_path, problem):
    def write():
        with files.new_folder(tmp_path / "final") as folder:
            (folder / "x").touch()
            raise problem

    with pytest.raises(problem):
        write()
    assert [p.name for p in tmp_path.iterdir()] == []


def test_a_full_disk_at_the_end_leaves_nothing_new(tmp_path, full_disk):
    (tmp_path / "neighbour").write_text("before")

    def write():
        with files.new_folder(tmp_path / "final") as folder:
            (folder / "x").touch()

    with pytest.raises(errors.StorageError, match="No space left"):
        write()
    assert [p.name for p in tmp_path.iterdir()] == ["neighbour"]
    assert (tmp_path / "neighbour").read_text() == "before"


def test_a_parent_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(errors.StorageError, match="must be writable"):
        files.new_folder(tmp_path / "file" / "final").__enter__()


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    # The first test vector of FIPS 180-2.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256(tmp_path / "a") == expected


# A folder that is edited


@pytest.fixture
def edited(tmp_path):
    folder = tmp_path / "own" / "folder"
    folder.mkdir(parents=True)
    (folder / "a").write_text("before")
    return folder


def test_an_edited_folder_takes_the_place_of_the_old_one(edited):
    with files.edited_folder(edited) as copy:
        (copy / "a").write_text("after")
        assert (edited / "a").read_text() == "before"
    assert (edited / "a").read_text() == "after"
    assert [path.name for path in edited.parent.iterdir()] == ["folder"]


def test_an_edit_that_fails_leaves_the_folder_as_it_was(edited):
    def edit():
        with files.edited_folder(edited) as copy:
            (copy / "a").write_text("after")
            raise KeyError("stopped")

    with pytest.raises(KeyError):
        edit()
    assert (edited / "a").read_text() == "before"
    assert [path.name for path in edited.parent.iterdir()] == ["folder"]


@pytest.mark.parametrize("place", [1, 2])
@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("problem", [KeyboardInterrupt, OSError])
def test_whatever_ends_the_swap_the_folder_is_there(edited, monkeypatch, place, is_done, problem):
    rename, calls = Path.rename, []

    def renamed(self, target):
        calls.append(self)
        if len(calls) == place and not is_done:
            raise problem
        found = rename(self, target)
        if len(calls) == place:
            raise problem
        return found

    monkeypatch.setattr(Path, "rename", renamed)
    with (
        pytest.raises((KeyboardInterrupt, errors.StorageError)),
        files.edited_folder(edited) as copy,
    ):
        (copy / "a").write_text("after")
    assert (edited / "a").read_text() == ("after" if (place, is_done) == (2, True) else "before")


def test_a_link_to_an_edited_folder_stays_a_link(edited, tmp_path):
    link = tmp_path / "current"
    link.symlink_to(edited)
    with files.edited_folder(link) as copy:
        (copy / "a").write_text("after")
    assert link.is_symlink()
    assert (edited / "a").read_text() == "after"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "own"]


def test_of_two_edits_at_the_same_time_the_later_one_is_refused(edited):
    known = (edited / "a").read_text()

    def check():
        if (edited / "a").read_text() != known:
            raise errors.BundleError("somebody else was faster")

    def both():
        with files.edited_folder(edited, check=check) as late:
            (late / "a").write_text("late")
            with files.edited_folder(edited, check=check) as early:
                (early / "a").write_text("early")

    with pytest.raises(errors.BundleError, match="somebody else"):
        both()
    assert (edited / "a").read_text() == "early"
    assert [path.name for path in edited.parent.iterdir()] == ["folder"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_an_edited_folder_belongs_to_whom_it_did(edited):
    for path in (edited, edited / "a"):
        os.chown(path, 1234, 1234)
    with files.edited_folder(edited) as copy:
        (copy / "b").write_text("new")
    owners = {path.name: path.stat().st_uid for path in (edited, *edited.iterdir())}
    assert owners == {"folder": 1234, "a": 1234, "b": 1234}


def test_what_could_not_be_replaced_is_refused_before_any_work(edited, monkeypatch):
    files.require_editable(edited)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == edited)
    with pytest.raises(errors.StorageError, match="Got a mount point"):
        files.require_editable(edited)
    monkeypatch.setattr(os.path, "ismount", lambda path: False)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(errors.StorageError, match="own must be writable"):
        files.require_editable(edited)


# Lines


def test_lines_are_appended_each_whole(tmp_path):
    for line in ("one", "zwei ü", ""):
        files.append_line(tmp_path / "a.jsonl", line)
    assert (tmp_path / "a.jsonl").read_bytes() == "one\nzwei ü\n\n".encode()


def test_a_line_that_does_not_fit_on_the_disk_leaves_no_half_of_it(tmp_path, monkeypatch):
    files.append_line(tmp_path / "a.jsonl", "one")
    opened = Path.open

    class Full:
        """Takes three bytes and no more."""

        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *problem):
            self.stream.close()

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def write(self, data):
            if len(data) < 8:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.stream.write(data[:3])

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda *words, **named: Full(opened(*words, **named)))
        with pytest.raises(errors.StorageError, match="No space left"):
            files.append_line(tmp_path / "a.jsonl", "second line")
    assert (tmp_path / "a.jsonl").read_text() == "one\n"


def test_a_line_begins_after_one_that_has_no_end(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\nhalf of tw")  # the power went
    files.append_line(path, "three", sync=True)
    files.append_line(path, "four", sync=True)
    assert path.read_bytes() == b"one\nhalf of tw\nthree\nfour\n"


def test_a_line_that_the_disk_does_not_confirm_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    files.append_line(path, "one")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(errors.StorageError, match="No space left"):
            files.append_line(path, "two", sync=True)
    assert path.read_bytes() == b"one\n"


def test_a_line_of_csv_is_read_back_whatever_its_cells_hold():
    cells = ["a\nb", "a\rb", "a\r\nb", 'a"b', "a,b", "", " a ", "=1"]
    text = files.csv_line(cells) + files.csv_line([None, 1, 0.5])
    first, second = csv.reader(io.StringIO(text, newline=""))
    assert first == cells
    assert second == ["", "1", "0.5"]


def test_a_line_of_plain_cells_is_what_it_was():
    assert files.csv_line(["a b", 1, None, 0.25, "x;y"]) == "a b,1,,0.25,x;y\n"
