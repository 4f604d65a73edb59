"""Ignored pixels on their way: cache, augmentation, transplants, training."""

import dataclasses

import numpy as np
import tensorflow as tf

from inspection_tf import images
from inspection_tf.datasets import records
from inspection_tf.datasets.loading import augment, loader

IGNORED = records.IGNORED
SIZE = (8, 8)


@dataclasses.dataclass(frozen=True)
class Source:
    image: np.ndarray
    mask: np.ndarray
    ignored: np.ndarray

    has_ignored = True

    def read_image(self, *, orientation="apply"):
        return self.image

    def read_mask(self, *, orientation="apply"):
        return self.mask

    def class_ids(self):
        return tuple(sorted(set(np.unique(self.mask).tolist()) - {0}))

    def read_ignored(self, *, orientation="apply"):
        return self.ignored

    def identity(self):
        return self.image.tobytes()


def make(name, *, ids=(), ignored=(), is_defect=None, size=SIZE, seed=0):
    """Make a record with a class in some rows and ignored columns; defects lie above."""
    mask, rim = np.zeros(size, np.uint8), np.zeros(size, np.bool_)
    for number in ids:
        mask[number] = number
    rim[:, list(ignored)] = True
    mask[rim] = 0
    image = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    label = bool(mask.any()) if is_defect is None else is_defect
    return records.Record(name, label, Source(image, mask, rim))


def cached(*made, size=SIZE, fit="exact", classes=("a", "b")):
    found = records.Records.of(made, classes=classes)
    return loader.cache(found, images.Preprocessing(size=size, fit=fit))


def test_the_cache_holds_them_as_an_id_of_their_own():
    held = cached(make("x", ids=(1, 2), ignored=(6, 7)), make("y", ignored=(0,)))
    assert (held.has_ignored, held.ignored_id) == (True, IGNORED)
    assert held.mask[0, 1, :, 0].tolist() == [1] * 6 + [IGNORED] * 2
    assert (held.mask[1] == IGNORED).sum() == 8
    # What is ignored is no defect: neither of the image nor of its class.
    assert held.is_defect.tolist() == [True, False]
    assert held.label.tolist() == [1, 0]
    assert held.marked(0).sum() == 12
    assert not held.marked(1).any()


def test_a_defect_of_which_all_is_ignored_teaches_as_an_unmarked_one(caplog):
    held = cached(make("x", ids=(1,), ignored=range(8), is_defect=True), make("y"))
    assert held.is_defect.tolist() == [False, False]
    assert held.label.tolist() == [1, 0]
    assert held.without_unmarked().ids == ("y",)
    assert "x is defective but its mask is empty" in caplog.text


def test_made_smaller_a_pixel_is_what_covers_half_of_it():
    held = cached(make("x", ids=(2, 3), ignored=(4, 5)), size=(4, 4), fit="stretch", classes="abc")
    assert held.mask[0, 1, :, 0].tolist() == [3, 3, IGNORED, 3]  # equal shares: the later class
    assert held.mask[0, 0, :, 0].tolist() == [0, 0, IGNORED, 0]


def test_without_them_the_cache_is_as_it_was(make_records):
    held = loader.cache(make_records(2, 1), images.Preprocessing(size=(12, 16)))
    assert (held.has_ignored, held.ignored_id) == (False, None)


def draw(spec, count, size=SIZE):
    drawn = [augment.draw(spec, seed=1, epoch=0, position=p, size=size) for p in range(count)]
    return np.stack(drawn)


MOVED = augment.NONE.model_copy(
    update={"flips": True, "right_angles": True, "shift": 0.3, "resampled_share": 0}
)


def test_whole_pixels_move_with_their_image():
    ids = np.random.default_rng(0).choice(np.array([0, 1, 2, IGNORED], np.uint8), (16, *SIZE, 1))
    moved, mask = augment.geometric(ids, ids, draw(MOVED, 16), classes=2, ignored_id=IGNORED)
    np.testing.assert_array_equal(mask, np.asarray(moved).astype(np.uint8))


def test_between_pixels_it_is_what_covers_most():
    row = augment.draw(augment.NONE, seed=0, epoch=0, position=0, size=(1, 4))
    row[2] = 0.25  # three quarters of a pixel, and a quarter of the next
    mask = np.array([[[[1], [IGNORED], [0], [1]]]], np.uint8)
    _, moved = augment.geometric(mask, mask, row[None], classes=1, ignored_id=IGNORED)
    assert np.asarray(moved)[0, 0, :3, 0].tolist() == [1, IGNORED, 0]


def operations(**options):
    """Return the names of the operations that augmentation adds to a graph."""
    kinds = (tf.TensorSpec((2, *SIZE, 1), tf.uint8),) * 2
    traced = tf.function(
        lambda image, mask, rows: augment.apply(image, mask, rows, augment.AugmentSpec(), **options)
    ).get_concrete_function(*kinds, tf.TensorSpec((2, augment.WIDTH), tf.float32))
    return [node.name for node in traced.graph.as_graph_def().node]


def test_without_them_the_graph_of_augmentation_is_as_it_was():
    assert operations() == operations(ignored_id=None)
    assert len(operations(ignored_id=IGNORED)) > len(operations())


def batches(held, **augmentation):
    served = loader.for_training(
        held,
        spec=loader.LoaderSpec(batch_size=4),
        augmentation=augment.NONE.model_copy(update=augmentation),
        seed=0,
        epochs=3,
    )
    return [target["probability"] for _, target in served.as_numpy_iterator()]


def test_the_loader_serves_them_in_training_and_evaluation():
    held = cached(*(make(f"{n}", ids=(1,) * (n % 2), ignored=(n,), seed=n) for n in range(8)))
    served = np.concatenate(batches(held))
    assert set(np.unique(served).tolist()) == {0, 1, IGNORED}
    (batch,) = loader.for_evaluation(held, batch_size=8).as_numpy_iterator()
    np.testing.assert_array_equal(batch[1]["probability"], held.mask)


def test_a_transplant_takes_its_own_along_and_leaves_those_of_the_good_image():
    bad = [make(f"b{n}", ids=(3, 4), ignored=(7,), seed=n) for n in range(4)]
    good = [make(f"g{n}", ignored=(0,), seed=9 + n) for n in range(4)]
    held = cached(*bad, *good, classes="abcd")
    (mask, *_) = (ids for batch in batches(held, transplanted_share=1.0) for ids in batch
                  if ((ids > 0) & (ids < 5)).any())  # fmt: skip
    assert (mask[:, 0] == IGNORED).sum() + ((mask[:, 0] > 0) & (mask[:, 0] < 5)).sum() == 8


def test_an_image_with_nothing_but_ignored_pixels_gives_no_transplant():
    held = cached(make("a", ignored=(7,)), make("b", ignored=(7,), seed=1))
    served = batches(
        dataclasses.replace(held, is_defect=np.array([True, False])), transplanted_share=1.0
    )
    for ids in served:
        assert (ids == IGNORED).sum(axis=(1, 2, 3)).tolist() == [8] * len(ids)
