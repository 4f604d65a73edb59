"""Photos of certificates with the exact corners of their number field; and of a user's own form.

`render` draws a made-up certificate (see the rules of its layouts in `_layouts`) and photographs
it; `from_template` turns one scan of a user's form into as many photos as are wanted.

**Label rule.** The corners are those of the smallest upright rectangle around the ink of the number
on the page, widened on each side by `margin` of its height, and then seen in the photo: top left,
top right, bottom right, bottom left *of the text*, also where it stands on its head. A photo shows
the whole of it or nothing: there is no half a field. With `field: page` the corners are those of
the page.
"""

import dataclasses
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pydantic
from numpy.typing import ArrayLike, NDArray

from inspection_tf import config, errors
from inspection_tf.images import geometry
from inspection_tf.synthesis import page_layouts, photo
from inspection_tf.synthesis.photo import Photo, PhotoSpec
from inspection_tf.synthesis.surface import Share
from inspection_tf.synthesis.writing import FontName

__all__ = ["CertificateSpec", "Photo", "PhotoSpec", "Template", "draw", "from_template", "render"]

# A page is drawn a little finer than the photo shows it.
_FINER = 1.2
# What a photo without the number lacks: the number on the page (or it is another page), the page,
# or the part of the page that has it.
_MISSING = ("field", "field", "page", "view")


class CertificateSpec(config.Section):
    """What certificates are drawn from."""

    layouts: tuple[int, int] = (0, 1000)
    """First layout, and the one after the last: each number is a layout of its own."""
    fonts: Annotated[tuple[FontName, ...], pydantic.Field(min_length=1)] = get_args(FontName)
    """Fonts to draw from, with equal chance."""
    without_field_share: Share = 0.1
    """Share of photos without the number field: it is blank, the page is another one, there is no
    page, or the photo does not show it."""
    field: Literal["number", "page"] = "number"
    """What the corners are of: the number, or the whole page (then a photo without it shows none,
    or a part of one)."""
    margin: float = pydantic.Field(default=0.1, ge=0, le=1)
    """Distance of the corners from the ink, as a share of the number's height."""
    photo: PhotoSpec = PhotoSpec()
    """How the page is photographed."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> "CertificateSpec":
        if not 0 <= self.layouts[0] < self.layouts[1]:
            raise ValueError("layouts must be a rising range of numbers from 0 on")
        return self


def _number(rng: np.random.Generator) -> str:
    """Return a number as on a plate: letters and digits of one of four kinds."""
    letters = "".join(rng.choice(list(page_layouts.LETTERS), 5))
    digits = "".join(str(digit) for digit in rng.integers(0, 10, 5))
    kinds = (
        f"{letters[:2]} {digits[:3]} {letters[2:4]}",
        f"{letters[0]} {digits[:4]}",
        f"{digits[0]}{letters[:2]} {digits[1:5]}",
        f"{letters[:3]}-{digits[:3]}",
    )
    return kinds[int(rng.integers(len(kinds)))]


def _widened(box: tuple[float, float, float, float], share: float) -> NDArray[np.float64]:
    x0, y0, x1, y1 = box
    by = share * (y1 - y0)
    x0, y0, x1, y1 = x0 - by, y0 - by, x1 + by, y1 + by
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def render(
    rng: np.random.Generator, spec: CertificateSpec, *, has_field: bool | None = None
) -> Photo:
    """Draw one certificate and photograph it.

    Args:
        rng: the only source of randomness.
        spec: what to draw from.
        has_field: whether the photo shows the number; None: by `spec.without_field_share`.
    """
    layout = page_layouts.layout(int(rng.integers(*spec.layouts)))
    height, width = layout.size
    chance = bool(rng.random() >= spec.without_field_share)
    shows = chance if has_field is None else has_field
    number, content = _number(rng), int(rng.integers(2**63))
    missing = "" if shows else _MISSING[rng.integers(len(_MISSING))]
    if missing == "field" and spec.field == "page":
        missing = "page"
    page_xy = photo.place(rng, width / height, spec.photo)
    if missing == "page":
        return Photo(photo.shoot(rng, None, page_xy, spec.photo), None)

    def draw_page(
        page_xy: NDArray[np.float64],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64] | None]:
        page, box = page_layouts.draw(
            np.random.default_rng(content),
            layout,
            fonts=spec.fonts,
            unit=_FINER * float(np.sqrt(geometry.area(page_xy) / (height * width))),
            has_field=missing != "field",
            number=number,
        )
        if spec.field == "page":
            return page, photo.border((page.shape[0], page.shape[1]))
        return page, None if box is None else _widened(box, spec.margin)

    page, corners = draw_page(page_xy)
    if corners is not None:
        wanted: photo.VisiblePart = "none" if missing else "all"
        moved = geometry.transform_points(corners, _onto(page, page_xy))
        if photo.visible_part(moved, spec.photo.size) != wanted:
            field = geometry.to_shares(corners, (page.shape[0], page.shape[1]))
            page_xy = photo.view(rng, width / height, field, spec.photo, wanted=wanted)
            page, corners = draw_page(page_xy)
    return _photographed(rng, page, corners, page_xy, spec.photo)


def _onto(page: NDArray[np.uint8], page_xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the homography from the pixels of a page to those of the photo."""
    return geometry.homography(photo.border((page.shape[0], page.shape[1])), page_xy)


def _photographed(
    rng: np.random.Generator,
    page: NDArray[np.uint8],
    corners: NDArray[np.float64] | None,
    page_xy: NDArray[np.float64],
    spec: PhotoSpec,
) -> Photo:
    visible_xy = None
    if corners is not None:
        moved = geometry.transform_points(corners, _onto(page, page_xy))
        visible_xy = moved if photo.visible_part(moved, spec.size) == "all" else None
    return Photo(photo.shoot(rng, page, page_xy, spec, field_xy=visible_xy), visible_xy)


@dataclasses.dataclass(frozen=True, slots=True)
class Template:
    """A scan of a form on which the field is known; see `from_template`."""

    image: NDArray[np.uint8]
    corners_xy: NDArray[np.float64]

    def render(self, rng: np.random.Generator, spec: PhotoSpec, *, has_field: bool = True) -> Photo:
        """Photograph it.

        Args:
            rng: the only source of randomness.
            spec: how it is photographed.
            has_field: whether the photo shows the field; one that does not shows no page, or
                another part of it.
        """
        height, width = self.image.shape[:2]
        field = geometry.to_shares(self.corners_xy, (height, width))
        if not has_field and rng.random() < 0.5:
            page_xy = photo.place(rng, width / height, spec)
            return Photo(photo.shoot(rng, None, page_xy, spec), None)
        wanted: photo.VisiblePart = "all" if has_field else "none"
        page_xy = photo.view(rng, width / height, field, spec, wanted=wanted)
        shrink = _FINER * float(np.sqrt(geometry.area(page_xy) / (height * width)))
        page, corners = self.image, self.corners_xy
        if shrink < 1:
            page, corners = _reduced(page, corners, shrink)
        return _photographed(rng, page, corners, page_xy, spec)


def _reduced(
    image: NDArray[np.uint8], corners: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Shrink a page so that the photo, which samples it, does not skip its pixels."""
    import cv2

    height, width = image.shape[:2]
    size = (max(8, round(height * scale)), max(8, round(width * scale)))
    matrix = geometry.scale_offset_matrix(*geometry.resize_scale_offset((height, width), size))
    small = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), geometry.transform_points(corners, matrix)


def from_template(image: NDArray[Any], corners_xy: ArrayLike) -> Template:
    """Turn one scan of a form into a source of photos.

    Args:
        image: (H, W, 3) RGB or (H, W) grey, uint8, of the page alone: its borders are the image's.
        corners_xy: (4, 2) px, of the field: top left, top right, bottom right, bottom left.

    Raises:
        errors.ImageError: the image is no uint8 picture.
        errors.DataError: the corners are no convex quadrilateral inside the image.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise errors.ImageError(
            f"A template must be (H, W) or (H, W, 3) uint8. Got shape {image.shape}, "
            f"{image.dtype}. Read the scan with images.read."
        )
    corners = geometry.check_corners(corners_xy)
    size = (image.shape[0], image.shape[1])
    if not geometry.is_convex(corners) or photo.visible_part(corners, size) != "all":
        raise errors.DataError(
            "The corners of a template's field must go around a convex area inside the image of "
            f"{size[1]} x {size[0]} px. Got {corners.tolist()}. Give top left, top right, bottom "
            "right, bottom left."
        )
    colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    return Template(np.ascontiguousarray(colour), corners)


def draw(index: int, *, seed: int, spec: CertificateSpec) -> Photo:
    """Draw one photo of a set; it depends on `seed` and `index` alone, not on its neighbours.

    Args:
        index: place in the set, from 0.
        seed: of the whole set.
        spec: what to draw from.
    """
    return render(
        np.random.default_rng([seed, index]),
        spec,
        has_field=not is_without_field(index, spec.without_field_share),
    )


def is_without_field(index: int, share: float) -> bool:
    """Say of a photo of a set, by its number alone, that it does not show the field."""
    return int((index + 1) * share) > int(index * share)
