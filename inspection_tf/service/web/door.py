"""The door: who may come in is asked before a byte of the body is read."""

import asyncio
import hmac
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inspection_tf.service import refusals
from inspection_tf.service.refusals import Refusal
from inspection_tf.service.web.responses import IS_READ, error_response
from inspection_tf.service.web.uploads import FORM

BATCH = "/inspect/batch"
_SLOWEST = 32 * 1024  # bytes a second of a batch, whose length nobody knows
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
    def max_bytes(self) -> int:
        """Bytes of a request; of a form of a batch, of each image."""
        ...

    @property
    def upload_s(self) -> float:
        """Seconds that a request may take to arrive."""
        ...

    @property
    def retry_after_s(self) -> int:
        """Seconds after which a request that is refused may find room."""
        ...

    def count_refusal(self, refusal: Refusal) -> None:
        """Count a request that did not come in."""
        ...


class Door:
    """Counts requests that inspect, and refuses those that are too many, too large or too slow."""

    def __init__(self, app: ASGIApp, *, host: Host, token: str) -> None:
        """Stand before an application.

        Args:
            app: what answers who came in.
            host: whose requests are counted.
            token: that a client must send; empty: none.
        """
        self._app, self._host, self._token = app, host, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # the server leaves the body out
            scope = {**scope, "method": "GET"}
        headers = _headers(scope)
        # The length of a batch is not known before; that of one image as its body is.
        is_form = headers.get("content-type", "").lower().startswith(FORM)
        is_batch = scope["path"] == BATCH and is_form
        is_counted = _inspects(scope)
        try:
            self._require_token(scope, headers)
            if is_counted:
                self._require_room(headers, is_batch=is_batch)
        except Refusal as refusal:
            self._host.count_refusal(refusal)
            await error_response(refusal)(scope, receive, send)
            return
        if not is_counted:
            await self._app(scope, receive, send)
            return
        self._host.in_flight += 1
        try:
            await self._app(scope, self._bounded(receive, scope, is_batch=is_batch), send)
        finally:
            self._host.in_flight -= 1

    def _require_token(self, scope: Scope, headers: Mapping[str, str]) -> None:
        path: str = scope["path"]
        if not self._token or path in _OPEN or path.startswith(_PAGE):
            return
        kind, _, word = headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(word.strip().encode("latin-1"), self._token.encode())
        if kind.lower() != "bearer" or not is_right:
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
        if host.is_draining:
            raise refusals.draining(host.retry_after_s, is_unread=True)
        if host.in_flight >= host.limit:
            raise Refusal(
                503,
                "full",
                f"At most {host.limit} requests are answered at once. Got one more. "
                f"Send it again in {host.retry_after_s} s.",
                {"Retry-After": str(host.retry_after_s)},
                is_unread=True,
            )
        length = headers.get("content-length", "")
        if not is_batch and length.isdigit() and int(length) > host.max_bytes:
            raise refusals.too_large("A request", host.max_bytes)

    def _bounded(self, receive: Receive, scope: Scope, *, is_batch: bool) -> Receive:
        """Return what reads a body and refuses one that is too large, or too slow in coming."""
        host, read_bytes, waited_s, is_refused = self._host, 0, 0.0, False
        is_read = scope[IS_READ] = threading.Event()

        async def read() -> Message:
            nonlocal read_bytes, waited_s, is_refused
            if is_read.is_set() or is_refused:
                return await receive()
            may_wait = host.upload_s + (read_bytes / _SLOWEST if is_batch else 0.0)
            began = time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(may_wait - waited_s, 0.0))
            except TimeoutError:
                is_refused = True
                raise refusals.slow(host.upload_s) from None
            waited_s += time.monotonic() - began
            if message["type"] != "http.request" or not message.get("more_body", False):
                is_read.set()
            read_bytes += len(message.get("body", b""))
            if read_bytes > host.max_bytes and not is_batch:
                is_refused = True
                raise refusals.too_large("A request", host.max_bytes)
            return message

        return read


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _inspects(scope: Scope) -> bool:
    path: str = scope["path"]
    is_infer = path.startswith("/v2/models/") and path.endswith("/infer")
    is_check = path.startswith("/models/") and path.endswith("/check")
    inspects = path == "/inspect" or path.startswith("/inspect/") or is_infer or is_check
    return bool(scope["method"] == "POST") and inspects
