import hashlib
from pathlib import Path

import pytest

from inspection_tf import errors
from inspection_tf.datasets import file_hashes, readers


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that were read, as if all had lain there for long."""
    names, read = [], Path.read_bytes

    def note(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", note)
    monkeypatch.setattr(file_hashes, "_SETTLED_NS", -1)
    return names


def test_a_file_that_does_not_change_is_read_once(tmp_path, reads):
    (tmp_path / "a").write_bytes(b"pixels")
    assert file_hashes.sha256(tmp_path / "a") == hashlib.sha256(b"pixels").digest()
    assert file_hashes.sha256(tmp_path / "a") == hashlib.sha256(b"pixels").digest()
    assert reads == ["a"]


def test_a_file_that_was_written_just_now_is_read_again(tmp_path):
    (tmp_path / "a").write_bytes(b"before")
    before = file_hashes.sha256(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"after.")  # as long, and perhaps within one tick of the clock
    assert file_hashes.sha256(tmp_path / "a") != before


def test_a_file_that_another_takes_the_place_of_is_read_again(tmp_path, reads):
    (tmp_path / "a").write_bytes(b"one")
    before = file_hashes.sha256(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "b").replace(tmp_path / "a")
    assert file_hashes.sha256(tmp_path / "a") != before


def test_a_file_that_is_gone_is_named(tmp_path, reads):
    (tmp_path / "a").write_bytes(b"one")
    file_hashes.sha256(tmp_path / "a")
    (tmp_path / "a").unlink()
    with pytest.raises(errors.ImageError, match=r"a: the file must be readable\. Got No such file"):
        file_hashes.sha256(tmp_path / "a")


def test_the_hashes_of_a_data_set_cost_one_read(tmp_path, write_folders, reads):
    found = readers.read_folder(write_folders(tmp_path))
    whole, each = found.sha256(), found.sha256_of_each()
    assert (found.sha256(), found.sha256_of_each()) == (whole, each)
    assert sorted(reads) == ["d0.png", "d0.png", "d1.png", "d1.png", "g0.png", "g1.png"]
    assert list(each) == ["defect/d0", "defect/d1", "good/g0", "good/g1"]
    assert len(set(each.values())) == 4
