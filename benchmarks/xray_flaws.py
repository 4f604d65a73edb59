"""How surely a flaw of one millimetre shows as a difference between an X-ray and the part.

Of the bracket, in poses from the whole range, with voltage, filter, scatter and blur that the model
does not know: intact; one of its bores of 1 mm filled; one bore of 1 mm too many. A flaw can be
seen where the photons that it changes are `--visible` standard deviations of their noise together.

    OMP_NUM_THREADS=1 python benchmarks/xray_flaws.py [--images 100] [--sure 5.5] [--visible 12]
"""

import argparse
import dataclasses
from collections.abc import Sequence

import joblib
import numpy as np

from inspection_tf.projection import (
    Assembly,
    Body,
    Cylinder,
    Exposure,
    Part,
    Pose,
    Setup,
    setup_files,
)
from inspection_tf.synthesis.xrays import XraySpec, draw
from inspection_tf.tasks import pose
from inspection_tf.tasks.pose import measuring, refinement
from inspection_tf.tasks.pose.bank import Bank, BankSpec, likeliest

BORE = Body(Cylinder(0.5, 20.0), None, Pose(x=3.0, y=-11.0, z=9.5))
SPEC = XraySpec()
EXPOSURE = Exposure()


def parts(intact: Part) -> dict[str, Part]:
    """Return the part as it should be, with a bore less, and with one more."""
    if not isinstance(intact, Assembly):
        raise TypeError("an assembly")
    *others, _ = intact.bodies
    return {
        "intact": intact,
        "filled": Assembly(others),
        "drilled": Assembly([*intact.bodies, BORE]),
    }


def judged(
    index: int, setup: Setup, nominal: Setup, file: bytes, bank: Bank, settings: pose.Settings
) -> tuple[str, float]:
    """Return what a verdict would be on an image, and how much of the flaw photons can show.

    Args:
        index: of the image.
        setup: the part as it is.
        nominal: the part as it should be.
        file: that part, as a bundle holds it.
        bank: of it.
        settings: of the verdict.

    Returns:
        "OK", "NG" or "REVIEW", and standard deviations of the photons' noise.
    """
    spec = settings.refinement
    drawn = draw(index, seed=6, spec=SPEC, nominal=setup)
    light = (drawn.image / spec.open_value).astype(np.float32)
    starts = likeliest(bank.best(light, spec.starts))
    found = measuring.Job(drawn.image, file, starts, settings).done()
    as_is, as_should_be = (
        np.maximum(EXPOSURE.expected(one, drawn.pose, samples=13), 1e-6) for one in (setup, nominal)
    )
    off = (as_is - as_should_be) ** 2 * SPEC.detector.photons / as_should_be
    is_refused = isinstance(found, str) or found.refused
    outcome = "REVIEW" if is_refused else "NG" if found.regions else "OK"
    return outcome, float(np.sqrt(off.sum()))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=100, help="of each part")
    parser.add_argument("--sure", type=float, default=5.5, help="significance of a flaw")
    parser.add_argument("--visible", type=float, default=12.0, help="of what can be seen")
    options = parser.parse_args()
    nominal = SPEC.nominal()
    bank = Bank(nominal, SPEC.poses, BankSpec())
    file = setup_files.dumped(nominal)
    settings = pose.Settings(
        refinement=refinement.RefinementSpec(open_value=SPEC.detector.open_value),
        difference=pose.DifferenceRules(min_significance=options.sure),
    )
    for name, part in parts(nominal.part).items():
        setup = dataclasses.replace(nominal, part=part)
        found = joblib.Parallel(n_jobs=-1)(
            joblib.delayed(judged)(index, setup, nominal, file, bank, settings)
            for index in range(options.images)
        )
        seen = [outcome for outcome, told in found if name == "intact" or told >= options.visible]
        print(
            f"{name:>8}: NG {_share('NG', [outcome for outcome, _ in found])} of {len(found)}, "
            f"{_share('NG', seen)} of the {len(seen)} that "
            f"{'are intact' if name == 'intact' else 'can be seen'}; "
            f"left to a person {_share('REVIEW', seen)} of these",
            flush=True,
        )


def _share(outcome: str, of: Sequence[str]) -> str:
    return f"{of.count(outcome) / max(len(of), 1):.1%}"


if __name__ == "__main__":
    main()
