"""The packages of the environment that the process runs in."""


def installed_versions(*packages: str) -> dict[str, str]:
    """Return the versions of those packages, by their names on PyPI, that are installed."""
    import importlib.metadata

    versions: dict[str, str] = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
