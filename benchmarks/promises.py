"""How often a promise is broken, and how often an interval covers, when images share parts.

python -m benchmarks.promises [--draws 2000] [--only promises|intervals|methods]

Scores are drawn part by part: images of one part share `correlation` of the variance of their
normal scores. A threshold, or two, is chosen on each draw of some defective and as many good parts,
and looked at on 20000 parts that no draw has seen: the promise is broken where more of them escape
than was promised. A promise may be broken in 5 % of the draws (0.05 + 3 standard errors of the
simulation: 0.065 at 2000 draws). Columns `by image` show what comes of counting images.

Intervals are those of `evaluation` for rates of images, beside Clopper and Pearson's, which takes
each image for a part of its own. `methods` compares them with Korn and Graubard's interval and with
percentiles of a bootstrap over parts, at the rates that are hardest: small ones.
"""

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import rich.console
import rich.table
import tyro
from numpy.typing import NDArray
from scipy import special

from inspection_tf import thresholds
from inspection_tf.evaluation import intervals

POPULATION = 20_000
SIZES = ((1, 0.0), (2, 0.0), (2, 0.5), (2, 0.95), (6, 0.0), (6, 0.5), (6, 0.95))
# Defective parts, and a rate that so many can promise at 95 % with some escapes among the larger.
PROMISES = ((10, 0.3), (25, 0.15), (50, 0.1), (200, 0.05))
RATES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.83)

PartEscapes = Literal["any", "each"]


def draw(
    rng: np.random.Generator, parts: int, size: int, correlation: float, stages: int
) -> NDArray[np.float64]:
    """Return (stages, parts, size) normal scores; those of both stages are related as well."""
    shared = rng.normal(size=(stages, parts, 1))
    single = rng.normal(size=(stages, parts, size))
    scores: NDArray[np.float64] = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * single
    if stages == 2:
        scores[1] = 0.6 * scores[0] + 0.8 * scores[1]
    return scores


def escape_rate(
    scores: NDArray[np.float64], at: NDArray[np.float64], part_escapes: PartEscapes
) -> float:
    """Return the share of parts that escape thresholds, (stages,)."""
    escapes = (scores < at[:, None, None]).any(axis=0)
    return float((escapes.any(axis=1) if part_escapes == "any" else escapes.all(axis=1)).mean())


def broken(
    parts: int,
    size: int,
    correlation: float,
    *,
    max_escape_rate: float,
    stages: int = 1,
    part_escapes: PartEscapes = "any",
    draws: int = 2000,
    seed: int = 0,
    by_part: bool = True,
) -> tuple[float, float]:
    """Return the share of draws whose promise is broken, and of those in which one is made.

    Args:
        parts: defective ones of a draw; it has as many good ones.
        size: images of each.
        correlation: of the scores of one part, 0..1.
        max_escape_rate: that is promised, at 95 % confidence.
        stages: one threshold, or two of a cascade.
        part_escapes: what is promised.
        draws: splits to choose on.
        seed: of all draws.
        by_part: whether the choice is told which images share a part.
    """
    rng = np.random.default_rng(seed)
    unseen = draw(rng, POPULATION, size, correlation, stages).astype(np.float32)
    spec = thresholds.ThresholdSpec(max_escape_rate=max_escape_rate, part_escapes=part_escapes)
    group = np.repeat(np.arange(2 * parts), size) if by_part else None
    is_defect = np.repeat(np.arange(2 * parts) < parts, size)
    bad = made = 0
    for _ in range(draws):
        scores = draw(rng, 2 * parts, size, correlation, stages)
        scores[:, parts:] -= 2.0  # good parts score lower
        flat = special.ndtr(scores).reshape(stages, -1)
        choose: Callable[..., object]
        if stages == 1:
            choose = functools.partial(thresholds.choose, flat[0])
        else:
            choose = functools.partial(thresholds.choose_jointly, *flat)
        chosen = choose(is_defect, spec, mask_threshold=1e-9, groups=group)
        points = chosen if isinstance(chosen, tuple) else (chosen,)
        if points[-1].promise is None:
            continue
        made += 1
        at = special.ndtri(np.clip([point.threshold for point in points], 0, 1))
        bad += escape_rate(unseen, at.astype(np.float32), part_escapes) > max_escape_rate
    return bad / max(made, 1), made / draws


def coverage(
    parts: int, size: int, correlation: float, rate: float, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return how often 95 % intervals of a rate hold it: that of parts, and that of images."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(parts), size)
    every = np.ones(parts * size, bool)
    border = special.ndtri(rate)
    covered = np.zeros(2)
    for _ in range(draws):
        event = draw(rng, parts, size, correlation, 1)[0].ravel() < border
        for place, interval in enumerate(
            (
                intervals.clustered_rate(event, every, group, confidence=0.95),
                intervals.clopper_pearson(int(event.sum()), event.size, confidence=0.95),
            )
        ):
            covered[place] += interval.low <= rate <= interval.high
    first, second = covered / draws
    return float(first), float(second)


def korn_graubard(count: NDArray[np.float64], size: int) -> tuple[float, float]:
    """Return Clopper and Pearson's 95 % interval at the effective number of images.

    Args:
        count: (parts,), images of each that show the event.
        size: images of each part.
    """
    parts, images = count.size, count.size * size
    rate = float(count.sum()) / images
    if 0 < rate < 1:
        variance = ((count - size * rate) ** 2).sum() * parts / (parts - 1) / images**2
        effect = max(variance / (rate * (1 - rate) / images), 1.0)
        tails = special.stdtrit([images - 1, parts - 1], 0.975)
        effective = images / effect * (tails[0] / tails[1]) ** 2
    else:
        effective = float(parts)
    events = rate * effective
    low = special.betaincinv(events, effective - events + 1, 0.025) if events else 0.0
    high = special.betaincinv(events + 1, effective - events, 0.975) if rate < 1 else 1.0
    return float(low), float(high)


def over_parts(
    rng: np.random.Generator, count: NDArray[np.float64], size: int
) -> tuple[float, float]:
    """Return the 95 % percentiles of a bootstrap over parts."""
    resampled = rng.integers(count.size, size=(500, count.size))
    low, high = np.quantile(count[resampled].mean(axis=1) / size, [0.025, 0.975])
    return float(low), float(high)


def compared(
    parts: int, size: int, correlation: float, rate: float, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Return how often intervals hold a rate: the package's, Korn and Graubard's, a bootstrap's."""
    rng = np.random.default_rng(seed)
    group, every = np.repeat(np.arange(parts), size), np.ones(parts * size, bool)
    covered = np.zeros(3)
    for _ in range(draws):
        event = draw(rng, parts, size, correlation, 1)[0] < special.ndtri(rate)
        clustered = intervals.clustered_rate(event.ravel(), every, group, confidence=0.95)
        count = event.sum(axis=1).astype(np.float64)
        ends = (
            (clustered.low, clustered.high),
            korn_graubard(count, size),
            over_parts(rng, count, size),
        )
        covered += [low <= rate <= high for low, high in ends]
    first, second, third = covered / draws
    return float(first), float(second), float(third)


def _methods(draws: int) -> Iterator[tuple[str, ...]]:
    for parts, _ in PROMISES:
        for size, correlation in SIZES[1:]:
            for rate in (0.05, 0.1):
                shares = compared(parts, size, correlation, rate, draws=draws)
                cells = (f"{100 * share:.1f}" for share in shares)
                yield str(parts), str(size), f"{correlation:g}", f"{rate:g}", *cells


def _promises(draws: int) -> Iterator[tuple[str, ...]]:
    for parts, rate in PROMISES:
        for size, correlation in SIZES:
            cells = []
            for stages in (1, 2):
                for part_escapes in ("any", "each"):
                    share, made = broken(
                        parts,
                        size,
                        correlation,
                        max_escape_rate=rate,
                        stages=stages,
                        part_escapes=part_escapes,
                        draws=draws,
                    )
                    cells.append(f"{100 * share:.1f}" if made else "none made")
            share, _ = broken(
                parts, size, correlation, max_escape_rate=rate, draws=draws, by_part=False
            )
            yield (
                str(parts),
                str(size),
                f"{correlation:g}",
                f"{rate:g}",
                *cells,
                f"{100 * share:.1f}",
            )


def _intervals(draws: int) -> Iterator[tuple[str, ...]]:
    for parts, _ in PROMISES:
        for size, correlation in SIZES:
            pairs = [coverage(parts, size, correlation, rate, draws=draws) for rate in RATES]
            cells = (f"{100 * first:.1f} / {100 * second:.1f}" for first, second in pairs)
            yield str(parts), str(size), f"{correlation:g}", *cells


def main(draws: int = 2000, only: Literal["promises", "intervals", "methods"] | None = None) -> int:
    """Print the tables.

    Args:
        draws: of each row.
        only: one of them.
    """
    tables = {
        "promises": (
            "Promises broken, % of the draws",
            ("promised", "one, any", "one, each", "two, any", "two, each", "by image"),
            _promises,
        ),
        "intervals": (
            "Intervals that hold the rate, %: by parts / Clopper-Pearson of images",
            tuple(f"rate {rate:g}" for rate in RATES),
            _intervals,
        ),
        "methods": (
            "Intervals that hold the rate, %, method by method",
            ("rate", "by parts", "Korn-Graubard", "bootstrap"),
            _methods,
        ),
    }
    for name, (title, columns, rows) in tables.items():
        if only in (None, name):
            table = rich.table.Table("parts", "images each", "correlation", *columns, title=title)
            for row in rows(draws):
                table.add_row(*row)
            rich.console.Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
