"""Connections of HTTP/1.1 that do not stay open for a request that never comes."""

import asyncio
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_HEADERS_S = 10.0  # that the first line and the headers of a request may take


class Connection(H11Protocol):
    """A connection that is closed where headers are too slow in coming.

    uvicorn closes one that is idle between two requests; not one that has sent half of the headers
    of the next, or nothing at all.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(transport)
        # Or the system holds back the second part of a response until the first is confirmed, which
        # takes 40 ms. asyncio sees to it for sockets that say they are of TCP, which ours does not.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting: asyncio.TimerHandle | None = None
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Start the clock where headers are not there yet; stop it where they are."""
        if self.conn.their_state is not h11.IDLE:
            if self._waiting is not None:
                self._waiting.cancel()
            self._waiting = None
        elif self._waiting is None:
            self._waiting = self.loop.call_later(_HEADERS_S, self._close)

    def _close(self) -> None:
        self._waiting = None
        is_busy = self.cycle is not None and not self.cycle.response_complete
        if self.conn.their_state is h11.IDLE and not is_busy:
            self.transport.close()
