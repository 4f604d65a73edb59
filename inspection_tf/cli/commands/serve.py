"""`inspection serve`: bundles behind HTTP."""

from typing import Annotated

import tyro

from inspection_tf import service
from inspection_tf.engines import installed

_LIBRARIES = ("fastapi", "uvicorn", "httptools", "python-multipart", "prometheus-client")
Bundles = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="BUNDLE...")]
# Several sources and sinks are options of their own: a list would take the bundles too.
Spec = Annotated[service.ServiceSpec, tyro.conf.arg(name=""), tyro.conf.UseAppendAction]


def serve(bundles: Bundles, /, *, spec: Spec = service.ServiceSpec()) -> int:  # noqa: B008  frozen
    """Serve bundles over HTTP until SIGTERM; prints its address once it listens.

    POST /inspect, /inspect/part and /inspect/batch take images and answer with verdicts; /v2 speaks
    the Open Inference Protocol; /metrics is for Prometheus; /openapi.json says the rest.

    Args:
        bundles: folders of bundles; or text files that name one, which are looked at again and
            again, so that another bundle takes over while requests go on. NAME=FOLDER names a
            model, which is called by its recipe else. SIGHUP looks at all of them.
        spec: where to listen, and how much to take.
    """
    there = installed.versions(*_LIBRARIES)
    if lacking := [name for name in _LIBRARIES if name not in there]:
        raise installed.missing(", ".join(lacking), "serve", "A service")
    return service.serve(bundles, spec)
