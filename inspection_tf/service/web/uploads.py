"""What a request carries: an image as its body, or a form of images, templates and metadata."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import python_multipart
from python_multipart.exceptions import MultipartParseError, ParseError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from inspection_tf.service import refusals
from inspection_tf.service.refusals import Refusal
from inspection_tf.service.web.responses import parsed_json

FIELDS = ("image", "template", "metadata")
"""Fields of a form."""
FORM = "multipart/form-data"
PLAIN = ("application/octet-stream", "")
_MOST_HEADER = 8192  # bytes of the headers of a part


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A field of a form.

    Attributes:
        field: one of `FIELDS`.
        name: of its file; empty where it has none.
        data: its bytes.
        refusal: why it is not used: it is too large; then there are no bytes.
    """

    field: str
    name: str
    data: bytes
    refusal: Refusal | None = None


def is_form(request: Request) -> bool:
    """Return whether the body is a form.

    Raises:
        Refusal: it is neither a form nor an image.
    """
    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    name = kind.decode("latin-1").lower()
    if name == FORM:
        return True
    if name in PLAIN or name.startswith("image/"):
        return False
    raise Refusal(
        415,
        "media_type",
        f"The body must be an image, or {FORM}. Got {name[:80]!r}. Send it as image/png or as a "
        "form with a field image.",
        is_unread=True,
    )


async def body(request: Request) -> bytes:
    """Return the whole body.

    Raises:
        Refusal: the client has gone, or `door` refuses the rest.
    """
    try:
        return await request.body()
    except ClientDisconnect:
        raise _gone() from None


async def short_body(request: Request, *, most_bytes: int, within_s: float) -> bytes:
    """Return the whole body of a request that no `door` bounds.

    Raises:
        Refusal: it is too large, or too slow in coming, or the client has gone.
    """
    data = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.stream():
                data += chunk
                if len(data) > most_bytes:
                    raise refusals.malformed(
                        f"A request here must have at most {most_bytes} bytes. Got more. "
                        "Shorten it.",
                        is_unread=True,
                    )
    except ClientDisconnect:
        raise _gone() from None
    except TimeoutError:
        raise refusals.slow(within_s) from None
    return bytes(data)


async def parts(request: Request, *, largest: int) -> AsyncIterator[Part]:
    """Yield the fields of a form as they arrive.

    Args:
        request: whose body is a form.
        largest: bytes of one field.

    Raises:
        Refusal: it is no form, holds another field, or one that is too large.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if not boundary:
        raise _malformed("a form without a boundary")
    collector = _Collector(largest)
    try:
        parser = python_multipart.MultipartParser(boundary, collector.callbacks())
        async for chunk in request.stream():
            parser.write(chunk)
            for part in collector.taken():
                yield part
        parser.finalize()
    except ClientDisconnect:
        raise _gone() from None
    except (MultipartParseError, ParseError, ValueError) as problem:
        raise _malformed(str(problem)) from problem
    if not collector.is_over:
        raise _malformed("one that stops before its end")


def metadata_of(data: bytes) -> dict[str, Any]:
    """Return the metadata of a form, a JSON object.

    Raises:
        Refusal: it is none, or holds what is no number.
    """
    found = parsed_json(data, "Metadata")
    if not isinstance(found, dict):
        raise _malformed("metadata that is no JSON object")
    return found


def _malformed(what: str) -> Refusal:
    return refusals.malformed(
        f"A form must hold {', '.join(FIELDS[:2])} as files and {FIELDS[2]} as a JSON object. Got "
        f"{what}. Correct the request.",
        is_unread=True,
    )


def _gone() -> Refusal:
    return Refusal(499, "gone", "The client has gone.")


class _Collector:
    """What a parser of forms calls; keeps whole fields until they are taken."""

    def __init__(self, largest: int) -> None:
        self.is_over = False
        self._largest = largest
        self._whole: list[Part] = []
        self._header = [bytearray(), bytearray()]
        self._headers: dict[str, str] = {}
        self._length = 0
        self._data, self._size = bytearray(), 0

    def callbacks(self) -> Any:
        """Return them by the parser's names."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._heading(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._heading(1, data[start:end]),
            "on_header_end": self._header_end,
            "on_part_data": lambda data, start, end: self._more(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._over,
        }

    def taken(self) -> list[Part]:
        """Return the fields that are whole, once."""
        found, self._whole = self._whole, []
        return found

    def _begin(self) -> None:
        self._headers, self._length, self._data, self._size = {}, 0, bytearray(), 0

    def _heading(self, place: int, data: bytes) -> None:
        self._length += len(data)
        if self._length > _MOST_HEADER:
            raise _malformed("a part with too long headers")
        self._header[place] += data

    def _header_end(self) -> None:
        name, value = (bytes(text).decode("latin-1") for text in self._header)
        self._headers[name.lower()] = value
        self._header = [bytearray(), bytearray()]

    def _more(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._largest:
            self._data += data
        else:
            self._data.clear()

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field not in FIELDS:
            raise _malformed(f"a field {field[:80]!r}")
        name = options.get(b"filename", b"").decode("utf-8", "replace")
        is_too_large = self._size > self._largest
        refusal = refusals.too_large("An image", self._largest) if is_too_large else None
        self._whole.append(Part(field, name, bytes(self._data), refusal))

    def _over(self) -> None:
        self.is_over = True
