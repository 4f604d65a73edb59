"""What the values of a data set's masks mean, where they are not the usual ones.

The usual ones: 0 and 255, or 0 and 1, in a data set of one class; ids of classes where it names
several. `data.mask_values` says it of any others: gray values, entries of a palette or colours.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from inspection_tf import errors
from inspection_tf.datasets import mask_meaning
from inspection_tf.datasets.records import CLASSES, IGNORED, FileSource, Record, Records

BACKGROUND, IGNORE, DEFECT = "background", "ignore", "defect"
"""What a value can mean besides the name or the id of a class; `defect` where there is one."""

parse = mask_meaning.parse


def with_meaning(found: Records, values: Mapping[str, str], ignored: Sequence[str] = ()) -> Records:
    """Return records whose masks are read by what their values mean.

    Args:
        found: of a reader.
        values: from a value (see `parse`) to `background`, `ignore`, or the name or the id of a
            class; in a data set of one class also `defect`. Where the data set does not name its
            classes, the names given here are its classes, in this order.
        ignored: further values that are to be ignored.

    Raises:
        errors.ConfigError: a name is no class of the data set, or its masks are no files.
    """
    if not values and not ignored:
        return found
    classes = _classes(found, values)
    strange = next((r for r in found if not isinstance(r.source, FileSource)), None)
    if strange is not None:
        raise errors.ConfigError(
            f"data.mask_values and data.mask_ignore are about masks in image files. Got "
            f"{found.origin}, whose masks are made. Leave them out."
        )
    pairs = [(mask_meaning.parse(key), _id(word, classes, found)) for key, word in values.items()]
    meaning = mask_meaning.Meaning(
        values=tuple((value, number) for value, number in pairs if number != IGNORED),
        ignored=(
            *(value for value, number in pairs if number == IGNORED),
            *(mask_meaning.parse(key) for key in ignored),
        ),
    )
    if meaning.ignored and len(classes) >= IGNORED:
        raise errors.ConfigError(
            f"A data set with ignored pixels may have at most {IGNORED - 1} classes. Got "
            f"{len(classes)}. Leave out data.mask_ignore."
        )
    return Records.of(_meant(found, meaning, classes), origin=found.origin, classes=classes)


def _meant(
    found: Records, meaning: mask_meaning.Meaning, classes: tuple[str, ...]
) -> Iterator[Record]:
    for record in found:
        source = record.source
        if isinstance(source, FileSource):
            # Classes that are named here are told apart in the masks, not by folders.
            count = len(classes) if classes != found.classes else source.class_count
            count = count if len(classes) > 1 else 0
            source = dataclasses.replace(source, meaning=meaning, class_count=count)
        yield dataclasses.replace(record, source=source)


def _classes(found: Records, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the classes of the set: its own, or those that are named where it names none."""
    if found.classes != CLASSES:
        return found.classes
    words = dict.fromkeys(word for word in values.values() if not word.isdecimal())
    named = tuple(word for word in words if word not in (BACKGROUND, IGNORE))
    return named or found.classes


def _id(word: str, classes: tuple[str, ...], found: Records) -> int:
    if word in classes:
        return 1 + classes.index(word)
    if word == BACKGROUND or word == "0":
        return 0
    if word == IGNORE:
        return IGNORED
    # Where folders tell classes apart, masks only say where the defect is.
    if word == DEFECT and not any(getattr(r.source, "class_count", 0) for r in found):
        return 1
    if word.isdecimal() and 1 <= int(word) <= len(classes):
        return int(word)
    raise errors.ConfigError(
        f"data.mask_values must give each value one of {BACKGROUND}, {IGNORE}, "
        f"{', '.join(classes)}, or an id of 1 to {len(classes)}. Got {word!r}. Correct it, or name "
        "the class in classes.txt."
    )
