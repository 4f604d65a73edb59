"""What a reader says of its format: the layout of its folders, and what kind of label they hold.

A reader that finds nothing it can read raises `OtherLayout`. Whoever knows all formats, `formats`,
looks at the folder then and says in the refusal what it is instead.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from inspection_tf import errors
from inspection_tf.datasets import image_record
from inspection_tf.datasets.sections.base import StoredSpec

LabelKind = image_record.LabelKind
MASKS, CORNERS = image_record.MASKS, image_record.CORNERS
_DEPTH = 3
_MOST_ENTRIES = 5000


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    """Names of what lies under a folder, a few levels deep.

    Attributes:
        root: the folder.
        folders: its path and those of the folders in it.
        files: paths.
    """

    root: Path
    folders: tuple[Path, ...]
    files: tuple[Path, ...]

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Return the files with one of these suffixes, in lower case and with the dot."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def named(self, *names: str) -> list[Path]:
        """Return the folders in which there is one of each of these names."""
        found = {path.parent: set[str]() for path in self.folders}
        for path in self.folders:
            found[path.parent].add(path.name.lower())
        return sorted(parent for parent, inside in found.items() if set(names) <= inside)


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """What a folder looks like.

    Attributes:
        name: as a sentence goes on after "Got".
        way_out: what to do, a sentence or two.
    """

    name: str
    way_out: str


@dataclasses.dataclass(frozen=True, slots=True)
class Format:
    """A format of data sets that is read.

    Attributes:
        section: of a recipe's configuration; it has the format's name and reads a folder.
        labels: what the format says of an image.
        roots: from the names under a folder to the folders in it, or itself, that look like a data
            set of this format; none where names do not tell.
    """

    section: type[StoredSpec]
    labels: LabelKind
    roots: Callable[[Tree], Iterable[Path]] = lambda tree: ()

    @property
    def name(self) -> str:
        """Of `data.format` and `--format`."""
        (name,) = self.section.members()
        return name


class OtherLayout(errors.DataError):
    """A folder, or an image in it, is not what its reader needs.

    Attributes:
        root: the folder.
        start: of the sentence for a folder whose layout is recognised, up to its name.
        annotations_only: the folder has the right layout, and only annotations of another tool
            would explain what is missing.
    """

    def __init__(
        self, message: str, *, root: Path, start: str, annotations_only: bool = False
    ) -> None:
        """Keep what a better sentence needs; `message` is the one for an unknown layout."""
        super().__init__(message)
        self.root = root
        self.start = start
        self.annotations_only = annotations_only


def refuse(root: Path, *, needs: str, got: str, way_out: str) -> OtherLayout:
    """Return the error that a folder is not what a reader needs.

    Args:
        root: the folder, or a file that was given instead.
        needs: the requirement, as a sentence goes on after the folder.
        got: what there is instead, where the layout is not known.
        way_out: what to do then.
    """
    start = f"{root} {needs}. Got"
    return OtherLayout(f"{start} {got}. {way_out}", root=root, start=start)


def refuse_image(path: Path, root: Path, *, needs: str, got: str, way_out: str) -> OtherLayout:
    """Return the error that an image lacks what its reader needs; as `refuse`.

    Args:
        path: the image.
        root: the folder of the data set.
        needs: the requirement.
        got: what is missing.
        way_out: what to do, unless annotations of another kind lie there.
    """
    start = f"{path}: {needs}. Got {got}"
    return OtherLayout(
        f"{start}. {way_out}", root=root, start=f"{start}, but", annotations_only=True
    )


def look(root: Path) -> Tree:
    """Return what lies under a folder; of a file, the file alone."""
    if os.path.isfile(root):  # noqa: PTH113  a name that is too long is no file, and no error
        return Tree(root.parent, (), (root,))
    folders: list[Path] = [root]
    files: list[Path] = []
    for folder, names, inside in os.walk(root):
        here = Path(folder)
        names[:] = sorted(name for name in names if not name.startswith("."))
        if len(here.relative_to(root).parts) >= _DEPTH or len(files) > _MOST_ENTRIES:
            names[:] = []
        folders += [here / name for name in names]
        files += [here / name for name in sorted(inside) if not name.startswith(".")]
    return Tree(root, tuple(folders), tuple(files))
