"""The formats of data sets that are read."""

from collections.abc import Callable
from pathlib import Path

from inspection_tf.datasets.readers import corners, dagm, deeppcb, folder, magnetic_tile
from inspection_tf.datasets.records import Records

READERS: dict[str, Callable[[str | Path], Records]] = {
    "dagm": dagm.read_dagm,
    "folder": folder.read_folder,
    "magnetic_tile": magnetic_tile.read_magnetic_tile,
    "deeppcb": deeppcb.read_deeppcb,
    "corners": corners.read_corners,
    "smartdoc": corners.read_smartdoc,
}
