"""What a client receives: JSON without NaN, and one sentence for what was not decided."""

import asyncio
import contextlib
import json
import threading
import time
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from inspection_tf.service.refusals import Refusal, malformed

IS_READ = "is_read"
"""In the scope of a request: an event, set once its body is read to the end."""
_JSON = "application/json"
_NOT_READ = threading.Event()
_LINGER_S, _LINGER_BYTES = 1.0, 8 << 20  # of a request that is not read to its end


def json_response(content: Any) -> Response:
    """Return content as JSON; content that holds NaN is a defect, and raises."""
    return Response(_encoded(content), media_type=_JSON)


def error_response(refusal: Refusal) -> Response:
    """Return the response to what was not decided."""
    kind = _Parting if refusal.is_unread else Response
    headers = {**refusal.headers, **({"Connection": "close"} if refusal.is_unread else {})}
    return kind(_encoded({"error": refusal.sentence}), refusal.status, headers, media_type=_JSON)


def parsed_json(data: bytes, what: str) -> Any:
    """Return what JSON holds.

    Args:
        data: UTF-8.
        what: it is; begins the sentence of a refusal.

    Raises:
        Refusal: it is no JSON, or holds NaN or an infinity.
    """

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as problem:
        raise malformed(f"{what} must be JSON. Got {problem}. Correct it.") from problem


def _encoded(content: Any) -> bytes:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class _Parting(Response):
    """A response to a request that is not read to its end; then the connection is closed.

    What the client still sends is thrown away for a while: a connection that is closed before is
    reset, and the response lost with it.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and wait for the rest of the request."""
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        until, left = time.monotonic() + _LINGER_S, _LINGER_BYTES
        with contextlib.suppress(TimeoutError):
            while left > 0 and not scope.get(IS_READ, _NOT_READ).is_set():
                message = await asyncio.wait_for(receive(), max(until - time.monotonic(), 0))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    break
                left -= len(message.get("body", b""))
        await send({"type": "http.response.body", "body": b"", "more_body": False})
