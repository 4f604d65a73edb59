"""A folder for each class: what an image shows says the name of its folder, and nothing else.

`ROOT/CLASS/NAME.png`, also with folders below that of the class. One of the folders holds the good
images; the names of the others, sorted, are the classes. Optionally `groups.csv`, see `groups`.
"""

import dataclasses
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import errors, files, images
from inspection_tf.datasets import file_hashes, image_files
from inspection_tf.datasets.divisions import groups
from inspection_tf.datasets.readers import layouts, listing
from inspection_tf.datasets.readers.voc import annotations, boxes
from inspection_tf.datasets.records import FileSource, LabelKind, Record, Records
from inspection_tf.datasets.sections.base import StoredSpec

_LOG = logging.getLogger("inspection_tf")
GOOD_NAMES = ("ok", "good", "intact", "unbroken", "normal", "free")
"""What a folder of good images is called where nobody says it, in whatever case."""
LEFT_OUT = ("masks",)
_OK = "ok"
EvidenceFiles = Literal["none", "voc", "masks"]
_MASK_SUFFIX = ".png"
_COMPANIONS = frozenset({annotations.SUFFIX, ".csv", ".db", ".ini", ".json", ".md", ".txt"})


@dataclasses.dataclass(frozen=True, slots=True)
class ClassSource:
    """An image whose label is its class alone.

    Attributes:
        image_path: the file.
        evidence: boxes around what shows the class, on the image with its orientation applied.
        mask_path: of a mask of what shows the class, in place of boxes; None where there is none.
    """

    image_path: Path
    evidence: tuple[boxes.NamedBox, ...] = ()
    mask_path: Path | None = None

    @property
    def label_kind(self) -> LabelKind:
        """Classes: nothing is known of single pixels."""
        return "classes"

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Return the decoded image.

        Raises:
            errors.ImageError: the file cannot be read.
        """
        return images.read(self.image_path, orientation=orientation)

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return (height, width), nowhere True.

        Raises:
            errors.ImageError: the file cannot be read.
        """
        return np.zeros(images.read_size(self.image_path, orientation=orientation), np.bool_)

    @property
    def has_evidence(self) -> bool:
        """Whether boxes or a mask say where its class is seen."""
        return bool(self.evidence) or self.mask_path is not None

    def read_evidence(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.float64] | NDArray[np.bool_] | None:
        """Return (boxes, 4) px or (height, width) bool of the image as it is read.

        None where nothing is annotated.

        Raises:
            errors.ImageError: a file cannot be read, or the mask has another size.
        """
        if self.mask_path is not None:
            source = FileSource(self.image_path, self.mask_path)
            mask = np.asarray(source.read_mask(orientation=orientation), np.bool_)
            return mask if mask.any() else None
        if not self.evidence:
            return None
        return boxes.as_read(self.evidence, self.image_path, orientation)

    def identity(self) -> bytes:
        """Return the SHA-256 of the image's bytes and of its boxes or mask.

        Raises:
            errors.ImageError: a file is absent.
        """
        label = repr(tuple(box.xyxy for box in self.evidence)).encode()
        if self.mask_path is not None:
            label = file_hashes.sha256(self.mask_path)
        return hashlib.sha256(file_hashes.sha256(self.image_path) + label).digest()


@dataclasses.dataclass(frozen=True, slots=True)
class FolderNames:
    """What the folders of a data set are.

    Attributes:
        good: the folder of good images; None: the one that is called as such folders are, see
            `GOOD_NAMES`; "": none, each image is of a class of what can be wrong.
        classes: from a folder to the class that it holds, where its name is another.
        left_out: folders that hold no class.
    """

    good: str | None = None
    classes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    left_out: Sequence[str] = LEFT_OUT


def read_classes_folder(
    root: str | Path,
    *,
    names: FolderNames | None = None,
    suffixes: Sequence[str] = (),
    evidence: EvidenceFiles = "none",
) -> Records:
    """Read `CLASS/NAME.png`.

    Args:
        root: the folder that holds a folder for each class.
        names: what the folders are.
        suffixes: of the files that are images, such as `.jpg`, where others beside them, of equal
            names, are masks; empty: all that images have.
        evidence: what says where the class is seen: nothing; an XML file of Pascal VOC beside an
            image, with boxes; or a mask beside it, `NAME.png`, dark where nothing is seen.

    Raises:
        errors.DataError: there are no such folders, it is not clear which holds the good images,
            a folder holds no image or something else, two files have one stem, or `groups.csv`
            does not name the images that there are; or images are called as masks are.
    """
    base, names = listing.require_folder(Path(root)), names or FolderNames()
    if evidence == "masks":
        suffixes = _beside_masks(suffixes)
    found = _by_folder(base, names.left_out, suffixes)
    if evidence == "masks":
        _refuse_lone_masks(base, names.left_out, found)
    good = _good_folder(base, tuple(found), names)
    class_of = _class_of([name for name in found if name != good], base, names)
    classes = tuple(sorted(set(class_of.values())))
    if not classes:
        raise errors.DataError(
            f"{base} must hold a folder for each class, and for the good images. Got {good} alone, "
            "the good ones. Add the folder of another class."
        )
    _warn_of_absent(base, names.left_out)
    items = [
        Record(
            path.relative_to(base).with_suffix("").as_posix(),
            folder != good,
            _source(path, evidence),
            class_id=1 if folder == good else 1 + classes.index(class_of[folder]),
        )
        for folder, paths in found.items()
        for path in paths
    ]
    if evidence != "none" and not any(record.has_evidence for record in items):
        what = "box in an XML file" if evidence == "voc" else f"mask NAME{_MASK_SUFFIX}"
        _LOG.warning(
            "%s: data.evidence is %s, but no image has a %s beside it", base, evidence, what
        )
    # The table may be about folders that are left out, too.
    items = groups.from_table(items, base, of_a_part=True)
    return Records.of(items, origin=str(base), classes=classes)


def _by_folder(
    base: Path, left_out: Sequence[str], suffixes: Sequence[str]
) -> dict[str, list[Path]]:
    """Return the images of each folder, by its name.

    Raises:
        errors.DataError: there is no folder with images, or one without, or a file that should not
            be there.
    """
    found: dict[str, list[Path]] = {}
    for folder in _folders(base, left_out):
        name = files.composed(folder.name)
        if name in found:
            raise errors.DataError(
                f"{folder}: the folder of a class must have a name of its own. Got two that are "
                "written alike, in other bytes. Move the images of one into the other."
            )
        found[name] = _images_of(folder, suffixes)
    if suffixes and found and not any(found.values()):
        raise errors.DataError(
            f"The folders in {base} must hold images that end with {' or '.join(suffixes)}. "
            "Got none. Correct data.suffixes; where data.evidence is masks, no .png is an image."
        )
    if not any(found.values()):
        raise layouts.refuse(
            base,
            needs="must hold a folder for each class, with its images",
            got="none",
            way_out="Put the good ones into ok/, and the others into folders named as their class.",
        )
    _refuse_loose(base)
    empty = next((name for name, paths in found.items() if not paths), None)
    if empty is not None:
        raise errors.DataError(
            f"{base / empty}: the folder of a class must hold an image. Got none"
            f"{' with ' + ' or '.join(suffixes) if suffixes else ''}. Add some, remove the folder, "
            "or name it in data.leave_out."
        )
    return found


def _folders(base: Path, left_out: Sequence[str]) -> list[Path]:
    without = {files.composed(name) for name in left_out}
    return sorted(
        path
        for path in base.iterdir()
        if path.is_dir() and not image_files.is_hidden(path)
        if files.composed(path.name) not in without
    )


def _warn_of_absent(base: Path, left_out: Sequence[str]) -> None:
    """Say which folders are not there that are to be left out; other images may have them."""
    there = {files.composed(path.name) for path in base.iterdir() if path.is_dir()}
    asked = set() if tuple(left_out) == LEFT_OUT else {files.composed(name) for name in left_out}
    if absent := sorted(asked - there):
        _LOG.warning("data.leave_out names folders that %s lacks: %s", base, ", ".join(absent))


def _refuse_loose(base: Path) -> None:
    loose = listing.images_in(base)
    if loose:
        raise errors.DataError(
            f"{loose[0]}: each image must lie in the folder of its class. Got {len(loose)} beside "
            "the folders. Move them into one, or out of the data set."
        )


def _dotted(suffixes: Sequence[str]) -> set[str]:
    """Return suffixes as paths have them: `.jpg` of jpg and .JPG."""
    return {f".{suffix.lower().removeprefix('.')}" for suffix in suffixes}


def _images_of(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the images in the folder of a class, at any depth, by path.

    Raises:
        errors.DataError: there is something else in it, or two files have one stem.
    """
    wanted = _dotted(suffixes)
    return [path for place in listing.folders_from(folder) for path in _images_in(place, wanted)]


def _images_in(place: Path, wanted: set[str]) -> Iterator[Path]:
    _refuse_strangers(place)
    stems: dict[str, Path] = {}
    for path in listing.images_in(place):
        if wanted and path.suffix.lower() not in wanted:
            continue
        stem = files.composed(path.stem)
        if stem in stems:
            raise errors.DataError(
                f"{path}: an image must have a name of its own, whatever its suffix. Got "
                f"{stems[stem].name} beside it{listing.same_letters(path.stem, stems[stem].stem)}. "
                "Rename one; or, if one is the mask of the other, say in data.suffixes which "
                "suffix images have."
            )
        stems[stem] = path
        yield path


def _refuse_strangers(place: Path) -> None:
    """Refuse what is neither an image nor what tools leave beside images."""
    known = images.IMAGE_SUFFIXES | image_files.OTHER_SUFFIXES | _COMPANIONS  # others are logged
    for path in sorted(place.iterdir()):
        if path.suffix.lower() in known or image_files.is_hidden(path) or path.is_dir():
            continue
        raise errors.DataError(
            f"{path}: the folder of a class must hold images, and annotations beside them. Got a "
            f"file that is neither. Move it out of the data set."
        )


def _good_folder(base: Path, found: Sequence[str], names: FolderNames) -> str:
    """Return the name of the folder of good images; "" where there is none.

    Raises:
        errors.DataError: it is absent, or not clear.
    """
    listed = ", ".join(found)
    if names.good is not None:
        good = files.composed(names.good)
        if good and good not in found:
            raise errors.DataError(
                f"data.ok_class must name the folder of good images in {base}. Got {good!r}; the "
                f'folders are {listed}. Correct it, or set it to "" where no image is good.'
            )
        return good
    likely = [name for name in found if name.casefold() in GOOD_NAMES]
    if len(likely) != 1:
        what = f"several, {', '.join(likely)}," if likely else "none"
        raise errors.DataError(
            f"{base} must hold one folder of good images, called {', '.join(GOOD_NAMES[:-1])} or "
            f"{GOOD_NAMES[-1]}. Got {what} among the folders {listed}. Name it: data.ok_class "
            '(evaluate: --ok-class); "" if no image is good.'
        )
    return likely[0]


def _class_of(folders: Sequence[str], base: Path, names: FolderNames) -> dict[str, str]:
    """Return the class that each folder holds.

    Raises:
        errors.DataError: one has the name that good images have everywhere.
    """
    renamed = {files.composed(old): files.composed(new) for old, new in names.classes.items()}
    absent = sorted(set(renamed) - set(folders))
    if absent:  # other images may lack a class
        _LOG.warning("data.class_names is about folders that hold no class: %s", ", ".join(absent))
    found = {name: renamed.get(name, name) for name in folders}
    wrong = next((name for name, called in found.items() if called.casefold() == _OK), None)
    if wrong is not None:
        raise errors.DataError(
            f"{base / wrong}: a class of what is wrong must not be called OK, as good images are. "
            "Got that name. Name the folder in data.ok_class, or its class in data.class_names."
        )
    return found


def _beside_masks(suffixes: Sequence[str]) -> Sequence[str]:
    """Return the suffixes of images where masks are beside them.

    Raises:
        errors.DataError: images are called as masks are.
    """
    if _MASK_SUFFIX in _dotted(suffixes):
        raise errors.DataError(
            f"Where data.evidence is masks, images must have another suffix than {_MASK_SUFFIX}, "
            f"that of their masks. Got {', '.join(suffixes)}. Correct data.suffixes."
        )
    return suffixes or sorted(images.IMAGE_SUFFIXES - {_MASK_SUFFIX})


def _refuse_lone_masks(
    base: Path, left_out: Sequence[str], found: Mapping[str, Sequence[Path]]
) -> None:
    """Refuse what may be a mask that has lost its image, or an image that is called as a mask."""
    known = {_stem(path) for paths in found.values() for path in paths}
    for folder in _folders(base, left_out):
        for path in (
            path for place in listing.folders_from(folder) for path in listing.images_in(place)
        ):
            if path.suffix.lower() == _MASK_SUFFIX and _stem(path) not in known:
                raise errors.DataError(
                    f"{path}: where data.evidence is masks, a file {_MASK_SUFFIX} must be the mask "
                    "of an image of its name. Got none of another suffix beside it. Add the image "
                    "or remove the mask; if it is an image, save it as another format."
                )


def _stem(path: Path) -> tuple[Path, str]:
    return path.parent, files.composed(path.stem)


def _source(path: Path, evidence: EvidenceFiles) -> ClassSource:
    """Return an image with what says where its class is seen, if there is something."""
    if evidence == "voc":
        return ClassSource(path, _boxes(path))
    mask = _beside(path, _MASK_SUFFIX) if evidence == "masks" else None
    return ClassSource(path, mask_path=mask)


def _beside(path: Path, suffix: str) -> Path | None:
    """Return the file of an image's name with another suffix, in small letters or capitals."""
    for written in (suffix, suffix.upper()):
        if (found := listing.beside(path.with_suffix(written))).is_file():
            return found
    return None


def _boxes(path: Path) -> tuple[boxes.NamedBox, ...]:
    """Return the boxes of the annotation beside an image; none where there is no annotation."""
    annotation = _beside(path, annotations.SUFFIX)
    return () if annotation is None else annotations.read(annotation, path)


class ClassesFolderSpec(StoredSpec):
    """Images in a folder for each class, and how they are split."""

    format: Literal["classes_folder"] = "classes_folder"
    """A folder for each class."""
    ok_class: str | None = None
    """Name of the folder of good images. None: the one called ok, good, intact, unbroken, normal or
    free, in whatever case; "": no image is good."""
    class_names: dict[str, str] = pydantic.Field(default_factory=dict)
    """From a folder to the class that it holds, where the class has another name than it. On the
    command line in pairs: MT_Crack crack MT_Break break."""
    leave_out: tuple[str, ...] = LEFT_OUT
    """Folders that hold no class."""
    suffixes: tuple[str, ...] = ()
    """Suffixes of the files that are images, such as .jpg where .png files are masks; none: all."""
    evidence: EvidenceFiles = "none"
    """What says where the class of an image is seen, for checks of what a network looks at and for
    `augment.transplanted_share`: voc reads boxes from the XML file of Pascal VOC beside it; masks
    reads NAME.png beside an image of another suffix, black where nothing is seen."""

    def read_from(self, root: Path) -> Records:
        """Read the records of a folder."""
        names = FolderNames(self.ok_class, self.class_names, self.leave_out)
        return read_classes_folder(
            root, names=names, suffixes=self.suffixes, evidence=self.evidence
        )


FORMAT = layouts.Format(ClassesFolderSpec, "classes")
