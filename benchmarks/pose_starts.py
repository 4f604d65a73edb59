"""How a pose is found: by the network of a bundle, by a bank of projections, and both refined.

On new X-rays of the part that the bundle was made for, drawn as its own were, all of them intact.
Of each way the mean error of phi, theta and psi, the share of images in which one of three poses is
within 10 degrees, and seconds an image; refined: of what is not refused.

    OMP_NUM_THREADS=1 python benchmarks/pose_starts.py BUNDLE [--images 100] [--seed 77] [--alone]
"""

import argparse
import collections
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf import config, runtime
from inspection_tf.datasets import data_spec
from inspection_tf.projection import Pose
from inspection_tf.synthesis.xrays import draw
from inspection_tf.tasks import pose
from inspection_tf.tasks.pose import bank, measuring, modes

POSES, NEAR_DEG, TENTH_DEG = 3, 10.0, 0.1


def words(rows: NDArray[np.float64]) -> str:
    """Return the means of phi, theta and psi."""
    return " / ".join(f"{value:.4f}" for value in rows.mean(axis=0)[:3])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seed", type=int, default=77, help="of the images; not the bundle's")
    parser.add_argument("--alone", action="store_true", help="the network, nothing else")
    options = parser.parse_args()
    inspector = runtime.Inspector.load(options.bundle, threads=1)
    source = inspector.manifest.provenance.data.source
    data = config.validate(data_spec.DataSpec, source, origin="the bundle's provenance")
    settings = inspector.context.settings_as(pose.Settings)
    if not isinstance(data, data_spec.XraysSpec):
        raise SystemExit("a bundle of drawn X-rays")
    part = inspector.context.assets[pose.PART]
    setup, spec = measuring.setup_of(part), data.xray
    ways = ["network"]
    if not options.alone:
        began = time.perf_counter()
        guesses = bank.Bank(setup, spec.poses, bank.BankSpec())
        print(f"bank of {len(guesses.poses)} projections in {time.perf_counter() - began:.1f} s")
        ways.append("bank")
    first: dict[str, list[NDArray[np.float64]]] = collections.defaultdict(list)
    nearest: dict[str, list[float]] = collections.defaultdict(list)
    refined: dict[str, list[NDArray[np.float64]]] = collections.defaultdict(list)
    seconds: dict[str, list[float]] = collections.defaultdict(list)
    refused: collections.Counter[str] = collections.Counter()
    for index in range(options.images):
        drawn = draw(index, seed=options.seed, spec=spec, nominal=setup)
        truth = drawn.pose
        prepared = inspector.prepare_decoded(drawn.image)
        for name in ways:
            began = time.perf_counter()
            if name == "bank":
                light = (drawn.image / settings.refinement.open_value).astype(np.float32)
                starts = bank.likeliest(guesses.best(light, POSES))
            else:
                rows = inspector.networks[pose.FINDER].run(prepared.image)[0]
                likely = modes.likeliest(
                    rows, POSES, apart_deg=settings.apart_deg, symmetry=settings.symmetry
                )
                least = settings.min_probability
                starts = modes.starts(likely, POSES)
                tried = len(modes.starts(likely, settings.refinement.starts, least=least))
            seconds[name].append(time.perf_counter() - began)
            off = [_off(start, truth, settings.symmetry) for start in starts]
            first[name].append(off[0])
            nearest[name].append(min(float(one[:3].max()) for one in off))
            if options.alone:
                continue
            began = time.perf_counter()
            count = POSES if name == "bank" else max(1, tried)
            found = measuring.Job(drawn.image, part, starts[:count], settings).done()
            seconds[f"{name}, refined"].append(time.perf_counter() - began)
            if isinstance(found, str) or found.refused:
                refused[name] += 1
                continue
            refined[name].append(_off(found.pose, truth, settings.symmetry))
    for name in ways:
        within = np.mean(np.array(nearest[name]) < NEAR_DEG)
        print(
            f"{name:>8}: {words(np.array(first[name]))} deg, one of three within 10 deg in "
            f"{within:.1%}, the likeliest off by more in "
            f"{np.mean(np.array(first[name])[:, :3].max(axis=1) > NEAR_DEG):.1%}; "
            f"{np.mean(seconds[name]):.3f} s"
        )
        if options.alone:
            continue
        if not refined[name]:
            print(" refined: all refused")
            continue
        rows = np.array(refined[name])
        tenth = np.mean(rows[:, :3].max(axis=1) < TENTH_DEG)
        p95 = " / ".join(f"{value:.4f}" for value in np.percentile(rows, 95, axis=0)[:3])
        print(
            f" refined: {words(rows)} deg, 95 % within {p95}, all within 0.1 deg in {tenth:.1%}; "
            f"refused {refused[name] / options.images:.1%}; "
            f"{np.mean(seconds[f'{name}, refined']):.2f} s"
        )


def _off(found: Pose, truth: Pose, symmetry: int) -> NDArray[np.float64]:
    return np.abs(found.off_from(truth.nearest_alike(found, symmetry)))


if __name__ == "__main__":
    main()
