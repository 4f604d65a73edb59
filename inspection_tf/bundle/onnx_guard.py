"""Looks for external data and foreign operators in an ONNX file before any parser sees it.

A tensor may name a file outside the model, which a parser would then read; an operator of a domain
of its own runs code that came with something else. The wire format of protocol buffers is walked
along the few fields that lead to tensors and domains.
Source: onnx.proto, and the protocol buffers encoding guide.
"""

from collections.abc import Iterator

from inspection_tf import errors

# Message -> {field number: the message it holds}. TENSOR's field 13 is external_data, 14 its flag.
_TREE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "opset": {},
    "tensor": {},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_GRAPH = 7  # of the model
_DOMAIN = {"node": 7, "opset": 1, "function": 10}  # message -> field
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Of the operators that a model may use."""
_DEEPEST = 24
_OTHER_FORMAT = b"ORTM"  # of onnxruntime, which looks for it in the same place
_LARGEST_KEY = 2**32 - 1  # parsers cut longer ones off and would see another field than we do


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise ValueError("a number is too long")


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        if key > _LARGEST_KEY:
            raise ValueError("a field number is too large")
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == 2:
            size, place = _varint(data, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind} is unknown")
        if place + size > len(data):
            raise ValueError("a field is cut off")
        yield key >> 3, data[place : place + size]
        place += size


def _survey(data: memoryview, message: str, depth: int) -> Iterator[str]:
    """Give "" for a tensor that is stored elsewhere, and every foreign domain by its name."""
    if depth > _DEEPEST:
        raise ValueError("graphs are nested too deeply")
    for field, value in _fields(data):
        if message == "tensor":
            if field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0):
                yield ""
        elif not isinstance(value, memoryview):
            continue
        elif field == _DOMAIN.get(message):
            domain = bytes(value).decode("utf-8", "replace")
            if domain not in DOMAINS:
                yield domain
        elif field in _TREE[message]:
            yield from _survey(value, _TREE[message][field], depth + 1)


def check(data: bytes, *, name: str) -> None:
    """Refuse an ONNX model that is cut off, points to other files, or has foreign operators.

    Args:
        data: the file's bytes.
        name: shown in the message.

    Raises:
        errors.BundleError: see above.
    """
    try:
        if data[4:8] == _OTHER_FORMAT:
            raise ValueError("it is marked as onnxruntime's own format")
        if not any(field == _GRAPH for field, _ in _fields(memoryview(data))):
            raise ValueError("there is no graph in it")
        found = next(_survey(memoryview(data), "model", 0), None)
    except (ValueError, IndexError) as problem:
        raise errors.BundleError(
            f"{name} must be an ONNX model. Got bytes that do not parse ({problem}). "
            "Export the bundle again."
        ) from problem
    if found:
        raise errors.BundleError(
            f"{name} must use operators of ONNX and onnxruntime alone. Got the domain {found!r}. "
            "Do not use this bundle."
        )
    if found is not None:
        raise errors.BundleError(
            f"{name} must hold its own weights. Got tensors stored in other files. "
            "Export the model as one file."
        )
