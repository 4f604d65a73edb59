"""What a client is told: JSON without NaN, and one sentence for what was not decided."""

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from inspection_tf import errors

if TYPE_CHECKING:
    from inspection_tf import decision

Headers = Mapping[str, str]


@dataclasses.dataclass
class Refusal(Exception):  # noqa: N818  not every refusal is an error
    """A request that gets no decision.

    Attributes:
        status: of HTTP.
        reason: under which it is counted.
        sentence: what the client is told.
        headers: of the answer, beside those of JSON.
    """

    status: int
    reason: str
    sentence: str
    headers: Headers = dataclasses.field(default_factory=dict)


def told(content: Any, *, status: int = 200, headers: Headers | None = None) -> Response:
    """Return content as JSON; whatever holds NaN is a defect, and raises."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Response(text.encode(), status, dict(headers or {}), media_type="application/json")


def refused(refusal: Refusal) -> Response:
    """Return the answer to what was not decided."""
    return told({"error": refusal.sentence}, status=refusal.status, headers=refusal.headers)


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
