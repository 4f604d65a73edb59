"""How far the scores of late have moved from those that the threshold was chosen on.

Source: the population stability index, as credit scoring has it (Siddiqi 2006):
`sum over bins of (actual - expected) * ln(actual / expected)`, in shares.
"""

import collections
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import decision

LATEST = 500
"""Scores that are compared, the latest ones."""
LEAST = 50
"""Scores under which nothing is said."""
SOME, MUCH = 0.1, 0.25
"""From here on the scores have moved, and moved much, by the usual reading of the index."""
_BINS = 10
_HALF = 0.5  # of a score, in each bin: an empty one must not make the index infinite


def edges_of(expected: Sequence[float]) -> NDArray[np.float64]:
    """Return the inner edges of bins that hold about as many of the expected scores each.

    Of equal scores there are fewer bins. An edge belongs to the bin under it: good images crowd at
    0, and what is above must not be of one bin with them.
    """
    return np.unique(np.quantile(np.asarray(expected), np.arange(1, _BINS) / _BINS))


def stability_index(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Return the population stability index of two samples of scores: 0 where they are alike.

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
    return float(((after - before) * np.log(after / before)).sum())


class Drift:
    """The latest scores of a model beside those of its tune images.

    A line sees good parts almost always, so they are compared with the good ones; where none was
    good, with all.
    """

    def __init__(self, scores: decision.TuneScores | None = None) -> None:
        """Begin without scores of the line.

        Args:
            scores: of the tune images; None: nothing can be compared.
        """
        self._latest = collections.deque[float](maxlen=LATEST)
        self._lock = threading.Lock()
        self._expected: list[float] = []
        if scores is not None:
            rows = list(zip(scores.is_defect, scores.scores, strict=True))
            finite = [(bad, score) for bad, score in rows if score is not None]
            self._expected = [score for bad, score in finite if not bad] or [s for _, s in finite]

    def add(self, score: float) -> None:
        """Take a score of the line, which is finite."""
        with self._lock:
            self._latest.append(score)

    def index(self) -> float | None:
        """Return the stability index of the latest scores; None: there are too few."""
        with self._lock:
            latest = list(self._latest)
        if len(latest) < LEAST or not self._expected:
            return None
        return stability_index(self._expected, latest)

    def in_words(self) -> str:
        """Return what the index says."""
        with self._lock:
            count = len(self._latest)
        if not self._expected:
            return "not known: the bundle has no scores of tune images"
        index = self.index()
        if index is None:
            return f"not known yet: {count} of {LEAST} scores"
        moved = "much" if index >= MUCH else "somewhat" if index >= SOME else "not"
        return f"{index:.3g}: the last {count} scores have {moved} moved"
