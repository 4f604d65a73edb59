"""The labelled images that a bundle was made from, read or drawn again."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from inspection_tf import errors

if TYPE_CHECKING:
    from inspection_tf import bundle
    from inspection_tf.datasets.data_spec import DataSpec
    from inspection_tf.datasets.records import Record, Records


def _root(data: "bundle.Data") -> Path | None:
    """Return where a bundle's images lie; None where they are drawn.

    The same folder from every working folder; on another machine the path as it was given may lead
    to a copy.

    Raises:
        errors.DataError: they are at neither place.
    """
    given = data.source.get("root")
    if given is None:
        return None
    tried = [Path(path) for path in (data.absolute_root, given) if path is not None]
    for path in tried:
        if os.path.exists(path):  # noqa: PTH110  what may not be looked at is as good as absent
            return path
    places = " or ".join(dict.fromkeys(repr(os.path.abspath(path)) for path in tried))  # noqa: PTH100
    raise errors.DataError(
        f"The images that the bundle was made from must be there. Got nothing at {places}. "
        "Restore them, or name their folder: evaluate BUNDLE ROOT, or --data of other commands."
    )


def _read(manifest: "bundle.Manifest", root: Path | None) -> "tuple[Records, DataSpec]":
    from inspection_tf import config
    from inspection_tf.datasets import data_spec
    from inspection_tf.datasets.divisions import sealed

    data = manifest.provenance.data
    place = _root(data) if root is None else root
    spec = config.validate(data_spec.DataSpec, data.source, origin="the bundle's provenance")
    if place is not None and isinstance(spec, data_spec.StoredSpec):
        spec = spec.model_copy(update={"root": config.expanded(place)})
    found = data_spec.read(spec.model_copy(update={"sealed": 0.0}))
    if found.sha256() != data.sha256:
        raise errors.DataError(
            "The data must be what the bundle was made from. Got another hash for "
            f"{found.origin}. Restore it, or give the folder that holds it."
        )
    return sealed.seal(found, data.splits.get(sealed.NAME, ())), spec


def is_drawn(manifest: "bundle.Manifest") -> bool:
    """Return whether the images can be drawn again, and lie nowhere."""
    return manifest.provenance.data.source.get("root") is None


def by_id(manifest: "bundle.Manifest", root: Path | None = None) -> "dict[str, Record]":
    """Return the images of all splits by their ids, none sealed.

    Args:
        manifest: of the bundle.
        root: where the images lie now; None: where they lay.

    Raises:
        errors.DataError: the data is absent, or not what it was.
    """
    return {record.id: record for part in parts(manifest, root).values() for record in part}


def everything(manifest: "bundle.Manifest", root: Path | None = None) -> "Records":
    """Return all images, none composed and none sealed.

    Args:
        manifest: of the bundle.
        root: where they lie now; None: where they lay.

    Raises:
        errors.DataError: the data is absent, or not what it was.
    """
    from inspection_tf.datasets.divisions import sealed

    return sealed.without(_read(manifest, root)[0])


def unsealed(manifest: "bundle.Manifest", root: Path | None = None) -> "Records":
    """Return the sealed images, opened: for who measures a finished bundle on them, alone.

    Args:
        manifest: of the bundle.
        root: where they lie now; None: where they lay.

    Raises:
        errors.DataError: the data is absent, or not what it was.
    """
    from inspection_tf.datasets.divisions import sealed

    return sealed.opened(_read(manifest, root)[0])


def parts(manifest: "bundle.Manifest", root: Path | None = None) -> "dict[str, Records]":
    """Return the splits of a bundle's data, without what is sealed.

    Of a cross-validated one all is `train`.

    Args:
        manifest: of the bundle.
        root: where the images lie now; None: where they lay.

    Raises:
        errors.DataError: the data is absent, or not what it was.
    """
    from inspection_tf.datasets import data_spec
    from inspection_tf.datasets.divisions import sealed

    found, spec = _read(manifest, root)
    if spec.folds:
        every = data_spec.for_training(found, spec)
        splits = manifest.provenance.data.splits
        return {name: every.select(ids) for name, ids in splits.items() if name != sealed.NAME}
    return data_spec.split(found, spec, seed=manifest.provenance.seed)
