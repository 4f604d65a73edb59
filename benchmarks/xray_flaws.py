"""How surely a flaw of one millimetre shows as a difference between an X-ray and the part.

Of the bracket, in poses from the whole range, with voltage, filter, scatter and blur that the model
does not know: intact; one of its bores of 1 mm filled; one bore of 1 mm too many. A flaw can be
seen where the photons that it changes are `--visible` standard deviations of their noise together.

    OMP_NUM_THREADS=1 python benchmarks/xray_flaws.py [--images 100] [--sure 5.5] [--visible 12]
"""

import argparse
import dataclasses

import numpy as np

from inspection_tf.projection import (
    Assembly,
    Body,
    Cylinder,
    Exposure,
    Part,
    Pose,
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
    spec = refinement.RefinementSpec(open_value=SPEC.detector.open_value)
    rules = pose.DifferenceRules(min_significance=options.sure)
    settings = pose.Settings(refinement=spec, difference=rules)
    photons = SPEC.detector.photons
    for name, part in parts(nominal.part).items():
        setup = dataclasses.replace(nominal, part=part)
        is_ng, is_refused, told = [], [], []
        for index in range(options.images):
            drawn = draw(index, seed=6, spec=SPEC, nominal=setup)
            light = (drawn.image / spec.open_value).astype(np.float32)
            starts = likeliest(bank.best(light, spec.starts))
            found = measuring.Job(drawn.image, file, starts, settings).done()
            is_refused.append(isinstance(found, str) or bool(found.refused))
            is_ng.append(not is_refused[-1] and not isinstance(found, str) and bool(found.regions))
            as_is, as_should_be = (
                np.maximum(EXPOSURE.expected(one, drawn.pose, samples=13), 1e-6)
                for one in (setup, nominal)
            )
            off = (as_is - as_should_be) ** 2 * photons / as_should_be
            told.append(float(np.sqrt(off.sum())))
        seen = np.array(told) >= options.visible if name != "intact" else np.ones(len(told), bool)
        print(
            f"{name:>8}: NG {np.mean(is_ng):.1%} of {len(told)}, "
            f"{np.mean(np.array(is_ng)[seen]):.1%} of the {seen.sum()} that "
            f"{'are intact' if name == 'intact' else 'can be seen'}; "
            f"left to a person {np.mean(is_refused):.1%}, "
            f"{np.mean(np.array(is_refused)[seen]):.1%} of these"
        )


if __name__ == "__main__":
    main()
