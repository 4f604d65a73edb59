"""The angle of a real part, from a model that was made of every other projection of its scan.

Of a folder with `angles.csv` (file, angle_deg) and `images/`, as of a scan with a parallel beam,
the even projections become a volume and the odd ones are asked for their angle:

    python benchmarks/xray_series.py FOLDER [--every 1] [--between 4]
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np

from inspection_tf import images
from inspection_tf.projection import Scanner, Setup, Spectrum
from inspection_tf.projection.parts import volumes
from inspection_tf.projection.pose_ranges import PoseRange
from inspection_tf.tasks.pose import refinement
from inspection_tf.tasks.pose.bank import Bank, BankSpec, likeliest

FULL = 50000.0  # what a pixel shows where all passes
AIR = 0.71  # share that passes beside the part
PHOTONS = 5000.0  # a pixel, about: of the noise in the air


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, height, width) uint16 and (n,) degrees."""
    rows = list(csv.DictReader((folder / "angles.csv").read_text().splitlines()))
    pixels = [images.read(folder / "images" / row["file"]) for row in rows]
    return np.stack(pixels), np.array([float(row["angle_deg"]) for row in rows])


def model(pixels: np.ndarray, angles: np.ndarray, between: int) -> Setup:
    """Return the part before its scanner, from projections of it."""
    passed = pixels / FULL
    axis = volumes.axis_px(passed, angles)
    print(f"axis {axis:.2f} px right of the middle")
    volume = volumes.from_scan(passed, angles, pixel_mm=1.0, axis=axis, between=between)
    height, width = pixels.shape[1:]
    scanner = Scanner(beam="parallel", size=(height, width), pixel_mm=1.0, middle_px=(axis, 0.0))
    # The volume holds the attenuation itself: of harder light less of it, of softer more.
    spectrum = Spectrum(np.array([30.0, 50.0, 90.0]), np.array([0.2, 0.6, 0.2]))
    return Setup(volume, scanner, spectrum, {volume.material: np.array([1.3, 1.0, 0.8])})


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="of the odd projections")
    parser.add_argument("--between", type=int, default=4, help="projections made of one")
    options = parser.parse_args()
    pixels, angles = read(options.folder)
    setup = model(pixels[::2], angles[::2], options.between)
    spec = refinement.RefinementSpec(photons=PHOTONS, open_value=FULL * AIR, moves=("turn_y",))
    poses = PoseRange(
        phi_deg=(angles.min() - 5.3, angles.max() + 5.3), theta_deg=0, psi_deg=0, xy_mm=0, z_mm=0
    )
    bank = Bank(setup, poses, BankSpec(phi_step_deg=2.0, apart_deg=5.0))
    off, guessed, taken = [], [], []
    for index in range(1, len(angles), 2 * options.every):
        started = time.perf_counter()
        starts = likeliest(bank.best((pixels[index] / spec.open_value).astype(np.float32), 3))
        found = refinement.refine(pixels[index], setup, starts, spec).fit
        taken.append(time.perf_counter() - started)
        off.append((found.pose.phi - angles[index] + 180) % 360 - 180)
        guessed.append((starts[0].phi - angles[index] + 180) % 360 - 180)
        print(f"{angles[index]:7.1f} deg: bank {guessed[-1]:+.2f}, refined {off[-1]:+.3f}")
    print(
        f"{len(off)} projections: mean error {np.abs(off).mean():.3f} deg, largest "
        f"{np.abs(off).max():.3f}; of the bank alone {np.abs(guessed).mean():.2f}; "
        f"{np.mean(taken):.1f} s each"
    )


if __name__ == "__main__":
    main()
