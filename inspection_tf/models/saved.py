"""The Keras files of a bundle, read as far as they hold nothing but layers."""

from pathlib import Path
from typing import Any

from inspection_tf import errors


def load(path: Path) -> Any:
    """Return the model of a `.keras` file.

    Raises:
        errors.BundleError: it is none, or holds code.
    """
    import keras

    from inspection_tf import losses, metrics  # noqa: F401  registers what a model may hold
    from inspection_tf.models import backbones, blocks  # noqa: F401  and its layers
    from inspection_tf.tasks.fields import network  # noqa: F401

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as problem:  # Keras raises whatever it stumbles over
        lines = str(problem).strip().splitlines() or [type(problem).__name__]
        raise errors.BundleError(
            f"{path.name} must be a Keras file of known layers, without code. Got: {lines[0]}. "
            "Export the bundle again."
        ) from problem
