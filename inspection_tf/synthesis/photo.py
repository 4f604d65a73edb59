"""A flat page photographed: perspective, background, light, hands in the way, camera.

`shoot` takes any page with four known corners on it and returns the photo with these corners in it.
The corners go through the very homography that the pixels go through; what follows (light, blur,
noise, compression) moves nothing.
"""

import dataclasses
import math
from typing import Annotated, Literal, get_args

import cv2
import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config
from inspection_tf.images import geometry
from inspection_tf.synthesis import textures
from inspection_tf.synthesis.surface import Share, Side

Background = Literal["moire", "weave", "grain", "brushed", "cells", "cloud", "plain", "clutter"]
VisiblePart = Literal["all", "part", "none"]
_TRIES = 40
_REDUCED = 2  # backgrounds are drawn at a half of the size: they are out of focus anyway


class PhotoSpec(config.Section):
    """How a page is photographed."""

    size: tuple[Side, Side] = (480, 640)
    """Height and width of the photo, px."""
    backgrounds: Annotated[tuple[Background, ...], pydantic.Field(min_length=1)] = get_args(
        Background
    )
    """What the page lies on, drawn with equal chance."""
    coverage: tuple[float, float] = (0.6, 1.05)
    """Range of the page's size: 1 just fits into the photo."""
    rotation_deg: float = pydantic.Field(default=15.0, ge=0, le=180)
    """Largest rotation either way, degrees."""
    turned_share: Share = 0.1
    """Share of photos that are also turned by 90, 180 or 270 degrees."""
    perspective: float = pydantic.Field(default=0.08, ge=0, le=0.25)
    """Largest shift of each of the page's corners, as a share of its sides."""
    cut_off_share: Share = 0.1
    """Share of photos that show only a part of the page."""
    shading: Share = 0.35
    """Largest loss of light from one side of the photo to the other."""
    shadow_share: Share = 0.3
    """Share of photos with a shadow over a part."""
    occlusion_share: Share = 0.15
    """Share of photos in which a finger or a strip hides a part of the page."""
    blur_px: float = pydantic.Field(default=0.9, ge=0, le=5)
    """Largest blur of the focus, standard deviation in px."""
    motion_px: float = pydantic.Field(default=3.0, ge=0, le=25)
    """Largest length of a motion blur, px."""
    noise: float = pydantic.Field(default=5.0, ge=0, le=50)
    """Largest standard deviation of the noise, grey values."""
    jpeg_quality: tuple[int, int] = (50, 95)
    """Range of the compression, 1 to 100; 100 to 100 leaves it out."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> "PhotoSpec":
        if not 0.1 <= self.coverage[0] <= self.coverage[1] <= 3:
            raise ValueError("coverage must be a rising range within 0.1..3")
        if not 1 <= self.jpeg_quality[0] <= self.jpeg_quality[1] <= 100:
            raise ValueError("jpeg_quality must be a rising range within 1..100")
        return self


@dataclasses.dataclass(frozen=True, slots=True)
class Photo:
    """A photo and what is known of it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        corners_xy: (4, 2) float64 px: top left, top right, bottom right, bottom left of the text,
            however it lies; None where the photo does not show them.
    """

    image: NDArray[np.uint8]
    corners_xy: NDArray[np.float64] | None


def border(size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the (4, 2) corners of an image of (height, width): the borders of its pixels."""
    height, width = size
    x, y = width - 0.5, height - 0.5
    return np.array([[-0.5, -0.5], [x, -0.5], [x, y], [-0.5, y]])


def place(rng: np.random.Generator, aspect: float, spec: PhotoSpec) -> NDArray[np.float64]:
    """Choose where the corners of a page lie in the photo: (4, 2) px.

    Args:
        rng: the only source of randomness.
        aspect: width / height of the page.
        spec: the ranges.
    """
    height, width = spec.size
    angle = math.radians(rng.uniform(-spec.rotation_deg, spec.rotation_deg))
    if rng.random() < spec.turned_share:
        angle += math.pi / 2 * rng.integers(1, 4)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    flat = np.array([[-aspect, -1], [aspect, -1], [aspect, 1], [-aspect, 1]]) / 2
    flat = flat + rng.uniform(-spec.perspective, spec.perspective, (4, 2)) * (aspect, 1)
    corners = flat @ turn.T
    extent = np.ptp(corners, axis=0)
    fitting = min(width / extent[0], height / extent[1])
    corners *= fitting * rng.uniform(*spec.coverage)
    corners -= (corners.max(axis=0) + corners.min(axis=0)) / 2
    room = np.abs(np.array([width, height]) - np.ptp(corners, axis=0)) / 2
    if rng.random() < spec.cut_off_share:
        room += 0.5 * np.array([width, height])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    corners += middle + rng.uniform(-room, room)
    return np.asarray(corners, np.float64)


def visible_part(corners_xy: NDArray[np.float64], size: tuple[int, int]) -> VisiblePart:
    """Return how much of a convex quadrilateral an image of (height, width) shows."""
    low, high = border(size)[0], border(size)[2]
    if ((corners_xy >= low) & (corners_xy <= high)).all():
        return "all"
    shared, _ = cv2.intersectConvexConvex(
        corners_xy.astype(np.float32), border(size).astype(np.float32)
    )
    return "part" if shared > 0 else "none"


def view(
    rng: np.random.Generator,
    aspect: float,
    field: NDArray[np.float64],
    spec: PhotoSpec,
    *,
    wanted: VisiblePart = "all",
) -> NDArray[np.float64]:
    """Choose where a page lies so that the photo shows its field as a whole, or not at all.

    Args:
        rng: the only source of randomness.
        aspect: width / height of the page.
        field: (4, 2), corners of the field on the page as shares of its sides.
        spec: the ranges.
        wanted: what the photo must show of the field, all or none.

    Returns:
        The (4, 2) corners of the page in the photo.
    """
    unit = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    for _ in range(_TRIES):
        page = place(rng, aspect, spec)
        moved = geometry.transform_points(field, geometry.homography(unit, page))
        if visible_part(moved, spec.size) == wanted:
            return page
    # Whatever is asked for: a page in the middle, upright, and as large as the photo.
    height, width = spec.size
    scale = min(width / aspect, height)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    upright = np.asarray(middle + (unit - 0.5) * (aspect * scale, scale))
    if wanted == "all":
        return upright
    # Moved until its field has left the photo, on the side to which it is nearer.
    placed = geometry.transform_points(field, geometry.homography(unit, upright))
    axis = int(np.argmax(np.abs(placed.mean(axis=0) - middle)))
    is_late = placed[:, axis].mean() >= middle[axis]
    step = np.zeros(2)
    step[axis] = (
        (width, height)[axis] - placed[:, axis].min() if is_late else -placed[:, axis].max()
    )
    return np.asarray(upright + 1.01 * step)


def background(rng: np.random.Generator, spec: PhotoSpec) -> NDArray[np.float32]:
    """Draw what the page lies on: (H, W, 3) float32, grey values."""
    height, width = spec.size
    name = spec.backgrounds[rng.integers(len(spec.backgrounds))]
    colour = rng.uniform(30, 220) * rng.uniform(0.75, 1.25, 3)
    small = (-(-height // _REDUCED), -(-width // _REDUCED))
    if name in textures.TEXTURES:
        texture = textures.render(rng, name, size=small).astype(np.float32)
        gray = (texture - texture.mean()) / max(float(texture.std()), 1.0) * rng.uniform(5, 25)
    else:
        gray = textures.smooth_field(rng, small, cell=small[0] / 3) * rng.uniform(0, 10)
    picture = gray[..., None] * rng.uniform(0.8, 1.2, 3) + colour
    picture = np.asarray(cv2.resize(picture.astype(np.float32), (width, height)), np.float32)
    if name == "clutter":
        _add_clutter(rng, picture)
    return picture


def _add_clutter(rng: np.random.Generator, picture: NDArray[np.float32]) -> None:
    """Lay papers, pens and lids about, in place."""
    height, width = picture.shape[:2]
    for _ in range(int(rng.integers(3, 10))):
        colour = rng.uniform(10, 250, 3).tolist()
        centre = rng.uniform(0, 1, 2) * (width, height)
        sides = np.exp(rng.uniform(np.log(0.02), np.log(0.5), 2)) * min(height, width)
        angle = float(rng.uniform(0, 180))
        if rng.random() < 0.3:
            shape = (centre.tolist(), sides.tolist(), angle)
            cv2.ellipse(picture, shape, colour, -1, cv2.LINE_AA)
            continue
        corners = cv2.boxPoints((centre.tolist(), sides.tolist(), angle))
        cv2.fillConvexPoly(picture, np.round(corners).astype(np.int32), colour, cv2.LINE_AA)
        if sides.min() > 30:  # a sheet with lines of text
            _add_lines(rng, picture, corners)


def _add_lines(
    rng: np.random.Generator, picture: NDArray[np.float32], corners: NDArray[np.float64]
) -> None:
    origin, across, down = corners[0], corners[1] - corners[0], corners[3] - corners[0]
    ink = rng.uniform(0, 255, 3).tolist()
    for share in np.arange(0.12, 0.9, rng.uniform(0.06, 0.15)):
        ends = (origin + down * share + across * end for end in (0.1, rng.uniform(0.3, 0.9)))
        start, end = (tuple(np.round(point).astype(int).tolist()) for point in ends)
        cv2.line(picture, start, end, ink, int(rng.integers(1, 4)), cv2.LINE_AA)


def shoot(
    rng: np.random.Generator,
    page: NDArray[np.uint8] | None,
    page_xy: NDArray[np.float64],
    spec: PhotoSpec,
    *,
    field_xy: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Photograph a page.

    Args:
        rng: the only source of randomness.
        page: (h, w, 3) uint8 RGB; None: there is none.
        page_xy: (4, 2) px, where its corners (the borders of its outermost pixels) lie.
        spec: the size and the rest.
        field_xy: (4, 2) px, what nothing may hide: of a number that is half hidden nobody could say
            where it ends.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    picture = background(rng, spec)
    if page is not None:
        _lay(rng, picture, page, page_xy)
    if rng.random() < spec.occlusion_share:
        _hide(rng, picture, page_xy, field_xy)
    picture *= _light(rng, spec)[..., None]
    picture *= rng.uniform(0.75, 1.15) * rng.uniform(0.93, 1.07, 3).astype(np.float32)
    return _camera(rng, picture, spec)


def _lay(
    rng: np.random.Generator,
    picture: NDArray[np.float32],
    page: NDArray[np.uint8],
    page_xy: NDArray[np.float64],
) -> None:
    height, width = picture.shape[:2]
    matrix = geometry.homography(border((page.shape[0], page.shape[1])), page_xy)
    size = (width, height)
    laid = cv2.warpPerspective(page, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    whole = np.full(page.shape[:2], 255, np.uint8)
    cover = cv2.warpPerspective(whole, matrix, size).astype(np.float32) / 255
    # The page's own shadow, a little beside it.
    dark = cv2.GaussianBlur(cover, (0, 0), float(rng.uniform(1, 6)))
    shift = np.array([[1, 0, rng.uniform(-4, 4)], [0, 1, rng.uniform(-4, 4)]])
    dark = cv2.warpAffine(dark, shift, size) * rng.uniform(0.1, 0.6)
    picture *= (1 - dark)[..., None]
    picture += cover[..., None] * (laid.astype(np.float32) - picture)


def _hide(
    rng: np.random.Generator,
    picture: NDArray[np.float32],
    page_xy: NDArray[np.float64],
    field_xy: NDArray[np.float64] | None,
) -> None:
    """Put a finger or a strip over the page's border, in place; never over the field."""
    height, width = picture.shape[:2]
    side = int(rng.integers(4))
    share = rng.uniform(0.15, 0.85)
    start = page_xy[side] * (1 - share) + page_xy[(side + 1) % 4] * share
    inward = page_xy.mean(axis=0) - start
    inward /= max(float(np.hypot(*inward)), 1.0)
    length, thickness = rng.uniform(0.05, 0.2) * width, rng.uniform(0.04, 0.09) * width
    skin = np.array([225, 175, 145]) * rng.uniform(0.35, 1.05)
    colour = skin if rng.random() < 0.7 else rng.uniform(20, 240, 3)
    ends = start + inward * length, start - inward * 2 * length
    cover = np.zeros((height, width), np.float32)
    first, second = (tuple(np.round(end).astype(int).tolist()) for end in ends)
    cv2.line(cover, first, second, 1.0, max(3, int(thickness)), cv2.LINE_AA)
    cover = cv2.GaussianBlur(cover, (0, 0), 1.0)
    if field_xy is not None:
        field = np.zeros((height, width), np.uint8)
        cv2.fillConvexPoly(field, np.round(field_xy).astype(np.int32), 1)
        if cover[field > 0].any():
            return
    picture += cover[..., None] * (colour.astype(np.float32) - picture)


def _light(rng: np.random.Generator, spec: PhotoSpec) -> NDArray[np.float32]:
    """Return (H, W), what the light multiplies grey values by."""
    height, width = spec.size
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.ogrid[:height, :width]
    along = (x / width - 0.5) * math.cos(angle) + (y / height - 0.5) * math.sin(angle)
    light = (1 - spec.shading * rng.random() * (0.5 + along)).astype(np.float32)
    if rng.random() < spec.shadow_share:
        turn, offset = rng.uniform(0, 2 * math.pi), rng.uniform(-0.3, 0.3)
        across = (x / width - 0.5) * math.cos(turn) + (y / height - 0.5) * math.sin(turn) - offset
        soft = rng.uniform(0.005, 0.08)
        edge = np.clip(0.5 + across / soft, 0, 1).astype(np.float32)
        light *= 1 - np.float32(rng.uniform(0.2, 0.55)) * edge
    return light


def _camera(
    rng: np.random.Generator, picture: NDArray[np.float32], spec: PhotoSpec
) -> NDArray[np.uint8]:
    length = float(rng.uniform(0, spec.motion_px))
    if length > 1:
        picture = cv2.filter2D(picture, -1, _motion(length, float(rng.uniform(0, math.pi))))
    sigma = float(rng.uniform(0, spec.blur_px))
    if sigma > 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    if spec.noise:
        noise = rng.standard_normal(picture.shape, dtype=np.float32)
        picture = picture + noise * np.float32(rng.uniform(0, spec.noise))
    image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    quality = int(rng.integers(spec.jpeg_quality[0], spec.jpeg_quality[1] + 1))
    if quality < 100:
        _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
    return np.ascontiguousarray(image)


def _motion(length: float, angle: float) -> NDArray[np.float32]:
    """Return the kernel of a straight motion: symmetric, so that nothing moves."""
    half = math.ceil(length / 2)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for step in np.linspace(-length / 2, length / 2, 8 * half + 1):
        x, y = half + step * math.cos(angle), half + step * math.sin(angle)
        column, row = math.floor(x), math.floor(y)
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            weight = (1 - abs(x - column - dx)) * (1 - abs(y - row - dy))
            if weight > 0:
                kernel[min(row + dy, 2 * half), min(column + dx, 2 * half)] += weight
    return np.asarray(kernel / kernel.sum(), np.float32)
