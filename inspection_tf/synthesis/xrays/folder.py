"""A set of drawn X-rays on disk: images, a table of poses, and the part before its scanner."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

from inspection_tf import config, files, images
from inspection_tf.projection import Pose, setup_files
from inspection_tf.synthesis.xrays import flaws, sample
from inspection_tf.synthesis.xrays.spec import XraySpec

_LOG = logging.getLogger("inspection_tf")
TABLE = "poses.csv"
SETTINGS = "settings.yaml"
COLUMNS = ("file", *(field.name for field in dataclasses.fields(Pose)))
DEFECTIVE = "defective"
"""Column that some tables have: 1 where something is wrong with the part, else 0."""


def write_folder(
    out: str | Path,
    *,
    count: int,
    spec: XraySpec,
    seed: int,
    flawed_share: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write a set as `NNNN.png`, `poses.csv`, `part.npz` and `settings.yaml`.

    `poses.csv` has a row for each image: its name, phi, theta and psi in degrees, x, y and z in mm;
    see `projection.poses` for what they mean; where a share is defective, also which. `part.npz` is
    what `projection.setup_files` reads.
    The folder appears complete or not at all.

    Args:
        out: the folder; it must not exist yet, or be empty.
        count: number of images.
        spec: what to draw from.
        seed: of the set; image `i` is drawn from (seed, i).
        flawed_share: of images with something wrong with the part, 0 to 1: see `flaws`.
        progress: called with the number of images written so far.

    Returns:
        The folder.

    Raises:
        errors.ConfigError: `count` is below 1, the share is none, or the folder holds something
            already.
        errors.DataError: see `XraySpec.nominal`.
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    out = Path(out)
    flaws.require_set(count, flawed_share)
    has_flaws = flawed_share > 0
    nominal = spec.nominal()
    _LOG.info("%s", nominal.described())
    with files.new_folder(out) as partial:
        lines = [files.csv_line((*COLUMNS, *[DEFECTIVE] * has_flaws))]
        for index in range(count):
            is_flawed = flaws.is_flawed(index, flawed_share)
            found = sample.draw(index, seed=seed, spec=spec, nominal=nominal, is_flawed=is_flawed)
            name = f"{index:04d}.png"
            images.write_png(partial / name, found.image)
            cells = (f"{value:.9f}" for value in dataclasses.astuple(found.pose))
            lines.append(files.csv_line((name, *cells, *[str(int(is_flawed))] * has_flaws)))
            if progress is not None:
                progress(index + 1)
        files.write(partial / TABLE, "".join(lines))
        setup_files.write(nominal, partial / setup_files.NAME)
        body = "".join(f"  {line}\n" for line in config.to_yaml(spec).splitlines())
        files.write(partial / SETTINGS, f"seed: {seed}\ncount: {count}\nspec:\n{body}")
    return out
