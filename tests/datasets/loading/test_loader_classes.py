"""What is served where defects have classes and images have templates."""

import collections

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets.loading import augment, loader

# 6 good images, then 9, 4 and 1 of three classes.
LABEL = np.repeat([0, 1, 2, 3], [6, 9, 4, 1]).astype(np.uint8)


def order(label=LABEL, *, epoch=0, **spec):
    given = loader.LoaderSpec(**{"batch_size": 1, "defective_share": 0.7, **spec})
    return loader.epoch_order(label > 0, spec=given, seed=1, epoch=epoch, label=label)


def shown(label=LABEL, **options):
    """How often an epoch shows each class, from 0."""
    return np.bincount(label[order(label, **options)], minlength=4).tolist()


@pytest.mark.parametrize("epoch", [0, 1, 5])
@pytest.mark.parametrize(
    ("balance", "expected"),
    [
        # 0.7 of 20 images are defective: 14 places, as many as there are of them.
        (0.0, [6, 9, 4, 1]),
        # Weights 3, 2 and 1: 7, 4.67 and 2.33 places; the one that is left goes to 0.67.
        (0.5, [6, 7, 5, 2]),
        # 4.67 places each; the two that are left go to the first classes.
        (1.0, [6, 5, 5, 4]),
    ],
)
def test_classes_are_balanced_by_the_largest_remainders(balance, expected, epoch):
    assert shown(class_balance=balance, epoch=epoch) == expected


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("share", [0.35, None, 1.0])
def test_images_of_each_class_are_shown_equally_often(balance, share):
    times = collections.Counter()
    for epoch in range(7):
        times.update(order(class_balance=balance, defective_share=share, epoch=epoch).tolist())
        for number in (1, 2, 3):
            of_class = [times[row] for row in np.flatnonzero(number == LABEL)]
            # Without a balance all classes are dealt from one chain.
            assert max(of_class) - min(of_class) <= 1


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        # As they come, 14 of 20 are defective: 4.67 places for each class.
        (None, [6, 5, 5, 4]),
        # 6.67 places for each class and no good image.
        (1.0, [0, 7, 7, 6]),
        (0.0, [20, 0, 0, 0]),
    ],
)
def test_a_balance_keeps_the_share_of_defects(share, expected):
    assert shown(class_balance=1.0, defective_share=share) == expected


def test_a_balance_without_good_images_deals_all_places_to_classes():
    # 14 images: 4.67 places each.
    assert shown(LABEL[6:], class_balance=1.0) == [0, 5, 5, 4]


def test_a_balance_without_defects_changes_nothing():
    good = np.zeros(8, np.uint8)
    assert order(good, class_balance=1.0).tolist() == order(good).tolist()


def test_the_rarest_class_is_never_left_out():
    label = np.repeat([0, 1, 2], [60, 60, 1])
    # 4 defective places by weights 60 ** 0.9 = 39.9 and 1: 3.90 and 0.10, rounded 4 and 0.
    assert shown(label, class_balance=0.1, images_per_epoch=8, defective_share=0.5) == [4, 3, 1, 0]


def test_fewer_places_than_classes_go_to_the_first():
    # 2 places for 3 classes.
    assert shown(class_balance=1.0, images_per_epoch=4, defective_share=0.5) == [2, 1, 1, 0]


def test_one_class_is_shared_out_as_without_a_balance():
    label = (LABEL > 0).astype(np.uint8)
    assert shown(label, class_balance=1.0) == shown(label) == [6, 14, 0, 0]


@pytest.mark.parametrize(
    ("share", "epoch", "expected"),
    [
        (0.5, 0, [3, 2, 1, 4, 8, 5, 6, 0]),
        (0.5, 3, [2, 7, 5, 0, 3, 9, 1, 6]),
        (None, 0, [8, 5, 6, 0, 9, 1, 4, 3]),
        (None, 3, [5, 2, 3, 0, 8, 1, 9, 5]),
        (1.0, 1, [2, 0, 0, 3, 3, 1, 1, 2]),
    ],
)
def test_the_order_is_that_of_runs_in_the_field(share, epoch, expected):
    # Written down before classes existed: an unfinished run resumes with the same batches.
    label = (np.arange(10) < 4).astype(np.uint8)
    assert order(label, epoch=epoch, batch_size=4, defective_share=share).tolist() == expected


# Batches

CLASSES = ("crack", "dent", "stain")
SPEC = loader.LoaderSpec(batch_size=4, defective_share=0.5)


def make_cache(label=(0, 1, 2, 3, 0, 0, 0, 3), *, unmarked=(), template=True):
    """Random images; the mask of a defective one is a square of its class, unless unmarked."""
    label = np.array(label, np.uint8)
    pixels = np.random.default_rng(0).integers(0, 256, (2, len(label), 10, 14, 1), np.uint8)
    mask = np.zeros(pixels.shape[1:], np.uint8)
    mask[:, 2:7, 3:9] = label[:, None, None, None]
    mask[list(unmarked)] = 0
    return loader.Cache(
        pixels[0],
        mask,
        mask.any(axis=(1, 2, 3)),
        tuple(f"{row}" for row in range(len(label))),
        template=pixels[1] if template else None,
        label=label,
        classes=CLASSES,
    )


def train(held, *, augmentation=augment.NONE, spec=SPEC, epochs=1, **options):
    dataset = loader.for_training(
        held, spec=spec, augmentation=augmentation, seed=1, epochs=epochs, **options
    )
    return dataset, list(dataset.as_numpy_iterator())


def joined(batches, part, name):
    return np.concatenate([batch[part][name] for batch in batches])


def test_a_training_batch_holds_class_ids_and_templates():
    held = make_cache()
    rows = loader.epoch_order(held.is_defect, spec=SPEC, seed=1, epoch=0)
    dataset, served = train(held)
    inputs, targets = dataset.element_spec
    assert {name: value.shape for name, value in inputs.items()} == {
        "image": (4, 10, 14, 1),
        "template": (4, 10, 14, 1),
    }
    assert list(targets) == ["probability"]
    np.testing.assert_array_equal(joined(served, 0, "image"), held.image[rows])
    np.testing.assert_array_equal(joined(served, 0, "template"), held.template[rows])
    np.testing.assert_array_equal(joined(served, 1, "probability"), held.mask[rows])


def test_without_templates_a_batch_has_none():
    held = make_cache(template=False)
    assert list(train(held)[1][0][0]) == ["image"]
    assert list(next(iter(loader.for_evaluation(held)))[0]) == ["image"]


@pytest.mark.parametrize("augmentation", [augment.NONE, augment.AugmentSpec(gamma=0.3)])
def test_labels_follow_their_images(augmentation):
    held = make_cache()
    rows = loader.epoch_order(held.label > 0, spec=SPEC, seed=1, epoch=0)
    dataset, served = train(held, target="label", augmentation=augmentation)
    _, targets = dataset.element_spec
    assert {name: value.shape for name, value in targets.items()} == {"class_probability": (4, 1)}
    found = joined(served, 1, "class_probability")
    assert found.dtype == np.uint8
    assert found[:, 0].tolist() == held.label[rows].tolist()


def test_a_defect_without_a_mask_is_defective_for_labels_and_good_for_masks():
    held = make_cache((0, 0, 0, 0, 0, 0, 1, 2), unmarked=[6])
    _, by_label = train(held, target="label")
    # Half of 8 images are of the rows 6 and 7, twice each; or of row 7 alone.
    assert sorted(joined(by_label, 1, "class_probability")[:, 0].tolist()) == [0] * 4 + [1, 1, 2, 2]
    _, by_mask = train(held)
    masks = joined(by_mask, 1, "probability")
    assert sorted(masks.max(axis=(1, 2, 3)).tolist()) == [0] * 4 + [2] * 4


def test_class_ids_stay_whole_through_the_default_augmentation():
    held = make_cache()
    _, served = train(held, augmentation=augment.AugmentSpec(resampled_share=1), epochs=5)
    masks = joined(served, 1, "probability")
    # A mask holds the one class of its image.
    assert {tuple(np.unique(mask[mask > 0])) for mask in masks} == {(), (1,), (2,), (3,)}


def test_pairs_are_misaligned_by_the_drawn_shift_in_training_alone():
    held = make_cache()
    same = make_cache()
    object.__setattr__(same, "template", same.image)
    spec = augment.NONE.model_copy(update={"misalignment_px": 2})
    _, served = train(same, augmentation=spec)
    np.testing.assert_array_equal(joined(served, 0, "image"), joined(train(held)[1], 0, "image"))
    assert (joined(served, 0, "image") != joined(served, 0, "template")).any()
    evaluated = list(loader.for_evaluation(same).as_numpy_iterator())
    np.testing.assert_array_equal(joined(evaluated, 0, "image"), joined(evaluated, 0, "template"))


@pytest.mark.parametrize("target", ["mask", "label"])
def test_a_run_with_templates_and_classes_goes_on_in_the_middle(target):
    held = make_cache()
    spec = SPEC.model_copy(update={"class_balance": 1.0})
    options = {"spec": spec, "augmentation": augment.AugmentSpec(misalignment_px=1, gamma=0.2)}
    _, full = train(held, epochs=3, target=target, **options)
    _, tail = train(held, epochs=3, target=target, first_epoch=1, first_step=1, **options)
    assert len(tail) == len(full) - 3  # 2 batches an epoch
    for one, other in zip(tail, full[3:], strict=True):
        for part, others in zip(one, other, strict=True):
            assert part.keys() == others.keys()
            for name, value in part.items():
                np.testing.assert_array_equal(value, others[name])


def test_evaluation_serves_templates_and_labels_of_every_image_in_order():
    held = make_cache()
    dataset = loader.for_evaluation(held, batch_size=3, target="label")
    served = list(dataset.as_numpy_iterator())
    assert [len(batch[0]["image"]) for batch in served] == [3, 3, 2]
    np.testing.assert_array_equal(joined(served, 0, "template"), held.template)
    assert joined(served, 1, "class_probability")[:, 0].tolist() == held.label.tolist()
    masks = joined(list(loader.for_evaluation(held).as_numpy_iterator()), 1, "probability")
    np.testing.assert_array_equal(masks, held.mask)


# Classes of whole images


@pytest.fixture
def classed(make_classed):
    return loader.cache(make_classed([0, 2, 3]), images.Preprocessing(size=(12, 16)))


def served(cached, *, target, transplanted=0.0):
    return loader.for_training(
        cached,
        spec=loader.LoaderSpec(batch_size=2, defective_share=None),
        augmentation=augment.AugmentSpec(transplanted_share=transplanted),
        seed=0,
        epochs=3,
        target=target,
    )


def test_classes_of_whole_images_are_served_as_labels(classed):
    for batches in (
        served(classed, target="label"),
        loader.for_evaluation(classed, batch_size=2, target="label"),
    ):
        labels = [targets["class_probability"].numpy() for _, targets in batches]
        assert {batch.shape[1:] for batch in labels} == {(1,)}
        # An epoch has one batch of two; whoever evaluates sees each image.
        assert {0, 2, 3} == {int(label) for batch in labels for label in batch.ravel()}


def test_classes_of_whole_images_teach_no_mask(classed):
    with pytest.raises(errors.DataError, match=r"labels are masks\. Got classes of whole images"):
        served(classed, target="mask")
    with pytest.raises(errors.DataError, match="labels are masks"):
        loader.for_evaluation(classed)


def test_without_masks_nothing_can_be_transplanted(classed):
    told = r"needs masks or, for classes, data\.evidence.*Got labels that are classes, and no evid"
    with pytest.raises(errors.ConfigError, match=told):
        served(classed, target="label", transplanted=0.5)
