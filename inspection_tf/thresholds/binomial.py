"""Bounds of a rate from events among trials: the arithmetic of every promise in `thresholds`."""

import math

import numpy as np

from inspection_tf import errors

ROUNDING = 1e-12  # (1 - rate)^n and 1 - confidence are compared with this relative tolerance


def between(name: str, value: float, low: float, high: float) -> None:
    """Refuse an argument outside an open interval."""
    if not low < value < high:
        raise errors.ConfigError(
            f"{name} must lie between {low:g} and {high:g}, exclusive. Got {value!r}. "
            "Give a value inside."
        )


def defects_needed(max_rate: float, confidence: float = 0.95) -> int:
    """Return the smallest sample that can promise a rate: the n at which zero events suffice.

    `(1 - rate)^n <= 1 - confidence`, so `n >= ln(1 - confidence) / ln(1 - rate)`: about 3 / rate at
    95 %. Defective parts for an escape rate; as many good ones for an overkill rate. Several images
    of one part count as one: see `thresholds.parts`.

    Args:
        max_rate: the bound to promise, 0..1.
        confidence: of the promise, 0..1.

    Raises:
        errors.ConfigError: a number is not between 0 and 1.
    """
    between("The rate to promise", max_rate, 0, 1)
    between("The confidence", confidence, 0, 1)
    exact = math.log1p(-confidence) / math.log1p(-max_rate)
    return max(1, math.ceil(exact * (1 - ROUNDING)))


def rate_upper_bound(events: int, trials: int, *, confidence: float = 0.95) -> float:
    """Return the one-sided Clopper-Pearson upper bound of a rate, 0..1.

    It is the rate p at which so few events have probability `P(X <= events | trials, p) = 1 -
    confidence`. No trials bound nothing: 1.

    Source: Clopper and Pearson 1934.

    Raises:
        errors.ConfigError: the counts or the confidence are impossible.
    """
    between("The confidence", confidence, 0, 1)
    if not 0 <= events <= trials:
        raise errors.ConfigError(
            f"events must lie between 0 and trials. Got {events} of {trials}. Check the counts."
        )
    if events == trials:
        return 1.0
    from scipy import special

    return float(special.betaincinv(events + 1, trials - events, confidence))


def events_allowed(trials: int, max_rate: float, confidence: float) -> int:
    """Return the largest number of events whose upper bound keeps the rate; -1 if there is none."""
    if trials < defects_needed(max_rate, confidence):
        return -1
    from scipy import special

    # P(X <= k | n, rate) <= 1 - confidence is the same test as upper bound(k) <= rate.
    tail = special.bdtr(np.arange(trials + 1, dtype=np.float64), trials, max_rate)
    return max(0, int(np.count_nonzero(tail <= (1 - confidence) * (1 + ROUNDING))) - 1)
