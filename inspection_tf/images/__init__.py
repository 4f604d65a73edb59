"""Image files -> pixels -> the network's input: see `codec` for what is read, and how.

`read` is the one gate that every picture enters by, for training, command line and service alike;
`preprocess` makes of it what a network sees.
"""

from inspection_tf.images.codec import (
    IMAGE_SUFFIXES,
    digest,
    encode_jpeg,
    encode_png,
    read,
    read_header,
    read_size,
    snapshot,
    stored_points,
    to_8bit,
    write_png,
)
from inspection_tf.images.headers import Header
from inspection_tf.images.masks import StoredMask, marked, own_levels, read_mask, read_stored
from inspection_tf.images.preprocessing import (
    MAX_PIXELS,
    Image,
    Orientation,
    Placement,
    Preprocessing,
    in_channels,
    lay,
    locate,
    placement,
    preprocess,
    to_gray,
    to_uint8,
)
from inspection_tf.images.sources import MAX_BYTES, Source

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_BYTES",
    "MAX_PIXELS",
    "Header",
    "Image",
    "Orientation",
    "Placement",
    "Preprocessing",
    "Source",
    "StoredMask",
    "digest",
    "encode_jpeg",
    "encode_png",
    "in_channels",
    "lay",
    "locate",
    "marked",
    "own_levels",
    "placement",
    "preprocess",
    "read",
    "read_header",
    "read_mask",
    "read_size",
    "read_stored",
    "snapshot",
    "stored_points",
    "to_8bit",
    "to_gray",
    "to_uint8",
    "write_png",
]
