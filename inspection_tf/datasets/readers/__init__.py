"""Readers: from folders of other people's data sets to records, one file a format."""

from inspection_tf.datasets.readers.dagm import read_dagm
from inspection_tf.datasets.readers.deeppcb import read_deeppcb
from inspection_tf.datasets.readers.folder import read_folder
from inspection_tf.datasets.readers.formats import READERS
from inspection_tf.datasets.readers.magnetic_tile import read_magnetic_tile
from inspection_tf.datasets.records import FileSource

__all__ = [
    "READERS",
    "FileSource",
    "read_dagm",
    "read_deeppcb",
    "read_folder",
    "read_magnetic_tile",
]
