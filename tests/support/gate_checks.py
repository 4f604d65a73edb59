"""Trained models and what stands for their exports, compared by the gate."""

from inspection_tf.export import gate
from inspection_tf.export.trained import KerasNetwork
from inspection_tf.runtime.runner import Runner


def compared(models, exported, records):
    """Return how far an inspector is from the trained models, by the names of their graphs."""
    trained = {name: KerasNetwork(model) for name, model in models.items()}
    return gate.compare(Runner(exported.task, trained, exported.context), exported, records)
