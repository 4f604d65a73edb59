"""From records to `tf.data`: decoded and preprocessed once, then served in a stateless order."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.datasets.loading import augment, transplant
from inspection_tf.datasets.loading.cache import Cache, LoaderSpec, Pixels, cache
from inspection_tf.datasets.records import IGNORED

__all__ = [
    "Cache",
    "LoaderSpec",
    "Target",
    "cache",
    "dealer",
    "epoch_order",
    "for_evaluation",
    "for_training",
    "in_order",
    "shared",
    "steps_per_epoch",
    "untuned",
]

Target = Literal["mask", "label"]
"""What a network learns: the class of every pixel, or of the image."""
Named = dict[str, tf.Tensor]
Batch = tuple[Named, Named]
"""Inputs and targets by the names that the network has for them."""
_TRANSPLANT = 5  # keeps these draws apart from the others
_OUTPUT = {"mask": "probability", "label": "class_probability"}


def _endless(rows: NDArray[np.int64], first: int, count: int, key: list[int]) -> NDArray[np.int64]:
    """Return places first..first+count of an endless chain of seeded shuffles of `rows`."""
    if not count:
        return rows[:0]
    chain = [
        np.random.default_rng([*key, lap]).permutation(rows)
        for lap in range(first // len(rows), (first + count - 1) // len(rows) + 1)
    ]
    start = first % len(rows)
    return np.concatenate(chain)[start : start + count]


def _dealt(
    label: NDArray[np.uint8], count: int, balance: float
) -> list[tuple[NDArray[np.int64], int]]:
    """Return the rows of each class of defects, and how many of `count` places they receive."""
    rows = [np.flatnonzero(label == number) for number in np.unique(label)]
    weight = np.array([len(members) for members in rows], float) ** (1 - balance)
    exact = count * weight / weight.sum()
    places = np.floor(exact).astype(int)
    short = np.argsort(places - exact, kind="stable")[: count - places.sum()]
    places[short] += 1  # the largest remainders
    while not places.all() and places.max() > 1:  # what is never shown is never learned
        places[places.argmax()] -= 1
        places[places.argmin()] += 1
    return list(zip(rows, places.tolist(), strict=True))


def epoch_order(
    is_defect: NDArray[np.bool_],
    *,
    spec: LoaderSpec,
    seed: int,
    epoch: int,
    label: NDArray[np.uint8] | None = None,
) -> NDArray[np.int64]:
    """Return the rows an epoch shows, in order; a function of (seed, epoch) alone.

    With a `defective_share` both classes are dealt from chains of shuffles that go on from epoch to
    epoch, so every image is shown equally often whatever the share. With a `class_balance` each
    class of defects has a chain of its own, and at least one place where there are enough.

    Args:
        is_defect: (images,).
        spec: batch size, shares and images an epoch; a last batch that is not full is dropped.
        seed: of the run.
        epoch: from 0.
        label: (images,), class ids; needed for `class_balance` alone.
    """
    total = spec.images_per_epoch or len(is_defect)
    total = max(1, total // spec.batch_size) * spec.batch_size
    defective, good = np.flatnonzero(is_defect), np.flatnonzero(~is_defect)
    if spec.defective_share is None or not len(defective) or not len(good):
        every = np.arange(len(is_defect))
        if label is None or not spec.class_balance or not len(defective):
            return _endless(every, epoch * total, total, [seed, 2])
        share = len(defective) / len(every)  # as they come
    else:
        share = spec.defective_share
    bad_count = round(total * share)
    good_count = total - bad_count
    if label is None or not spec.class_balance:
        parts = [_endless(defective, epoch * bad_count, bad_count, [seed, 1])]
    else:
        dealt = _dealt(label[defective], bad_count, spec.class_balance)
        parts = [
            _endless(defective[rows], epoch * places, places, [seed, 1, number])
            for number, (rows, places) in enumerate(dealt)
        ]
    parts.append(_endless(good, epoch * good_count, good_count, [seed, 0]))
    return np.random.default_rng([seed, 3, epoch]).permutation(np.concatenate(parts))


def _order(
    cached: Cache, *, spec: LoaderSpec, seed: int, epoch: int, target: Target
) -> NDArray[np.int64]:
    is_defect = cached.is_defect if target == "mask" else cached.label > 0
    return epoch_order(is_defect, spec=spec, seed=seed, epoch=epoch, label=cached.label)


_Batch = tuple[int, range, NDArray[np.int64], NDArray[np.float32]]


def dealer(
    cached: Cache,
    *,
    spec: LoaderSpec,
    augmentation: augment.AugmentSpec,
    seed: int,
    target: Target,
) -> Callable[[int], _Batch]:
    """Return a function from the number of a batch to epoch, positions, rows and parameters."""
    per_epoch = steps_per_epoch(cached, spec)

    @functools.lru_cache(maxsize=2)  # batches are asked for one after the other
    def order(epoch: int) -> NDArray[np.int64]:
        return _order(cached, spec=spec, seed=seed, epoch=epoch, target=target)

    def deal(step: int) -> _Batch:
        epoch, place = divmod(step, per_epoch)
        positions = range(place * spec.batch_size, (place + 1) * spec.batch_size)
        drawn = [
            augment.draw(augmentation, seed=seed, epoch=epoch, position=p, size=cached.size)
            for p in positions
        ]
        return epoch, positions, order(epoch)[positions.start : positions.stop], np.stack(drawn)

    return deal


def steps_per_epoch(cached: Cache, spec: LoaderSpec) -> int:
    """Return the number of full batches in an epoch."""
    return len(_order(cached, spec=spec, seed=0, epoch=0, target="mask")) // spec.batch_size


def _check_target(cached: Cache, target: Target) -> None:
    if target == "mask" and cached.label_kind == "classes":
        raise errors.DataError(
            "A network that finds where defects are needs images whose labels are masks. Got "
            "classes of whole images. Train a classifier with them, or give a data.format that "
            "reads masks."
        )
    if cached.label_kind == "pose":
        raise errors.DataError(
            "A network that finds or classifies defects needs images whose labels are masks or "
            "classes. Got poses of parts. Give a data.format that reads those."
        )


def _check_transplants(cached: Cache) -> None:
    if cached.label_kind != "masks" and not cached.mask.any():
        raise errors.ConfigError(
            "augment.transplanted_share needs masks or, for classes, data.evidence, which say what "
            f"to move. Got labels that are {cached.label_kind}, and no evidence. Set it to 0."
        )
    if cached.template is not None or not (cached.label == 0).any():
        raise errors.ConfigError(
            "augment.transplanted_share needs good images, and images without templates. Got "
            f"{np.count_nonzero(cached.label == 0)} good images, "
            f"{'no' if cached.template is None else 'with'} templates. Set it to 0."
        )


def _transplant(
    cached: Cache,
    batch: tuple[Pixels, Pixels],
    *,
    share: float,
    draws: Iterable[np.random.Generator],
) -> None:
    """Copy the defects of a share of the images onto good ones, in place.

    What is ignored in an image goes with its defects.
    """
    good = np.flatnonzero(cached.label == 0)
    for image, mask, rng in zip(*batch, draws, strict=True):
        chosen, row = rng.random() < share, good[rng.integers(len(good))]
        marked = mask if not cached.has_ignored else mask[mask != IGNORED]
        if chosen and marked.any():
            made = transplant.onto(image, mask, cached.image[row], rng=rng)
            if made is not None:
                image[:], mask[:] = made
                if cached.has_ignored:  # what the good image has of it, under what came
                    mask[(mask == 0) & (cached.mask[row] == IGNORED)] = IGNORED


def for_training(
    cached: Cache,
    *,
    spec: LoaderSpec,
    augmentation: augment.AugmentSpec,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
    first_step: int = 0,
    target: Target = "mask",
) -> tf.data.Dataset:
    """Serve the batches of epochs `first_epoch` to `epochs - 1`.

    Args:
        cached: the training images.
        spec: batch size and sampling.
        augmentation: ranges.
        seed: of the run; with epoch and position it fixes every batch.
        epochs: where training ends.
        first_epoch: where it starts, from 0.
        first_step: batches of the first epoch to leave out: starts in the middle of an epoch.
        target: what the network learns.

    Returns:
        Batches `({"image": uint8 (b, h, w, c)}, {"probability": uint8 (b, h, w, 1)})`, class ids,
        with `cached.ignored_id` where a pixel does not count, if the cache has any such; or for
        labels `{"class_probability": uint8 (b, 1)}`; with a `"template"` like the image where there
        are templates.

    Raises:
        errors.ConfigError: defects are to be transplanted, but there is no good image or no mask,
            or there are templates, which would not show them.
        errors.DataError: masks are to be learned from labels that are classes of whole images.
    """
    _check_target(cached, target)
    share = augmentation.transplanted_share
    if share > 0:
        _check_transplants(cached)
    per_epoch = steps_per_epoch(cached, spec)
    deal = dealer(cached, spec=spec, augmentation=augmentation, seed=seed, target=target)
    names = ("image",) if cached.template is None else ("image", "template")

    def read_batch(step: np.int64) -> tuple[NDArray[np.generic], ...]:
        epoch, positions, rows, drawn = deal(int(step))
        pictures = [getattr(cached, name)[rows] for name in names]
        mask = cached.mask[rows]
        if share > 0:
            draws = (np.random.default_rng([seed, epoch, p, _TRANSPLANT]) for p in positions)
            _transplant(cached, (pictures[0], mask), share=share, draws=draws)
        return mask, cached.label[rows, None], drawn, *pictures

    def make_batch(step: tf.Tensor) -> Batch:
        kinds = (tf.uint8, tf.uint8, tf.float32, *(tf.uint8 for _ in names))
        mask, label, parameters, *pictures = tf.numpy_function(
            read_batch, [step], kinds, stateful=False
        )
        mask = tf.ensure_shape(mask, (spec.batch_size, *cached.mask.shape[1:]))
        label = tf.ensure_shape(label, (spec.batch_size, 1))
        parameters = tf.ensure_shape(parameters, (spec.batch_size, augment.WIDTH))
        image, *templates = (
            tf.ensure_shape(picture, (spec.batch_size, *cached.image.shape[1:]))
            for picture in pictures
        )
        image, mask = augment.apply(
            image,
            mask,
            parameters,
            augmentation,
            classes=len(cached.classes),
            ignored_id=cached.ignored_id,
        )
        inputs = {"image": image}
        for template in templates:
            inputs["template"] = augment.apply_to_template(template, parameters, augmentation)
        return inputs, {_OUTPUT[target]: mask if target == "mask" else label}

    steps = tf.data.Dataset.range(first_epoch * per_epoch + first_step, epochs * per_epoch)
    return untuned(steps.map(make_batch, num_parallel_calls=2, deterministic=True).prefetch(2))


def shared(served: tf.data.Dataset, *, names: tuple[str, ...]) -> tf.data.Dataset:
    """Serve the one target of each batch for every one of the outputs `names`."""

    def give(inputs: Named, targets: Named) -> Batch:
        (target,) = targets.values()
        return inputs, dict.fromkeys(names, target)

    return untuned(served.map(give)) if len(names) > 1 else served


def untuned(served: tf.data.Dataset) -> tf.data.Dataset:
    """Return batches that nothing tunes while they are served: here all numbers are given.

    The thread that would tune sleeps 10 ms, then twice as long each time up to a minute, and the
    end of the data waits until it wakes up.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return served.with_options(options)


def for_evaluation(
    cached: Cache, *, batch_size: int = 4, target: Target = "mask"
) -> tf.data.Dataset:
    """Serve every image once, in order, unchanged; the last batch may be smaller.

    Returns:
        Batches as `for_training`.

    Raises:
        errors.DataError: as `for_training`.
    """
    _check_target(cached, target)
    value = cached.mask if target == "mask" else cached.label[:, None]
    return in_order(cached, {_OUTPUT[target]: value}, batch_size=batch_size)


def in_order(
    cached: Cache, targets: Mapping[str, NDArray[np.generic]], *, batch_size: int
) -> tf.data.Dataset:
    """Serve every image once, in order, unchanged, with targets; the last batch may be smaller.

    Args:
        cached: the images.
        targets: by the names of the outputs, a row for each image.
        batch_size: images a batch.
    """
    inputs = {"image": cached.image}
    if cached.template is not None:
        inputs["template"] = cached.template

    def generate() -> Iterator[tuple[dict[str, NDArray[np.generic]], ...]]:
        for first in range(0, len(cached), batch_size):
            rows = slice(first, first + batch_size)
            yield (
                {name: array[rows] for name, array in inputs.items()},
                {name: array[rows] for name, array in targets.items()},
            )

    def shape(array: NDArray[np.generic]) -> tf.TensorSpec:
        return tf.TensorSpec((None, *array.shape[1:]), array.dtype)

    signature = (
        {name: shape(array) for name, array in inputs.items()},
        {name: shape(array) for name, array in targets.items()},
    )
    counted = tf.data.Dataset.from_generator(generate, output_signature=signature)
    counted = counted.apply(tf.data.experimental.assert_cardinality(-(-len(cached) // batch_size)))
    return untuned(counted.prefetch(2))
