"""How a network becomes int8 and decides alike: found by trying.

The scale of an activation covers what it reaches on the calibration images. Covering all suits most
networks, since the few defects reach furthest. Where a network grows without bound on defects, the
rest falls on a few levels, and the scale of a typical image serves better.

What reads the image and what writes the answer bears int8 worst, and depthwise convolutions, each
channel of which has one kernel. So these are brought back to float32 first, and no more of them
than the gate asks for.
"""

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from inspection_tf import runtime
from inspection_tf.conversion.engine_gate import EngineParity
from inspection_tf.engines.entry import Ranges

_LOG = logging.getLogger("inspection_tf")
_FIRST_FEW = 6
RANGES: tuple[Ranges, ...] = ("widest", "typical")
"""What scales can cover, in the order of trying: all that any calibration image reaches, or the
mean over these images of what each reaches, the rarest values left out where the library can."""
_RETREATS = 2  # ranges in which operators return to float32: the nearer ones
Made = TypeVar("Made")


@dataclasses.dataclass(frozen=True, slots=True)
class Operator:
    """An operator that can be int8: a convolution.

    Attributes:
        name: in the network.
        is_depthwise: it is a convolution of single channels.
    """

    name: str
    is_depthwise: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """A way to quantize a network.

    Attributes:
        kept: names of the operators that stay in float32.
        ranges: what the scales of activations cover.
    """

    kept: tuple[str, ...] = ()
    ranges: Ranges = RANGES[0]


class Search:
    """What was tried on the networks of a bundle, kept while the gate on all images says no."""

    def __init__(self) -> None:
        """Begin with nothing tried."""
        self._first = 0
        self._seen: dict[str, dict[Attempt, EngineParity]] = {}
        self._used: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._failed: set[str] = set()

    def goes_on(self) -> bool:
        """Leave out what was found last; return whether anything is left to try."""
        if self._failed == set(self._used):  # no network is int8
            return False
        left = [used for graph, used in self._used.items() if used < self._last[graph]]
        if left:
            self._first = min(left) + 1
        return bool(left)

    def left_in_float(self, main: str) -> frozenset[str]:
        """Return the networks that stay as they are, since no int8 of theirs decides alike.

        Never all: then the main one is the last that was tried, and the gate says what is wrong.

        Args:
            main: name of the main network.
        """
        return frozenset(self._failed - ({main} if self._failed == set(self._used) else set()))

    def find(
        self,
        graph: str,
        operators: Sequence[Operator],
        quantize: Callable[[Attempt], Made],
        start: Callable[[Made], runtime.Network],
        judge: Callable[[dict[str, runtime.Network]], EngineParity],
        *,
        ranges: Sequence[Ranges] = RANGES,
    ) -> tuple[Made, Attempt]:
        """Quantize a network with as little in float32 as the gate allows on the tune images.

        Args:
            graph: name of the network.
            operators: of it, from image to answer; none: it is tried as a whole.
            quantize: makes it int8 in one way.
            start: of what that made.
            judge: compares the bundle with other networks to the bundle as it is.
            ranges: what the scales may cover.

        Returns:
            The quantized network, and how; the last attempt if none decides alike.
        """
        steps = rungs(operators)
        seen = self._seen.setdefault(graph, {})
        last = self._last[graph] = len(ranges) + min(len(ranges), _RETREATS) * (len(steps) - 1) - 1
        for index in range(min(self._first, last), last + 1):
            attempt = _attempt(steps, index, seen, ranges)
            parity = seen.get(attempt)
            if parity is not None and not parity.passed and index < last:
                continue
            made = quantize(attempt)
            if parity is None:
                parity = seen[attempt] = judge({graph: start(made)})
                said = "decides alike" if parity.passed else "; ".join(parity.failures)
                if operators:
                    kept = f"{len(attempt.kept)} of {len(operators)} operators in float32"
                    said = f"{kept}, {attempt.ranges} ranges: {said}"
                _LOG.info("%s: %s", graph, said)
            if is_alike := parity.passed:
                break
        self._used[graph] = index
        if not is_alike:
            self._failed.add(graph)
        return made, attempt


def _attempt(
    steps: Sequence[tuple[str, ...]],
    index: int,
    seen: Mapping[Attempt, EngineParity],
    every: Sequence[Ranges],
) -> Attempt:
    """Return what comes at a place: all int8 in each range, then less of it, the nearer first."""
    if index < len(every):
        return Attempt(steps[0], every[index])
    nearer = sorted(every, key=lambda ranges: _difference(seen.get(Attempt(steps[0], ranges))))
    turn, step = divmod(index - len(every), len(steps) - 1)
    return Attempt(steps[1 + step], nearer[turn])


def _difference(parity: EngineParity | None) -> float:
    """Return how far the outputs of a network were off on average."""
    if parity is None or parity.mean_output_difference is None:
        return math.inf
    return parity.mean_output_difference


def rungs(operators: Sequence[Operator]) -> list[tuple[str, ...]]:
    """Return what stays in float32: nothing first, then more and more, never all.

    Args:
        operators: of a network, from image to answer.
    """
    names = [operator.name for operator in operators]
    depthwise = [operator.name for operator in operators if operator.is_depthwise]
    steps: list[list[str]] = [[], names[:1], [*names[:2], *names[-1:]]]
    if depthwise:
        steps.append([*steps[-1], *depthwise])
    steps.append([*names[:_FIRST_FEW], *depthwise, *names[-3:]])
    eighth = len(names) / 8
    steps.append([*names[: round(3 * eighth)], *depthwise, *names[round(5 * eighth) :]])
    unique = dict.fromkeys(tuple(name for name in names if name in step) for step in steps)
    return [step for step in unique if len(step) < len(names)] or [()]
