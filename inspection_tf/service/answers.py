"""What a client is told: JSON without NaN, and one sentence for what was not decided."""

import asyncio
import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from inspection_tf import errors

if TYPE_CHECKING:
    from inspection_tf import decision

Headers = Mapping[str, str]
_JSON = "application/json"
IS_READ = "is_read"
"""In the scope of a request: an event, set once its body is read to the end."""
_NOT_READ = threading.Event()
_LINGER_S, _LINGER_BYTES = 1.0, 8 << 20  # of a request that is not read to its end


@dataclasses.dataclass
class Refusal(Exception):  # noqa: N818  not every refusal is an error
    """A request that gets no decision.

    Attributes:
        status: of HTTP.
        reason: under which it is counted.
        sentence: what the client is told.
        headers: of the answer, beside those of JSON.
        is_unread: whether the request is not read to its end.
    """

    status: int
    reason: str
    sentence: str
    headers: Headers = dataclasses.field(default_factory=dict)
    is_unread: bool = False


def told(content: Any, *, status: int = 200, headers: Headers | None = None) -> Response:
    """Return content as JSON; whatever holds NaN is a defect, and raises."""
    return Response(_text(content), status, dict(headers or {}), media_type=_JSON)


def _text(content: Any) -> bytes:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def refused(refusal: Refusal) -> Response:
    """Return the answer to what was not decided."""
    content = _text({"error": refusal.sentence})
    kind = _Parting if refusal.is_unread else Response
    headers = {**refusal.headers, **({"Connection": "close"} if refusal.is_unread else {})}
    return kind(content, refusal.status, headers, media_type=_JSON)


class _Parting(Response):
    """An answer to a request that is not read to its end; then the connection is closed.

    What the client still sends is thrown away for a while: a connection that is closed before is
    reset, and the answer lost with it.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and wait for the rest of the request."""
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        until, left = time.monotonic() + _LINGER_S, _LINGER_BYTES
        with contextlib.suppress(TimeoutError, Refusal):
            while left > 0 and not scope.get(IS_READ, _NOT_READ).is_set():
                message = await asyncio.wait_for(receive(), max(until - time.monotonic(), 0))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    break
                left -= len(message.get("body", b""))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def of_problem(problem: Exception) -> Refusal:
    """Return what a client is told of an exception; what is internal stays here."""
    if isinstance(problem, Refusal):
        return problem
    if isinstance(problem, errors.ImageError):
        return Refusal(422, "image", str(problem))
    if isinstance(problem, errors.ConfigError):
        return Refusal(400, "malformed", str(problem))
    return Refusal(
        500, "no_decision", "No decision: the inspection failed. Leave the part to a person."
    )


def require_decision(verdict: "decision.Verdict") -> None:
    """Refuse a verdict that rests on an output of a network that is not finite.

    Raises:
        Refusal: it does.
    """
    if not verdict.is_decided:
        raise Refusal(
            500,
            "no_decision",
            f"No decision: {'; '.join(verdict.reasons) or 'the score is not finite'}. "
            "Leave the part to a person.",
        )
