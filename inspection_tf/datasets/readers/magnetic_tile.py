"""Magnetic tiles as their data set ships them: a folder for each class, masks beside the images.

Data: Huang et al. 2018, "Surface defect saliency of magnetic tile".
"""

import logging
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from inspection_tf import errors, files
from inspection_tf.datasets.divisions import groups
from inspection_tf.datasets.readers import layouts, listing
from inspection_tf.datasets.records import FileSource, Record, Records
from inspection_tf.datasets.sections.masks import MaskFilesSpec

# All of them whichever folders are there, so that ids agree with those of a trained network.
CLASSES = ("Blowhole", "Break", "Crack", "Fray", "Uneven")
_GOOD = "Free"
_LOG = logging.getLogger("inspection_tf")


def read_magnetic_tile(root: str | Path) -> Records:
    """Read `MT_CLASS/NAME.jpg` with the mask `NAME.png`, also with a folder `Imgs` between.

    The set shows many tiles more than once, under other exposures. `groups.csv` beside the folders
    says which shots are of one tile: a header `file,group`, then `MT_CLASS/NAME.jpg` and a name.

    Args:
        root: the folder that holds `MT_Free` and folders of defects.

    Raises:
        errors.DataError: no image is found, a folder is of no known class, a defective image has
            no mask, a mask no image, or `groups.csv` does not name every image.
    """
    base = listing.require_folder(Path(root))
    found = [record for folder in _folders(base) for record in _in_folder(folder)]
    if not found:
        raise layouts.refuse(
            base,
            needs="must hold folders MT_Free, MT_Blowhole and so on with images",
            got="none",
            way_out="Point data.root at the folder that holds them.",
        )
    # Half of the set beside the table of all of it is a set too.
    found = groups.from_table(found, base, id_of=_id_of, of_a_part=True)
    if not found[0].group:
        _LOG.warning(
            "%s has no groups.csv: shots of one tile under other exposures may leak from train to "
            "test",
            base,
        )
    return Records.of(found, origin=str(base), classes=CLASSES)


def _id_of(path: PurePosixPath) -> str:
    return f"{''.join(path.parts[:1])}/{path.stem}"  # whatever folders lie between


def _folders(base: Path) -> list[Path]:
    folders = sorted(path for path in base.glob("MT_*") if path.is_dir())
    for folder in folders:
        if folder.name.removeprefix("MT_") not in (_GOOD, *CLASSES):
            raise errors.DataError(
                f"{folder}: a folder must be MT_ and one of {_GOOD}, {', '.join(CLASSES)}. "
                f"Got {folder.name}. Rename or move it."
            )
    return folders


def _in_folder(folder: Path) -> Iterable[Record]:
    name = folder.name.removeprefix("MT_")
    inner = folder / "Imgs" if (folder / "Imgs").is_dir() else folder
    listed = listing.images_in(inner)
    masks = {files.composed(path.stem): path for path in listed if path.suffix.lower() == ".png"}
    for path in listed:
        if path.suffix.lower() == ".png":
            continue
        mask = masks.pop(files.composed(path.stem), None)
        if mask is None and name != _GOOD:
            raise errors.DataError(
                f"{path}: a defective image must have a mask. Got no {path.stem}.png beside it. "
                "Add it, or remove the image."
            )
        yield Record(
            id=f"{folder.name}/{path.stem}",
            is_defect=name != _GOOD,
            source=FileSource(path, mask),
            class_id=1 if name == _GOOD else 1 + CLASSES.index(name),
        )
    listing.refuse_orphans(masks.values(), of=str(inner))


class MagneticTileSpec(MaskFilesSpec):
    """Images of magnetic tiles, and how they are split."""

    format: Literal["magnetic_tile"] = "magnetic_tile"
    """Folders MT_Free, MT_Blowhole and so on."""

    def read_from(self, root: Path) -> Records:
        """Read the records of a folder."""
        return read_magnetic_tile(root)


def _roots(tree: layouts.Tree) -> Iterable[Path]:
    return {path.parent for path in tree.folders if path.name.startswith("MT_")}


FORMAT = layouts.Format(MagneticTileSpec, layouts.MASKS, _roots)
