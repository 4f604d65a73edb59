"""The images of a loader: decoded, aligned and preprocessed once, in memory or on disk."""

import concurrent.futures
import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import pydantic
import tensorflow as tf
from numpy.typing import NDArray

from inspection_tf import config, errors, images, process
from inspection_tf.datasets import image_record
from inspection_tf.datasets.loading import storage
from inspection_tf.datasets.readers.voc import boxes
from inspection_tf.datasets.records import IGNORED, LabelKind, Record
from inspection_tf.images import registration

_LOG = logging.getLogger("inspection_tf")
Pixels = NDArray[np.uint8]


class LoaderSpec(config.Section):
    """How training images are served."""

    batch_size: int = pydantic.Field(default=4, ge=1)
    """Images a step."""
    images_per_epoch: int | None = pydantic.Field(default=None, ge=1)
    """Images an epoch; None: as many as there are."""
    defective_share: float | None = pydantic.Field(default=0.5, ge=0, le=1)
    """Share of defective images in every epoch (1: no good one); None: as they come."""
    class_balance: float = pydantic.Field(default=0.0, ge=0, le=1)
    """How far the classes of defects are shown equally often: 0 as they come, 1 equally."""
    unmarked: Literal["good", "drop"] = "good"
    """Defective images with an empty mask: they teach a segmentation as good images, or are left
    out of its training."""
    cache: Literal["auto", "memory", "disk"] = "auto"
    """Where decoded images wait; auto: memory when they take less than `memory_limit_mb`."""
    memory_limit_mb: int = pydantic.Field(default=2048, ge=1)
    """Largest cache in memory, MiB."""


@dataclasses.dataclass(frozen=True)
class Cache:
    """Preprocessed images and masks, in memory or mapped from disk.

    Attributes:
        image: (images, height, width, channels), uint8.
        mask: (images, height, width, 1), uint8, class ids; 0 is background, and with `has_ignored`
            `IGNORED` stands for what does not count. Where labels are classes it marks what is
            annotated as evidence; where nothing is, and with corners, it is 0 and takes no memory.
        is_defect: (images,), True where the mask holds a defect; where the labels are no masks,
            True where `label` is not 0.
        ids: of the records, in order.
        template: (images, height, width, channels), uint8, aligned; None without templates.
        label: (images,), uint8: the class that an image shows most of, 0 for a good one; that of
            its record where the mask is empty or the label is a class. By default what
            `is_defect` says.
        classes: names of the defect classes.
        rim_px: (images,), pixels of the letterbox around each image; by default none.
        corners_xy: (images, n, 2), float32, px of the network's input, where the labels are n
            corners and not masks; 0 where `label` says that an image shows no field.
        pose: (images, 7), float32, where the labels are poses: phi, theta and psi, degrees, x, y
            and z, mm, and how often the part looks alike in a turn, of which poses it is the first.
        has_ignored: whether masks may have pixels that count for nothing.
        label_kind: what is known of the images; by default corners where there are some, or masks.
    """

    image: Pixels
    mask: Pixels
    is_defect: NDArray[np.bool_]
    ids: tuple[str, ...]
    template: Pixels | None = None
    label: Pixels = None  # type: ignore[assignment]  # set below
    classes: tuple[str, ...] = ("defect",)
    rim_px: NDArray[np.int64] = None  # type: ignore[assignment]  # set below
    corners_xy: NDArray[np.float32] | None = None
    pose: NDArray[np.float32] | None = None
    has_ignored: bool = False
    label_kind: LabelKind = None  # type: ignore[assignment]  # set below

    def __post_init__(self) -> None:
        """Derive the labels where none are given."""
        if self.label is None:
            object.__setattr__(self, "label", self.is_defect.astype(np.uint8))
        if self.rim_px is None:
            object.__setattr__(self, "rim_px", np.zeros(len(self.ids), np.int64))
        if self.label_kind is None:
            kind = image_record.MASKS if self.corners_xy is None else image_record.CORNERS
            object.__setattr__(self, "label_kind", kind)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.ids)

    @property
    def ignored_id(self) -> int | None:
        """The id in masks that counts for nothing; None where all count."""
        return IGNORED if self.has_ignored else None

    def marked(self, row: int) -> NDArray[np.bool_]:
        """Return (height, width), True on the defects of an image, of whatever class."""
        ids = self.mask[row, ..., 0]
        return (ids > 0) & (ids != IGNORED) if self.has_ignored else ids > 0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), px."""
        return int(self.image.shape[1]), int(self.image.shape[2])

    def without_unmarked(self) -> "Cache":
        """Return the cache without the defective images whose mask is empty.

        Raises:
            errors.DataError: there is no other image.
            errors.StorageError: neither memory nor disk holds what is left.
        """
        kept = np.flatnonzero(self.is_defect | (self.label == 0))
        if len(kept) == len(self):
            return self
        if not len(kept):
            raise errors.DataError(
                "A segmentation needs images that are good or whose mask marks a defect. "
                f"Got {len(self)} defective ones with empty masks. Draw masks, or add good images."
            )
        _LOG.info("%d defective images without a mask are left out", len(self) - len(kept))
        pixels = self._copied(kept)
        return dataclasses.replace(
            self,
            image=pixels["image"],
            mask=pixels["mask"],
            template=pixels.get("template"),
            is_defect=self.is_defect[kept],
            ids=tuple(self.ids[row] for row in kept),
            label=self.label[kept],
            rim_px=self.rim_px[kept],
        )

    def _copied(self, rows: NDArray[np.int64]) -> dict[str, Pixels]:
        """Return these rows of the pixels; what is on disk stays there."""
        held = {"image": self.image, "mask": self.mask}
        if self.template is not None:
            held["template"] = self.template
        shapes = {name: (len(rows), *array.shape[1:]) for name, array in held.items()}
        with storage.told(len(rows)):
            room = storage.allocate(shapes, on_disk=isinstance(self.image, np.memmap))
            for name, array in held.items():
                for place, row in enumerate(rows):  # one by one: all of them may not fit in memory
                    room[name][place] = array[row]
        return room

    def statistics(self) -> tuple[float, float]:
        """Return mean and standard deviation of the grey values, over all images.

        The talk's constants, (x - 0.823) / 0.253, came from its training images as these do. The
        rim of a letterbox does not count.
        """
        counts = np.zeros(256, np.int64)
        for image in self.image:
            counts += np.bincount(image.ravel(), minlength=256)
        counts[0] -= self.rim_px.sum() * self.image.shape[-1]
        grey, total = np.arange(256), counts.sum()
        mean = float((counts * grey).sum() / total)
        deviation = float(np.sqrt((counts * (grey - mean) ** 2).sum() / total))
        return mean, max(deviation, 1.0)


@dataclasses.dataclass(frozen=True, slots=True)
class _Labels:
    """What the labels of a source are, whatever an image shows."""

    kind: LabelKind = "masks"
    classes: tuple[str, ...] = ("defect",)
    has_ignored: bool = False
    has_evidence: bool = False

    @property
    def are_in_pixels(self) -> bool:
        return self.kind == "masks" or self.has_evidence


@dataclasses.dataclass(frozen=True, slots=True)
class _Sample:
    id: str
    image: Pixels
    mask: Pixels
    template: Pixels | None = None
    class_id: int = 0  # that of the record; 0 for a good one
    rim_px: int = 0
    corners_xy: NDArray[np.float64] | None = None
    pose: tuple[float, ...] | None = None
    has_ignored: bool = False

    def _counts(self) -> NDArray[np.int64]:
        """Return the pixels of the ids 1, 2, ... but those that are ignored."""
        counts: NDArray[np.int64] = np.bincount(self.mask.ravel(), minlength=2)[1:]
        return counts[: IGNORED - 1] if self.has_ignored else counts

    @property
    def is_marked(self) -> bool:
        return bool(self._counts().any())

    @property
    def label(self) -> int:
        counts = self._counts()
        return int(counts.argmax()) + 1 if counts.any() else self.class_id


def _ids_to_input(
    ids: NDArray[np.uint8], ignored: NDArray[np.bool_] | None, placement: images.Placement
) -> Pixels:
    """Bring class ids to the network's input, each class by the rule for masks."""
    result = np.zeros(placement.size, np.uint8)
    if ignored is not None:  # below the classes: no defect vanishes beside what is ignored
        result[placement.mask_to_input(ignored)] = IGNORED
    for number in np.unique(ids[ids > 0]):
        result[placement.mask_to_input(ids == number)] = number
    return result


def _evidence_to_input(
    record: Record, size: tuple[int, int], placement: images.Placement, turn: images.Orientation
) -> Pixels:
    """Bring what shows the class of an image to the network's input, as ids of this class."""
    region = record.read_evidence(orientation=turn)
    if region is None:
        return np.zeros(placement.size, np.uint8)
    if region.dtype == np.bool_:
        ids = region.astype(np.uint8) * np.uint8(record.label)
    else:
        xyxy = np.asarray(region, np.float64)
        ids = boxes.class_mask(xyxy, [record.label] * len(xyxy), size)
    return _ids_to_input(ids, None, placement)


def _read_record(
    record: Record, preprocessing: images.Preprocessing, alignment: registration.AlignSpec
) -> _Sample:
    turn = preprocessing.orientation
    template = None
    try:
        image, reference = record.read_pair(orientation=turn)
        if reference is None:
            prepared, placement = images.preprocess(image, preprocessing)
        else:
            prepared, template, placement = registration.prepare(
                image, reference, preprocessing, alignment
            )
        corners = record.read_corners(orientation=turn)
        if corners is not None:
            corners = placement.points_to_input(corners)
        mask = np.zeros(placement.size, np.uint8)
        if record.has_mask:
            mask = _ids_to_input(
                record.read_classes(orientation=turn),
                record.read_ignored(orientation=turn),
                placement,
            )
        elif record.has_evidence and record.label:
            mask = _evidence_to_input(record, image.shape[:2], placement, turn)
    except errors.ImageError as problem:
        raise errors.ImageError(f"{record.id}: {problem}") from problem
    sample = _Sample(
        record.id,
        prepared,
        mask,
        template,
        class_id=record.label,
        rim_px=placement.rim_px,
        corners_xy=corners,
        pose=_first_pose(record),
        has_ignored=record.has_ignored,
    )
    if record.is_defect and record.has_mask and not sample.is_marked:
        _LOG.warning("%s is defective but its mask is empty", record.id)
    return sample


def _first_pose(record: Record) -> tuple[float, ...] | None:
    """Return the first of the poses in which the part of an image looks as here, and their number.

    None where no pose is known.
    """
    pose = record.read_pose()
    if pose is None:
        return None
    return (*dataclasses.astuple(pose.first_alike(record.symmetry)), record.symmetry)


def _tfds_samples(
    dataset: tf.data.Dataset, preprocessing: images.Preprocessing
) -> Iterator[_Sample]:
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
        yield _Sample(name, image, mask.astype(np.uint8), rim_px=placement.rim_px)


def _record_samples(
    listed: list[Record],
    preprocessing: images.Preprocessing,
    alignment: registration.AlignSpec,
) -> Iterator[_Sample]:
    workers = min(8, os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        # A window of jobs, not all at once: results of a large set must not pile up in memory.
        for first in range(0, len(listed), 64):
            part = listed[first : first + 64]
            yield from pool.map(lambda record: _read_record(record, preprocessing, alignment), part)


def cache(
    source: Sequence[Record] | tf.data.Dataset,
    preprocessing: images.Preprocessing,
    *,
    spec: LoaderSpec | None = None,
    alignment: registration.AlignSpec | None = None,
    progress: process.Progress | None = None,
) -> Cache:
    """Decode, align and preprocess every image once.

    Args:
        source: records, or a TFDS data set with features `image`, `mask` and optionally `id`; it is
            served in its own order.
        preprocessing: executed by `images`, as at inspection.
        spec: says where the cache lives.
        alignment: of templates, where records have them, as at inspection.
        progress: called with (done, of); None: a bar, on a terminal.

    Raises:
        errors.DataError: the source is empty, only some records have a template, or a TFDS data set
            lacks a feature.
        errors.ImageError: an image, mask or template cannot be read or does not fit.
        errors.StorageError: neither memory nor disk holds the cache.
    """
    spec = spec or LoaderSpec()
    has_template, labels = False, _Labels()
    if isinstance(source, tf.data.Dataset):
        count = int(source.cardinality())
        if count == tf.data.INFINITE_CARDINALITY:
            raise errors.DataError(
                "A TFDS data set must end. Got one that repeats. Leave out `.repeat()`."
            )
        if count < 0:  # unknown, such as after a filter
            count = sum(1 for _ in source)
        samples = _tfds_samples(source, preprocessing)
    else:
        count = len(source)
        has_template = getattr(source, "has_template", False)
        labels = _Labels(
            getattr(source, "label_kind", "masks"),
            tuple(getattr(source, "classes", ("defect",))),
            getattr(source, "has_ignored", False),
            any(record.has_evidence for record in source),
        )
        samples = _record_samples(
            list(source), preprocessing, alignment or registration.AlignSpec()
        )
    if not count:
        raise errors.DataError(
            "A loader needs at least one image. Got an empty data set. Check data.root."
        )
    shape = (count, *preprocessing.input_shape)
    shapes: dict[str, tuple[int, ...]] = {"image": shape}
    if labels.are_in_pixels:
        shapes["mask"] = (*shape[:3], 1)
    if has_template:
        shapes["template"] = shape
    shown = process.bar("decoding") if progress is None else contextlib.nullcontext(progress)
    with shown as told:
        return _fill(samples, count, shapes, spec, labels, told)


def _fill(
    samples: Iterable[_Sample],
    count: int,
    shapes: dict[str, tuple[int, ...]],
    spec: LoaderSpec,
    labels: _Labels,
    progress: process.Progress,
) -> Cache:
    on_disk = spec.cache == "disk" or (
        spec.cache == "auto" and storage.needed(shapes) > spec.memory_limit_mb * 2**20
    )
    ids, label, rim_px = [], np.zeros(count, np.uint8), np.zeros(count, np.int64)
    is_defect = np.zeros(count, np.bool_)
    corners = np.zeros((count, 4, 2), np.float32) if labels.kind == image_record.CORNERS else None
    pose = np.zeros((count, 7), np.float32) if labels.kind == image_record.POSE else None
    with storage.told(count):
        arrays = storage.allocate(shapes, on_disk=on_disk)
        for row, sample in enumerate(samples):
            arrays["image"][row] = sample.image
            if labels.are_in_pixels:
                arrays["mask"][row, ..., 0] = sample.mask
            elif corners is not None and sample.corners_xy is not None:
                corners[row] = sample.corners_xy
            elif pose is not None and sample.pose is not None:
                pose[row] = sample.pose
            if sample.template is not None:
                arrays["template"][row] = sample.template
            ids.append(sample.id)
            label[row], rim_px[row] = sample.label, sample.rim_px
            is_defect[row] = sample.is_marked if labels.kind == "masks" else sample.label > 0
            progress(row + 1, count)
    if labels.are_in_pixels:
        mask = arrays["mask"]
    else:
        # What takes no memory: no label is in pixels.
        mask = np.broadcast_to(np.uint8(0), (*shapes["image"][:3], 1))
    return Cache(
        arrays["image"],
        mask,
        is_defect,
        tuple(ids),
        template=arrays.get("template"),
        label=label,
        classes=labels.classes,
        rim_px=rim_px,
        corners_xy=corners,
        pose=pose,
        has_ignored=labels.has_ignored,
        label_kind=labels.kind,
    )
