"""Connections of HTTP/1.1 that do not stay open for a request that never comes."""

import asyncio
import socket

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEADERS_S = 10.0  # that the first line and the headers of a request may take
_MOST_HEADERS = 1 << 16  # bytes of them


class Connection(HttpToolsProtocol):
    """A connection that is closed where headers are too slow in coming, or too long.

    uvicorn closes one that is idle between two requests; not one that has sent half of the headers
    of the next, or nothing at all, nor one whose headers never end.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(transport)
        # Or the system holds back the second part of a response until the first is confirmed, which
        # takes 40 ms. asyncio sees to it for sockets that say they are of TCP, which ours does not.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._has_headers, self._heading = False, 0
        self._waiting: asyncio.TimerHandle | None = None
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        self._heading += len(data)
        super().data_received(data)
        if self._has_headers:
            self._heading = 0
        elif self._heading > _MOST_HEADERS and not self.transport.is_closing():
            self.send_400_response(f"Headers must have at most {_MOST_HEADERS} bytes.")
        self._wait()

    def on_headers_complete(self) -> None:
        """Note that the headers of a request are there."""
        self._has_headers = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the next headers may come."""
        super().on_message_complete()
        self._has_headers, self._heading = False, 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        """Start the clock where headers are not there yet; stop it where they are."""
        if self._has_headers or self._is_busy:
            if self._waiting is not None:
                self._waiting.cancel()
            self._waiting = None
        elif self._waiting is None:
            self._waiting = self.loop.call_later(_HEADERS_S, self._close)

    def _close(self) -> None:
        self._waiting = None
        if not (self._has_headers or self._is_busy):
            self.transport.close()
