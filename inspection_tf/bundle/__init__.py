"""A bundle: the folder a deployment team receives, read with suspicion and written atomically."""

from inspection_tf.bundle.listed_files import (
    MANIFEST,
)
from inspection_tf.bundle.manifest import (
    CLASSIFIER,
    REFINER,
    SCHEMA_VERSION,
    Data,
    Draft,
    Graph,
    Input,
    Manifest,
    Output,
    Provenance,
    editing,
    read,
    writing,
)

__all__ = [
    "CLASSIFIER",
    "MANIFEST",
    "REFINER",
    "SCHEMA_VERSION",
    "Data",
    "Draft",
    "Graph",
    "Input",
    "Manifest",
    "Output",
    "Provenance",
    "editing",
    "read",
    "writing",
]
