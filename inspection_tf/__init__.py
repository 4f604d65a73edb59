"""Visual inspection from scratch to production on Keras 3 and TensorFlow.

    import inspection_tf

    verdict = inspection_tf.load("bundle").inspect("part.png")

The names of `__all__` are imported when they are first used, so that `import inspection_tf` costs
next to nothing. Everything else is imported from its room: `from inspection_tf import plots`.
"""

import os

TYPE_CHECKING = False  # a type checker takes it for true; importing `typing` would cost 2 ms
if TYPE_CHECKING:
    from inspection_tf import tasks
    from inspection_tf.decision import Verdict
    from inspection_tf.runtime import Inspector

    load = Inspector.load

# TensorFlow reads it when it is first imported; a training log needs no notes on CPU features.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# From 1.29 onnxruntime tells over the network that it is used, by threads that it starts when it is
# imported, and for which a child of a fork would wait forever at its end.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Inspector", "Verdict", "__version__", "load", "tasks"]

# Name -> module, and the path of attributes in it.
_LAZY = {
    "Inspector": ("inspection_tf.runtime", ("Inspector",)),
    "Verdict": ("inspection_tf.decision", ("Verdict",)),
    "load": ("inspection_tf.runtime", ("Inspector", "load")),
    "tasks": ("inspection_tf.tasks", ()),
}

if not TYPE_CHECKING:  # a type checker would take any name for one of this module

    def __getattr__(name):
        """Import a name of `_LAZY` when it is first used; see PEP 562."""
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        module, attributes = _LAZY[name]
        value = importlib.import_module(module)
        for attribute in attributes:
            value = getattr(value, attribute)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
