"""Records whose photos are drawn when they are read: certificates, and a user's own form.

A photo that does not show its field counts as defective, as in `corners`.
"""

import atexit
import dataclasses
import functools
import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf import config, errors, files, images
from inspection_tf.datasets.readers.located import corners
from inspection_tf.datasets.records import Record, Records, Split
from inspection_tf.synthesis import certificate, grids
from inspection_tf.synthesis.certificate import CertificateSpec, Photo, PhotoSpec, Template
from inspection_tf.synthesis.grids import GridSpec

# Raised whenever the same spec and seed begin to give other pixels.
DRAWING_VERSION = 1
_ALBUM_BYTES = 4 * 2**30


class _Drawing(Protocol):
    """What can draw photo `index` of a set, and is told apart by `key`."""

    def photo(self, index: int) -> Photo:
        """Return the photo."""
        ...

    def is_without_field(self, index: int) -> bool:
        """Say whether it lacks the field, without drawing it."""
        ...

    def key(self) -> bytes:
        """Return everything that all photos follow from."""
        ...

    def __hash__(self) -> int:
        """Return a hash: drawn photos are kept for a moment."""
        ...


_DRAW: dict[str, Callable[..., Photo]] = {"certificate": certificate.draw, "grid": grids.draw}


@dataclasses.dataclass(frozen=True, slots=True)
class _Made:
    """Pages that are made up: `kind` is a name of `_DRAW`."""

    kind: str
    seed: int
    spec: CertificateSpec | GridSpec

    def photo(self, index: int) -> Photo:
        return _DRAW[self.kind](index, seed=self.seed, spec=self.spec)

    def is_without_field(self, index: int) -> bool:
        return certificate.is_without_field(index, self.spec.without_field_share)

    def key(self) -> bytes:
        return repr((self.kind, self.seed, self.spec.model_dump_json())).encode()


@dataclasses.dataclass(frozen=True, eq=False)
class _Copies:
    seed: int
    spec: PhotoSpec
    templates: tuple[Template, ...]
    without_field_share: float

    def photo(self, index: int) -> Photo:
        rng = np.random.default_rng([self.seed, index])
        template = self.templates[rng.integers(len(self.templates))]
        return template.render(rng, self.spec, has_field=not self.is_without_field(index))

    def is_without_field(self, index: int) -> bool:
        return certificate.is_without_field(index, self.without_field_share)

    @functools.cached_property
    def _pages(self) -> str:
        digest = hashlib.sha256()
        for template in self.templates:
            digest.update(images.digest(template.image).encode())
            digest.update(template.corners_xy.tobytes())
        return digest.hexdigest()

    def key(self) -> bytes:
        what = "template", self.seed, self.spec.model_dump_json(), self.without_field_share
        return repr((*what, self._pages)).encode()


class _Album:
    """Photos that were drawn, in a file without a name: training asks for each several times.

    What does not fit is drawn again.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._file: IO[bytes] | None = None
        self._places: dict[tuple[_Drawing, int], tuple[int, Photo]] = {}
        self._lock = threading.Lock()

    def photo(self, drawing: _Drawing, index: int) -> Photo:
        key = (drawing, index)
        with self._lock:
            kept = self._places.get(key)
            if kept is not None and self._file is not None:
                place, told = kept
                self._file.seek(place)
                pixels = np.frombuffer(self._file.read(told.image.nbytes), np.uint8)
                return Photo(pixels.reshape(told.image.shape), told.corners_xy)
        found = drawing.photo(index)
        with self._lock:
            if key not in self._places and self._size + found.image.nbytes <= self._max_bytes:
                self._keep(key, found)
        return found

    def _keep(self, key: tuple[_Drawing, int], found: Photo) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as we do
                atexit.register(self._file.close)
            self._file.seek(self._size)
            self._file.write(found.image.tobytes())
        except OSError:  # a full disk: nothing more is kept
            self._max_bytes = self._size
            return
        # The shape is kept, not the pixels.
        shape = np.broadcast_to(np.uint8(0), found.image.shape)
        self._places[key] = (self._size, Photo(shape, found.corners_xy))
        self._size += found.image.nbytes


_ALBUM = _Album(_ALBUM_BYTES)


@dataclasses.dataclass(frozen=True, slots=True)
class PhotoSource:
    """Photo `index` of a drawn set."""

    index: int
    drawing: _Drawing

    @property
    def shows_own_part(self) -> bool:
        """Whether no other image shows the same part: it is drawn for this one."""
        return True

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Draw the photo, (H, W, 3) RGB uint8, which no orientation turns."""
        return _ALBUM.photo(self.drawing, self.index).image

    def read_corners(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.float64] | None:
        """Return its (4, 2) corners, px; None where it shows no field."""
        return _ALBUM.photo(self.drawing, self.index).corners_xy

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return (H, W), nowhere True: a missing field has no pixels."""
        image = _ALBUM.photo(self.drawing, self.index).image
        return np.zeros(image.shape[:2], np.bool_)

    def identity(self) -> bytes:
        """Return everything the pixels follow from."""
        return repr((DRAWING_VERSION, self.index)).encode() + self.drawing.key()


def _records(
    drawing: _Drawing, count: int, *, name: str, origin: str, split: Split | None = None
) -> Records:
    if count < 1:
        raise errors.ConfigError(f"count must be at least 1. Got {count}. Ask for some photos.")
    found = []
    for index in range(count):
        source = PhotoSource(index, drawing)
        is_defect = drawing.is_without_field(index)
        found.append(Record(f"{name}/{index:06d}", is_defect, source, split=split))
    return Records.of(found, origin=origin, classes=corners.CLASSES)


def certificates(
    *,
    count: int,
    spec: CertificateSpec,
    seed: int,
    name: str = "certificate",
    split: Split | None = None,
) -> Records:
    """Return records of drawn certificates.

    Args:
        count: number of photos.
        spec: what to draw from.
        seed: of the set; photo `i` follows from (seed, i).
        name: what their ids begin with.
        split: to which they belong, if that is fixed.

    Raises:
        errors.ConfigError: the count is below 1.
    """
    drawing = _Made("certificate", seed, spec)
    return _records(drawing, count, name=name, origin="the drawn certificates", split=split)


def printed_grids(*, count: int, spec: GridSpec, seed: int) -> Records:
    """Return records of drawn photos of printed grids of numbers.

    Args:
        count: number of photos.
        spec: what to draw from.
        seed: of the set; photo `i` follows from (seed, i).

    Raises:
        errors.ConfigError: the count is below 1.
    """
    return _records(_Made("grid", seed, spec), count, name="grid", origin="the drawn grids")


def of_templates(
    templates: Sequence[Template],
    *,
    count: int,
    spec: PhotoSpec,
    seed: int,
    without_field_share: float = 0.0,
) -> Records:
    """Return records of photos of scanned forms.

    Args:
        templates: of `certificate.from_template`, drawn from with equal chance.
        count: number of photos.
        spec: how they are taken.
        seed: of the set; photo `i` follows from (seed, i).
        without_field_share: share of photos that do not show the field.

    Raises:
        errors.ConfigError: the count is below 1, or there is no template.
    """
    if not templates:
        raise errors.ConfigError(
            "Photos of forms need a scan of one. Got none. Give images of the form alone."
        )
    drawing = _Copies(seed, spec, tuple(templates), without_field_share)
    return _records(drawing, count, name="template", origin="photos of the templates")


def write_folder(
    records: Iterable[Record],
    out: str | Path,
    *,
    settings: config.Section,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write photos as `NNNN.png`, with `corners.csv` and what they were drawn from.

    The folder appears complete or not at all; `corners.read_corners` reads it.

    Args:
        records: the photos.
        out: the folder; it must not exist yet, or be empty.
        settings: what they were drawn from, for `settings.yaml`.
        seed: of the set, likewise.
        progress: called with the number of photos written so far.

    Raises:
        errors.ConfigError: the folder holds something already.
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    rows: dict[str, NDArray[np.float64] | None] = {}
    with files.new_folder(out) as partial:
        for index, record in enumerate(records):
            name = f"{index:04d}.png"
            images.write_png(partial / name, record.read_image())
            rows[name] = record.read_corners()
            if progress is not None:
                progress(index + 1)
        corners.write(partial / corners.CSV_NAME, rows)
        body = "".join(f"  {line}\n" for line in config.to_yaml(settings).splitlines())
        files.write(partial / "settings.yaml", f"seed: {seed}\ncount: {len(rows)}\nspec:\n{body}")
    return Path(out)
