"""How many images a core computes in a second, 224 x 224 px.

Chords: path lengths, one ray a pixel. Complete: of five rays a pixel and eight energies, with
blur, scatter and noise. Each part turns from image to image. Run it with one thread and on an idle
machine:

    OMP_NUM_THREADS=1 python benchmarks/projection_speed.py [--mesh FILE.STL ...] [--unit in]
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from inspection_tf.projection import (
    Assembly,
    Body,
    Box,
    Cone,
    Cylinder,
    Exposure,
    Part,
    Pose,
    Scanner,
    Setup,
    Solid,
    Spectrum,
    Sphere,
)
from inspection_tf.projection.parts import mesh_files

SCANNER = Scanner(pixel_mm=1.2)
EXPOSURE = Exposure()
SPECTRUM = Spectrum.of_tube(160.0, bins=8)
# Near enough to count: 1/mm, of any energies that fall as these do.
MU = {name: share / SPECTRUM.energies for name, share in (("aluminium", 4.0), ("iron", 20.0))}
BODIES = (
    Body(Box(80.0, 60.0, 40.0), "aluminium"),
    *(Body(Cylinder(4.0, 90.0), None, Pose(phi=90.0 * k, x=10.0 * k - 20)) for k in range(4)),
    *(Body(Sphere(6.0), "iron", Pose(x=10.0 * k - 20, y=10.0)) for k in range(3)),
    *(Body(Cone(0.0, 8.0, 20.0), "aluminium", Pose(x=10.0 * k, y=-35.0)) for k in range(2)),
)


def rate(project: Callable[[Pose], object], *, repeats: int) -> float:
    """Return images a second: of the median of single times, after one that does not count."""
    taken = []
    for turn in range(repeats + 1):
        started = time.perf_counter()
        project(Pose(phi=7.3 * turn, theta=5.0, psi=3.0))
        taken.append(time.perf_counter() - started)
    return 1 / statistics.median(taken[1:])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mesh", type=Path, nargs="*", default=[], help="parts of triangles")
    parser.add_argument("--unit", choices=sorted(mesh_files.MM), default="in", help="of these")
    parser.add_argument("--repeats", type=int, default=50, help="images of each")
    options = parser.parse_args()
    parts: dict[str, Part] = {f"{len(BODIES)} primitives": Assembly(BODIES)}
    for path in options.mesh:
        mesh = mesh_files.read_mesh(path, unit=options.unit)
        parts[f"{path.stem}, {len(mesh.faces)} faces"] = Solid(mesh, "aluminium")
    print(f"{'':>24} {'chords':>8} {'complete':>8}   images a second")
    for name, part in parts.items():
        chords = rate(functools.partial(part.path_lengths, SCANNER), repeats=options.repeats)
        setup = Setup(part, SCANNER, SPECTRUM, MU)
        complete = rate(functools.partial(rendered, setup), repeats=options.repeats)
        print(f"{name:>24} {chords:8.0f} {complete:8.0f}")


def rendered(setup: Setup, pose: Pose) -> object:
    """Return a complete image, with noise, blur and scatter, of five rays a pixel."""
    return EXPOSURE.render(np.random.default_rng(0), EXPOSURE.expected(setup, pose))


if __name__ == "__main__":
    main()
