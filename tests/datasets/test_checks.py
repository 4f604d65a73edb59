import dataclasses
import logging

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import checks, readers, records

FITTING = images.Preprocessing(size=(12, 16))


def kinds(findings):
    return [(problem.kind, problem.id) for problem in findings.problems]


def test_a_sound_data_set_has_no_problem(tmp_path, write_folders):
    seen = []
    found = readers.read_folder(write_folders(tmp_path, good=3, defective=1))
    findings = checks.check(
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
    findings = checks.check(readers.read_folder(tmp_path), preprocessing=FITTING)
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
    assert checks.check(readers.read_folder(tmp_path)).problems == ()


def test_equal_pictures_in_one_group_are_no_leak(make_record):
    found = records.Records.of(make_record(name, seed=1, group="part 3") for name in "ab")
    findings = checks.check(found)
    assert findings.problems == ()
    assert findings.repeats == (("a", "b"),)
    findings.require()


def test_equal_pictures_in_two_groups_are_a_leak_that_names_both(make_record):
    found = records.Records.of(make_record(n, seed=1, group=f"part {n}") for n in "ab")
    with pytest.raises(errors.DataError, match=r"b: .*those of a \(group part a\) in group part b"):
        checks.check(found).require()


def test_a_source_whose_mask_has_another_size_is_found(make_record):
    record = make_record("a", is_defect=True)
    object.__setattr__(record.source, "mask", np.ones((12, 17), np.bool_))
    assert kinds(checks.check(records.Records.of([record]))) == [("mask", "a")]


def test_an_empty_data_set_is_refused():
    findings = checks.check(records.Records((), "the set"))
    assert findings.summary()[0] == "0 images of the set, 0 defective (0%)"
    with pytest.raises(errors.DataError, match="Got none in the set"):
        findings.require()


def test_a_good_image_whose_mask_marks_it_is_found(make_record):
    record = make_record("a", is_defect=True)
    findings = checks.check(records.Records.of([dataclasses.replace(record, is_defect=False)]))
    assert kinds(findings) == [("mask", "a")]
    assert "must be empty" in findings.problems[0].detail


def test_an_id_over_the_classes_is_found_in_files_and_in_memory(
    tmp_path, write_folders, make_record
):
    write_folders(tmp_path)
    (tmp_path / "classes.txt").write_text("crack\ndent", encoding="utf-8")
    for name, number in (("d0", 2), ("d1", 3)):
        mask = np.full((12, 16), number, np.uint8)
        (tmp_path / "masks" / f"{name}.png").write_bytes(images.encode_png(mask))
    findings = checks.check(readers.read_folder(tmp_path))
    assert kinds(findings) == [("class", "defect/d1")]
    assert "d1.png: class id out of range" in findings.problems[0].detail
    record = make_record("a", is_defect=True)
    object.__setattr__(record.source, "mask", np.full((12, 16), 2, np.uint8))
    findings = checks.check(records.Records.of([record]))
    assert kinds(findings) == [("class", "a")]
    assert "0 to 1. Got 2" in findings.problems[0].detail


@pytest.fixture
def write_templates(tmp_path, write_folders):
    """Two good and two defective images, each with a template."""
    write_folders(tmp_path)
    (tmp_path / "templates").mkdir()
    for path in (*(tmp_path / "good").iterdir(), *(tmp_path / "defect").iterdir()):
        (tmp_path / "templates" / path.name).write_bytes(
            images.encode_png(np.zeros((12, 16), np.uint8))
        )
    return tmp_path


def test_templates_that_fit_are_no_problem(write_templates):
    assert checks.check(readers.read_folder(write_templates), preprocessing=FITTING).problems == ()


def test_templates_are_read_too(write_templates):
    templates = write_templates / "templates"
    found = readers.read_folder(write_templates)
    (templates / "d0.png").write_bytes((templates / "d0.png").read_bytes()[:40])
    (templates / "d1.png").unlink()
    (templates / "g0.png").write_bytes(images.encode_png(np.zeros((16, 12), np.uint8)))
    findings = checks.check(found, preprocessing=FITTING)
    assert kinds(findings) == [("template", f) for f in ("defect/d0", "defect/d1", "good/g0")]
    assert "d0.png" in findings.problems[0].detail
    assert "d1.png" in findings.problems[1].detail
    assert "must be 12 x 16 px" in findings.problems[2].detail


def test_an_image_without_the_template_that_others_have_is_found(write_templates, make_record):
    found = records.Records.of(
        [*readers.read_folder(write_templates), make_record("without", seed=77)]
    )
    assert kinds(checks.check(found)) == [("template", "without")]


def test_a_template_of_another_depth_must_fit_the_window_too(tmp_path, write_templates):
    for folder in ("good", "defect"):
        for number, path in enumerate((tmp_path / folder).iterdir()):
            deep = np.random.default_rng(number).integers(0, 4096, (12, 16)).astype(np.uint16)
            path.write_bytes(images.encode_png(deep + len(folder)))
    deep = images.Preprocessing(size=(12, 16), window=(0, 4095))
    findings = checks.check(readers.read_folder(tmp_path), preprocessing=deep)
    assert [problem.kind for problem in findings.problems] == ["template"] * 4
    assert "must be 16 bit" in findings.problems[0].detail


def test_a_tolerated_kind_costs_a_warning(tmp_path, write_folders, caplog):
    write_folders(tmp_path)
    empty = images.encode_png(np.zeros((12, 16), np.bool_))
    (tmp_path / "masks" / "d0.png").write_bytes(empty)
    findings = checks.check(readers.read_folder(tmp_path))
    with caplog.at_level(logging.WARNING, logger="inspection_tf"):
        findings.require(tolerate=frozenset({"empty_mask"}))
    assert "tolerated: 1 defective images whose mask is empty" in caplog.text
    assert "defect/d0" in caplog.text
    with pytest.raises(errors.DataError, match="Got 1 problems"):
        findings.require(tolerate=frozenset({"leak"}))


def test_other_kinds_than_the_tolerated_are_refused(tmp_path, write_folders):
    write_folders(tmp_path)
    empty = images.encode_png(np.zeros((12, 16), np.bool_))
    (tmp_path / "masks" / "d0.png").write_bytes(empty)
    (tmp_path / "masks" / "d1.png").write_bytes(b"")
    findings = checks.check(readers.read_folder(tmp_path))
    with pytest.raises(errors.DataError, match=r"defect/d1: .*Got 1 problems"):
        findings.require(tolerate=frozenset({"empty_mask"}))


def test_a_class_of_the_whole_image_needs_no_mask(make_classed):
    assert checks.check(make_classed([0, 2, 3]), preprocessing=FITTING).problems == ()


def test_a_classifier_needs_two_classes(make_classed):
    checks.require_two_classes(make_classed([0, 3]), purpose="This")
    checks.require_two_classes(make_classed([1, 3]), purpose="This")
    with pytest.raises(errors.DataError, match=r"This needs .* two classes.* of one: dent\. Add"):
        checks.require_two_classes(make_classed([2, 2]), purpose="This")
    with pytest.raises(errors.DataError, match="of one: good"):
        checks.require_two_classes(make_classed([0, 0]), purpose="This")


def test_each_fold_needs_an_image_of_every_class(make_classed):
    checks.require_classes_in_folds(make_classed([0, 0, 0, 2, 2, 2]), count=3)
    with pytest.raises(errors.DataError, match=r"Got 2 of the class dent in 2 groups.* 3 folds\."):
        checks.require_classes_in_folds(make_classed([0, 0, 0, 2, 2]), count=3)


def test_a_class_in_one_group_would_be_tested_by_who_never_saw_it(make_classed):
    found = make_classed([0, 0, 0, 2, 2, 2], groups=["a", "b", "c", "d", "d", "d"])
    with pytest.raises(errors.DataError, match="Got 3 of the class dent in 1 group of"):
        checks.require_classes_in_folds(found, count=3)


def test_a_class_in_fewer_groups_than_folds_is_only_told(make_classed, caplog):
    found = make_classed([0, 0, 0, 2, 2, 2], groups=["a", "b", "c", "d", "e", "e"])
    checks.require_classes_in_folds(found, count=3)
    assert "2 groups show the class dent: of 3 folds some test no image of it" in caplog.text
