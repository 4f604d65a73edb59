"""What an inspector is given, taken from its owner before anything else runs."""

import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from inspection_tf import errors

if TYPE_CHECKING:
    from inspection_tf import images

First = TypeVar("First")
Second = TypeVar("Second")


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """An image, and its template if there is one, that nobody else changes.

    Attributes:
        image: as `images.snapshot` returns it.
        template: likewise; None where none was given.
        ms: that taking them took.
    """

    image: "images.Source"
    template: "images.Source | None"
    ms: float


def take(
    image: "images.Source",
    template: "images.Source | None" = None,
    *,
    orientation: "images.Orientation",
) -> Taken:
    """Take one image and its template.

    Raises:
        errors.ImageError: one of them is nothing that an image can be given by.
    """
    copied, ms = _snapshot(image, orientation)
    if template is None:
        return Taken(copied, None, ms)
    copied_template, template_ms = _snapshot(template, orientation)
    return Taken(copied, copied_template, ms + template_ms)


def each(
    sources: "Iterable[images.Source]",
    templates: "Iterable[images.Source] | None",
    *,
    orientation: "images.Orientation",
) -> Iterator[Taken]:
    """Take images one by one, each before the next one is asked for.

    Raises:
        errors.ImageError: at once: `sources` or `templates` is one image; later: one is nothing
            that an image can be given by, or there are not as many templates as images.
    """

    def snapshots(owned: "Iterable[images.Source]") -> "Iterator[tuple[images.Source, float]]":
        return (_snapshot(source, orientation) for source in owned)

    _require_several(sources, "images", "Put it into a list, or call inspect for one image.")
    if templates is None:
        return (Taken(image, None, ms) for image, ms in snapshots(sources))
    _require_several(templates, "templates", "Give one for each image, in their order.")
    return (
        Taken(image, template, image_ms + template_ms)
        for (image, image_ms), (template, template_ms) in _pairs(
            snapshots(sources), snapshots(templates)
        )
    )


def named(
    sources: "Iterable[images.Source] | Mapping[str, images.Source]",
    templates: "Iterable[images.Source] | None",
) -> "Iterator[tuple[str, images.Source, images.Source | None]]":
    """Go through the images of a part with their names and templates, one by one.

    Args:
        sources: names to images; or images, whose names are their paths, else their numbers from 1.
        templates: one for each, in their order.

    Raises:
        errors.ImageError: at once: `sources` or `templates` is one image; later: there are not as
            many templates as images.
        errors.ConfigError: later: two images have one name.
    """
    if templates is not None:
        _require_several(templates, "templates", "Give one for each image, in their order.")
    if isinstance(sources, Mapping):
        return _named(((str(name), image) for name, image in sources.items()), templates)
    _require_several(sources, "images of a part", "Put it into a list.")
    return _named(
        (
            (str(image) if isinstance(image, str | PathLike) else str(number), image)
            for number, image in enumerate(sources, 1)
        ),
        templates,
    )


def _named(
    images_of_part: "Iterable[tuple[str, images.Source]]",
    templates: "Iterable[images.Source] | None",
) -> "Iterator[tuple[str, images.Source, images.Source | None]]":
    names: set[str] = set()
    alone = ((image, None) for image in images_of_part)
    pairs = alone if templates is None else _pairs(images_of_part, templates)
    for (name, image), template in pairs:
        if name in names:
            raise errors.ConfigError(
                f"Each image of a part must have a name of its own. Got {name!r} twice. "
                "Leave one out, or give names to images."
            )
        names.add(name)
        yield name, image, template


def _pairs(first: Iterable[First], second: Iterable[Second]) -> Iterator[tuple[First, Second]]:
    missing: Any = object()
    for image, template in itertools.zip_longest(first, second, fillvalue=missing):
        if image is missing or template is missing:
            raise errors.ImageError(
                "Each image must have its template. Got more "
                f"{'templates' if image is missing else 'images'} of the two. Give as many."
            )
        yield image, template


def _snapshot(
    source: "images.Source", orientation: "images.Orientation"
) -> "tuple[images.Source, float]":
    """Return an image that its owner no longer changes, and the ms that copying it took."""
    from inspection_tf import images

    started = time.perf_counter()
    return images.snapshot(source, orientation=orientation), 1e3 * (time.perf_counter() - started)


def _require_several(sources: Any, what: str, way_out: str) -> None:
    """Refuse one image where several are asked for: a path would be read letter by letter."""
    if isinstance(sources, str | PathLike):
        got = f"one path, {str(sources)!r}"
    elif isinstance(sources, bytes | bytearray | memoryview):
        got = "the bytes of one file"
    elif isinstance(sources, np.ndarray) and _is_one(sources):
        got = f"one array of shape {sources.shape}"
    elif callable(getattr(sources, "read", None)):
        got = "one open file"
    elif isinstance(sources, Mapping):
        got, way_out = f"a {type(sources).__name__}", "Give its values."
    elif sources is None or not _is_iterable(sources):
        got = "None" if sources is None else f"one {type(sources).__name__}"
    else:
        return
    raise errors.ImageError(
        f"The {what} must be a list, or something else that gives one after the other. Got {got}. "
        f"{way_out}"
    )


def _is_one(array: "np.ndarray[Any, Any]") -> bool:
    """Whether an array is one image: (H, W), or (H, W, channels); else a stack, or of paths."""
    if array.ndim < 2:
        return array.ndim == 0 or array.dtype.kind not in "OSU"
    return array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= 4)


def _is_iterable(sources: Any) -> bool:
    try:
        iter(sources)
    except TypeError:
        return False
    return True
