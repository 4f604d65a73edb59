"""The door: who may come in is asked before a byte of the body is read."""

import asyncio
import hmac
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inspection_tf.service.answers import IS_READ, Refusal, refused

BATCH = "/inspect/batch"
SINCE = "since"
"""In the scope of a request: when it came in, by `time.monotonic`."""
_MIB = 1 << 20
_OPEN = ("/v2/health/live", "/v2/health/ready", "/")  # asked before anybody has a token
_PAGE = "/page/"  # so are the files of the page


class Host(Protocol):
    """What a door is of: how much it takes, and how many requests it has."""

    in_flight: int
    is_draining: bool

    @property
    def limit(self) -> int:
        """Requests that may be answered at once."""
        ...

    @property
    def retry_after_s(self) -> int:
        """Seconds after which one that is refused may find room."""
        ...

    def turned_away(self, refusal: Refusal) -> None:
        """Count a request that did not come in."""
        ...


class Door:
    """Counts requests that inspect, and refuses those that are too many, too large or too slow."""

    def __init__(
        self, app: ASGIApp, *, host: Host, token: str, max_mib: float, upload_s: float
    ) -> None:
        """Stand before an application.

        Args:
            app: what answers who came in.
            host: whose requests are counted.
            token: that a client must send; empty: none.
            max_mib: of a body; of a batch, of each image.
            upload_s: that a body may take to arrive.
        """
        self._app, self._host, self._token = app, host, token
        self._max_bytes = int(max_mib * _MIB)
        self._upload_s = upload_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[SINCE] = time.monotonic()
        headers = _headers(scope)
        try:
            self._require_token(scope, headers)
            is_counted = _inspects(scope)
            if is_counted:
                self._require_room(headers, is_batch=scope["path"] == BATCH)
        except Refusal as refusal:
            self._host.turned_away(refusal)
            await refused(refusal)(scope, receive, send)
            return
        if not is_counted:
            await self._app(scope, receive, send)
            return
        self._host.in_flight += 1
        try:
            await self._app(scope, self._timed(receive, scope), send)
        finally:
            self._host.in_flight -= 1

    def _require_token(self, scope: Scope, headers: Mapping[str, str]) -> None:
        path: str = scope["path"]
        if not self._token or path in _OPEN or path.startswith(_PAGE):
            return
        given = headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise Refusal(
                401,
                "unauthorized",
                "A request must bring the service's token. Got none, or another. Send it as "
                "Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
                is_unread=True,
            )

    def _require_room(self, headers: Mapping[str, str], *, is_batch: bool) -> None:
        host = self._host
        later = {"Retry-After": str(host.retry_after_s)}
        if host.is_draining:
            raise Refusal(
                503,
                "draining",
                "The service is about to stop. Ask another one.",
                later,
                is_unread=True,
            )
        if host.in_flight >= host.limit:
            raise Refusal(
                503,
                "full",
                f"At most {host.limit} requests are answered at once. Got one more. "
                f"Send it again in {host.retry_after_s} s.",
                later,
                is_unread=True,
            )
        length = headers.get("content-length", "")
        if not is_batch and length.isdigit() and int(length) > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            "too_large",
            f"A request must have at most {self._max_bytes} bytes. Got more. Send a smaller image.",
            is_unread=True,
        )

    def _timed(self, receive: Receive, scope: Scope) -> Receive:
        """Return what reads a body and refuses one that is too large, or too slow in coming."""
        is_batch = scope["path"] == BATCH  # whose images are inspected while the next ones come
        until, left = scope[SINCE] + self._upload_s, self._max_bytes
        is_read = scope[IS_READ] = threading.Event()

        async def read() -> Message:
            nonlocal left
            if is_read.is_set():
                return await receive()
            may_take = self._upload_s if is_batch else max(until - time.monotonic(), 0.0)
            try:
                message = await asyncio.wait_for(receive(), may_take)
            except TimeoutError:
                raise Refusal(
                    408,
                    "slow",
                    f"A request must arrive within {self._upload_s:g} s. Got a part of one. "
                    "Send it again, faster or smaller.",
                    is_unread=True,
                ) from None
            if message["type"] != "http.request" or not message.get("more_body", False):
                is_read.set()
            left -= len(message.get("body", b""))
            if left < 0 and not is_batch:
                raise self._too_large()
            return message

        return read


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _inspects(scope: Scope) -> bool:
    path: str = scope["path"]
    is_infer = path.startswith("/v2/models/") and path.endswith("/infer")
    inspects = path == "/inspect" or path.startswith("/inspect/") or is_infer
    return bool(scope["method"] == "POST") and inspects
