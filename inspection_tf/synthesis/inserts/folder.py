"""A set of drawn inserts on disk: a folder a class, masks of the wear land, and its truth."""

from collections.abc import Callable
from pathlib import Path

from inspection_tf import config, errors, files, images
from inspection_tf.synthesis.inserts import sample
from inspection_tf.synthesis.inserts.spec import InsertSpec

CLASS_FOLDERS = ("unbroken", "broken")
MASK_FOLDER = "masks"
TABLE = "truth.csv"
SETTINGS = "settings.yaml"
_COLUMNS = ("file", "broken", "vb_mean_um", "vb_max_um", "chipping_um", "mm_per_px")


def write_folder(
    out: str | Path,
    *,
    count: int,
    broken_share: float,
    spec: InsertSpec,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write a set as `unbroken/ broken/ masks/NNNN.png`, `truth.csv` and `settings.yaml`.

    A mask has the stem of its image and is 255 on the wear land; unworn edges have one too, all 0.
    `truth.csv` has a row for each image: its path under the folder, whether it is broken (0 or 1),
    widths and depth in um, and the scale. The folder appears complete or not at all.

    Args:
        out: the folder; it must not exist yet, or be empty.
        count: number of images.
        broken_share: share of broken edges, 0..1.
        spec: what to draw from.
        seed: of the set; image `i` is drawn from (seed, i).
        progress: called with the number of images written so far.

    Returns:
        The folder.

    Raises:
        errors.ConfigError: `count` or `broken_share` is out of range, or the folder holds
            something already.
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    out = Path(out)
    if count < 1 or not 0 <= broken_share <= 1:
        raise errors.ConfigError(
            "count must be at least 1 and broken_share within 0..1. "
            f"Got {count} and {broken_share}. Correct them."
        )
    with files.new_folder(out) as partial:
        for name in (*CLASS_FOLDERS, MASK_FOLDER):
            (partial / name).mkdir()
        lines = [files.csv_line(_COLUMNS)]
        for index in range(count):
            found = sample.draw(index, seed=seed, spec=spec, broken_share=broken_share)
            lines.append(_write(partial, f"{index:04d}.png", found))
            if progress is not None:
                progress(index + 1)
        files.write(partial / TABLE, "".join(lines))
        head = f"seed: {seed}\ncount: {count}\nbroken_share: {broken_share}\nspec:\n"
        body = "".join(f"  {line}\n" for line in config.to_yaml(spec).splitlines())
        files.write(partial / SETTINGS, head + body)
    return out


def _write(folder: Path, name: str, found: sample.InsertSample) -> str:
    """Write one image with its mask, and return its line of the table."""
    file = f"{CLASS_FOLDERS[found.is_broken]}/{name}"
    images.write_png(folder / file, found.image)
    images.write_png(folder / MASK_FOLDER / name, found.wear_mask)
    lengths_um = (found.vb_mean_um, found.vb_max_um, found.chipping_um)
    cells = (f"{length:.3f}" for length in lengths_um)
    return files.csv_line((file, int(found.is_broken), *cells, found.mm_per_px))
