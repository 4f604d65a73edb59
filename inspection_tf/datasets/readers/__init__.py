"""Readers: from folders of other people's data sets to records, one file a format."""

from inspection_tf.datasets.readers.formats import (
    FORMATS,
    read_dagm,
    read_deeppcb,
    read_folder,
    read_magnetic_tile,
)
from inspection_tf.datasets.records import FileSource

__all__ = [
    "FORMATS",
    "FileSource",
    "read_dagm",
    "read_deeppcb",
    "read_folder",
    "read_magnetic_tile",
]
