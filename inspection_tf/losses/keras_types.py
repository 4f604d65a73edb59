"""Names for what Keras leaves without types, for losses, metrics, models and training."""

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of the backend, symbolic or not, or an array that Keras takes for one."""
Shape: TypeAlias = Any
"""What Keras passes to `compute_output_shape`: a tuple, or one of tuples."""
Layer: TypeAlias = Any
"""A layer; of which class says the name of the variable."""
Variable: TypeAlias = Any
"""A `keras.Variable`."""
Optimizer: TypeAlias = Any
"""A `keras.optimizers.Optimizer`."""
Schedule: TypeAlias = Any
"""A `keras.optimizers.schedules.LearningRateSchedule`."""
Initializer: TypeAlias = Any
"""A `keras.initializers.Initializer`."""
Dataset: TypeAlias = Any
"""A `tf.data.Dataset`, which only `datasets.loading` may name."""
Option: TypeAlias = Any
"""An argument that is passed on to a base class of Keras, or to a layer."""
Config: TypeAlias = dict[str, Any]
"""What rebuilds an object: of `get_config`."""
