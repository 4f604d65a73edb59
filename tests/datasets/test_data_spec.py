import dataclasses
import logging

import numpy as np
import pydantic
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import data_spec, records
from inspection_tf.synthesis import surface

SPEC = surface.SurfaceSpec(size=(40, 56))
COMPOSED = data_spec.DataSpec(
    defects="composed",
    compose=data_spec.ComposeSpec(per_image=2, surface=SPEC),
    tune=0.25,
    test=0.25,
)


def test_synthetic_data_needs_no_root():
    spec = data_spec.DataSpec(count=6, defective_share=0.5, surface=SPEC, seed=2)
    found = data_spec.read(spec)
    assert found.counts() == {"images": 6, "defective": 3}
    assert found.sha256() == data_spec.read(spec).sha256()


def test_folders_are_read_by_their_format(tmp_path, write_folders, write_dagm):
    write_folders(tmp_path / "folder")
    write_dagm(tmp_path / "dagm")
    for name in ("folder", "dagm"):
        assert len(data_spec.read(data_spec.DataSpec(format=name, root=tmp_path / name))) > 2


def test_a_missing_root_is_a_configuration_error():
    with pytest.raises(errors.ConfigError, match=r"needs data\.root.*--data\.root") as caught:
        data_spec.read(data_spec.DataSpec(format="dagm"))
    assert caught.value.exit_code == 2


def test_real_defects_are_split_as_they_are(make_records):
    parts = data_spec.split(make_records(40, 20), data_spec.DataSpec(tune=0.25, test=0.25), seed=1)
    assert [len(parts[name]) for name in ("train", "tune", "test")] == [20, 10, 10]


def test_composed_defects_can_join_the_real_ones_in_train_only(make_records):
    spec = data_spec.DataSpec(
        tune=0.25, test=0.25, compose=data_spec.ComposeSpec(per_image=3, surface=SPEC)
    )
    parts = data_spec.split(make_records(40, 20), spec, seed=1)
    # 10 defective and 10 good for training, 3 defective made of each good one.
    assert parts["train"].counts() == {"images": 50, "defective": 40}
    assert parts["tune"].counts() == {"images": 10, "defective": 5}
    assert not [name for name in (*parts["tune"].ids, *parts["test"].ids) if "+" in name]


def test_a_start_without_defects_trains_on_composed_ones_only(make_records):
    found = make_records(24, 4)
    parts = data_spec.split(found, COMPOSED, seed=1)
    # 20 good: 10, 5 and 5. Train: 10 + 20 composed; tune: 5 + 5; test: 5 + 4 real.
    assert parts["train"].counts() == {"images": 30, "defective": 20}
    assert parts["tune"].counts() == {"images": 10, "defective": 5}
    assert parts["test"].counts() == {"images": 9, "defective": 4}
    real = set(found.where(is_defect=True).ids)
    assert real <= set(parts["test"].ids)
    assert not real & {*parts["train"].ids, *parts["tune"].ids}


def test_good_images_of_a_part_with_a_defect_are_tested_with_it(make_record):
    found = records.Records.of(
        make_record(f"{part}/{shot}", is_defect=part < 3 and shot == 0, group=f"part{part}")
        for part in range(12)
        for shot in range(2)
    )
    parts = data_spec.split(found, COMPOSED, seed=1)
    groups = [set(parts[name].groups) for name in ("train", "tune", "test")]
    assert not (groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2])
    assert {"part0", "part1", "part2"} <= groups[2]


def test_composing_needs_good_images(make_records):
    with pytest.raises(errors.DataError, match="needs good images"):
        data_spec.split(make_records(5, 5), COMPOSED, seed=0)


def test_folds_compose_onto_the_training_part_only(make_records):
    spec = data_spec.DataSpec(folds=4, compose=data_spec.ComposeSpec(per_image=1, surface=SPEC))
    found = make_records(16, 8)
    parts = data_spec.folds(found, spec, seed=0)
    # Each fold tests 2 + 2 and trains on 6 defective, 6 good and 6 composed.
    assert [part["train"].counts() for part in parts] == [{"images": 18, "defective": 12}] * 4
    assert sorted(name for part in parts for name in part["test"].ids) == list(found.ids)


def test_folds_need_defects(make_records):
    with pytest.raises(errors.DataError, match="Cross-validation of a segmentation needs"):
        data_spec.folds(make_records(8, 0), data_spec.DataSpec(folds=4), seed=0)


@pytest.mark.parametrize(
    "values",
    [
        {"folds": 1},
        {"defects": "composed"},
        {"defects": "composed", "compose": {"per_image": 1}, "folds": 3},
    ],
)
def test_settings_that_contradict_each_other_are_refused(values):
    with pytest.raises(pydantic.ValidationError, match=r"folds|compose\.per_image"):
        data_spec.DataSpec(**values)


# Templates


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(array))


def board(*, defect=False):
    """A black board with a bright bar, into which a defect bites."""
    image = np.zeros((64, 64), np.uint8)
    image[20:44, 8:56] = 255
    if defect:
        image[20:30, 30:40] = 0
    return image


@pytest.fixture
def deeppcb(tmp_path):
    """Two boards, each with a good and a defective place."""
    for name in ("group00001", "group00002"):
        for place, is_defect in (("a", False), ("b", True)):
            write(tmp_path / name / f"{place}_test.png", board(defect=is_defect))
            write(tmp_path / name / f"{place}_temp.png", board())
            text = "26 16 44 34 3\n" if is_defect else ""
            (tmp_path / name / f"{place}.txt").write_text(text)
    return tmp_path


def test_templates_come_with_the_data_set_unless_they_are_left_out(deeppcb):
    spec = data_spec.DataSpec(format="deeppcb", root=deeppcb)
    paired = data_spec.read(spec)
    alone = data_spec.read(spec.model_copy(update={"templates": False}))
    assert (paired.has_template, alone.has_template) == (True, False)
    assert alone[0].read_template() is None
    assert (alone.ids, alone.classes, alone.origin) == (paired.ids, paired.classes, paired.origin)
    for one, other in zip(paired, alone, strict=True):
        assert (other.is_defect, other.group) == (one.is_defect, one.group)
        assert other.class_ids() == one.class_ids()
        np.testing.assert_array_equal(other.read_image(), one.read_image())
        # Which is made by comparing with the template.
        np.testing.assert_array_equal(other.read_classes(), one.read_classes())
    assert alone[1].class_ids() == (3,)
    assert set(np.unique(alone[1].read_classes())) == {0, 3}


def test_without_templates_the_hash_is_that_of_the_same_files(deeppcb):
    spec = data_spec.DataSpec(format="deeppcb", root=deeppcb, templates=False)
    before = data_spec.read(spec).sha256()
    assert before == data_spec.read(spec.model_copy(update={"templates": True})).sha256()
    # Masks follow from templates, used or not.
    write(deeppcb / "group00001" / "b_temp.png", board(defect=True))
    assert data_spec.read(spec).sha256() != before


def test_records_without_templates_stay_as_they_are(make_records):
    found = make_records(3, 1)
    assert data_spec.without_templates(found) is found


def test_a_bool_mask_keeps_the_class_of_its_record_without_templates(tmp_path):
    for name, array in (("i", board()), ("t", board()), ("m", board() > 0)):
        write(tmp_path / f"{name}.png", array)
    source = records.FileSource(*(tmp_path / f"{name}.png" for name in "imt"))
    found = records.Records.of(
        [records.Record("a", True, source, class_id=2)], classes=("crack", "dent")
    )
    alone = data_spec.without_templates(found)
    assert alone[0].class_ids() == (2,)
    assert set(np.unique(alone[0].read_classes())) == {0, 2}


# Check


EXACT = images.Preprocessing(size=(12, 16))


@pytest.fixture
def with_an_empty_mask(tmp_path, write_folders):
    write_folders(tmp_path)
    write(tmp_path / "masks" / "d0.png", np.zeros((12, 16), np.bool_))
    return data_spec.DataSpec(format="folder", root=tmp_path)


def test_an_empty_mask_is_refused_or_accepted_as_the_section_says(with_an_empty_mask, caplog):
    spec = with_an_empty_mask
    with pytest.raises(errors.DataError, match=r"defect/d0: .*Got an empty one\. Draw it"):
        data_spec.check(data_spec.read(spec), spec, EXACT)
    accepting = spec.model_copy(update={"empty_masks": "accept"})
    with caplog.at_level(logging.WARNING, logger="inspection_tf"):
        data_spec.check(data_spec.read(accepting), accepting, EXACT)
    assert "tolerated: 1 defective images whose mask is empty" in caplog.text


def test_to_accept_empty_masks_is_to_accept_nothing_else(with_an_empty_mask):
    spec = with_an_empty_mask.model_copy(update={"empty_masks": "accept"})
    write(spec.root / "masks" / "d1.png", np.ones((11, 16), np.bool_))
    with pytest.raises(errors.DataError, match=r"defect/d1: .*Got 1 problems.*11 x 16"):
        data_spec.check(data_spec.read(spec), spec, EXACT)


def test_images_must_fit_the_preprocessing_before_training(tmp_path, write_folders):
    spec = data_spec.DataSpec(format="folder", root=write_folders(tmp_path))
    data_spec.check(data_spec.read(spec), spec, EXACT)
    with pytest.raises(errors.DataError, match="Got 4 problems"):
        data_spec.check(data_spec.read(spec), spec, images.Preprocessing(size=(8, 8)))


def test_drawn_images_are_not_checked():
    data_spec.check(records.Records(()), data_spec.DataSpec(count=1), EXACT)


# Several classes, boards, pairs


def test_as_many_folds_as_boards_leave_one_board_out_in_turn(make_record):
    found = records.Records.of(
        make_record(f"{board}/{place}", is_defect=place < 2, group=f"board{board}")
        for board in range(5)
        for place in range(2 + board)  # of 2 to 6 places
    )
    parts = data_spec.folds(found, data_spec.DataSpec(folds=5), seed=3)
    tested = [set(part["test"].groups) for part in parts]
    assert sorted(name for names in tested for name in names) == [f"board{n}" for n in range(5)]
    assert [len(names) for names in tested] == [1] * 5
    for part, names in zip(parts, tested, strict=True):
        assert not names & set(part["train"].groups)
        assert len(part["train"]) + len(part["test"]) == len(found) == 20


@pytest.mark.parametrize("defects", ["real", "composed"])
def test_composed_defects_are_refused_where_classes_are_told_apart(make_records, defects):
    found = dataclasses.replace(make_records(24, 4), classes=("crack", "dent"))
    spec = COMPOSED.model_copy(update={"defects": defects})
    match = (
        r"say how each class is drawn, of crack, dent in .*\. Got none\. Name classes of the set"
    )
    with pytest.raises(errors.DataError, match=match):
        data_spec.split(found, spec, seed=1)
    real = spec.model_copy(update={"defects": "real", "compose": data_spec.ComposeSpec()})
    parts = data_spec.split(found, real, seed=1)
    assert {part.classes for part in parts.values()} == {("crack", "dent")}


def test_composed_defects_are_of_the_one_class_there_is(make_records):
    found = dataclasses.replace(make_records(24, 4), classes=("scratch",))
    parts = data_spec.split(found, COMPOSED, seed=1)
    assert {part.classes for part in parts.values()} == {("scratch",)}
    assert {record.class_ids() for record in parts["train"]} == {(), (1,)}


def test_a_composed_defect_is_compared_with_the_template_of_its_image(deeppcb):
    paired = data_spec.read(data_spec.DataSpec(format="deeppcb", root=deeppcb))
    good = dataclasses.replace(paired.where(is_defect=False), classes=("defect",))
    spec = data_spec.DataSpec(compose=data_spec.ComposeSpec(per_image=1, surface=SPEC))
    found = data_spec.for_training(good, spec)
    assert found.counts() == {"images": 4, "defective": 2}
    assert found.has_template
    for record in found:
        np.testing.assert_array_equal(record.read_template(), board())
    made = found.where(is_defect=True)[0]
    assert (made.read_image() != board()).any()
    assert not data_spec.for_training(data_spec.without_templates(good), spec).has_template


# Classes of whole images


def test_a_classifier_trains_on_two_classes(make_classed):
    spec = data_spec.DataSpec(tune=0.25, test=0.25)
    parts = data_spec.split(make_classed([1] * 8 + [2] * 8), spec, seed=1)
    assert {record.label for record in parts["train"]} == {1, 2}  # no good one is needed
    with pytest.raises(errors.DataError, match=r"Training a classifier needs.*of one: good"):
        data_spec.split(make_classed([0] * 16), spec, seed=1)


def test_a_class_has_an_image_for_each_fold(make_classed):
    spec = data_spec.DataSpec(folds=4)
    parts = data_spec.folds(make_classed([0] * 8 + [2] * 4), spec, seed=1)
    # 2 good images and 1 dent in each fold.
    assert [sorted(record.label for record in part["test"]) for part in parts] == [[0, 0, 2]] * 4
    with pytest.raises(errors.DataError, match=r"of the class dent .* for 4 folds"):
        data_spec.folds(make_classed([0] * 8 + [2] * 3), spec, seed=1)
    with pytest.raises(errors.DataError, match="Cross-validation of a classifier needs"):
        data_spec.folds(make_classed([0] * 8), spec, seed=1)
