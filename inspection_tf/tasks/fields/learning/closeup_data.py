"""What a refiner learns from: close-ups around corners that are a little off, as a first look is.

Of a photo without the field they show wherever a first look might take one for it.
"""

import concurrent.futures
import os
from typing import NamedTuple

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config, errors, images
from inspection_tf.datasets.loading.cache import Cache
from inspection_tf.datasets.records import Record, Records
from inspection_tf.images import geometry
from inspection_tf.tasks.fields import closeups

_TRIES = 20


class SamplingSpec(config.Section):
    """How far off the corners are that close-ups are cut around."""

    per_image: int = pydantic.Field(default=2, ge=1)
    """Times that the four corners of a photo are taken."""
    jitter: float = pydantic.Field(default=0.12, ge=0, le=1)
    """Standard deviation of a corner along each axis, as a share of the square root of the field's
    area: what the first look errs by."""
    seed: int = 0
    """Of the draw."""


class _Part(NamedTuple):
    """The close-ups of one photo, and where its field lies, as shares of its sides."""

    image: NDArray[np.uint8]
    corners_xy: NDArray[np.float64]
    is_missing: NDArray[np.bool_]
    place: NDArray[np.float64]


def cache(
    records: Records,
    preprocessing: images.Preprocessing,
    *,
    spec: closeups.CloseupSpec,
    sampling: SamplingSpec,
) -> Cache:
    """Cut the close-ups of all photos.

    Args:
        records: whose labels are corners.
        preprocessing: says channels, 16-bit window and orientation; its size does not matter.
        spec: what a close-up shows.
        sampling: where it is cut.

    Returns:
        A cache of single corners: `corners_xy` (close-ups, 1, 2) px; `label` 1 where a close-up
        does not show the corner.

    Raises:
        errors.DataError: no photo shows a field.
        errors.ImageError: one cannot be read.
    """
    parts: list[_Part] = [None] * len(records)  # type: ignore[list-item]  # filled below
    shown = [row for row, record in enumerate(records) if not record.is_defect]
    if not shown:
        raise errors.DataError(
            f"A refiner needs photos that show the field. Got none in {records.origin}. Add some."
        )
    places: list[NDArray[np.float64]] = []

    def read(row: int) -> _Part:
        rng = np.random.default_rng([sampling.seed, row])
        return _closeups(rng, records[row], places, preprocessing, spec, sampling)

    with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for row, part in zip(shown, pool.map(read, shown), strict=True):
            parts[row] = part
        # Photos without the field are looked at where others have it.
        places += [parts[row].place for row in shown]
        missing = sorted(set(range(len(records))) - set(shown))
        for row, part in zip(missing, pool.map(read, missing), strict=True):
            parts[row] = part
    seen = np.concatenate([part.image for part in parts])
    corners_xy = np.concatenate([part.corners_xy for part in parts])
    is_missing = np.concatenate([part.is_missing for part in parts])
    count = 4 * sampling.per_image
    ids = tuple(f"{record.id}#{k}" for record in records for k in range(count))
    return Cache(
        image=seen,
        mask=np.broadcast_to(np.uint8(0), (*seen.shape[:3], 1)),
        is_defect=is_missing,
        ids=ids,
        label=is_missing.astype(np.uint8),
        classes=records.classes,
        corners_xy=corners_xy.astype(np.float32),
    )


def _closeups(
    rng: np.random.Generator,
    record: Record,
    places: list[NDArray[np.float64]],
    preprocessing: images.Preprocessing,
    spec: closeups.CloseupSpec,
    sampling: SamplingSpec,
) -> _Part:
    turn = preprocessing.orientation
    pixels = images.in_channels(record.read_image(orientation=turn), preprocessing)
    size = (pixels.shape[0], pixels.shape[1])
    truth = record.read_corners(orientation=turn)
    if truth is None:
        truth = geometry.from_shares(places[rng.integers(len(places))], size)
    seen, found = [], []
    for _ in range(sampling.per_image):
        frames = closeups.frames(_astray(rng, truth, sampling.jitter), spec)
        seen.append(closeups.cut(pixels, frames, spec))
        found.append(closeups.from_photo(truth, frames))
    corners = np.concatenate(found)
    is_outside = ((corners < -0.5) | (corners > spec.size_px - 0.5)).any(axis=1)
    is_missing = np.asarray(is_outside | record.is_defect, np.bool_)
    place = geometry.to_shares(truth, size)
    return _Part(np.concatenate(seen), corners[:, None], is_missing, place)


def _astray(
    rng: np.random.Generator, truth: NDArray[np.float64], jitter: float
) -> NDArray[np.float64]:
    """Return corners that are a little off, still around an area."""
    deviation = jitter * np.sqrt(geometry.area(truth))
    for _ in range(_TRIES):
        moved = truth + rng.normal(0, deviation, (4, 2)) if deviation else truth
        if geometry.is_convex(moved):
            return moved
    return truth
