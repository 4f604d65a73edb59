"""`inspection markers`: painted corners -> a data set."""

from pathlib import Path

from inspection_tf import errors, process
from inspection_tf.cli.arguments import Folder, Switch


def markers(root: Folder, /, *, out: Path, unmarked: Switch = False) -> int:
    """Turn images with painted corners into a data set: clean images and corners.csv.

    Args:
        root: folder of the painted images, which are left as they are.
        out: new folder.
        unmarked: keep images without paint, as photos that do not show the field.
    """
    from inspection_tf.datasets.readers.located import markers as painted

    with process.bar("cleaning") as progress:
        done = painted.convert(root, out, unmarked=unmarked, progress=progress)
    process.say(str(done))
    return errors.OK
