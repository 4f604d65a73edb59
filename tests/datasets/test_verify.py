import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import readers, records, verify

FITTING = images.Preprocessing(size=(12, 16))


def kinds(findings):
    return [(problem.kind, problem.id) for problem in findings.problems]


def test_a_sound_data_set_has_no_problem(tmp_path, write_folders):
    seen = []
    found = readers.read_folder(write_folders(tmp_path, good=3, defective=1))
    findings = verify.check(
        found, preprocessing=FITTING, progress=lambda done, of: seen.append((done, of))
    )
    findings.require()
    assert findings.summary() == (
        f"4 images of {tmp_path}, 1 defective (25%)",
        "no problem found",
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_every_kind_of_problem_is_collected(tmp_path, write_folders):
    write_folders(tmp_path, good=4, defective=3)
    good = tmp_path / "good"
    (good / "g0.png").write_bytes((good / "g0.png").read_bytes()[:60])
    (good / "g1.png").write_bytes(images.encode_png(np.zeros((9, 9), np.uint8)))
    (good / "g2.png").write_bytes((good / "g3.png").read_bytes())
    masks = tmp_path / "masks"
    (masks / "d0.png").write_bytes(images.encode_png(np.ones((12, 15), np.bool_)))
    (masks / "d2.png").write_bytes(images.encode_png(np.zeros((12, 16), np.bool_)))
    findings = verify.check(readers.read_folder(tmp_path), preprocessing=FITTING)
    assert kinds(findings) == [
        ("unreadable", "good/g0"),
        ("mask", "defect/d0"),
        ("empty_mask", "defect/d2"),
        ("unfit", "good/g1"),
        ("leak", "good/g3"),
    ]
    assert findings.repeats == (("good/g2", "good/g3"),)
    assert len(findings.summary()) == 1 + 5 + 1
    assert findings.summary()[2].endswith("the first is defect/d0")
    with pytest.raises(errors.DataError, match=r"good/g0: .*Got 5 problems.*g0\.png") as caught:
        findings.require()
    assert caught.value.exit_code == 3


def test_without_preprocessing_sizes_may_differ(tmp_path, write_folders):
    write_folders(tmp_path)
    (tmp_path / "good" / "g1.png").write_bytes(images.encode_png(np.zeros((9, 9), np.uint8)))
    assert verify.check(readers.read_folder(tmp_path)).problems == ()


def test_equal_pictures_in_one_group_are_no_leak(make_record):
    found = records.Records.of(make_record(name, seed=1, group="part 3") for name in "ab")
    findings = verify.check(found)
    assert findings.problems == ()
    assert findings.repeats == (("a", "b"),)
    findings.require()


def test_equal_pictures_in_two_groups_are_a_leak_that_names_both(make_record):
    found = records.Records.of(make_record(n, seed=1, group=f"part {n}") for n in "ab")
    with pytest.raises(errors.DataError, match=r"b: .*those of a \(group part a\) in group part b"):
        verify.check(found).require()


def test_a_source_whose_mask_has_another_size_is_found(make_record):
    record = make_record("a", is_defect=True)
    object.__setattr__(record.source, "mask", np.ones((12, 17), np.bool_))
    assert kinds(verify.check(records.Records.of([record]))) == [("mask", "a")]


def test_an_empty_data_set_is_refused():
    findings = verify.check(records.Records((), "the set"))
    assert findings.summary()[0] == "0 images of the set, 0 defective (0%)"
    with pytest.raises(errors.DataError, match="Got none in the set"):
        findings.require()
