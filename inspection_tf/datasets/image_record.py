"""One image of a data set: what is known of it, and the source that reads its pixels."""

import dataclasses
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from inspection_tf import files, images
from inspection_tf.projection.poses import Pose

Split = Literal["train", "tune", "test"]
LabelKind = Literal["masks", "classes", "corners", "pose"]
"""What is known of an image: where its defects lie, of which class it is as a whole, where the
four corners of its field lie, or in which pose its part does."""
MASKS: LabelKind = "masks"
CORNERS: LabelKind = "corners"
POSE: LabelKind = "pose"
IGNORED = 255
"""Stands for ignored pixels where ids of classes and they are in one array; no class has it."""


class Source(Protocol):
    """Where pixels come from when they are not in a file of their own.

    A source may also have `read_template(*, orientation)`, which returns an image of the same size
    or None (then with a property `has_template`), and `class_ids()`, which returns the ids in its
    mask as a tuple or None where the mask is bool; a source whose mask holds ids needs it. One
    with pixels that count for nothing has `read_ignored(*, orientation)`, (height, width) bool,
    and a property `has_ignored`; its mask calls them background. One whose label is four corners
    has `read_corners(*, orientation)`, one whose label is a pose `read_pose()`, and
    a property `symmetry` where the part looks alike several times in a turn. One whose label is the
    class of the whole image has an attribute `label_kind`, "classes"; its mask marks nothing.
    One that knows where in the image its
    class shows has `read_evidence(*, orientation)`, and with a class for a label a property
    `has_evidence`; one that knows the flank wear which its image
    shows has `read_wear()`, which returns a `TrueWear` or None.
    """

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Return (height, width) or (height, width, 3) RGB, uint8 or uint16."""
        ...

    def read_mask(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.bool_] | NDArray[np.uint8]:
        """Return (height, width), lying as the image of this orientation.

        Bool, True on defects; or uint8, ids of classes with 0 for the background.
        """
        ...

    def identity(self) -> bytes:
        """Return bytes that differ whenever the pixels may differ."""
        ...


class TrueWear(Protocol):
    """The flank wear that an image truly shows, in the words of ISO 3685; None: not known."""

    @property
    def vb_mean_um(self) -> float | None:
        """VB_B, the mean width of the wear land, um."""
        ...

    @property
    def vb_max_um(self) -> float | None:
        """VB_Bmax, its largest width, um."""
        ...

    @property
    def chipping_um(self) -> float | None:
        """Largest depth of missing material under the ideal edge, um."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One image of a data set.

    Attributes:
        id: unique in the data set and stable: the path under the root, without its suffix, in
            composed Unicode (NFC), however the file system hands it over.
        is_defect: what the data set says of the whole image.
        source: reads the pixels.
        group: images of one part share a group; a split never parts them.
        split: fixed by the data set itself (`Train` and `Test` folders), or None.
        class_id: class of its defects where the source's mask is bool, or of the whole image where
            its label is a class; k is `classes[k - 1]`.
    """

    id: str
    is_defect: bool
    source: Source
    group: str = ""
    split: Split | None = None
    class_id: int = 1

    def __post_init__(self) -> None:
        """Compose the id."""
        object.__setattr__(self, "id", files.composed(self.id))

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Return (height, width) or (height, width, 3) RGB, uint8 or uint16."""
        return self.source.read_image(orientation=orientation)

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return (height, width), True on defects, lying as the image of this orientation."""
        return np.asarray(self.source.read_mask(orientation=orientation), dtype=np.bool_)

    def read_classes(self, *, orientation: images.Orientation = "apply") -> NDArray[np.uint8]:
        """Return (height, width), uint8: 0 on the background, k on defects of class k."""
        found = self.source.read_mask(orientation=orientation)
        if found.dtype == np.bool_:
            return found.astype(np.uint8) * np.uint8(self.class_id)
        return found.astype(np.uint8, copy=False)

    @property
    def knows_part(self) -> bool:
        """Whether it is known which part it shows: a group names it, or it was drawn as one."""
        return bool(self.group) or bool(getattr(self.source, "shows_own_part", False))

    @property
    def has_ignored(self) -> bool:
        """Whether some of its pixels may count for nothing."""
        return bool(getattr(self.source, "has_ignored", False))

    def read_ignored(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.bool_] | None:
        """Return (height, width), True where a pixel counts for nothing; None where all count."""
        if not self.has_ignored:
            return None
        read: Callable[..., NDArray[np.bool_]] = self.source.read_ignored  # type: ignore[attr-defined]
        return read(orientation=orientation)

    @property
    def has_template(self) -> bool:
        """Whether `read_template` returns one."""
        can_read = hasattr(self.source, "read_template")
        return can_read and bool(getattr(self.source, "has_template", True))

    def read_template(self, *, orientation: images.Orientation = "apply") -> images.Image | None:
        """Return the image as it should be, in the size of the image; None where there is none."""
        if not self.has_template:
            return None
        read: Callable[..., images.Image | None] = self.source.read_template  # type: ignore[attr-defined]
        return read(orientation=orientation)

    def read_pair(
        self, *, orientation: images.Orientation = "apply"
    ) -> tuple[images.Image, images.Image | None]:
        """Return the image and its template, None where there is none."""
        image = self.read_image(orientation=orientation)
        return image, self.read_template(orientation=orientation)

    def read_corners(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.float64] | None:
        """Return (4, 2) px of the image as it is read, clockwise from the top left of the text.

        None where the image shows no field, or its data set has no corners.
        """
        read: Callable[..., NDArray[np.float64] | None] | None
        read = getattr(self.source, "read_corners", None)
        return read(orientation=orientation) if read else None

    def read_pose(self) -> Pose | None:
        """Return how the part that it shows lies; None where its data set knows none."""
        read: Callable[[], Pose] | None = getattr(self.source, "read_pose", None)
        return read() if read else None

    @property
    def symmetry(self) -> int:
        """How often the part that it shows looks alike in a turn about its vertical axis."""
        return int(getattr(self.source, "symmetry", 1))

    def read_wear(self) -> TrueWear | None:
        """Return the flank wear that the image truly shows; None where its data set knows none."""
        read: Callable[[], TrueWear | None] | None = getattr(self.source, "read_wear", None)
        return read() if read else None

    @property
    def has_evidence(self) -> bool:
        """Whether its label is a class, and boxes or a mask say where that is seen."""
        return bool(getattr(self.source, "has_evidence", False))

    def read_evidence(
        self, *, orientation: images.Orientation = "apply"
    ) -> NDArray[np.float64] | NDArray[np.bool_] | None:
        """Return where the class of the image is seen; None where nothing is annotated.

        Returns:
            Boxes (boxes, 4) of x0, y0, x1, y1 px of the image as it is read, edges of pixels: a box
            around the whole image is 0, 0, width, height; or a mask (height, width), bool.
        """
        read: Callable[..., NDArray[np.float64] | NDArray[np.bool_] | None] | None
        read = getattr(self.source, "read_evidence", None)
        return read(orientation=orientation) if read else None

    @property
    def label_kind(self) -> LabelKind:
        """What is known of it: a mask, or that it needs none; its class; corners; or a pose."""
        if hasattr(self.source, "read_corners"):
            return CORNERS
        if hasattr(self.source, "read_pose"):
            return POSE
        kind: LabelKind = getattr(self.source, "label_kind", MASKS)
        return kind

    @property
    def has_mask(self) -> bool:
        """Whether its label is a mask, or that it has none, and not a class or where it lies."""
        return self.label_kind == "masks"

    @property
    def label(self) -> int:
        """The class of the whole image, 0 where it is good. Ids in a mask may be others."""
        return self.class_id * self.is_defect

    def class_ids(self) -> tuple[int, ...]:
        """Return the classes of its defects, rising; none where it is good.

        Of a `FileSource` with ids this decodes the mask.
        """
        if not self.is_defect:
            return ()
        listing: Callable[[], tuple[int, ...] | None] | None
        listing = getattr(self.source, "class_ids", None)
        found = listing() if listing else None
        return (self.class_id,) if found is None else found
