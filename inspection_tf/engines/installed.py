"""Which packages are installed, and the sentence where one is not."""

from inspection_tf import errors


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    import importlib.metadata  # rarely needed, and not for nothing

    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def missing(library: str, extra: str, what: str) -> errors.BundleError:
    """Return the error of what needs a library that is not installed.

    Args:
        library: its name.
        extra: of this package, which installs it.
        what: needs it; begins the sentence.
    """
    return errors.BundleError(
        f"{what} needs {library}. Got an environment without it. "
        f'Install it: pip install "inspection-tf[{extra}]".'
    )
