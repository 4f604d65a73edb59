"""The Open Inference Protocol, version 2, over HTTP: JSON, and its extension of binary tensors.

Source: https://github.com/kserve/open-inference-protocol, and Triton's extension "binary tensor
data". An image is the bytes of its file, as a tensor UINT8 of one axis, or its pixels, UINT8 or
UINT16 of (height, width) or (height, width, 3).
"""

import asyncio
import dataclasses
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

import inspection_tf
from inspection_tf.decision import Verdict
from inspection_tf.images import Source
from inspection_tf.service import refusals
from inspection_tf.service.models import Served
from inspection_tf.service.refusals import Refusal
from inspection_tf.service.station import Station, Submission
from inspection_tf.service.web import described, uploads
from inspection_tf.service.web.inspecting import is_gone
from inspection_tf.service.web.responses import json_response, parsed_json

LENGTH = "inference-header-content-length"
"""Header: how many bytes of a body are JSON, before binary tensors."""
OUTPUTS = ("verdict", "outcome")
"""Tensors that are told, each of one text: the verdict as JSON, and its outcome."""
_DTYPES: dict[str, np.dtype[Any]] = {"UINT8": np.dtype("<u1"), "UINT16": np.dtype("<u2")}
_MOST_AXES, _LONGEST = 4, 1 << 31
_MOST_SAID = 300  # characters of what was received, in a sentence
_PROTOCOL = frozenset({"binary_data_output", "binary_data_size", "binary_data"})


@dataclasses.dataclass(frozen=True, slots=True)
class _InferRequest:
    """A request for inference.

    Attributes:
        id: returned again.
        submission: its image.
        outputs: name to whether it is returned in binary.
    """

    id: str | None
    submission: Submission
    outputs: Mapping[str, bool]


def routes(station: Station) -> APIRouter:
    """Return the routes of a station."""
    router = APIRouter(prefix="/v2")

    def found(name: str, version: str | None) -> Served:
        served = station.served(name)
        if version is not None and version != served.version:
            raise refusals.unknown(
                f"version must be the one that serves, {served.version}. Got another one."
            )
        return served

    @router.get("/health/live", **described.json_told())
    async def live() -> Response:
        """Tell that the process answers."""
        return json_response({"live": True})

    @router.get("/health/ready", **described.json_told(503))
    async def ready() -> Response:
        """Tell whether requests are taken."""
        if station.is_draining:
            raise refusals.draining(1)
        return json_response({"ready": True})

    @router.get("", **described.json_told(401))
    async def server() -> Response:
        """Tell what this server is."""
        return json_response(
            {
                "name": "inspection_tf",
                "version": inspection_tf.__version__,
                "extensions": ["binary_tensor_data"],
            }
        )

    def serve(path: str) -> None:
        @router.get(f"/models/{{model}}{path}/ready", **described.json_told(400, 401, 404, 503))
        async def model_ready(model: str, version: str | None = None) -> Response:
            """Tell whether a model takes requests."""
            served = found(model, version)
            if station.is_draining:
                raise refusals.draining(1)
            return json_response({"name": served.name, "ready": True})

        @router.get(f"/models/{{model}}{path}", **described.json_told(400, 401, 404))
        async def model_metadata(model: str, version: str | None = None) -> Response:
            """Tell what a model takes and gives."""
            return json_response(_metadata(found(model, version)))

        @router.post(f"/models/{{model}}{path}/infer", **described.infer())
        async def infer(request: Request, model: str, version: str | None = None) -> Response:
            """Decide about one image."""
            served = found(model, version)
            data = await uploads.body(request)
            # In a thread: JSON of millions of numbers takes seconds.
            wanted = await asyncio.to_thread(_infer_request, served, data, request.headers)
            inspection = await station.inspect(served, wanted.submission, is_gone=is_gone(request))
            return _infer_response(served, wanted, inspection.verdict)

    serve("")
    serve("/versions/{version}")
    return router


def _metadata(served: Served) -> dict[str, Any]:
    inputs = [item.name for item in served.inspector.manifest.inputs]
    return {
        "name": served.name,
        "versions": [served.version],
        "platform": f"inspection_tf_{served.inspector.engine_name}",
        "inputs": [{"name": name, "datatype": "UINT8", "shape": [-1]} for name in inputs],
        "outputs": [{"name": name, "datatype": "BYTES", "shape": [1]} for name in OUTPUTS],
    }


# Requests


def _infer_request(served: Served, data: bytes, headers: Mapping[str, str]) -> _InferRequest:
    """Return what a body asks for.

    Raises:
        Refusal: it is malformed.
    """
    if headers.get("content-encoding", "identity") != "identity":
        raise Refusal(
            415, "media_type", "A request must not be compressed. Got one that is. Send it plain."
        )
    length = _header_length(data, headers.get(LENGTH))
    content = _object(parsed_json(data[:length], "A request"), "a request")
    rest = memoryview(data)[length:]
    tensors: dict[str, Source] = {}
    for given in _listed(content, "inputs"):
        name, rest, image = _tensor(given, rest)
        if name in tensors:
            raise _malformed(f"the input {name[:80]!r} twice")
        tensors[name] = image
    if len(rest):
        raise _malformed(f"{len(rest)} bytes that belong to no input")
    wanted = [item.name for item in served.inspector.manifest.inputs]
    if sorted(tensors) != sorted(wanted):
        raise _malformed(f"the inputs {sorted(tensors)}, where {served.name} takes {wanted}")
    parameters = _object(content.get("parameters", {}), "parameters")
    identity = content.get("id")
    if identity is not None and not isinstance(identity, str):
        raise _malformed("an id that is no text")
    metadata = {name: value for name, value in parameters.items() if name not in _PROTOCOL}
    submission = Submission(tensors["image"], tensors.get("template"), metadata)
    return _InferRequest(identity, submission, _outputs(content, parameters))


def _header_length(data: bytes, said: str | None) -> int:
    if said is None:
        return len(data)
    if not (said.isascii() and said.isdigit() and len(said) < 16 and int(said) <= len(data)):
        raise _malformed(f"{LENGTH} {said[:80]!r} of {len(data)} bytes")
    return int(said)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _malformed(f"{what} that is no object")
    return value


def _listed(content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = content.get(name)
    if not isinstance(found, list) or not found:
        raise _malformed(f"{name} that is no list, or an empty one")
    return [_object(one, f"one of {name}") for one in found]


def _tensor(given: Mapping[str, Any], rest: memoryview) -> tuple[str, memoryview, Source]:
    """Return the name of an input, the binary data that is left, and the image."""
    name, datatype, shape = (given.get(key) for key in ("name", "datatype", "shape"))
    if not isinstance(name, str):
        raise _malformed("an input without a name")
    if not isinstance(shape, list) or not all(
        isinstance(side, int) and not isinstance(side, bool) and side >= 0 for side in shape
    ):
        raise _malformed(f"{name[:80]} with a shape that is no list of numbers from 0")
    if len(shape) > _MOST_AXES or any(side > _LONGEST for side in shape):
        raise _malformed(f"{name[:80]} of more than {_MOST_AXES} axes, or of {_LONGEST} on one")
    if datatype not in (*_DTYPES, "BYTES"):
        raise _malformed(f"{name[:80]} of a datatype that is not UINT8, UINT16 or BYTES")
    parameters = _object(given.get("parameters", {}), f"parameters of {name[:80]}")
    size = parameters.get("binary_data_size")
    if size is None:
        return name, rest, _of_json(name, str(datatype), shape, given.get("data"))
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
        raise _malformed(f"{name[:80]} of {size!r} bytes, where {len(rest)} are left")
    return name, rest[size:], _image(name, str(datatype), shape, bytes(rest[:size]))


def _of_json(name: str, datatype: str, shape: list[int], values: Any) -> Source:
    if datatype == "BYTES":
        raise _malformed(f"{name[:80]} as BYTES in JSON, which holds text alone")
    dtype = _DTYPES[datatype]
    try:
        array = np.asarray(values).reshape(-1)
        is_whole = array.dtype.kind in "iu" and array.size > 0
        if not is_whole or array.min() < 0 or array.max() > np.iinfo(dtype).max:
            raise ValueError("a value that is no whole number of the datatype")
        data = array.astype(dtype).tobytes()
    except (ValueError, TypeError, OverflowError) as problem:
        raise _malformed(f"data of {name[:80]} that cannot be read ({problem})") from problem
    return _image(name, datatype, shape, data)


def _image(name: str, datatype: str, shape: list[int], data: bytes) -> Source:
    """Return what a tensor holds: the bytes of a file, or pixels."""
    if datatype == "BYTES":
        if shape != [1] or len(data) < 4 or struct.unpack("<I", data[:4])[0] != len(data) - 4:
            raise _malformed(f"{name[:80]} that is not one element of BYTES")
        return data[4:]
    dtype = _DTYPES[datatype]
    if math.prod(shape) * dtype.itemsize != len(data):
        raise _malformed(f"{name[:80]} of shape {shape} with {len(data)} bytes")
    if len(shape) == 1 and datatype == "UINT8":
        return data
    sides = shape[1:] if len(shape) == 4 and shape[0] == 1 else shape
    sides = sides[:2] if len(sides) == 3 and sides[2] == 1 else sides
    if not (len(sides) == 2 or (len(sides) == 3 and sides[2] == 3)) or 0 in sides:
        raise _malformed(f"{name[:80]} of shape {shape}, which is no file and no image")
    return np.frombuffer(data, dtype).reshape(sides).astype(dtype.newbyteorder("="))


def _outputs(content: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, bool]:
    """Return which outputs are wanted, and whether each is told in binary."""
    usual = parameters.get("binary_data_output") is True
    if "outputs" not in content or content["outputs"] == []:
        return dict.fromkeys(OUTPUTS, usual)
    wanted: dict[str, bool] = {}
    for one in _listed(content, "outputs"):
        name = one.get("name")
        if name not in OUTPUTS:
            raise _malformed(f"an output that is none of {', '.join(OUTPUTS)}")
        chosen = _object(one.get("parameters", {}), f"parameters of {name}").get("binary_data")
        wanted[name] = usual if chosen is None else chosen is True
    return wanted


def _malformed(what: str) -> Refusal:
    return refusals.malformed(
        "A request must be as the Open Inference Protocol says. "
        f"Got {what[:_MOST_SAID]}. Correct it."
    )


# Answers


def _infer_response(served: Served, infer_request: _InferRequest, verdict: Verdict) -> Response:
    texts = {"verdict": json.dumps(verdict.to_dict(), allow_nan=False), "outcome": verdict.outcome}
    outputs: list[dict[str, Any]] = []
    binary = b""
    for name, is_binary in infer_request.outputs.items():
        output: dict[str, Any] = {"name": name, "datatype": "BYTES", "shape": [1]}
        if is_binary:
            text = texts[name].encode()
            element = struct.pack("<I", len(text)) + text
            output["parameters"] = {"binary_data_size": len(element)}
            binary += element
        else:
            output["data"] = [texts[name]]
        outputs.append(output)
    content = {
        "model_name": served.name,
        "model_version": served.version,
        **({} if infer_request.id is None else {"id": infer_request.id}),
        "outputs": outputs,
    }
    if not binary:
        return json_response(content)
    head = json.dumps(content, allow_nan=False).encode()
    return Response(
        head + binary,
        media_type="application/octet-stream",
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
