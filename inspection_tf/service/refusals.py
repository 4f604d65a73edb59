"""Why an image got no decision: a status of HTTP, a reason to count, and one sentence."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from inspection_tf import errors

if TYPE_CHECKING:
    from inspection_tf import decision

_LOG = logging.getLogger("inspection_tf")


@dataclasses.dataclass
class Refusal(Exception):  # noqa: N818  not every refusal is an error
    """A request, or an image, that gets no decision.

    Attributes:
        status: of HTTP.
        reason: under which it is counted.
        sentence: what the client is told.
        headers: of the response, beside those of JSON.
        is_unread: whether the request is not read to its end.
    """

    status: int
    reason: str
    sentence: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_unread: bool = False


def malformed(sentence: str, *, is_unread: bool = False) -> Refusal:
    """Return the refusal of a request that is not as it must be."""
    return Refusal(400, "malformed", sentence, is_unread=is_unread)


def unknown(sentence: str) -> Refusal:
    """Return the refusal of what is asked for and not there."""
    return Refusal(404, "unknown", sentence)


def draining(retry_after_s: int, *, is_unread: bool = False) -> Refusal:
    """Return the refusal of a service that is about to stop."""
    return Refusal(
        503,
        "draining",
        "The service is about to stop. Ask another one.",
        {"Retry-After": str(retry_after_s)},
        is_unread=is_unread,
    )


def too_large(what: str, most_bytes: int) -> Refusal:
    """Return the refusal of an image or a request of too many bytes."""
    return Refusal(
        413,
        "too_large",
        f"{what} must have at most {most_bytes} bytes. Got more. Send a smaller image.",
        is_unread=True,
    )


def slow(upload_s: float) -> Refusal:
    """Return the refusal of a request that takes too long to arrive."""
    return Refusal(
        408,
        "slow",
        f"A request must arrive within {upload_s:g} s. Got a part of one. "
        "Send it again, faster or smaller.",
        is_unread=True,
    )


def not_kept(sentence: str, *, is_unread: bool = False) -> Refusal:
    """Return the refusal of a correction that this service cannot keep."""
    return Refusal(409, "not_kept", sentence, is_unread=is_unread)


def of_problem(problem: Exception) -> Refusal:
    """Return what a client is told of an exception; what is internal is logged, and stays here."""
    if isinstance(problem, Refusal):
        return problem
    if isinstance(problem, errors.ImageError):
        return Refusal(422, "image", str(problem))
    if isinstance(problem, errors.ConfigError):
        return malformed(str(problem))
    _LOG.error("no decision", exc_info=problem)
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
