"""What `/openapi.json` says of each route: what it takes, and every status that it may answer."""

from collections.abc import Sequence
from typing import Any

from inspection_tf.datasets.writers import labels_file

ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What was wrong, in a sentence."}},
}
NDJSON = "application/x-ndjson"
_STATUSES = {
    400: "The request is malformed.",
    401: "The service's token is missing.",
    404: "There is no such model, version or picture.",
    405: "The method is another one.",
    408: "The request was too slow in coming.",
    409: "Corrections are not kept here, or the disk takes none.",
    413: "The image has too many bytes or pixels.",
    415: "The body is neither an image nor a form.",
    422: "The image cannot be read, or does not fit the bundle.",
    500: "No decision: an output of the networks was not finite.",
    503: "As many requests as may wait do wait, or the service stops: see Retry-After.",
    504: "The image waited too long, and was not inspected.",
}
_FILE = {"type": "string", "format": "binary"}
_JSON_ERROR = {"application/json": {"schema": ERROR}}
_VERDICT: dict[str, Any] = {
    "type": "object",
    "required": ["outcome", "score", "threshold", "reasons"],
    "properties": {
        "outcome": {"enum": ["OK", "NG", "REVIEW"]},
        "score": {"type": ["number", "null"]},
        "threshold": {"type": "number"},
        "reasons": {"type": "array", "items": {"type": "string"}},
        "queue_ms": {"type": "number"},
        "links": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_OUTCOME: dict[str, Any] = {
    "type": "object",
    "required": ["outcome", "verdicts", "failures"],
    "properties": {"outcome": {"enum": ["OK", "NG", "REVIEW"]}},
}
_CORRECTION: dict[str, Any] = {
    "type": "object",
    "required": ["label"],
    "properties": {
        "label": {"enum": list(labels_file.LABELS)},
        "note": {"type": "string", "maxLength": labels_file.LONGEST_NOTE},
    },
    "additionalProperties": False,
}
_ANYTHING: dict[str, Any] = {"type": "object"}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route answers beside 200."""
    return {
        status: {"description": _STATUSES[status], "content": _JSON_ERROR} for status in statuses
    }


def _route(
    content: dict[str, Any], *statuses: int, takes: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the arguments of a route's decorator."""
    found: dict[str, Any] = {
        "response_model": None,
        "responses": {
            200: {"description": "What was found.", "content": content},
            **refusals(*statuses),
        },
    }
    if takes is not None:
        found["openapi_extra"] = {"requestBody": {"required": True, "content": takes}}
    return found


_INSPECTING = (400, 401, 404, 408, 413, 415, 422, 500, 503, 504)
_COMMON = (400, 401, 404)


def _form(**further: Any) -> dict[str, Any]:
    properties = {"template": _FILE, "metadata": {"type": "string"}, **further}
    return {"schema": {"type": "object", "required": ["image"], "properties": properties}}


_RAW = {"image/*": {"schema": _FILE}, "application/octet-stream": {"schema": _FILE}}
_SEVERAL = {
    **_RAW,
    "multipart/form-data": _form(image={"type": "array", "items": _FILE, "minItems": 1}),
}


def inspect() -> dict[str, Any]:
    """Return what is said of `POST /inspect`."""
    takes = {**_RAW, "multipart/form-data": _form(image=_FILE)}
    return _route({"application/json": {"schema": _VERDICT}}, *_INSPECTING, takes=takes)


def part() -> dict[str, Any]:
    """Return what is said of `POST /inspect/part`."""
    return _route({"application/json": {"schema": _OUTCOME}}, *_INSPECTING, takes=_SEVERAL)


def batch() -> dict[str, Any]:
    """Return what is said of `POST /inspect/batch`."""
    return _route({NDJSON: {"schema": {"type": "string"}}}, *_INSPECTING, takes=_SEVERAL)


def picture() -> dict[str, Any]:
    """Return what is said of a picture."""
    return _route({"image/png": {"schema": _FILE}}, *_COMMON)


def label() -> dict[str, Any]:
    """Return what is said of a correction."""
    said = {"application/json": {"schema": _ANYTHING}}
    takes = {"application/json": {"schema": _CORRECTION}}
    return _route(said, *_COMMON, 408, 409, takes=takes)


def infer() -> dict[str, Any]:
    """Return what is said of inference by the Open Inference Protocol."""
    tensors = {
        "application/json": {"schema": _ANYTHING},
        "application/octet-stream": {"schema": _FILE},
    }
    return _route(tensors, *_INSPECTING, takes=tensors)


def json_told(*statuses: int) -> dict[str, Any]:
    """Return what is said of a route that tells something as JSON."""
    return _route({"application/json": {"schema": _ANYTHING}}, *statuses)


def text(media_type: str, *statuses: int) -> dict[str, Any]:
    """Return what is said of a route that tells something as text."""
    return _route({media_type: {"schema": {"type": "string"}}}, *statuses)


def with_models(description: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return what `/openapi.json` says, with the names of the models that are served."""
    for route in description["paths"].values():
        for operation in route.values():
            answers = operation["responses"]
            if answers.get("422", {}).get("content") != _JSON_ERROR:
                answers.pop("422", None)  # FastAPI's own, which is answered with 400 here
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "model":
                    parameter["schema"] = {"type": "string", "enum": list(names)}
    return description
