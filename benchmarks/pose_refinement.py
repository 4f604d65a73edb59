"""How well the pose of a part is found without a network, and what is refused.

For each mesh, in aluminium, 224 x 224 px, 10^4 photons, poses drawn from the whole range:

- `ideal`: all but pose, brightness and attenuation is known; errors over each image's own bound;
- `unknown`: voltage, filter, scatter and blur differ from the model's and are not known: the bank
  of projections, then the refinement, with what it states of its own errors;
- what should be refused: another part of like size, nothing, too much light, half out of view, and
  one face half a millimetre off; as a verdict decides, which leaves out what differs (NG).

    OMP_NUM_THREADS=1 python benchmarks/pose_refinement.py --mesh FILE.STL ... [--unit in]
        [--other FILE.STL] [--images 200] [--bad 50] [--only ideal]
"""

import argparse
import collections
import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray

from inspection_tf.projection import (
    Deviations,
    Exposure,
    Material,
    Mesh,
    Scanner,
    Setup,
    Solid,
    Spectrum,
    attenuation,
    motion_limit,
    motions,
    setup_files,
)
from inspection_tf.projection.parts import mesh_files
from inspection_tf.projection.pose_ranges import PoseRange
from inspection_tf.tasks import pose
from inspection_tf.tasks.pose import measuring, refinement
from inspection_tf.tasks.pose.bank import Bank, BankSpec, likeliest
from inspection_tf.tasks.pose.refinement import refusals

MATERIALS = {"aluminium": Material("Al", 2.7)}
FILTER = {"copper": Material("Cu", 8.96)}
POSES = PoseRange()
LIMITS = refusals.RefusalLimits()
IDEAL = Exposure(focal_spot_mm=0.0, scatter=0.0)
OPEN = IDEAL.open_value
TRUE_SAMPLES = 34  # rays a pixel of what is measured: more than the model has
EXACT_SAMPLES = 610  # likewise where its errors are compared with the bound
WITHIN_BOUND = 1.5  # root mean square of errors over the bound
PHOTONS = 1e4  # a pixel counts in the open beam
DRAWS = 50  # of errors that are as small as they can be, for each image
NINETY = 1.6449  # standard deviations on each side that hold 90 %
WITHIN_DEG = 0.1
PARTS = ("ideal", "unknown", "bad")
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


def beam(kv: float, bins: int, copper_mm: float) -> tuple[Spectrum, dict[str, Floats]]:
    """Return a spectrum behind a filter, and what aluminium takes of it."""
    energies = attenuation.middles(kv, bins=bins)
    taken = attenuation.coefficients(FILTER, energies)["copper"] * copper_mm
    mu = attenuation.coefficients(MATERIALS, energies)
    return Spectrum.of_tube(kv, filter_mu=taken, bins=bins), dict(mu)


def before_scanner(part: Solid) -> Setup:
    """Return a part before a scanner whose image it fills."""
    room = 5.0  # mm that it may lie aside, and more
    scanner = Scanner(pixel_mm=round(2 * (part.reach + room) / 0.7 / 224, 3))
    return Setup(part, scanner, *beam(160.0, 5, 0.5))


def other_conditions(setup: Setup, rng: np.random.Generator) -> tuple[Setup, Exposure]:
    """Return another beam, more or less scatter, and another blur."""
    spectrum, mu = beam(rng.uniform(140, 180), 8, rng.uniform(0.3, 0.8))
    exposure = Exposure(
        focal_spot_mm=rng.uniform(0.2, 2.0),
        scatter=rng.uniform(0.05, 0.15),
        scatter_px=rng.uniform(25, 60),
    )
    return Setup(setup.part, setup.scanner, spectrum, mu), exposure


def ideal(setup: Setup, count: int) -> None:
    """Print errors beside the bound of each image, and what the best estimate would come to."""
    found = joblib.Parallel(n_jobs=-1)(
        joblib.delayed(_found_ideally)(index, setup) for index in range(count)
    )
    size = np.abs([one.error for one in found])
    print(f"  ideal: MAE {words(size.mean(axis=0))}; root mean square over the own bound, of")
    for way, rms in (
        ("all six in its own directions", np.array([one.along_bound for one in found])),
        ("the six numbers, each by itself", np.array([one.by_numbers for one in found])),
    ):
        refined, best = rms[:, 0], rms[:, 1:]
        print(
            f"    {way}: <= {WITHIN_BOUND} in {np.mean(refined <= WITHIN_BOUND):.1%} (errors that "
            f"are distributed as the bound is: {np.mean(best <= WITHIN_BOUND):.1%}), median "
            f"{np.median(refined):.2f} ({np.median(best):.2f}), rms of all "
            f"{np.sqrt(np.mean(np.square(refined))):.3f} ({np.sqrt(np.mean(np.square(best))):.3f})"
        )


@dataclasses.dataclass(frozen=True)
class _Ideally:
    """What was found in an image of which all but the pose is known.

    The root mean squares are (1 + DRAWS,): of its errors over the bound, then of errors that are
    as small as they can be.
    """

    error: Floats  # (6,)
    along_bound: Floats  # in directions in which the bound's errors are independent
    by_numbers: Floats  # of phi to z over the bound of each, whose errors go together


def _found_ideally(index: int, setup: Setup) -> _Ideally:
    """Return what a refinement that knows all but the pose finds in an image."""
    spec = refinement.RefinementSpec(
        open_value=OPEN,
        spectrum_sd=0.0,
        scatter_sd=0.0,
        blur_sd=0.0,
        blur_px=0.5,
        change_rays=8,
    )
    rng = np.random.default_rng((1, index))
    truth = POSES.drawn(rng)
    image = IDEAL.render(rng, IDEAL.expected(setup, truth, samples=EXACT_SAMPLES))
    start = motions.moved(truth, rng.normal(0, 1, 6) * [1, 1, 1, 0.5, 0.5, 3])
    error = np.array(refinement.refine(image, setup, [start], spec).fit.pose.off_from(truth))
    bound = motion_limit(setup, truth, PHOTONS)
    moved = error.copy()
    moved[:3] = np.linalg.solve(motions.angles_per_turn(truth), error[:3])
    drawn = rng.multivariate_normal(np.zeros(len(bound)), bound, DRAWS)
    independent = np.linalg.solve(np.linalg.cholesky(bound), np.array([moved, *drawn]).T)
    numbers = [error, *(motions.moved(truth, motion).off_from(truth) for motion in drawn)]
    shares = np.array(numbers) / dataclasses.astuple(Deviations.of(truth, bound))
    return _Ideally(
        error,
        np.sqrt(np.mean(np.square(independent), axis=0)),
        np.sqrt(np.mean(np.square(shares), axis=1)),
    )


def unknown(setup: Setup, bank: Bank, count: int) -> None:
    """Print errors of bank and refinement, and how often the stated ones hold."""
    found = joblib.Parallel(n_jobs=-1)(
        joblib.delayed(_found_unknowing)(index, setup, bank) for index in range(count)
    )
    refused = collections.Counter(
        reason.split(":")[0] for one in found for reason in one.refused_for
    )
    kept = [one for one in found if not one.refused_for]
    size = np.abs([one.error for one in kept])
    best = np.abs([one.guesses[0] for one in found])
    nearest = [np.abs(one.guesses[:, :3]).max(axis=1).min() for one in found]
    coverage = (size <= NINETY * np.array([one.stated for one in kept])).mean(axis=0)
    of_bank, of_refinement = np.array([one.seconds for one in found]).T
    print(
        f"  bank: likeliest MAE {words(best.mean(axis=0))}; one of {len(found[0].guesses)} within "
        f"10 deg in {np.mean(np.array(nearest) < 10):.1%}; {of_bank.mean():.2f} s"
    )
    print(
        f"  refined: MAE {words(size.mean(axis=0))}; 95th percentile "
        f"{words(np.percentile(size, 95, axis=0))}; within {WITHIN_DEG} deg in "
        f"{np.mean(size[:, :3].max(axis=1) < WITHIN_DEG):.1%}; refused "
        f"{1 - len(kept) / count:.1%} {dict(refused)}; 90 % intervals hold "
        f"{words(coverage, 2)}; {of_refinement.mean():.2f} s, at most {of_refinement.max():.2f} s"
    )


@dataclasses.dataclass(frozen=True)
class _Unknowing:
    """What was found in an image whose conditions the model does not know."""

    guesses: Floats  # (starts, 6), errors of the bank
    error: Floats  # (6,), refined
    stated: Floats  # (6,), deviations
    refused_for: tuple[str, ...]
    seconds: tuple[float, float]  # of the processor: bank and refinement


def _found_unknowing(index: int, setup: Setup, bank: Bank) -> _Unknowing:
    """Return what bank and refinement find in an image."""
    spec = refinement.RefinementSpec(open_value=OPEN)
    rng = np.random.default_rng((2, index))
    truth = POSES.drawn(rng)
    true_setup, exposure = other_conditions(setup, rng)
    expected = exposure.expected(true_setup, truth, samples=TRUE_SAMPLES)
    image = exposure.render(rng, expected)
    began = time.process_time()
    starts = likeliest(bank.best((image / OPEN).astype(np.float32), spec.starts))
    matched = time.process_time()
    found = refinement.refine(image, setup, starts, spec)
    reasons = refusals.reasons(found, image, setup, LIMITS)
    return _Unknowing(
        np.array([start.off_from(truth) for start in starts]),
        np.array(found.fit.pose.off_from(truth)),
        np.array(dataclasses.astuple(found.fit.deviations)),
        reasons,
        (matched - began, time.process_time() - matched),
    )


def one_face_off(setup: Setup, mm: float) -> Setup:
    """Return a part whose face at the largest z lies elsewhere."""
    part = setup.part
    if not isinstance(part, Solid):
        raise TypeError("a solid")
    vertices = part.mesh.vertices.copy()
    vertices[vertices[:, 2] > vertices[:, 2].max() - 1e-6, 2] += mm
    return dataclasses.replace(setup, part=Solid(Mesh(vertices, part.mesh.faces), part.material))


def as_large(other: Solid, part: Solid) -> Solid:
    """Return another part, made as large as one."""
    scale = part.reach / other.reach
    return Solid(Mesh(other.mesh.vertices * scale, other.mesh.faces), other.material)


def instead(setup: Setup, part: Solid) -> Setup:
    """Return a setup that holds another part."""
    return dataclasses.replace(setup, part=part)


def as_it_is(setup: Setup) -> Setup:
    """Return a setup unchanged."""
    return setup


def judged(
    index: int, kind: str, swap: Callable[[Setup], Setup], setup: Setup, file: bytes, bank: Bank
) -> tuple[str, float]:
    """Return what a verdict would be on an image, and how far off the largest angle is."""
    rng = np.random.default_rng((3, index))
    truth = POSES.drawn(rng)
    seen, exposure = other_conditions(setup, rng)
    if kind == "half out of view":
        half = setup.scanner.field_of_view_mm[1] / 2
        truth = dataclasses.replace(truth, x=truth.x + rng.choice([-half, half]))
    light = exposure.expected(swap(seen), truth, samples=TRUE_SAMPLES)
    light = np.ones_like(light) if kind == "empty" else light
    image = exposure.render(rng, 1.6 * light if kind == "saturated" else light)
    settings = pose.Settings(refinement=refinement.RefinementSpec(open_value=OPEN))
    starts = likeliest(bank.best((image / OPEN).astype(np.float32), settings.refinement.starts))
    found = measuring.Job(image, file, starts, settings).done()
    if isinstance(found, str) or found.refused:
        return "refused", 0.0
    off = float(np.abs(found.pose.off_from(truth)[:3]).max())
    return ("NG" if found.regions else "passed"), off


def bad(setup: Setup, bank: Bank, other: Solid, count: int) -> None:
    """Print how many of what should be refused is refused, and how far off the others are."""
    part = setup.part
    if not isinstance(part, Solid):
        raise TypeError("a solid")
    swaps: dict[str, Callable[[Setup], Setup]] = {
        "another part": functools.partial(instead, part=as_large(other, part)),
        "empty": as_it_is,
        "saturated": as_it_is,
        "half out of view": as_it_is,
        "face 0.5 mm out": functools.partial(one_face_off, mm=0.5),
        "face 0.5 mm in": functools.partial(one_face_off, mm=-0.5),
    }
    file = setup_files.dumped(setup)
    for kind, swap in swaps.items():
        found = joblib.Parallel(n_jobs=-1)(
            joblib.delayed(judged)(index, kind, swap, setup, file, bank) for index in range(count)
        )
        told = collections.Counter(outcome for outcome, _ in found)
        worst = max(off for _, off in found)
        print(f"  {kind}: {dict(told)} of {count}; not refused: off by {worst:.3f} deg at most")


def words(values: Floats, digits: int = 4) -> str:
    """Return numbers in a row."""
    return " / ".join(f"{value:.{digits}f}" for value in values)


def main() -> None:
    """Print figures of each part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mesh", type=Path, nargs="+", required=True)
    parser.add_argument("--unit", choices=sorted(mesh_files.MM), default="in", help="of these")
    parser.add_argument("--other", type=Path, help="in place of a part; none: the one before it")
    parser.add_argument("--images", type=int, default=200, help="of each part and condition")
    parser.add_argument("--bad", type=int, default=50, help="images of each kind to refuse")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="what is measured")
    options = parser.parse_args()

    def read(path: Path) -> Solid:
        return Solid(mesh_files.read_mesh(path, unit=options.unit), "aluminium")

    parts = {path.stem: read(path) for path in options.mesh}
    given = None if options.other is None else read(options.other)
    for index, (name, part) in enumerate(parts.items()):
        setup = before_scanner(part)
        began = time.perf_counter()
        bank = Bank(setup, POSES, BankSpec())
        print(f"{name}: {len(bank.poses)} projections in {time.perf_counter() - began:.1f} s")
        print("  phi / theta / psi deg / x / y / z mm")
        if "ideal" in options.only:
            ideal(setup, options.images)
        if "unknown" in options.only:
            unknown(setup, bank, options.images)
        if "bad" in options.only:
            bad(setup, bank, given or [*parts.values()][index - 1], options.bad)


if __name__ == "__main__":
    main()
