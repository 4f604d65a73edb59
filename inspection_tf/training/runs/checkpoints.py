"""Checkpoints that hold every variable and are written whole or not at all.

`.keras` and `.weights.h5` leave out the state of random generators, and `load_weights` into a fresh
compile leaves out the optimizer's; a training resumed from either takes another path.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, files
from inspection_tf.losses.keras_types import Variable

Values = dict[str, NDArray[Any]]


def _named(model: keras.Model, *, optimizer: bool) -> dict[str, Variable]:
    """Return variables by a name that is stable between processes: order, then path."""
    listed = [("model", variable) for variable in _model_variables(model)]
    if optimizer:
        model.optimizer.build(model.trainable_variables)
        listed += [("optimizer", variable) for variable in model.optimizer.variables]
    return {f"{kind}/{place:04d}": variable for place, (kind, variable) in enumerate(listed)}


def _model_variables(model: keras.Model) -> list[Variable]:
    # In the order in which the layers made them; freezing some does not move them.
    by_id: dict[int, Variable] = {id(variable): variable for variable in model.weights}
    for layer in model.layers:
        # `weights` leaves out the states of random generators, which dropout draws from.
        for variable in layer.variables:
            by_id.setdefault(id(variable), variable)
    return list(by_id.values())


def capture(model: keras.Model, *, optimizer: bool = True) -> Values:
    """Return copies of all variables: weights, statistics, random states, optimizer.

    Args:
        model: compiled when the optimizer is wanted.
        optimizer: False leaves the optimizer's variables out.
    """
    return {
        name: np.array(keras.ops.convert_to_numpy(variable))
        for name, variable in _named(model, optimizer=optimizer).items()
    }


def restore(model: keras.Model, values: Values, *, optimizer: bool = True) -> None:
    """Set all variables from `capture` or `load`.

    Raises:
        errors.BundleError: the values belong to another network.
    """
    variables = _named(model, optimizer=optimizer)
    wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {
        name: value.shape
        for name, value in values.items()
        if optimizer or not name.startswith("optimizer/")
    }
    differing = [name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)]
    if differing:
        raise errors.BundleError(
            "A checkpoint must hold every variable of the model and no other, in its shape. "
            f"Got {len(differing)} that differ, the first {differing[0]}. "
            "Resume with the configuration of the run."
        )
    for name, variable in variables.items():
        variable.assign(values[name])


def save(path: str | Path, values: Values, *, epoch: int) -> None:
    """Write a checkpoint.

    Args:
        path: a `.npz` file; replaced at once when the new one is complete.
        values: of `capture`.
        epoch: epochs completed.

    Raises:
        errors.StorageError: the disk is full; a complete checkpoint, as a rule the previous one, is
            still there.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **{"epoch": np.array(epoch), **values})  # type: ignore[arg-type]
    files.write(path, buffer.getvalue())


def load(path: str | Path) -> tuple[Values, int]:
    """Read a checkpoint: its values and the epochs completed.

    Raises:
        errors.BundleError: the file is absent or no checkpoint.
    """
    try:
        # From bytes: NumPy leaves a damaged file open.
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as stored:
            values = {name: stored[name] for name in stored.files}
            return values, int(values.pop("epoch"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        raise errors.BundleError(
            f"{path} must be a checkpoint of this package. Got: {problem}. "
            "Start the run again in a new folder."
        ) from problem


def is_finite(values: Values) -> bool:
    """Return True when no variable holds NaN or infinity."""
    return all(
        bool(np.isfinite(value).all())
        for value in values.values()
        if np.issubdtype(value.dtype, np.floating)
    )
