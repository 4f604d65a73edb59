"""Records whose photos are drawn when they are read: certificates, and a user's own form.

A photo that does not show its field counts as defective, as in `corners`.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf import config, errors, files, images
from inspection_tf.datasets import corners
from inspection_tf.datasets.records import Record, Records
from inspection_tf.synthesis import certificate
from inspection_tf.synthesis.certificate import CertificateSpec, Photo, PhotoSpec, Template

# Raised whenever the same spec and seed begin to give other pixels.
DRAWING_VERSION = 1


class _Drawing(Protocol):
    """What can draw photo `index` of a set, and is told apart by `key`."""

    def photo(self, index: int) -> Photo:
        """Return the photo."""
        ...

    def key(self) -> bytes:
        """Return everything that all photos follow from."""
        ...

    def __hash__(self) -> int:
        """Return a hash: drawn photos are kept for a moment."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class _Certificates:
    seed: int
    spec: CertificateSpec

    def photo(self, index: int) -> Photo:
        return certificate.draw(index, seed=self.seed, spec=self.spec)

    def key(self) -> bytes:
        return repr(("certificate", self.seed, self.spec.model_dump_json())).encode()


@dataclasses.dataclass(frozen=True, eq=False)
class _Copies:
    seed: int
    spec: PhotoSpec
    template: Template

    def photo(self, index: int) -> Photo:
        return self.template.render(np.random.default_rng([self.seed, index]), self.spec)

    @functools.cached_property
    def _page(self) -> str:
        digest = hashlib.sha256(images.digest(self.template.image).encode())
        digest.update(self.template.corners_xy.tobytes())
        return digest.hexdigest()

    def key(self) -> bytes:
        return repr(("template", self.seed, self.spec.model_dump_json(), self._page)).encode()


# Image and corners of a photo are asked for one after the other.
@functools.lru_cache(maxsize=4)
def _photo(drawing: _Drawing, index: int) -> Photo:
    return drawing.photo(index)


@dataclasses.dataclass(frozen=True, slots=True)
class PhotoSource:
    """Photo `index` of a drawn set."""

    index: int
    drawing: _Drawing

    def read_image(self, *, orientation: images.Orientation = "apply") -> NDArray[Any]:
        """Draw the photo, (H, W, 3) RGB uint8, which no orientation turns."""
        return _photo(self.drawing, self.index).image

    def read_corners(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.float64] | None:
        """Return its (4, 2) corners, px; None where it shows no field."""
        return _photo(self.drawing, self.index).corners_xy

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return (H, W), nowhere True: a missing field has no pixels."""
        return np.zeros(_photo(self.drawing, self.index).image.shape[:2], np.bool_)

    def identity(self) -> bytes:
        """Return everything the pixels follow from."""
        return repr((DRAWING_VERSION, self.index)).encode() + self.drawing.key()


def _records(drawing: _Drawing, count: int, *, name: str, origin: str) -> Records:
    if count < 1:
        raise errors.ConfigError(f"count must be at least 1. Got {count}. Ask for some photos.")
    found = []
    for index in range(count):
        is_defect = _photo(drawing, index).corners_xy is None
        found.append(Record(f"{name}/{index:06d}", is_defect, PhotoSource(index, drawing)))
    return Records.of(found, origin=origin, classes=corners.CLASSES)


def certificates(*, count: int, spec: CertificateSpec, seed: int) -> Records:
    """Return records of drawn certificates.

    Each is drawn once to know whether it shows the field, and again when it is read.

    Args:
        count: number of photos.
        spec: what to draw from.
        seed: of the set; photo `i` follows from (seed, i).

    Raises:
        errors.ConfigError: the count is below 1.
    """
    drawing = _Certificates(seed, spec)
    return _records(drawing, count, name="certificate", origin="the drawn certificates")


def of_template(template: Template, *, count: int, spec: PhotoSpec, seed: int) -> Records:
    """Return records of photos of one scanned form.

    Args:
        template: of `certificate.from_template`.
        count: number of photos.
        spec: how they are taken.
        seed: of the set; photo `i` follows from (seed, i).

    Raises:
        errors.ConfigError: the count is below 1.
    """
    drawing = _Copies(seed, spec, template)
    return _records(drawing, count, name="template", origin="photos of the template")


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
