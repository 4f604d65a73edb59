"""What a cache holds beside images and masks: class ids, labels, aligned templates, statistics."""

import dataclasses
import errno
import gc
import logging
from pathlib import Path

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets import records
from inspection_tf.datasets.loading import loader
from inspection_tf.images import registration

GRAY = images.Preprocessing(size=(12, 16))
CLASSES = ("crack", "dent", "stain")


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image with class ids and a template."""

    image: np.ndarray
    mask: np.ndarray
    template: np.ndarray

    def read_image(self, *, orientation="apply"):
        return self.image

    def read_mask(self, *, orientation="apply"):
        return self.mask

    def read_template(self, *, orientation="apply"):
        return self.template

    def class_ids(self):
        return tuple(np.unique(self.mask[self.mask > 0]).tolist())

    def identity(self):
        return b"".join(array.tobytes() for array in (self.image, self.mask, self.template))


def of_classes(items):
    return records.Records.of(items, classes=CLASSES)


@pytest.fixture
def make_ids(make_record):
    """Make a record whose mask holds the given numbers of pixels of classes 1, 2, ..."""

    def make(name, *counts, is_defect=True, class_id=1):
        record = make_record(name, is_defect=is_defect)
        ids = np.zeros((12, 16), np.uint8)
        ids.ravel()[: sum(counts)] = np.repeat(np.arange(1, 1 + len(counts)), counts)
        object.__setattr__(record.source, "mask", ids)
        return dataclasses.replace(record, class_id=class_id)

    return make


def test_a_bool_mask_is_cached_as_the_class_of_its_record(make_record):
    record = dataclasses.replace(make_record("a", is_defect=True), class_id=3)
    held = loader.cache(of_classes([record, make_record("b")]), GRAY)
    np.testing.assert_array_equal(held.mask[0, ..., 0], 3 * record.read_mask())
    assert held.label.tolist() == [3, 0]
    assert held.label.dtype == np.uint8
    assert held.classes == CLASSES


@pytest.mark.parametrize(
    ("counts", "label"), [((3, 5), 2), ((5, 3), 1), ((0, 0, 4), 3), ((4, 4), 1), ((1, 2, 3), 3)]
)
def test_the_label_is_the_class_that_an_image_shows_most_of(make_ids, counts, label):
    held = loader.cache(of_classes([make_ids("a", *counts)]), GRAY)
    assert held.label.tolist() == [label]
    assert np.bincount(held.mask.ravel(), minlength=4)[1:].tolist() == [
        *counts,
        *[0] * (3 - len(counts)),
    ]


def test_an_empty_mask_takes_the_class_of_its_record(make_ids):
    items = [
        make_ids("a", class_id=2),
        make_ids("b", is_defect=False, class_id=2),
        make_ids("c", 0, 0, 9, class_id=2),
    ]
    held = loader.cache(of_classes(items), GRAY)
    assert held.label.tolist() == [2, 0, 3]
    assert held.is_defect.tolist() == [False, False, True]


def test_without_labels_a_cache_knows_good_and_defective():
    mask = np.zeros((2, 4, 4, 1), np.uint8)
    mask[1] = 1
    held = loader.Cache(mask, mask, mask.any(axis=(1, 2, 3)), ("a", "b"))
    assert held.label.tolist() == [0, 1]
    assert held.label.dtype == np.uint8
    assert held.classes == ("defect",)


def test_each_class_survives_being_scaled_down(make_record):
    record = make_record("a", is_defect=True)
    ids = np.zeros((12, 16), np.uint8)
    ids[:6, :8] = 1
    ids[9, 13] = 2  # a sixteenth of a pixel of the input
    object.__setattr__(record.source, "mask", ids)
    quarter = images.Preprocessing(size=(3, 4), fit="stretch")
    held = loader.cache(of_classes([record]), quarter)
    # Class 1 covers rows 0 to 1.5 and columns 0 to 2; half a pixel counts.
    assert held.mask[0, ..., 0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 2]]


# Templates


def make_pairs(*, count=3, shift_xy=(3, -2)):
    """Images of a texture, whose templates show it `shift_xy` px away."""
    items = []
    for number in range(count):
        rng = np.random.default_rng(number)
        wide = np.kron(rng.integers(40, 216, (14, 16)), np.ones((4, 4))).astype(np.uint8)
        x, y = shift_xy
        mask = np.zeros((40, 48), np.uint8)
        mask[5:9, 5:9] = number  # the first is good
        source = Pair(wide[8:48, 8:56], mask, wide[8 - y : 48 - y, 8 - x : 56 - x])
        items.append(records.Record(f"{number}", number > 0, source))
    return of_classes(items)


PAIRED = images.Preprocessing(size=(40, 48))


@pytest.mark.parametrize(
    "preprocessing", [PAIRED, images.Preprocessing(size=(24, 24), fit="letterbox")]
)
@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_templates_are_cached_as_registration_prepares_them(preprocessing, storage):
    found, spec = make_pairs(), registration.AlignSpec()
    held = loader.cache(found, preprocessing, spec=loader.LoaderSpec(cache=storage), alignment=spec)
    for row, record in enumerate(found):
        image, template, _ = registration.prepare(
            record.read_image(), record.read_template(), preprocessing, spec
        )
        np.testing.assert_array_equal(held.image[row], image)
        np.testing.assert_array_equal(held.template[row], template)
    assert held.label.tolist() == [0, 1, 2]


def test_a_cached_template_lies_on_its_image():
    held = loader.cache(make_pairs(), PAIRED)
    inner = np.s_[:, 4:-4, 4:-4]  # what came in from beyond the border was not seen
    np.testing.assert_array_equal(held.template[inner], held.image[inner])


def test_templates_stay_where_they_are_when_they_are_not_aligned():
    found = make_pairs()
    held = loader.cache(found, PAIRED, alignment=registration.AlignSpec(method="none"))
    for row, record in enumerate(found):
        np.testing.assert_array_equal(held.template[row, ..., 0], record.read_template())


def test_records_without_templates_are_cached_without(make_records):
    assert loader.cache(make_records(2, 1), GRAY).template is None


def test_templates_of_some_images_only_are_refused(make_record):
    found = of_classes([*make_pairs(), make_record("x", size=(40, 48))])
    with pytest.raises(errors.DataError, match="1 of 4 without one, the first 'x'"):
        loader.cache(found, PAIRED)


def test_a_template_of_another_size_names_its_record():
    (record,) = make_pairs(count=1)
    wrong = dataclasses.replace(record.source, template=np.zeros((40, 47), np.uint8))
    found = of_classes([dataclasses.replace(record, source=wrong)])
    with pytest.raises(errors.ImageError, match=r"0: The template must be 40 x 48.*40 x 47"):
        loader.cache(found, PAIRED)


# Without unmarked images


def make_held(label, marked, *, storage="memory"):
    """A cache of images 10 x 10 px, of which row n shows n."""
    count = len(label)
    image = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 5, 1))
    found = of_classes(
        records.Record(
            f"{row}",
            number > 0,
            Pair(
                image[row, ..., 0],
                np.full((4, 5), number * shown, np.uint8),
                image[row, ..., 0] + 9,
            ),
            class_id=max(1, number),
        )
        for row, (number, shown) in enumerate(zip(label, marked, strict=True))
    )
    return loader.cache(
        found,
        images.Preprocessing(size=(4, 5)),
        spec=loader.LoaderSpec(cache=storage),
        alignment=registration.AlignSpec(method="none"),
    )


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_unmarked_defects_can_be_left_out(storage, caplog):
    held = make_held([0, 1, 2, 0, 3], [0, 0, 1, 0, 0], storage=storage)
    with caplog.at_level(logging.INFO, logger="inspection_tf"):
        kept = held.without_unmarked()
    assert "2 defective images without a mask are left out" in caplog.text
    assert kept.ids == ("0", "2", "3")
    assert kept.label.tolist() == [0, 2, 0]
    assert kept.is_defect.tolist() == [False, True, False]
    assert kept.image[:, 0, 0, 0].tolist() == [0, 2, 3]
    assert kept.template[:, 3, 4, 0].tolist() == [9, 11, 12]
    assert kept.mask[:, 1, 1, 0].tolist() == [0, 2, 0]
    assert kept.classes == CLASSES
    # The other stage of a cascade still learns from all of them.
    assert held.label.tolist() == [0, 1, 2, 0, 3]


def test_what_is_left_of_a_cache_on_disk_is_on_disk():
    kept = make_held([0, 1], [0, 0], storage="disk").without_unmarked()
    gc.collect()  # the whole one is gone
    assert isinstance(kept.image, np.memmap)
    assert isinstance(kept.template, np.memmap)
    folder = Path(kept.image.filename).parent
    assert kept.image.shape == (1, 4, 5, 1)
    del kept
    gc.collect()
    assert not folder.exists()


def test_a_disk_too_small_for_what_is_left_is_a_storage_error(monkeypatch, tmp_path):
    held = make_held([0, 1], [0, 0], storage="disk")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(errors.StorageError, match=r"hold 1 images.*No space left"):
        held.without_unmarked()
    assert list(tmp_path.iterdir()) == []


def test_a_cache_whose_defects_are_all_marked_is_kept_as_it_is():
    held = make_held([0, 1], [0, 1])
    assert held.without_unmarked() is held


def test_a_cache_of_unmarked_defects_alone_cannot_teach_a_segmentation():
    held = make_held([1, 2], [0, 0])
    with pytest.raises(errors.DataError, match="Got 2 defective ones with empty masks"):
        held.without_unmarked()


# Statistics


def of_pixels(*pictures):
    image = np.array(pictures, np.uint8)[..., None]
    return loader.Cache(image, image, image.any(axis=(1, 2, 3)), tuple("ab"[: len(image)]))


def test_statistics_are_over_all_pixels_but_the_rim():
    held = of_pixels([[0, 100]], [[200, 100]])
    # Black is a grey value like any other: mean 400 / 4, variance (100 ** 2 + 100 ** 2) / 4.
    assert held.statistics() == (100, pytest.approx(5000**0.5))
    # 100, 200, 100 without a rim of one: mean 400 / 3, variance (2 * 33.3 ** 2 + 66.7 ** 2) / 3.
    mean, deviation = dataclasses.replace(held, rim_px=np.array([1, 0])).statistics()
    assert mean == pytest.approx(400 / 3)
    assert deviation == pytest.approx((20000 / 9) ** 0.5)


def test_statistics_weigh_every_image_alike():
    # Two pixels of 10 and two of 30: mean 20, deviation 10.
    assert of_pixels([[10, 10]], [[30, 30]]).statistics() == (20, 10)


@pytest.mark.parametrize(("value", "mean"), [(0, 0), (50, 50)])
def test_a_flat_data_set_has_a_deviation_that_can_divide(value, mean):
    assert of_pixels([[value, value]]).statistics() == (mean, 1)


def test_statistics_of_a_letterbox_are_those_of_its_images(make_record):
    record = make_record("a", size=(8, 16))
    record.source.image[:] = 80
    record.source.image[:, ::2] = 0
    boxed = images.Preprocessing(size=(16, 16), fit="letterbox")
    held = loader.cache(records.Records.of([record]), boxed)
    assert held.rim_px.tolist() == [8 * 16]
    assert held.statistics() == (40, 40)


def test_statistics_of_colour_are_over_all_channels():
    image = np.array([[[[10, 20, 60]]]], np.uint8)
    held = loader.Cache(image, image[..., :1], np.array([True]), ("a",))
    # Mean 30, variance (400 + 100 + 900) / 3.
    assert held.statistics() == (30, pytest.approx((1400 / 3) ** 0.5))


# Classes of whole images


def test_a_class_of_the_whole_image_is_cached_as_its_label(make_classed, caplog):
    found = make_classed([0, 2, 3])
    cached = loader.cache(found, GRAY)
    assert cached.label.tolist() == [0, 2, 3]
    assert cached.is_defect.tolist() == [False, True, True]
    assert (cached.label_kind, cached.corners_xy) == ("classes", None)
    np.testing.assert_array_equal(cached.image[1, ..., 0], found[1].read_image())
    assert "mask is empty" not in caplog.text
    assert cached.without_unmarked() is cached


def test_no_memory_goes_into_masks_of_classes(make_classed):
    cached = loader.cache(make_classed([0, 2]), GRAY)
    assert cached.mask.shape == (2, 12, 16, 1)
    assert cached.mask.strides == (0, 0, 0, 0)
    assert not cached.mask.any()


def test_a_cache_says_what_is_known_of_its_images(make_records):
    assert loader.cache(make_records(2, 1), GRAY).label_kind == "masks"
