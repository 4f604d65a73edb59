"""HTTP service: bundles inspect what is sent, and answer with verdicts.

What listens comes with the extra `serve`, and is imported where it is used.
"""

from typing import TYPE_CHECKING, Any

from inspection_tf.service.spec import ServiceSpec

if TYPE_CHECKING:
    from inspection_tf.service.models import Models
    from inspection_tf.service.server import serve
    from inspection_tf.service.station import Station, Submission

__all__ = ["Models", "ServiceSpec", "Station", "Submission", "serve"]

_PLACES = {"Models": "models", "Station": "station", "Submission": "station", "serve": "server"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
