"""A bundle: the folder a deployment team receives, read with suspicion and written atomically.

Its sections are imported when one of these names is first used: they bring pydantic, and the
runtime is imported without.
"""

from typing import TYPE_CHECKING

from inspection_tf.bundle.listed_files import CARD, MANIFEST

if TYPE_CHECKING:
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
    "CARD",
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


def __getattr__(name: str) -> object:
    if name in __all__:
        from inspection_tf.bundle import manifest

        return getattr(manifest, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
