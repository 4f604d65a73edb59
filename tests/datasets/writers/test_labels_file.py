"""Corrections are read back as they were kept, and what was changed since is refused."""

import json

import numpy as np
import pytest
from corrections import grey, keep, lines

from inspection_tf import errors, images
from inspection_tf.datasets.writers import labels_file

MASK = np.zeros((6, 8), np.uint8)
MASK[1:3, 2:5] = 1


def rewrite(folder, **values):
    """Change what the only line of a file says."""
    (line,) = lines(folder)
    (folder / "labels.jsonl").write_text(json.dumps({**line, **values}) + "\n")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3)])
def test_image_and_mask_are_read_back_as_they_were(tmp_path, dtype, shape):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, np.iinfo(dtype).max, shape, dtype)
    keep(tmp_path, pixels, "NG", mask=MASK, note="ü\n")
    (found,) = labels_file.read([tmp_path])
    sample = found.load()
    np.testing.assert_array_equal(images.read(sample.image), pixels)
    assert images.read(sample.image).dtype == dtype
    np.testing.assert_array_equal(sample.mask, MASK)
    assert (found.line.note, found.line.label, found.line.score) == ("ü\n", "NG", 0.75)


def test_masks_of_several_classes_hold_their_ids(tmp_path):
    mask = MASK.copy()
    mask[4:, 6:] = 2
    keep(tmp_path, grey(1), "NG", mask=mask, classes=("scratch", "dent"))
    (found,) = labels_file.read([tmp_path / "labels.jsonl"])
    np.testing.assert_array_equal(found.load().mask, mask)


def test_without_regions_there_is_no_mask(tmp_path):
    keep(tmp_path, grey(1), "OK", outcome="OK", score=float("nan"))
    (found,) = labels_file.read([tmp_path])
    assert found.load().mask is None
    assert found.line.score is None
    assert list((tmp_path / "masks").iterdir()) == []


def test_the_last_correction_of_an_image_counts(tmp_path):
    keep(tmp_path / "a", grey(1), "OK")
    keep(tmp_path / "a", grey(2), "OK")
    keep(tmp_path / "b", grey(1), "NG", mask=MASK)  # later, in another folder
    keep(tmp_path / "a", grey(2), "region")
    for folders in ([tmp_path / "a", tmp_path / "b"], [tmp_path / "b", tmp_path / "a"]):
        found = {one.line.image_sha256: one.line.label for one in labels_file.read(folders)}
        assert found == {images.digest(grey(1)): "NG", images.digest(grey(2)): "region"}


def test_in_a_file_the_later_line_counts_whatever_the_clock_said(tmp_path):
    keep(tmp_path, grey(1), "OK")
    keep(tmp_path, grey(1), "NG", mask=MASK)
    first, second = lines(tmp_path)
    second["time"] = "2020-01-01T00:00:00+00:00"
    (tmp_path / "labels.jsonl").write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    (found,) = labels_file.read([tmp_path])
    assert found.line.label == "NG"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.unlink(), "Got .*No such file"),
        (lambda file: file.write_bytes(b"no picture"), "cannot be read as an image"),
        (lambda file: images.write_png(file, grey(9)), "other pixels than were corrected"),
    ],
)
@pytest.mark.parametrize("place", ["images", "masks"])
def test_a_file_that_is_not_as_it_was_is_refused(tmp_path, spoil, message, place):
    keep(tmp_path, grey(1), "NG", mask=MASK)
    (file,) = (tmp_path / place).iterdir()
    spoil(file)
    (found,) = labels_file.read([tmp_path])
    with pytest.raises(errors.DataError, match=rf"labels.jsonl, line 1: {place}/.*{message}"):
        found.load()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image": "../a.png"}, "leads out of the folder"),
        ({"image": "/a.png"}, "leads out of the folder"),
        ({"image_size": [8, 6]}, "another size than its line says"),
    ],
)
def test_a_line_that_does_not_fit_its_image_is_refused(tmp_path, values, message):
    keep(tmp_path, grey(1), "OK")
    rewrite(tmp_path, **values)
    (found,) = labels_file.read([tmp_path])
    with pytest.raises(errors.DataError, match=message):
        found.load()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label": "ok"}, "label: Input should be 'OK', 'NG' or 'region'"),
        ({"time": "yesterday"}, "time: "),
        ({"score": float("nan")}, "score: "),
        ({"classes": []}, "classes: "),
        ({"corners_xy": [[0, 0]]}, "corners_xy"),
        ({"mask": 7}, "mask: "),
    ],
)
def test_a_line_that_no_service_wrote_is_named(tmp_path, values, message):
    keep(tmp_path, grey(1), "OK")
    rewrite(tmp_path, **values)
    with pytest.raises(errors.DataError, match=rf"labels.jsonl, line 1: .*{message}"):
        labels_file.read([tmp_path])


def test_a_line_that_is_no_json_is_named(tmp_path):
    keep(tmp_path, grey(1), "OK")
    with (tmp_path / "labels.jsonl").open("a") as file:
        file.write('\n{"time": "2026-')
    with pytest.raises(errors.DataError, match=r"labels.jsonl, line 3: .* Got Invalid JSON"):
        labels_file.read([tmp_path])


def test_nothing_to_read_is_refused(tmp_path):
    with pytest.raises(errors.DataError, match=r"labels.jsonl must be a readable text file"):
        labels_file.read([tmp_path])
    (tmp_path / "labels.jsonl").touch()
    with pytest.raises(errors.DataError, match=r"There must be a correction in .* Got none"):
        labels_file.read([tmp_path])
    keep(tmp_path, grey(1), "OK", model="left")
    with pytest.raises(errors.DataError, match=r"a correction of right in .* Got some of left"):
        labels_file.read([tmp_path], model="right")


def test_models_of_other_classes_are_collected_apart(tmp_path):
    keep(tmp_path, grey(1), "OK", model="left")
    keep(tmp_path, grey(2), "OK", model="right", classes=("scratch", "dent"))
    keep(tmp_path, grey(1), "NG", model="third", kind="classes")
    with pytest.raises(errors.DataError, match=r"same classes .* model right.* model third"):
        labels_file.read([tmp_path])
    (found,) = labels_file.read([tmp_path], model="left")
    assert found.line.label == "OK"
