"""Reader of X-rays whose label is the pose of a part, listed in a CSV file.

`file,phi,theta,psi,x,y,z`: degrees and mm, as `projection.poses` has them; files are relative to
the CSV. A column `group` names what must stay together in a split, such as images of one part; a
column `defective` says with 1 that something is wrong with the part, with 0 or nothing that it is
as it should be.
"""

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import errors, images
from inspection_tf.datasets import file_hashes, tables
from inspection_tf.datasets.image_record import POSE
from inspection_tf.datasets.readers import layouts, listing
from inspection_tf.datasets.records import Record, Records
from inspection_tf.datasets.sections.base import StoredSpec
from inspection_tf.projection.poses import Pose
from inspection_tf.synthesis.xrays.folder import COLUMNS, DEFECTIVE, TABLE

CLASSES = ("deviation",)
"""What can be wrong: the part is not as its model, or does not lie as it should."""
_FILE, *_NUMBERS = COLUMNS
_FLAGS = {"": False, "0": False, "1": True}
_MOST_DEG = 360.0  # an angle beyond a turn is in another unit, or a slip
_MOST_MM = 1e5
_UPRIGHT_DEG, _HALF_TURN_DEG = 90.0, 180.0  # largest theta and psi, as a pose is told


@dataclasses.dataclass(frozen=True, slots=True)
class PoseSource:
    """An X-ray and how its part lies.

    Attributes:
        image_path: the file.
        pose: of the part.
        symmetry: how often it looks alike in a turn about its vertical axis.
    """

    image_path: Path
    pose: Pose
    symmetry: int = 1

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Return the decoded image.

        Raises:
            errors.ImageError: the file cannot be read.
        """
        return images.read(self.image_path, orientation=orientation)

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return (H, W), nowhere True: the label is a pose."""
        return np.zeros(images.read_size(self.image_path, orientation=orientation), np.bool_)

    def read_pose(self) -> Pose:
        """Return how the part lies."""
        return self.pose

    def identity(self) -> bytes:
        """Return the SHA-256 of the image's bytes and its pose.

        Raises:
            errors.ImageError: the file is absent.
        """
        label = repr((*dataclasses.astuple(self.pose), self.symmetry)).encode()
        return hashlib.sha256(file_hashes.sha256(self.image_path) + label).digest()


def read_poses(root: str | Path, *, symmetry: int = 1) -> Records:
    """Read the X-rays of a table of poses.

    Args:
        root: the CSV, or the folder that holds it as `poses.csv`.
        symmetry: how often the part looks alike in a turn about its vertical axis.

    Raises:
        errors.DataError: a column, a file or a number is missing, or a number cannot be right; with
            file and line.
    """
    path = Path(root)
    if path.suffix.lower() != ".csv":
        path = listing.require_folder(path) / TABLE
    if not path.is_file():
        raise layouts.refuse(
            path.parent,
            needs=f"must hold {path.name}",
            got="no such file",
            way_out=f"Write it, with the columns {','.join(COLUMNS)}, or name another folder.",
        )
    return Records.of(_read(path, symmetry), origin=str(path), classes=CLASSES)


def _read(path: Path, symmetry: int) -> list[Record]:
    table = tables.read(path, needs=",".join(COLUMNS))
    missing = [name for name in COLUMNS if name not in table.header]
    if missing:
        raise errors.DataError(
            f"{path} must have the columns {','.join(COLUMNS)}. Got none called {missing[0]}. "
            "Correct its header."
        )
    found, listed = [], []
    for row in table.rows:
        image = tables.find_file(path.parent, row.cells[_FILE])
        if image is None:
            raise errors.DataError(
                f"{row.where}: each listed image must exist. "
                f"Got {tables.shown(row.cells[_FILE])}, which is absent. "
                "Add the file or remove the row."
            )
        name = tables.within(row, _FILE, image, path.parent)
        listed.append((row, name.as_posix()))
        is_defect = _flag(row.where, row.cells.get(DEFECTIVE, ""))
        source = PoseSource(image, _pose(row.where, row.cells), symmetry)
        group = row.cells.get("group", "")
        found.append(Record(name.with_suffix("").as_posix(), is_defect, source, group=group))
    tables.require_listed_once(listed)
    return found


def _pose(where: str, cells: Mapping[str, str]) -> Pose:
    """Return the pose of a row.

    Raises:
        errors.DataError: a number is none, or cannot be right.
    """
    values = {}
    for name in _NUMBERS:
        is_angle = name in ("phi", "theta", "psi")
        unit, most = ("degrees", _MOST_DEG) if is_angle else ("mm", _MOST_MM)
        try:
            value = float(cells[name].replace("_", "no digit"))
        except ValueError:
            value = math.nan
        if not abs(value) <= most:
            raise errors.DataError(
                f"{where}: {name} must be a number of {unit}, -{most:g} to {most:g}. "
                f"Got {tables.shown(cells[name])}. Correct it or remove the row."
            )
        values[name] = value
    pose = Pose(**{**values, "phi": values["phi"] % 360 % 360})
    if abs(pose.theta) <= _UPRIGHT_DEG and abs(pose.psi) <= _HALF_TURN_DEG:
        return pose
    return Pose.of(pose.rotation, pose.position)  # the same, as this package tells it


def _flag(where: str, text: str) -> bool:
    if text not in _FLAGS:
        raise errors.DataError(
            f"{where}: {DEFECTIVE} must be 1 or 0. Got {tables.shown(text)}. Correct it."
        )
    return _FLAGS[text]


class PosesSpec(StoredSpec):
    """X-rays in a table of poses, and how they are split."""

    format: Literal["poses"] = "poses"
    """A folder with poses.csv."""
    symmetry: int = pydantic.Field(default=1, ge=1)
    """How often the part looks alike in a turn about its vertical axis."""

    def read_from(self, root: Path) -> Records:
        """Read the records of a folder."""
        return read_poses(root, symmetry=self.symmetry)


def _roots(tree: layouts.Tree) -> Iterable[Path]:
    return {path.parent for path in tree.files if path.name == TABLE}


FORMAT = layouts.Format(PosesSpec, POSE, _roots)
