"""The `.keras` files of bundles, whichever task they are for."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def load(path: Path) -> "keras.Model":
    """Return the network of a `.keras` file; the layers of every task are known.

    Raises:
        errors.BundleError: it is none, or holds code.
    """
    from inspection_tf.models import saved
    from inspection_tf.tasks.fields import network  # noqa: F401  registers its layers

    return saved.load(path)
