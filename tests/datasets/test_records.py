import dataclasses

import cv2
import numpy as np
import pytest
from PIL import Image

from inspection_tf import errors, images
from inspection_tf.datasets import records

SPLITS = ("train", "tune", "test")


def grouped(make_record, rng, *, groups, split=None):
    """Groups of 1 to 5 images, defective by chance."""
    return [
        make_record(
            f"{group}/{number}", is_defect=bool(rng.random() < 0.4), group=f"g{group}", split=split
        )
        for group in range(groups)
        for number in range(int(rng.integers(1, 6)))
    ]


def test_a_split_keeps_the_share_of_defects_in_each_part(make_records):
    parts = records.split(make_records(120, 40), tune=0.2, test=0.25, seed=3)
    # 40 defective: 0.55, 0.2 and 0.25 of them are 22, 8 and 10; 80 good: 44, 16 and 20.
    assert [parts[name].counts() for name in SPLITS] == [
        {"images": 66, "defective": 22},
        {"images": 24, "defective": 8},
        {"images": 30, "defective": 10},
    ]


@pytest.mark.parametrize("seed", range(20))
def test_no_group_straddles_a_split_and_no_image_is_lost(make_record, seed):
    found = records.Records.of(grouped(make_record, np.random.default_rng(seed), groups=25))
    parts = records.split(found, tune=0.3, test=0.2, seed=seed, require_defects=False)
    groups = [set(parts[name].groups) for name in SPLITS]
    assert not (groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2])
    assert sorted(i for part in parts.values() for i in part.ids) == list(found.ids)


@pytest.mark.parametrize("seed", range(20))
def test_no_group_straddles_folds_and_each_image_is_tested_once(make_record, seed):
    found = records.Records.of(grouped(make_record, np.random.default_rng(seed), groups=12))
    parts = records.folds(found, count=5, seed=seed)
    assert sorted(i for part in parts for i in part["test"].ids) == list(found.ids)
    for part in parts:
        assert len(part["test"])
        assert not set(part["train"].groups) & set(part["test"].groups)
        assert len(part["train"]) + len(part["test"]) == len(found)


def test_folds_share_defects_and_good_images_evenly(make_records):
    parts = records.folds(make_records(120, 40), count=5, seed=1)
    # 40 / 5 defective and 80 / 5 good in each.
    assert [part["test"].counts() for part in parts] == [{"images": 24, "defective": 8}] * 5


def test_few_defects_leave_no_fold_empty(make_records):
    # 2 defective images reach two folds; the 3 good ones must go to the other three.
    parts = records.folds(make_records(5, 2), count=5, seed=0)
    assert [len(part["test"]) for part in parts] == [1] * 5


def test_the_seed_draws_the_split(make_records):
    found = make_records(60, 20)

    def ids(seed):
        return records.split_ids(records.split(found, tune=0.25, test=0.25, seed=seed))

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_the_order_of_files_changes_neither_split_nor_folds_nor_hash(make_record):
    listed = grouped(make_record, np.random.default_rng(5), groups=20)
    shuffled = [listed[n] for n in np.random.default_rng(6).permutation(len(listed))]
    first, second = records.Records.of(listed), records.Records.of(shuffled)
    assert records.split(first, tune=0.2, test=0.2, seed=4) == records.split(
        second, tune=0.2, test=0.2, seed=4
    )
    assert records.folds(first, count=3, seed=4) == records.folds(second, count=3, seed=4)
    assert first.sha256() == second.sha256()


def test_a_split_that_the_data_set_fixes_is_kept(make_record):
    found = records.Records.of(
        make_record(f"{n:02d}", is_defect=n % 2 == 0, split="test" if n < 4 else None)
        for n in range(24)
    )
    parts = records.split(found, tune=0.2, test=0.2, seed=0)
    assert parts["test"].ids == ("00", "01", "02", "03")
    # 10 defective and 10 good remain; tune's share of them is 0.2 / (0.2 + 0.6): 2.5 each.
    assert parts["tune"].counts() in ({"images": n, "defective": n // 2} for n in (4, 6))


def test_a_fixed_tune_split_is_kept_too(make_record):
    found = records.Records.of(
        make_record(f"{n:02d}", is_defect=n % 2 == 0, split="tune" if n < 4 else None)
        for n in range(24)
    )
    assert records.split(found, tune=0.2, test=0.2, seed=0)["tune"].ids == ("00", "01", "02", "03")


def test_a_group_that_the_data_set_itself_parts_is_refused(make_record):
    found = records.Records.of(
        make_record(f"{n:02d}", group="part7", split="test" if n < 4 else None) for n in range(8)
    )
    with pytest.raises(errors.DataError, match=r"one split.*'part7'"):
        records.split(found, tune=0, test=0.2, seed=0, require_defects=False)


def test_a_split_without_defects_says_the_way_out(make_records):
    with pytest.raises(errors.DataError, match=r"no defect among them.*composed") as caught:
        records.split(make_records(20, 0), tune=0.2, test=0.2, seed=0)
    assert caught.value.exit_code == 3


def test_a_part_that_would_be_empty_is_refused(make_record):
    one_group = records.Records.of(make_record(f"{n}", group="g", is_defect=True) for n in range(9))
    with pytest.raises(errors.DataError, match="none for tune from 9 images"):
        records.split(one_group, tune=0.3, test=0.3, seed=0)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (-0.1, 0.2), (1.0, 0.0)])
def test_shares_must_leave_images_for_training(make_records, shares):
    with pytest.raises(errors.ConfigError, match="leave some images for training"):
        records.split(make_records(9, 3), tune=shares[0], test=shares[1], seed=0)


@pytest.mark.parametrize("count", [1, 6])
def test_folds_need_a_group_each(make_records, count):
    with pytest.raises(errors.DataError, match=f"Got {count} folds and 5 groups"):
        records.folds(make_records(5, 2), count=count, seed=0)


def test_the_hash_of_a_data_set_changes_with_any_byte(tmp_path):
    path, mask_path = tmp_path / "a.png", tmp_path / "m.png"
    path.write_bytes(images.encode_png(np.full((4, 5), 7, np.uint8)))
    mask_path.write_bytes(images.encode_png(np.eye(4, 5, dtype=np.bool_)))

    def sha256(**changes):
        fields = {"id": "a", "is_defect": True, **changes}
        return records.Records.of(
            [records.Record(source=records.FileSource(path, mask_path), **fields)]
        ).sha256()

    before = sha256()
    assert sha256() == before
    assert len({before, sha256(id="b"), sha256(is_defect=False), sha256(group="g")}) == 4
    for changed in (path, mask_path):
        data = bytearray(changed.read_bytes())
        data[-1] ^= 1
        changed.write_bytes(data)
        assert sha256() != before
        before = sha256()
    mask_path.unlink()
    with pytest.raises(errors.ImageError, match=r"m\.png: the file must be readable"):
        sha256()


def test_two_images_with_one_id_are_refused(make_record):
    with pytest.raises(errors.DataError, match="'a' twice"):
        records.Records.of([make_record("a"), make_record("a")], origin="the set")


def test_records_are_a_sequence_in_the_order_of_ids(make_record):
    found = records.Records.of(make_record(name, is_defect=name == "b") for name in "cab")
    assert found.ids == ("a", "b", "c")
    assert found[1:].ids == ("b", "c")
    assert found[0].id == "a"
    assert found.where(is_defect=True).ids == ("b",)
    assert found.select(["c", "a"]).ids == ("a", "c")
    assert found.groups == ("a", "b", "c")
    with pytest.raises(errors.DataError, match="1 absent, the first 'x'"):
        found.select(["x", "a"])


@pytest.fixture
def turned(tmp_path):
    """A 20 x 30 px JPEG that EXIF orientation 6 shows as 30 x 20, and a mask for it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (30, 20), 90).save(tmp_path / "a.jpg", exif=exif)
    return records.Record("a", True, records.FileSource(tmp_path / "a.jpg", tmp_path / "m.png"))


@pytest.mark.parametrize(("orientation", "size"), [("apply", (30, 20)), ("ignore", (20, 30))])
def test_a_mask_lies_as_the_image_that_is_read(turned, orientation, size):
    cv2.imwrite(str(turned.source.mask_path), np.full(size, 255, np.uint8))
    assert turned.read_image(orientation=orientation).shape == size
    assert turned.read_mask(orientation=orientation).shape == size
    good = records.FileSource(turned.source.image_path)
    assert good.read_mask(orientation=orientation).shape == size
    other = "ignore" if orientation == "apply" else "apply"
    with pytest.raises(errors.ImageError, match=r"m\.png must be"):
        turned.read_mask(orientation=other)


def test_a_template_is_turned_as_its_image(turned):
    source = dataclasses.replace(turned.source, template_path=turned.source.image_path)
    assert source.read_template(orientation="apply").shape == (30, 20)
    assert source.read_template(orientation="ignore").shape == (20, 30)
