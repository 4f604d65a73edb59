"""Records of several classes, and of images with templates."""

import dataclasses
import hashlib

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import records

SPLITS = ("train", "tune", "test")


def of_classes(make_record, classes_of, **options):
    """Records whose class ids are given one by one; 0 is a good image."""
    return records.Records.of(
        (
            dataclasses.replace(
                make_record(f"{n:03d}", seed=n, is_defect=number > 0, **options),
                class_id=max(1, number),
            )
            for n, number in enumerate(classes_of)
        ),
        classes=("crack", "dent", "stain"),
    )


def per_class(part):
    return [sum(record.class_ids() == (number,) for record in part) for number in (1, 2, 3)]


def test_a_bool_mask_becomes_the_class_of_its_record(make_record):
    record = dataclasses.replace(make_record("a", is_defect=True), class_id=3)
    ids = record.read_classes()
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, 3 * record.read_mask())
    assert record.class_ids() == (3,)
    assert make_record("b").class_ids() == ()


def test_a_mask_of_ids_keeps_them_and_is_true_on_each(make_record):
    record = make_record("a", is_defect=True)
    ids = np.zeros((12, 16), np.uint8)
    ids[0, :3] = 1, 2, 2
    object.__setattr__(record.source, "mask", ids)
    np.testing.assert_array_equal(record.read_classes(), ids)
    assert record.read_mask().dtype == np.bool_
    assert record.read_mask().sum() == 3


def test_every_selection_keeps_the_classes(make_record):
    found = of_classes(make_record, [0, 1, 2, 3] * 10)
    chosen = [
        found[3:9],
        found.where(is_defect=True),
        found.select(["000", "003"]),
        *records.split(found, tune=0.25, test=0.25, seed=0).values(),
        *(part for fold in records.folds(found, count=3, seed=0) for part in fold.values()),
    ]
    assert {part.classes for part in chosen} == {("crack", "dent", "stain")}


def test_a_class_without_a_name_is_refused(make_record):
    record = dataclasses.replace(make_record("a", is_defect=True), class_id=2)
    with pytest.raises(errors.DataError, match=r"a: class id out of range.* 1 to 1\. Got 2"):
        records.Records.of([record])


@pytest.mark.parametrize("classes", [(), ("a", "a"), ("a", "")])
def test_classes_need_names_of_their_own(classes):
    with pytest.raises(errors.DataError, match="must be 1 to 255 names, each once"):
        records.Records.of([], classes=classes)


def test_a_split_keeps_the_share_of_every_class(make_record):
    found = of_classes(make_record, [0] * 80 + [1] * 60 + [2] * 20 + [3] * 8)
    parts = records.split(found, tune=0.25, test=0.25, seed=5)
    # 60, 20 and 8 images, half of them, a quarter and a quarter.
    assert [per_class(parts[name]) for name in SPLITS] == [[30, 10, 4], [15, 5, 2], [15, 5, 2]]
    assert [len(parts[name]) for name in SPLITS] == [84, 42, 42]


def test_folds_keep_the_share_of_every_class(make_record):
    found = of_classes(make_record, [0] * 40 + [1] * 20 + [2] * 12 + [3] * 4)
    parts = records.folds(found, count=4, seed=5)
    assert [per_class(part["test"]) for part in parts] == [[5, 3, 1]] * 4


@pytest.mark.parametrize("seed", range(10))
def test_the_rarest_class_reaches_every_part_although_groups_mix_classes(make_record, seed):
    rng = np.random.default_rng(seed)
    listed = [
        dataclasses.replace(
            make_record(f"{group}/{shot}", is_defect=number > 0, group=f"g{group}"),
            class_id=max(1, number),
        )
        for group in range(30)
        # The rare class 3 is in three groups, each of which shows common ones too.
        for shot, number in enumerate([3 if group < 3 else 1, *rng.integers(0, 3, 3).tolist()])
    ]
    found = records.Records.of(listed, classes=("crack", "dent", "stain"))
    parts = records.split(found, tune=1 / 3, test=1 / 3, seed=seed)
    assert [per_class(parts[name])[2] for name in SPLITS] == [1, 1, 1]
    groups = [set(parts[name].groups) for name in SPLITS]
    assert not (groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2])


def test_names_of_classes_do_not_change_the_draw_of_one_class(make_records):
    found = make_records(60, 20)
    named = records.Records.of(found, classes=("scratch",))
    for seed in range(5):
        one = records.split(found, tune=0.2, test=0.2, seed=seed)
        other = records.split(named, tune=0.2, test=0.2, seed=seed)
        assert records.split_ids(one) == records.split_ids(other)


def test_the_draw_is_that_of_bundles_in_the_field(make_records):
    # Written down before classes existed: a new draw would test on images that trained.
    parts = records.split(make_records(16, 6), tune=0.25, test=0.25, seed=7)
    assert parts["tune"].ids == ("002", "005", "009", "010")
    assert parts["test"].ids == ("001", "007", "008", "015")


@pytest.fixture
def write_pair(tmp_path):
    """Return a function that makes a record of an image, a mask and maybe a template."""
    (tmp_path / "a.png").write_bytes(images.encode_png(np.full((4, 5), 7, np.uint8)))
    (tmp_path / "m.png").write_bytes(images.encode_png(np.eye(4, 5, dtype=np.bool_)))

    def write(template=None, *, class_count=0, **fields):
        path = None
        if template is not None:
            path = tmp_path / "t.png"
            path.write_bytes(images.encode_png(template))
        source = records.FileSource(tmp_path / "a.png", tmp_path / "m.png", path, class_count)
        return records.Record("a", True, source, **fields)

    return write


def test_the_hash_is_that_of_bundles_in_the_field(write_pair):
    record = write_pair()
    files = [
        hashlib.sha256(path.read_bytes()).digest()
        for path in (record.source.image_path, record.source.mask_path)
    ]
    # id, label, group and split, then the hash of the hashes of image and mask: as in version 0.1.
    expected = hashlib.sha256(b"a\x001\x00\x00None\x00" + hashlib.sha256(b"".join(files)).digest())
    assert records.Records.of([record]).sha256() == expected.hexdigest()


def test_classes_and_templates_enter_the_hash(write_pair):
    names = ("crack", "dent")
    gray = np.zeros((4, 5), np.uint8)
    hashes = [
        records.Records.of([write_pair()]).sha256(),
        records.Records.of([write_pair()], classes=names).sha256(),
        records.Records.of([write_pair()], classes=("dent", "crack")).sha256(),
        records.Records.of([write_pair(class_id=2)], classes=names).sha256(),
        records.Records.of([write_pair(class_count=2)], classes=names).sha256(),
        records.Records.of([write_pair(gray)]).sha256(),
        records.Records.of([write_pair(gray + 1)]).sha256(),
    ]
    assert len(set(hashes)) == len(hashes)


def test_a_template_is_read_beside_its_image(write_pair):
    record = write_pair(np.full((4, 5), 9, np.uint8))
    assert records.Records.of([record]).has_template
    assert (record.read_template() == 9).all()
    assert not records.Records.of([write_pair()]).has_template
    assert write_pair().read_template() is None


def test_a_source_of_its_own_needs_no_template(make_records):
    found = make_records(2, 1)
    assert not found.has_template
    assert found[0].read_template() is None
    assert not records.Records(()).has_template


def test_templates_for_some_images_only_are_refused(write_pair):
    one, other = write_pair(), write_pair(np.zeros((4, 5), np.uint8))
    found = records.Records.of([one, dataclasses.replace(other, id="b")])
    with pytest.raises(errors.DataError, match="1 of 2 without one, the first 'a'"):
        _ = found.has_template


def test_a_template_of_another_size_names_its_file(write_pair):
    with pytest.raises(errors.ImageError, match=r"t\.png must be 4 x 5 px.*Got 4 x 6"):
        write_pair(np.zeros((4, 6), np.uint8)).read_template()


# Classes of whole images


def test_a_source_says_of_which_kind_its_label_is(make_record, make_classed):
    masks, classes = make_record("a", is_defect=True), make_classed([2])[0]
    assert (masks.label_kind, masks.has_mask) == ("masks", True)
    assert (classes.label_kind, classes.has_mask) == ("classes", False)


def test_a_class_of_the_whole_image_marks_no_pixel(make_classed):
    good, dent = make_classed([0, 2])
    assert (good.label, dent.label) == (0, 2)
    assert (good.class_ids(), dent.class_ids()) == ((), (2,))
    assert not dent.read_mask().any()
    assert not dent.read_classes().any()


def test_labels_of_a_set_are_of_one_kind(make_record, make_classed):
    found = make_classed([0, 2])
    assert (found.label_kind, found.has_masks) == ("classes", False)
    assert records.Records(()).label_kind == "masks"
    both = records.Records.of([make_record("a"), *found], classes=found.classes)
    with pytest.raises(
        errors.DataError, match=r"all classes\. Got classes \(000\) and masks \(a\)"
    ):
        _ = both.has_masks


def test_a_split_gives_each_part_its_share_of_every_class(make_classed):
    found = make_classed([0] * 8 + [1] * 8 + [2] * 4 + [3] * 4)
    parts = records.split(found, tune=0.25, test=0.25, seed=0, require_defects=False)
    # A quarter of 8, 4 and 4 images: 2, 1 and 1.
    assert {name: per_class(part) for name, part in parts.items()} == {
        "train": [4, 2, 2],
        "tune": [2, 1, 1],
        "test": [2, 1, 1],
    }
