"""From poses that an image may show to the one that it does, and where the part differs from it."""

import contextlib
import dataclasses
import functools
import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.projection import Deviations, Pose, Setup, setup_files
from inspection_tf.tasks.pose.difference import Region, difference
from inspection_tf.tasks.pose.refinement import Refined, RefinementSpec, refine, refusals
from inspection_tf.tasks.pose.refinement.measurement import Pixels
from inspection_tf.tasks.pose.refinement.search import without
from inspection_tf.tasks.pose.settings import DifferenceRules, Settings

_Map = NDArray[np.float16]
_AGAIN = 3  # times that what differs is left out
_USED = {"refinement", "refusals", "compare", "difference", "symmetry"}
_MOST = 6e4  # of a half-precision number


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a refinement found on an image.

    Attributes:
        pose: of the part.
        deviations: of phi, theta, psi, degrees, and x, y, z, mm, as photons and residuals set them.
        chi2: mean squared residual: 1 where the model is right.
        margin: by how much the next best pose fits worse.
        refused: why it is not trusted; empty where it is.
        regions: where the part differs from its model, the surest first; none without rules.
        differs: (height, width), True in these regions.
        significance: (height, width), standard deviations of noise that a place differs by.
        light: (height, width), what the image should show, as shares of the open beam.
    """

    pose: Pose
    deviations: tuple[float, ...]
    chi2: float
    margin: float
    refused: tuple[str, ...]
    regions: tuple[Region, ...]
    differs: NDArray[np.bool_]
    significance: _Map
    light: _Map

    def __post_init__(self) -> None:
        """Let nobody change what others may be told too."""
        for array in (self.differs, self.significance, self.light):
            array.flags.writeable = False

    @property
    def most_significant(self) -> float:
        """What the surest place differs by, 0 where nothing was compared."""
        return float(self.significance.max())


@functools.lru_cache(maxsize=8)
def setup_of(data: bytes) -> Setup:
    """Return part, scanner and beam from the file of a bundle.

    Raises:
        errors.BundleError: it is no such file.
    """
    return setup_files.parsed(data, setup_files.NAME)


class Kept:
    """What was measured, as long as there is room: a training asks for each image several times."""

    def __init__(self, most_bytes: int) -> None:
        """Set how much may be kept."""
        self._left = most_bytes
        self._found: dict[bytes, Measured | str] = {}
        self._lock = threading.Lock()

    def get(self, key: bytes) -> "Measured | str | None":
        """Return what was kept under a key; None: nothing."""
        return self._found.get(key)

    def put(self, key: bytes, found: "Measured | str") -> None:
        """Keep something where there is room for it."""
        with self._lock:
            if key not in self._found and size_of(found) <= self._left:
                self._found[key] = found
                self._left -= size_of(found)


def size_of(found: "Measured | str") -> int:
    """Return the bytes of the maps of a result."""
    if isinstance(found, str):
        return len(found)
    return found.differs.nbytes + found.significance.nbytes + found.light.nbytes


@dataclasses.dataclass(frozen=True)
class Job:
    """An image to be measured.

    Attributes:
        image: (height, width), of the size of the scanner.
        part: the file of a bundle with part, scanner and beam.
        starts: poses that it may show, the likeliest first.
        settings: of the bundle, which refines.
    """

    image: Pixels
    part: bytes
    starts: Sequence[Pose]
    settings: Settings

    @functools.cached_property
    def key(self) -> bytes:
        """What the result hangs on."""
        used = self.settings.model_dump_json(include=_USED)
        text = repr((self.image.shape, self.image.dtype.str, self.starts, used)).encode()
        digest = hashlib.sha256(np.ascontiguousarray(self.image).tobytes())
        digest.update(text)
        digest.update(hashlib.sha256(self.part).digest())
        return digest.digest()


@dataclasses.dataclass(frozen=True)
class _Block:
    """What holds while images are measured once."""

    kept: Kept
    processes: int


_blocks: list[_Block] = []  # those that are open; none: nothing is kept


@contextlib.contextmanager
def keeping(most_bytes: int, *, processes: int = 1) -> Iterator[None]:
    """Keep what is measured within a block, so that the same image is measured once.

    A recipe opens one: it measures an image to scale deviations, to evaluate, and to compare the
    export with the trained network.

    Args:
        most_bytes: that may be kept.
        processes: that measure several images at a time; more than one need joblib.
    """
    _blocks.append(_Block(Kept(most_bytes), processes))
    try:
        yield
    finally:
        _blocks.pop()


def measured(job: Job) -> "Measured | str":
    """Return what a refinement finds on an image, or why it finds nothing."""
    return _measured(job.image, setup_of(job.part), job.starts, job.settings)


def all_measured(jobs: Sequence[Job]) -> list["Measured | str"]:
    """Return what a refinement finds on each image, or why it finds nothing: see `keeping`."""
    if not _blocks:
        return [measured(job) for job in jobs]
    block = _blocks[-1]
    found: dict[bytes, Measured | str] = {}
    missing: dict[bytes, Job] = {}
    for job in jobs:
        kept = block.kept.get(job.key)
        if kept is None:
            missing[job.key] = job
        else:
            found[job.key] = kept
    for key, result in zip(missing, _at_once(list(missing.values()), block), strict=True):
        block.kept.put(key, result)
        found[key] = result
    return [found[job.key] for job in jobs]


def _at_once(jobs: Sequence[Job], block: _Block) -> Iterable["Measured | str"]:
    if block.processes == 1 or len(jobs) == 1:
        return [measured(job) for job in jobs]
    import joblib

    # Processes: NumPy holds the interpreter for most of what a refinement takes.
    found: Iterable[Measured | str] = joblib.Parallel(n_jobs=block.processes, batch_size=1)(
        joblib.delayed(measured)(job) for job in jobs
    )
    return found


def _measured(
    image: Pixels, setup: Setup, starts: Sequence[Pose], settings: Settings
) -> "Measured | str":
    spec, rules = settings.refinement, settings.difference
    try:
        found = refine(image, setup, starts, spec)
    except errors.DataError as problem:
        return errors.first_line(problem)
    blank = np.zeros(image.shape, np.float16)
    if not settings.compare:
        return _result(found, image, setup, settings, _Differing((), blank > 0, blank))
    found, differing = _compared(found, spec, rules)
    return _result(found, image, setup, settings, differing)


@dataclasses.dataclass(frozen=True, slots=True)
class _Differing:
    """Where a part differs from its model: regions, the pixels in them, and how surely."""

    regions: tuple[Region, ...]
    mask: NDArray[np.bool_]
    significance: _Map


def _compared(
    found: Refined, spec: RefinementSpec, rules: DifferenceRules
) -> tuple[Refined, _Differing]:
    """Return the pose by what does not differ, and what does."""
    seen, left_out = difference(found, rules), np.zeros(found.measured.values.shape, np.bool_)
    for _ in range(_AGAIN):
        differs = seen.significance > rules.min_significance
        if not differs.any():
            break
        if np.mean(left_out | differs) > rules.max_left_out:
            # A large flaw bends the pose, so that all differs: first what differs most.
            differs = seen.significance > seen.significance.max() / 2
        more = left_out | differs
        if np.mean(more) > rules.max_left_out or not (more & ~left_out).any():
            break
        left_out = more
        found = without(found, left_out, spec)
        seen = difference(found, rules)
    regions, mask = seen.regions_and_mask(rules.min_significance, least_px=rules.min_area_px)
    significance = np.minimum(seen.significance, _MOST).astype(np.float16)
    return found, _Differing(tuple(regions), mask, significance)


def _result(
    found: Refined, image: Pixels, setup: Setup, settings: Settings, differing: _Differing
) -> Measured:
    fit = found.fit
    scale = max(1.0, fit.chi2) ** 0.5
    pose = fit.pose.first_alike(settings.symmetry)
    deviations = fit.deviations if pose == fit.pose else Deviations.of(pose, fit.covariance)
    return Measured(
        pose=pose,
        deviations=tuple(scale * one for one in dataclasses.astuple(deviations)),
        chi2=fit.chi2,
        margin=found.margin,
        refused=refusals.reasons(found, image, setup, settings.refusals),
        regions=differing.regions,
        differs=differing.mask,
        significance=differing.significance,
        light=fit.light.astype(np.float16),
    )
