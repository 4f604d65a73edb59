"""How far the scores of late have moved from those that the threshold was chosen on.

Source: the population stability index, as credit scoring has it (Siddiqi 2006):
`sum over bins of (actual - expected) * ln(actual / expected)`, in shares.
"""

import collections
import math
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision, thresholds

LATEST = 500
"""Scores that are compared, the latest ones."""
LEAST = 200
"""Scores of the line under which nothing is said."""
LEAST_EXPECTED = 30
"""Tune images under which nothing is said."""
SOME, MUCH = 0.1, 0.25
"""From here on the scores have moved, and moved much, by the usual reading of the index."""
_BINS = (3, 10)  # the fewest and the most
_A_BIN = 10  # expected scores, at least
_HALF = 0.5  # of a score, in each bin: an empty one must not make the index infinite


def edges_of(expected: Sequence[float]) -> NDArray[np.float64]:
    """Return the inner edges of bins that hold about as many of the expected scores each.

    There are 10 bins, and fewer of few scores, or of equal ones. An edge belongs to the bin under
    it: good images crowd at 0, and what is above must not be of one bin with them.
    """
    fewest, most = _BINS
    bins = min(max(len(expected) // _A_BIN, fewest), most)
    return np.unique(np.quantile(np.asarray(expected), np.arange(1, bins) / bins))


def stability_index(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Return the population stability index of two samples of scores, less what chance gives.

    Two samples of one distribution have `(bins - 1) * (1 / n + 1 / m)` in the mean, which with few
    scores is more than what is called a change; without it the mean is 0.

    Args:
        expected: at least one score; its deciles are the bins.
        actual: at least one score.
    """
    edges = edges_of(expected)
    shares = []
    for scores in (expected, actual):
        counts = np.bincount(np.searchsorted(edges, scores, side="left"), minlength=edges.size + 1)
        shares.append((counts + _HALF) / (len(scores) + _HALF * (edges.size + 1)))
    before, after = shares
    index = ((after - before) * np.log(after / before)).sum()
    chance = edges.size * (1 / len(expected) + 1 / len(actual))
    return max(float(index - chance), 0.0)


class Drift:
    """The latest scores of a model beside those of its tune images.

    A line sees good parts almost always, so they are compared with the good ones; where none was
    good, with all.
    """

    def __init__(
        self,
        scores: decision.TuneScores | None = None,
        point: thresholds.OperatingPoint | None = None,
    ) -> None:
        """Begin without scores of the line.

        Args:
            scores: of the tune images; None: nothing can be compared.
            point: by which the model decides; None: by that under which they were measured.
        """
        self._latest = collections.deque[float](maxlen=LATEST)
        self._lock = threading.Lock()
        self._expected: list[float] = []
        self._why = ""
        if scores is None:
            self._why = "the bundle carries no scores of tune images"
        elif point is not None and not scores.are_of(point):
            self._why = "its threshold was set since the scores of the tune images were measured"
        else:
            rows = list(zip(scores.is_defect, scores.scores, strict=True))
            finite = [(bad, score) for bad, score in rows if score is not None]
            self._expected = [score for bad, score in finite if not bad] or [s for _, s in finite]
            if len(self._expected) < LEAST_EXPECTED:
                self._why = f"{len(self._expected)} of {LEAST_EXPECTED} tune images to compare with"

    def add(self, score: float) -> None:
        """Take a score of the line; one that is not finite is passed over."""
        if math.isfinite(score):
            with self._lock:
                self._latest.append(score)

    def index(self) -> float | None:
        """Return the stability index of the latest scores; None: there are too few."""
        with self._lock:
            latest = list(self._latest)
        if len(latest) < LEAST or self._why:
            return None
        return stability_index(self._expected, latest)

    def in_words(self) -> str:
        """Return what the index says."""
        with self._lock:
            count = len(self._latest)
        if self._why:
            return f"not known: {self._why}"
        index = self.index()
        if index is None:
            return f"not known yet: {count} of {LEAST} scores"
        moved = "much" if index >= MUCH else "somewhat" if index >= SOME else "not"
        return f"{index:.3g}: the last {count} scores have {moved} moved"
