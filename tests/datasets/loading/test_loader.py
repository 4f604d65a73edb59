import collections
import errno
import gc
import logging
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from inspection_tf import errors, images
from inspection_tf.datasets import readers, records
from inspection_tf.datasets.loading import augment, loader

GRAY = images.Preprocessing(size=(12, 16))
SPEC = loader.LoaderSpec(batch_size=4, defective_share=0.5)


def batches(dataset):
    return [
        (inputs["image"], targets["probability"]) for inputs, targets in dataset.as_numpy_iterator()
    ]


def assert_equal_batches(some, others):
    assert len(some) == len(others) > 0
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def train(held, *, spec=SPEC, augmentation=None, seed=1, epochs=2, **options):
    augmentation = augmentation or augment.AugmentSpec()
    return batches(
        loader.for_training(
            held, spec=spec, augmentation=augmentation, seed=seed, epochs=epochs, **options
        )
    )


def order(is_defect, *, spec=SPEC, seed=1, epoch=0):
    return loader.epoch_order(np.asarray(is_defect), spec=spec, seed=seed, epoch=epoch)


def test_a_cache_holds_every_image_and_mask_in_the_order_of_ids(make_records):
    found, seen = make_records(5, 2), []
    held = loader.cache(found, GRAY, progress=lambda done, of: seen.append((done, of)))
    assert held.ids == found.ids
    assert held.is_defect.tolist() == [True, True, False, False, False]
    assert held.image.shape == held.mask.shape == (5, 12, 16, 1)
    assert held.size == (12, 16)
    for row, record in enumerate(found):
        np.testing.assert_array_equal(held.image[row, ..., 0], record.read_image())
        np.testing.assert_array_equal(held.mask[row, ..., 0], record.read_mask())
    assert seen[-1] == (5, 5)


def test_colour_images_are_cached_with_three_channels(make_records):
    found = make_records(3, 1, channels=3)
    rgb = GRAY.model_copy(update={"channels": "rgb"})
    held = loader.cache(found, rgb)
    np.testing.assert_array_equal(held.image[1], found[1].read_image())
    assert train(held, spec=loader.LoaderSpec(batch_size=2))[0][0].shape == (2, 12, 16, 3)
    assert loader.cache(found, GRAY).image.shape == (3, 12, 16, 1)


def test_images_are_preprocessed_with_their_masks(make_records):
    half = images.Preprocessing(size=(6, 8), fit="stretch")
    found = make_records(2, 1)
    held = loader.cache(found, half)
    pixels, placement = images.preprocess(found[0].read_image(), half)
    np.testing.assert_array_equal(held.image[0], pixels)
    np.testing.assert_array_equal(
        held.mask[0, ..., 0], placement.mask_to_input(found[0].read_mask())
    )


def test_the_order_is_a_function_of_seed_and_epoch():
    is_defect = np.arange(20) < 6
    first = order(is_defect).tolist()
    assert order(is_defect).tolist() == first
    assert order(is_defect, epoch=1).tolist() != first
    assert order(is_defect, seed=2).tolist() != first


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_each_epoch_holds_the_share_of_defects_asked_for(share, expected):
    is_defect = np.arange(20) < 6
    spec = loader.LoaderSpec(batch_size=4, defective_share=share)
    for epoch in range(5):
        assert is_defect[order(is_defect, spec=spec, epoch=epoch)].sum() == expected


@pytest.mark.parametrize("images_per_epoch", [None, 8, 60])
def test_images_of_a_class_are_shown_equally_often(images_per_epoch):
    is_defect = np.arange(21) < 7
    spec = loader.LoaderSpec(batch_size=4, images_per_epoch=images_per_epoch)
    shown = collections.Counter()
    for epoch in range(9):
        shown.update(order(is_defect, spec=spec, epoch=epoch).tolist())
        for rows in (range(7), range(7, 21)):
            times = [shown[row] for row in rows]
            assert max(times) - min(times) <= 1


def test_without_a_share_every_image_comes_once_in_turn():
    spec = loader.LoaderSpec(batch_size=5, defective_share=None)
    is_defect = np.arange(20) < 3
    assert sorted(order(is_defect, spec=spec).tolist()) == list(range(20))


def test_one_class_alone_is_served_whatever_the_share():
    assert sorted(order(np.zeros(8, np.bool_)).tolist()) == list(range(8))


def test_an_epoch_has_full_batches_only(make_records):
    held = loader.cache(make_records(11, 4), GRAY)
    assert loader.steps_per_epoch(held, SPEC) == 2  # 11 // 4
    assert [len(image) for image, _ in train(held, epochs=3)] == [4] * 6
    # Fewer images than a batch still make one: images repeat.
    few = loader.cache(make_records(3, 1), GRAY)
    assert [len(image) for image, _ in train(few, epochs=1)] == [4]


@pytest.mark.parametrize(("first_epoch", "first_step"), [(0, 1), (1, 0), (1, 2), (2, 1)])
def test_starting_in_the_middle_gives_the_tail_of_a_full_run(make_records, first_epoch, first_step):
    held = loader.cache(make_records(14, 5), GRAY)
    full = train(held, epochs=3)  # 3 batches an epoch
    tail = train(held, epochs=3, first_epoch=first_epoch, first_step=first_step)
    assert_equal_batches(tail, full[3 * first_epoch + first_step :])


def test_batches_follow_from_the_seed(make_records):
    held = loader.cache(make_records(9, 4), GRAY)
    assert_equal_batches(train(held), train(held))
    some, others = train(held, seed=1), train(held, seed=2)
    assert any((one[0] != other[0]).any() for one, other in zip(some, others, strict=True))


def test_the_order_of_files_does_not_change_the_batches(make_records):
    found = make_records(9, 4)
    shuffled = records.Records.of(reversed(found.items))
    assert_equal_batches(train(loader.cache(found, GRAY)), train(loader.cache(shuffled, GRAY)))


def test_without_augmentation_batches_hold_the_cached_pixels(make_records):
    held = loader.cache(make_records(8, 4), GRAY)
    rows = order(held.is_defect)
    shown = train(held, augmentation=augment.NONE, epochs=1)
    np.testing.assert_array_equal(np.concatenate([i for i, _ in shown]), held.image[rows])
    np.testing.assert_array_equal(np.concatenate([m for _, m in shown]), held.mask[rows])


def test_no_tuner_keeps_the_end_of_the_data_waiting(make_records):
    held = loader.cache(make_records(8, 4), GRAY)
    spec = {"spec": SPEC, "augmentation": augment.NONE, "seed": 0}
    for served in (loader.for_training(held, epochs=2, **spec), loader.for_evaluation(held)):
        assert served.options().autotune.enabled is False


def test_batches_have_static_shapes(make_records):
    held = loader.cache(make_records(8, 4), GRAY)
    spec = {"spec": SPEC, "augmentation": augment.NONE, "seed": 0}
    inputs, targets = loader.for_training(held, epochs=2, **spec).element_spec
    assert inputs["image"].shape == targets["probability"].shape == (4, 12, 16, 1)
    assert int(loader.for_training(held, epochs=2, **spec).cardinality()) == 4
    assert int(loader.for_evaluation(held, batch_size=3).cardinality()) == 3


def test_a_cache_on_disk_serves_what_one_in_memory_serves(make_records):
    found = make_records(9, 4)
    on_disk = loader.cache(found, GRAY, spec=loader.LoaderSpec(cache="disk"))
    in_memory = loader.cache(found, GRAY, spec=loader.LoaderSpec(cache="memory"))
    assert isinstance(on_disk.image, np.memmap)
    assert not isinstance(in_memory.image, np.memmap)
    np.testing.assert_array_equal(on_disk.image, in_memory.image)
    np.testing.assert_array_equal(on_disk.mask, in_memory.mask)
    assert_equal_batches(train(on_disk), train(in_memory))
    assert_equal_batches(
        batches(loader.for_evaluation(on_disk)), batches(loader.for_evaluation(in_memory))
    )


def test_a_cache_goes_to_disk_when_memory_is_too_small(make_records):
    found = make_records(35, 1, size=(128, 128))
    limited = loader.LoaderSpec(memory_limit_mb=1)  # 35 * 128 * 128 * 2 is 1.09 MiB
    wide = images.Preprocessing(size=(128, 128))
    assert isinstance(loader.cache(found, wide, spec=limited).image, np.memmap)
    assert not isinstance(loader.cache(found[:30], wide, spec=limited).image, np.memmap)


def test_a_cache_on_disk_leaves_nothing_behind(make_records):
    held = loader.cache(make_records(3, 1), GRAY, spec=loader.LoaderSpec(cache="disk"))
    folder = Path(held.image.filename).parent
    assert folder.is_dir()
    del held
    gc.collect()
    assert not folder.exists()


def test_a_full_disk_is_an_error_that_leaves_nothing_behind(make_records, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(errors.StorageError, match=r"hold 3 images.*No space left") as caught:
        loader.cache(make_records(3, 1), GRAY, spec=loader.LoaderSpec(cache="disk"))
    assert caught.value.exit_code == 5
    assert list(tmp_path.iterdir()) == []


def test_evaluation_serves_every_image_once_with_a_smaller_last_batch(make_records):
    held = loader.cache(make_records(10, 3), GRAY)
    served = batches(loader.for_evaluation(held, batch_size=4))
    assert [len(image) for image, _ in served] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([i for i, _ in served]), held.image)
    np.testing.assert_array_equal(np.concatenate([m for _, m in served]), held.mask)


def test_an_empty_data_set_is_refused():
    with pytest.raises(errors.DataError, match="at least one image"):
        loader.cache(records.Records(()), GRAY)


def test_an_image_of_another_size_is_named(make_record):
    found = records.Records.of([make_record("a"), make_record("b", size=(12, 17))])
    with pytest.raises(errors.ImageError, match=r"b: .*12 x 16.*Got 12 x 17.*letterbox"):
        loader.cache(found, GRAY)


def test_a_mask_of_another_size_names_its_file(tmp_path, write_folders):
    found = readers.read_folder(write_folders(tmp_path))
    path = tmp_path / "masks" / "d1.png"
    path.write_bytes(images.encode_png(np.ones((11, 16), np.bool_)))
    with pytest.raises(errors.ImageError, match=r"masks.d1\.png must be 12 x 16 px.*Got 11 x 16"):
        loader.cache(found, GRAY)


def test_a_defect_without_a_mask_is_told(make_record, caplog):
    record = make_record("a", is_defect=True)
    record.source.mask[:] = False
    with caplog.at_level(logging.WARNING, logger="inspection_tf"):
        held = loader.cache(records.Records.of([record]), GRAY)
    assert "a is defective but its mask is empty" in caplog.text
    assert held.is_defect.tolist() == [False]


def tfds_like(found, **changes):
    """A data set as TFDS serves it."""
    features = {
        "image": np.stack([r.read_image() for r in found])[..., None],
        "mask": np.stack([r.read_mask() for r in found])[..., None].astype(np.uint8) * 255,
        "id": np.array(found.ids),
        **changes,
    }
    kept = {name: value for name, value in features.items() if value is not None}
    return tf.data.Dataset.from_tensor_slices(kept)


@pytest.mark.parametrize("mask_dtype", ["0 and 255", "0 and 1", "bool"])
def test_a_tfds_data_set_is_cached_as_its_records(make_records, mask_dtype):
    found = make_records(5, 2)
    masks = np.stack([r.read_mask() for r in found])[..., None]
    mask = {"bool": masks, "0 and 1": masks.astype(np.uint8)}.get(mask_dtype)
    dataset = tfds_like(found, **({} if mask is None else {"mask": mask}))
    one, other = loader.cache(dataset, GRAY), loader.cache(found, GRAY)
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_array_equal(one.is_defect, other.is_defect)
    assert one.ids == other.ids


def test_a_tfds_data_set_of_unknown_length_is_counted(make_records):
    dataset = tfds_like(make_records(5, 2), id=None).filter(lambda example: True)
    held = loader.cache(dataset, GRAY)
    assert held.ids == ("000000", "000001", "000002", "000003", "000004")


def test_a_tfds_data_set_must_have_image_and_mask_and_end(make_records):
    found = make_records(2, 1)
    with pytest.raises(errors.DataError, match=r"Got \['id', 'image'\].*as_supervised"):
        loader.cache(tfds_like(found, mask=None), GRAY)
    with pytest.raises(errors.DataError, match="must end"):
        loader.cache(tfds_like(found).repeat(), GRAY)
    with pytest.raises(errors.ImageError, match=r"000: .*must be 12 x 16"):
        loader.cache(tfds_like(found, mask=np.zeros((2, 9, 9, 1), np.uint8)), GRAY)
