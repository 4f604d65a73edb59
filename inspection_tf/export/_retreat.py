"""Which operators of a network must stay in float32 for int8 to decide alike: found by trying.

What reads the image and what writes the answer bears int8 worst, and depthwise convolutions, each
channel of which has one kernel. So these are brought back first, and no more of them than the gate
asks for.
"""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from inspection_tf import runtime
from inspection_tf.export.engine_gate import EngineParity

_LOG = logging.getLogger("inspection_tf")
_FIRST_FEW = 6
MOST = 5
"""Rungs that a network can have beyond the first."""
Made = TypeVar("Made")


@dataclasses.dataclass(frozen=True, slots=True)
class Operator:
    """An operator that can be int8: a convolution or a product of matrices.

    Attributes:
        name: in the network.
        is_depthwise: it is a convolution of single channels.
    """

    name: str
    is_depthwise: bool = False


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


def find(
    graph: str,
    operators: Sequence[Operator],
    quantize: Callable[[tuple[str, ...]], Made],
    start: Callable[[Made], runtime.Network],
    judge: Callable[[dict[str, runtime.Network]], EngineParity],
    *,
    first: int = 0,
) -> tuple[Made, tuple[str, ...], bool]:
    """Quantize a network with as little in float32 as the gate allows on the tune images.

    Args:
        graph: name of the network.
        operators: of it, from image to answer.
        quantize: makes it int8 but for some operators.
        start: of what that made.
        judge: compares the bundle with other networks to the bundle as it is.
        first: of the rungs that is tried; the last one where there are fewer.

    Returns:
        The quantized network, the operators that stay, and whether it decides alike; the last
        attempt if none does.
    """
    steps = rungs(operators)
    for kept in steps[min(first, len(steps) - 1) :]:
        made = quantize(kept)
        parity = judge({graph: start(made)})
        _LOG.info(
            "%s: %d of %d operators in float32: %s",
            graph,
            len(kept),
            len(operators),
            "decides alike" if parity.passed else "; ".join(parity.failures),
        )
        if parity.passed:
            break
    return made, kept, parity.passed
