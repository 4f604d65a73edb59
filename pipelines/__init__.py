"""Recipes: each a straight line from a configuration to a bundle."""

import importlib.util
import sys

# While `python -m pipelines.NAME` looks for its module, and before that one imports Keras.
if sys.argv[:1] == ["-m"] and importlib.util.find_spec("keras") is None:
    print(
        "error: A recipe trains with Keras and TensorFlow. Got an environment without them. "
        'Install them in the folder of the checkout: pip install ".[train]".',
        file=sys.stderr,
    )
    sys.exit(2)
