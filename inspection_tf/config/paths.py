"""Paths as people write them: `~` is the home folder."""

from pathlib import Path


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder in place of a leading `~` or `~NAME`.

    A folder that is really called so is given by its whole path. Where nobody is called NAME the
    path stays as it is, and whoever opens it says that it is absent.
    """
    path = Path(path)
    if not str(path).startswith("~"):
        return path
    try:
        return path.expanduser()
    except RuntimeError:
        return path
