"""Corners that were painted: four pixels of four colours, which no photo has by chance.

For a first data set a paint program is enough: one pixel in each corner of the field. The colours
are those of the talk (RGB): magenta 255, 0, 255 top left; green 0, 255, 0 bottom left; cyan
0, 255, 255 top right; violet 110, 0, 255 bottom right. The image must be saved without loss.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, files, images, process
from inspection_tf.datasets.readers import listing
from inspection_tf.datasets.readers.located import corners
from inspection_tf.datasets.readers.located.corners import Corner

COLOURS: dict[Corner, tuple[int, int, int]] = {
    "tl": (255, 0, 255),
    "tr": (0, 255, 255),
    "br": (110, 0, 255),
    "bl": (0, 255, 0),
}
_COLOUR_NAMES: dict[Corner, str] = {"tl": "magenta", "tr": "cyan", "br": "violet", "bl": "green"}
_LOSSY = ("JPEG",)
_RADIUS_PX = 3  # of what inpainting looks at


def find(image: images.Image, *, where: str) -> NDArray[np.float64] | None:
    """Return the four painted pixels.

    Args:
        image: (H, W, 3) uint8 RGB.
        where: the file, for messages.

    Returns:
        (4, 2) px: top left, top right, bottom right, bottom left; None where not one is painted.

    Raises:
        errors.DataError: a colour is missing or there twice, or the corners cannot be right.
    """
    if image.ndim != 3 or image.dtype != np.uint8:
        return None  # grey: nothing is painted
    found: dict[Corner, NDArray[np.int64]] = {}
    for corner, colour in COLOURS.items():
        rows, columns = np.nonzero((image == np.array(colour, np.uint8)).all(axis=2))
        if len(rows) > 1:
            places = ", ".join(f"({x}, {y})" for x, y in zip(columns[:4], rows[:4], strict=True))
            raise errors.DataError(
                f"{where}: the {corners.NAMES[corner]} corner must be one pixel of "
                f"{_COLOUR_NAMES[corner]} {colour}. Got {len(rows)} of them: {places}. Paint the "
                "others over."
            )
        if len(rows):
            found[corner] = np.array([columns[0], rows[0]])
    if not found:
        return None
    missing = [corner for corner in corners.ORDER if corner not in found]
    if missing:
        names = ", ".join(
            f"{corners.NAMES[name]} ({_COLOUR_NAMES[name]} {COLOURS[name]})" for name in missing
        )
        raise errors.DataError(
            f"{where}: all four corners must be painted. Got {len(found)} without {names}. "
            "Paint one pixel in that colour, without smoothing."
        )
    points = np.array([found[name] for name in corners.ORDER], np.float64)
    size = (image.shape[0], image.shape[1])
    return corners.check(points, size=size, where=where)


def remove(image: NDArray[np.uint8], corners_xy: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a copy in which the painted pixels look like their neighbours.

    A network would otherwise learn to find the paint.

    Args:
        image: (H, W, 3) uint8 RGB.
        corners_xy: (4, 2) px, of `find`.

    Source: Telea 2004, "An image inpainting technique based on the fast marching method".
    """
    painted = np.zeros(image.shape[:2], np.uint8)
    columns, rows = np.round(corners_xy).astype(np.int64).T
    painted[rows, columns] = 255
    return np.asarray(cv2.inpaint(image, painted, _RADIUS_PX, cv2.INPAINT_TELEA), np.uint8)


def convert(
    root: str | Path,
    out: str | Path,
    *,
    unmarked: bool = False,
    progress: process.Progress | None = None,
) -> Path:
    """Turn a folder of painted images into a data set: clean images and `corners.csv`.

    The painted ones are left as they are. The new folder appears complete or not at all.

    Args:
        root: the folder.
        out: the new one; it must not exist yet, or be empty.
        unmarked: images without paint are kept, as photos that show no field; else they are errors.
        progress: called with (done, of).

    Raises:
        errors.DataError: there is no image, one was saved with loss, a colour is missing or there
            twice, or corners cannot be right; with the file.
        errors.ImageError: a file is damaged.
        errors.ConfigError: the new folder holds something.
        errors.StorageError: it cannot be written.
    """
    listed = listing.images_in(listing.require_folder(Path(root)))
    if not listed:
        raise errors.DataError(f"{root} must hold painted images. Got none. Name their folder.")
    listing.by_stem(listed, what="file")  # two of one stem would become one PNG
    rows: dict[str, NDArray[np.float64] | None] = {}
    with files.new_folder(out) as partial:
        for done, path in enumerate(listed, start=1):
            clean, found = _read(path, unmarked=unmarked)
            name = f"{path.stem}.png"
            images.write_png(partial / name, clean)
            rows[name] = found
            if progress is not None:
                progress(done, len(listed))
        corners.write(partial / corners.CSV_NAME, rows)
    return Path(out)


def _read(path: Path, *, unmarked: bool) -> tuple[images.Image, NDArray[np.float64] | None]:
    if images.read_header(path).format in _LOSSY:
        raise errors.DataError(
            f"{path}: painted corners must be saved without loss. Got a JPEG, which changes "
            "colours. Save it as PNG and paint the corners again."
        )
    image = images.read(path)
    found = find(image, where=str(path))
    if found is not None:
        return remove(image.astype(np.uint8, copy=False), found), found
    if not unmarked:
        raise errors.DataError(
            f"{path}: all four corners must be painted. Got none. Paint them, or keep such images "
            "as photos without the field (unmarked)."
        )
    return image, None
