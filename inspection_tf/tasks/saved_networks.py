"""The `.keras` files of bundles, whichever task they are for."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from inspection_tf import tasks

if TYPE_CHECKING:
    import keras


def load(path: Path) -> "keras.Model":
    """Return the network of a `.keras` file; the layers of every task are known.

    Raises:
        errors.BundleError: it is none, or holds code.
    """
    from inspection_tf.models import saved

    for name in tasks.TASKS:
        for module in tasks.get(name).keras_modules:
            importlib.import_module(module)
    return saved.load(path)
