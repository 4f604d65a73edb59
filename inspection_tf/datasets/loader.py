"""From records to `tf.data`: decoded and preprocessed once, then served in a stateless order."""

import concurrent.futures
import dataclasses
import logging
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic
import tensorflow as tf
from numpy.typing import NDArray

from inspection_tf import config, errors, images
from inspection_tf.datasets import augment
from inspection_tf.datasets.records import Record

_LOG = logging.getLogger("inspection_tf")
Progress = Callable[[int, int], None]


class LoaderSpec(config.Section):
    """How training images are served."""

    batch_size: int = pydantic.Field(default=4, ge=1)
    """Images a step."""
    images_per_epoch: int | None = pydantic.Field(default=None, ge=1)
    """Images an epoch; None: as many as there are."""
    defective_share: float | None = pydantic.Field(default=0.5, ge=0, le=1)
    """Share of defective images in every epoch; None: as they come."""
    cache: Literal["auto", "memory", "disk"] = "auto"
    """Where decoded images wait; auto: memory when they take less than `memory_limit_mb`."""
    memory_limit_mb: int = pydantic.Field(default=2048, ge=1)
    """Largest cache in memory, MiB."""


@dataclasses.dataclass(frozen=True)
class Cache:
    """Preprocessed images and masks, in memory or mapped from disk.

    Attributes:
        image: (images, height, width, channels), uint8.
        mask: (images, height, width, 1), uint8, 0 or 1.
        is_defect: (images,), True where the mask holds a defect.
        ids: of the records, in order.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    is_defect: NDArray[np.bool_]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), px."""
        return int(self.image.shape[1]), int(self.image.shape[2])


def _read_record(
    record: Record, preprocessing: images.Preprocessing
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    turn = preprocessing.orientation
    try:
        image, placement = images.preprocess(record.read_image(orientation=turn), preprocessing)
        mask = placement.mask_to_input(record.read_mask(orientation=turn))
    except errors.ImageError as problem:
        raise errors.ImageError(f"{record.id}: {problem}") from problem
    if record.is_defect and not mask.any():
        _LOG.warning("%s is defective but its mask is empty; it trains as a good image", record.id)
    return image, mask


def _tfds_samples(dataset: Any, preprocessing: images.Preprocessing) -> Iterator[Any]:
    """Serve a TFDS data set with features `image`, `mask` and optionally `id`."""
    for number, example in enumerate(dataset.as_numpy_iterator()):
        if not isinstance(example, dict) or not {"image", "mask"} <= set(example):
            raise errors.DataError(
                "A TFDS data set must have the features image and mask. "
                f"Got {sorted(example) if isinstance(example, dict) else type(example).__name__}. "
                "Load it without as_supervised."
            )
        name = example.get("id", f"{number:06d}")
        name = name.decode() if isinstance(name, bytes) else str(name)
        truth = example["mask"]
        truth = truth[..., 0] if truth.ndim == 3 and truth.dtype == np.bool_ else truth
        try:
            image, placement = images.preprocess(images.read(example["image"]), preprocessing)
            mask = placement.mask_to_input(images.read_mask(truth))
        except errors.ImageError as problem:
            raise errors.ImageError(f"{name}: {problem}") from problem
        yield name, image, mask


def _record_samples(
    records: Iterable[Record], preprocessing: images.Preprocessing
) -> Iterator[Any]:
    listed = list(records)
    workers = min(8, os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        # A window of jobs, not all at once: results of a large set must not pile up in memory.
        for first in range(0, len(listed), 64):
            part = listed[first : first + 64]
            decoded = pool.map(lambda record: _read_record(record, preprocessing), part)
            for record, (image, mask) in zip(part, decoded, strict=True):
                yield record.id, image, mask


def _allocate(
    count: int, shape: tuple[int, int, int], spec: LoaderSpec
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return room for images and masks; on disk it vanishes with the images' array."""
    image_shape, mask_shape = (count, *shape), (count, *shape[:2], 1)
    needed = math.prod(image_shape) + math.prod(mask_shape)
    on_disk = spec.cache == "disk" or (
        spec.cache == "auto" and needed > spec.memory_limit_mb * 2**20
    )
    if not on_disk:
        return np.empty(image_shape, np.uint8), np.empty(mask_shape, np.uint8)
    folder = Path(tempfile.mkdtemp(prefix="inspection_tf_cache_"))
    _LOG.info("caching %d images (%d MiB) on disk in %s", count, needed >> 20, folder)
    try:
        image, mask = _on_file(folder / "image", image_shape), _on_file(folder / "mask", mask_shape)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(image, shutil.rmtree, folder, ignore_errors=True)
    return image, mask


def _on_file(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if not hasattr(os, "posix_fallocate"):
        return np.memmap(path, mode="w+", shape=shape)
    # A map over a sparse file ends the process when the disk fills up; this raises.
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, math.prod(shape))
    return np.memmap(path, mode="r+", shape=shape)


def cache(
    source: Any,
    preprocessing: images.Preprocessing,
    *,
    spec: LoaderSpec | None = None,
    progress: Progress | None = None,
) -> Cache:
    """Decode and preprocess every image once.

    Args:
        source: records, or a TFDS data set with features `image`, `mask` and optionally `id`; it is
            served in its own order.
        preprocessing: executed by `images.py`, as at inspection.
        spec: says where the cache lives.
        progress: called with (done, of).

    Raises:
        errors.DataError: the source is empty, or a TFDS data set lacks a feature.
        errors.ImageError: an image or mask cannot be read or does not fit.
        errors.StorageError: neither memory nor disk holds the cache.
    """
    spec = spec or LoaderSpec()
    is_tfds = isinstance(source, tf.data.Dataset)
    if is_tfds:
        count = int(source.cardinality())
        if count == tf.data.INFINITE_CARDINALITY:
            raise errors.DataError(
                "A TFDS data set must end. Got one that repeats. Leave out `.repeat()`."
            )
        if count < 0:  # unknown, such as after a filter
            count = sum(1 for _ in source)
        samples = _tfds_samples(source, preprocessing)
    else:
        listed = list(source)
        count = len(listed)
        samples = _record_samples(listed, preprocessing)
    if not count:
        raise errors.DataError(
            "A loader needs at least one image. Got an empty data set. Check data.root."
        )
    channels = 1 if preprocessing.channels == "gray" else 3
    try:
        image, mask = _allocate(count, (*preprocessing.size, channels), spec)
        ids: list[str] = []
        for row, (name, pixels, truth) in enumerate(samples):
            image[row], mask[row, ..., 0] = pixels, truth
            ids.append(name)
            if progress:
                progress(row + 1, count)
    except (MemoryError, OSError) as problem:
        raise errors.StorageError(
            f"The cache must hold {count} images. Got: {problem}. "
            "Free memory or disk, or set loader.cache: disk."
        ) from problem
    is_defect = np.asarray(mask.any(axis=(1, 2, 3)), dtype=np.bool_)
    return Cache(image, mask, is_defect, tuple(ids))


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


def epoch_order(
    is_defect: NDArray[np.bool_], *, spec: LoaderSpec, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return the rows an epoch shows, in order; a function of (seed, epoch) alone.

    With a `defective_share` both classes are dealt from chains of shuffles that go on from epoch to
    epoch, so every image is shown equally often whatever the share.

    Args:
        is_defect: (images,).
        spec: batch size, share and images an epoch; a last batch that is not full is dropped.
        seed: of the run.
        epoch: from 0.
    """
    total = spec.images_per_epoch or len(is_defect)
    total = max(1, total // spec.batch_size) * spec.batch_size
    defective, good = np.flatnonzero(is_defect), np.flatnonzero(~is_defect)
    if spec.defective_share is None or not len(defective) or not len(good):
        every = np.arange(len(is_defect))
        return _endless(every, epoch * total, total, [seed, 2])
    bad_count = round(total * spec.defective_share)
    good_count = total - bad_count
    order = np.concatenate(
        [
            _endless(defective, epoch * bad_count, bad_count, [seed, 1]),
            _endless(good, epoch * good_count, good_count, [seed, 0]),
        ]
    )
    return np.random.default_rng([seed, 3, epoch]).permutation(order)


def steps_per_epoch(held: Cache, spec: LoaderSpec) -> int:
    """Return the number of full batches in an epoch."""
    return len(epoch_order(held.is_defect, spec=spec, seed=0, epoch=0)) // spec.batch_size


def for_training(
    held: Cache,
    *,
    spec: LoaderSpec,
    augmentation: augment.AugmentSpec,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Serve the batches of epochs `first_epoch` to `epochs - 1`.

    Args:
        held: the training images.
        spec: batch size and sampling.
        augmentation: ranges.
        seed: of the run; with epoch and position it fixes every batch.
        epochs: where training ends.
        first_epoch: where it starts, from 0.
        first_step: batches of the first epoch to leave out: starts in the middle of an epoch.

    Returns:
        Batches `({"image": uint8 (b, h, w, c)}, {"probability": uint8 (b, h, w, 1)})`.
    """
    per_epoch = steps_per_epoch(held, spec)

    def read_batch(step: Any) -> Any:
        epoch, place = divmod(int(step), per_epoch)
        order = epoch_order(held.is_defect, spec=spec, seed=seed, epoch=epoch)
        positions = range(place * spec.batch_size, (place + 1) * spec.batch_size)
        rows = order[positions.start : positions.stop]
        drawn = [
            augment.draw(augmentation, seed=seed, epoch=epoch, position=p, size=held.size)
            for p in positions
        ]
        return held.image[rows], held.mask[rows], np.stack(drawn)

    def make_batch(step: Any) -> Any:
        image, mask, parameters = tf.numpy_function(
            read_batch, [step], (tf.uint8, tf.uint8, tf.float32), stateful=False
        )
        image = tf.ensure_shape(image, (spec.batch_size, *held.image.shape[1:]))
        mask = tf.ensure_shape(mask, (spec.batch_size, *held.mask.shape[1:]))
        parameters = tf.ensure_shape(parameters, (spec.batch_size, augment.WIDTH))
        image, mask = augment.apply(image, mask, parameters, augmentation)
        return {"image": image}, {"probability": mask}

    steps = tf.data.Dataset.range(first_epoch * per_epoch + first_step, epochs * per_epoch)
    return steps.map(make_batch, num_parallel_calls=2, deterministic=True).prefetch(2)


def for_evaluation(held: Cache, *, batch_size: int = 4) -> tf.data.Dataset:
    """Serve every image once, in order, unchanged; the last batch may be smaller.

    Returns:
        Batches as `for_training`.
    """

    def generate() -> Iterator[Any]:
        for first in range(0, len(held), batch_size):
            rows = slice(first, first + batch_size)
            yield {"image": held.image[rows]}, {"probability": held.mask[rows]}

    def shape(array: NDArray[np.uint8]) -> tf.TensorSpec:
        return tf.TensorSpec((None, *array.shape[1:]), tf.uint8)

    signature = ({"image": shape(held.image)}, {"probability": shape(held.mask)})
    counted = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return counted.apply(
        tf.data.experimental.assert_cardinality(-(-len(held) // batch_size))
    ).prefetch(2)
