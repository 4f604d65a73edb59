"""Pixels from files: an image, its mask of defects or of class ids, and its template."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, images
from inspection_tf.datasets import file_hashes, mask_meaning
from inspection_tf.datasets.image_record import IGNORED


@dataclasses.dataclass(frozen=True, slots=True)
class FileSource:
    """An image file and, for a defective image, the file of its mask.

    Attributes:
        image_path: PNG, JPEG, BMP, TIFF or WebP.
        mask_path: None where the whole image is defect-free.
        template_path: the image as it should be, of the same size; None where there is none.
        class_count: 0 where the mask tells defects from the rest; else its gray values, or the
            entries of its palette, are the ids of that many classes, 0 the background.
        meaning: of the values in the mask, where it is another.
    """

    image_path: Path
    mask_path: Path | None = None
    template_path: Path | None = None
    class_count: int = 0
    meaning: mask_meaning.Meaning = mask_meaning.USUAL

    @property
    def has_ignored(self) -> bool:
        """Whether there may be pixels that count for nothing."""
        return self.mask_path is not None and self.meaning.has_ignored

    @property
    def has_template(self) -> bool:
        """Whether there is a template."""
        return self.template_path is not None

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Return the decoded image.

        Raises:
            errors.ImageError: the file cannot be read.
        """
        return images.read(self.image_path, orientation=orientation)

    def read_mask(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.bool_] | NDArray[np.uint8]:
        """Return the mask in the size of the image as it is read: bool, or ids as uint8.

        Raises:
            errors.ImageError: the mask cannot be read, has another size, or means something else.
            errors.DataError: an id is over `class_count`, or a value has no meaning.
        """
        size = images.read_size(self.image_path, orientation=orientation)
        if self.mask_path is None:
            return np.zeros(size, dtype=np.uint8 if self.class_count else np.bool_)
        if not self.class_count and self.meaning == mask_meaning.USUAL:
            return images.read_mask(self.mask_path, size=size)
        ids = self._read_ids(self.mask_path)
        _require_size(self.mask_path, ids, size)
        ids = np.where(ids == IGNORED, np.uint8(0), ids) if self.has_ignored else ids
        return ids if self.class_count else ids > 0

    def read_ignored(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return where pixels count for nothing, in the size of the image as it is read.

        Raises:
            errors.ImageError: as `read_mask`.
            errors.DataError: as `read_mask`.
        """
        size = images.read_size(self.image_path, orientation=orientation)
        if self.mask_path is None or not self.has_ignored:
            return np.zeros(size, np.bool_)
        ids = self._read_ids(self.mask_path)
        _require_size(self.mask_path, ids, size)
        return np.asarray(ids == IGNORED)

    def _read_ids(self, path: Path) -> NDArray[np.uint8]:
        return mask_meaning.read(path, self.meaning, self.class_count)

    def read_template(self, *, orientation: images.Orientation = "apply") -> images.Image | None:
        """Return the template as `read_image` returns the image, or None where there is none.

        Raises:
            errors.ImageError: it cannot be read or has another size than the image.
        """
        if self.template_path is None:
            return None
        template = images.read(self.template_path, orientation=orientation)
        _require_size(
            self.template_path, template, images.read_size(self.image_path, orientation=orientation)
        )
        return template

    def class_ids(self) -> tuple[int, ...] | None:
        """Return the ids in the mask, rising; None where the mask has none. Decodes the mask.

        Raises:
            errors.ImageError: the mask cannot be read.
            errors.DataError: an id is over `class_count`.
        """
        if not self.class_count:
            return None
        if self.mask_path is None:
            return ()
        found = set(np.unique(self._read_ids(self.mask_path)).tolist())
        return tuple(sorted(found - {0, IGNORED} if self.has_ignored else found - {0}))

    def identity(self) -> bytes:
        """Return the SHA-256 of the image's bytes, the mask's, and those of a template.

        Raises:
            errors.ImageError: a file is absent.
        """
        digest = hashlib.sha256()
        # Without template and ids it is the hash that bundles have always held.
        templates = (self.template_path,) if self.template_path else ()
        for path in (self.image_path, self.mask_path, *templates):
            digest.update(file_hashes.sha256(path) if path else hashlib.sha256().digest())
        if self.class_count:
            digest.update(f"ids {self.class_count}".encode())
        if self.meaning != mask_meaning.USUAL:
            digest.update(repr((self.meaning.values, self.meaning.ignored)).encode())
        return digest.digest()


def _require_size(path: Path, array: NDArray[np.generic], size: tuple[int, int]) -> None:
    if array.shape[:2] != size:
        raise errors.ImageError(
            f"{path} must be {size[0]} x {size[1]} px (height x width), as its image. "
            f"Got {array.shape[0]} x {array.shape[1]}. Export it in the size of its image."
        )
