"""Networks in `.keras` files, read as far as they hold nothing but layers."""

from pathlib import Path

import keras

from inspection_tf import errors, losses, metrics  # noqa: F401  registers what a file may hold
from inspection_tf.models import (  # noqa: F401  and its layers
    backbones,
    blocks,
    classical,
    patching,
    place_pool,
)
from inspection_tf.models.additions import evidence, mirrors, novelty  # noqa: F401


def load(
    path: Path,
    *,
    requirement: str = "{path.name} must be a Keras file of known layers, without code",
    way_out: str = "Export the bundle again",
) -> keras.Model:
    """Return the network of a `.keras` file.

    The layers of a task are known where its modules were imported: see `tasks.saved_networks`.

    Args:
        path: the file.
        requirement: what the message of the error begins with; may hold `{path}`.
        way_out: what it ends with.

    Raises:
        errors.BundleError: it is none, or holds code.
    """
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as problem:  # Keras raises whatever it stumbles over
        lines = str(problem).strip().splitlines() or [type(problem).__name__]
        raise errors.BundleError(
            f"{requirement.format(path=path)}. Got: {lines[0]}. {way_out}."
        ) from problem
