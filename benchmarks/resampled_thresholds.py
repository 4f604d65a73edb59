"""What a mean over resamples does for a threshold that a few parts choose.

python -m benchmarks.resampled_thresholds [--draws 200] [--resamples 0 20 100 300]

Scores are drawn part by part: images of one part share `correlation` of the variance of their
normal scores, and a share of the defective parts looks nearly good. A threshold of equal costs is
chosen on each draw, and its cost looked at on 20000 parts of each kind that no draw has seen: shown
is by how many of 100 images more it errs than the best threshold of all, with its standard error.
"""

import dataclasses
import sys
from typing import Annotated

import numpy as np
import rich.table
import tyro
from numpy.typing import NDArray
from scipy import special

from inspection_tf import process, thresholds

Scores = NDArray[np.float64]
POPULATION = 20_000
HARD, HARD_SHIFT, SHIFT = 0.25, 0.3, 2.0  # share of defective parts that look nearly good


@dataclasses.dataclass(frozen=True)
class Case:
    """A split, as many a line has it.

    Attributes:
        defective: parts.
        good: parts.
        images: of each part.
        correlation: of the normal scores of one part's images.
    """

    defective: int
    good: int
    images: int
    correlation: float


CASES = (
    Case(10, 30, 3, 0.8), Case(20, 40, 3, 0.8), Case(60, 120, 3, 0.8), Case(20, 40, 1, 0.0),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Options:
    """How much is drawn."""

    draws: int = 200
    resamples: Annotated[tuple[int, ...], tyro.conf.arg(help="compared; 0: none")] = (0, 20, 100)


def drawn(rng: np.random.Generator, parts: int, case: Case, *, defective: bool) -> Scores:
    """Return (parts, images) normal scores."""
    shared = rng.normal(size=(parts, 1))
    own = rng.normal(size=(parts, case.images))
    score: Scores = np.sqrt(case.correlation) * shared + np.sqrt(1 - case.correlation) * own
    if not defective:
        return score
    return score + np.where(rng.random((parts, 1)) < HARD, HARD_SHIFT, SHIFT)


def excess(case: Case, options: Options) -> dict[int, Scores]:
    """Return for each number of resamples the error over the best one's, (draws,), %."""
    rng = np.random.default_rng([case.defective, case.good, case.images])
    unseen = [
        np.sort(drawn(rng, POPULATION, case, defective=kind).ravel()) for kind in (True, False)
    ]
    share = case.defective / (case.defective + case.good)

    def error(threshold: Scores) -> Scores:
        escapes, passed = (np.searchsorted(one, threshold) / one.size for one in unseen)
        found: Scores = 100 * (share * escapes + (1 - share) * (1 - passed))
        return found

    best = float(error(np.linspace(-3, 5, 4001)).min())
    found: dict[int, list[float]] = {count: [] for count in options.resamples}
    sizes = (case.defective, case.good)
    is_defect = np.repeat([True, False], np.multiply(sizes, case.images))
    groups = np.repeat(np.arange(sum(sizes)), case.images)
    for _ in range(options.draws):
        normal = np.concatenate(
            [
                drawn(rng, count, case, defective=kind).ravel()
                for count, kind in zip(sizes, (True, False), strict=True)
            ]
        )
        for count in options.resamples:
            spec = thresholds.ThresholdSpec(
                method="cost", escape_cost=1.0, overkill_cost=1.0, resamples=count
            )
            point = thresholds.choose(
                special.expit(normal), is_defect, spec, mask_threshold=1e-9, groups=groups
            )
            chosen = special.logit(min(point.threshold, 1 - 1e-9))
            found[count].append(float(error(np.array([chosen]))[0]) - best)
    return {count: np.array(values) for count, values in found.items()}


def main() -> int:
    """Print a table."""
    options = tyro.cli(Options, description=__doc__)
    columns = ("defective parts", "good parts", "images each", "correlation")
    shown = [str(count) if count else "best cut" for count in options.resamples]
    table = rich.table.Table(*columns, *shown, box=None)
    for case in CASES:
        cells = [
            f"{values.mean():.2f} +- {values.std() / np.sqrt(values.size):.2f}"
            for values in excess(case, options).values()
        ]
        table.add_row(*map(str, dataclasses.astuple(case)), *cells)
    process.show_table(table)
    return 0


if __name__ == "__main__":
    sys.exit(process.run(main))
