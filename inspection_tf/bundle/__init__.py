"""A bundle: the folder a deployment team receives, read with suspicion and written atomically.

Its sections are imported when one of these names is first used: they bring pydantic, and the
runtime is imported without.
"""

from typing import TYPE_CHECKING

from inspection_tf.bundle.listed_files import CARD, IN_A_RUN, MANIFEST, TUNE_SCORES

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
    from inspection_tf.bundle.tuning import (
        ChosenThreshold,
        chosen_threshold,
        read_tune_scores,
        write_tune_scores,
    )

__all__ = [
    "CARD",
    "CLASSIFIER",
    "IN_A_RUN",
    "MANIFEST",
    "REFINER",
    "SCHEMA_VERSION",
    "TUNE_SCORES",
    "ChosenThreshold",
    "Data",
    "Draft",
    "Graph",
    "Input",
    "Manifest",
    "Output",
    "Provenance",
    "chosen_threshold",
    "editing",
    "read",
    "read_tune_scores",
    "write_tune_scores",
    "writing",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from inspection_tf.bundle import manifest, tuning

        place = tuning if name in vars(tuning) and name not in vars(manifest) else manifest
        return getattr(place, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
