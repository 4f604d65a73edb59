"""The formats of data sets that are read: the only list of them.

Help texts, checks and sentences of errors read it. To add one: a file with its section, its reader
and its `FORMAT`, and a line here.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from inspection_tf import errors
from inspection_tf.datasets.readers import (
    classes_folder,
    dagm,
    deeppcb,
    folder,
    layouts,
    magnetic_tile,
    recognition,
)
from inspection_tf.datasets.readers.located import corners, poses
from inspection_tf.datasets.readers.voc import reader as voc
from inspection_tf.datasets.records import Records

# In this order they are looked for in a folder that is refused: the most telling names first.
FORMATS: dict[str, layouts.Format] = {
    listed.name: listed
    for listed in (
        magnetic_tile.FORMAT,
        deeppcb.FORMAT,
        dagm.FORMAT,
        folder.FORMAT,
        corners.FORMAT,
        corners.SMARTDOC,
        poses.FORMAT,
        voc.FORMAT,
        classes_folder.FORMAT,
    )
}
_USUAL: dict[layouts.LabelKind, layouts.Format] = {
    "masks": folder.FORMAT,
    "classes": classes_folder.FORMAT,
    "corners": corners.FORMAT,
    "pose": poses.FORMAT,
}


def usual(labels: layouts.LabelKind) -> layouts.Format:
    """Return the format that a folder with labels of a kind has where nothing says which."""
    return _USUAL[labels]


@contextlib.contextmanager
def explained(reading: str) -> Iterator[None]:
    """Say in the refusal of a folder what it looks like.

    Args:
        reading: the name of the format that is read.

    Raises:
        errors.DataError: in place of `layouts.OtherLayout`.
    """
    try:
        yield
    except layouts.OtherLayout as problem:
        if problem.annotations_only:
            known = recognition.recognise_foreign(problem.root)
        else:
            known = recognition.recognise(problem.root, FORMATS, reading=reading)
        message = (
            str(problem) if known is None else f"{problem.start} {known.name}. {known.way_out}"
        )
        raise errors.DataError(message) from None


def _explaining(
    read: Callable[[str | Path], Records], listed: layouts.Format
) -> Callable[[str | Path], Records]:
    @functools.wraps(read)
    def read_or_explain(root: str | Path) -> Records:
        with explained(listed.name):
            return read(root)

    return read_or_explain


read_dagm = _explaining(dagm.read_dagm, dagm.FORMAT)
read_deeppcb = _explaining(deeppcb.read_deeppcb, deeppcb.FORMAT)
read_folder = _explaining(folder.read_folder, folder.FORMAT)
read_magnetic_tile = _explaining(magnetic_tile.read_magnetic_tile, magnetic_tile.FORMAT)
