"""Where a defect lies on an image, and the ellipse that labels it."""

import math
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from inspection_tf.synthesis import defects, textures
from inspection_tf.synthesis.textures import Float

_Other = TypeVar("_Other", float, None)
_WEAKEST_DEVIATION = 4.0  # grey values; keeps defects visible on a blank image


def place(
    rng: np.random.Generator, gray: Float, *, extent: defects.Extent, is_stroke: bool
) -> tuple[defects.Zone, int, int]:
    """Choose where a defect lies.

    Args:
        rng: source of randomness.
        gray: (H, W) grey values.
        extent: ranges of the defect's axes.
        is_stroke: keep the angle away from the grain of the texture.

    Returns:
        The zone, and the image column and row of its first pixel, which may be negative.
    """
    height, width = gray.shape
    side = min(height, width)
    half_length = max(0.5 * side * rng.uniform(*extent.length), 3.0)
    half_width = max(half_length * rng.uniform(*extent.aspect), 2.0)
    # At least half of a half axis stays inside: a defect may be cut by the border.
    inset = min(0.5 * half_length, 0.4 * side)
    x, y = rng.uniform(inset, width - inset), rng.uniform(inset, height - inset)
    angle = rng.uniform(0, math.pi)
    if is_stroke:
        angle = _across_grain(gray, (x, y), radius=side // 5, draw=angle / math.pi)
    elif extent.lies == "along":
        angle = _grain(gray, (x, y), radius=side // 5, otherwise=angle) + rng.uniform(-0.15, 0.15)
    elif extent.lies != "anywhere":
        along = None
        if extent.lies == "end":
            centre, longer = (width / 2, height / 2), math.pi / 2 if height >= width else 0.0
            along = _grain(gray, centre, radius=side // 2, otherwise=longer)
        x, y, angle = _at_border(rng, (height, width), grain=along, angle=angle)
    cos, sin = math.cos(angle), math.sin(angle)
    # Ragged outlines exceed the axes by up to 1.3.
    reach_x = math.ceil(1.3 * math.hypot(half_length * cos, half_width * sin)) + 4
    reach_y = math.ceil(1.3 * math.hypot(half_length * sin, half_width * cos)) + 4
    left, top = round(x) - reach_x, round(y) - reach_y
    patch = _window(gray, left, top, 2 * reach_x + 1, 2 * reach_y + 1)
    dx = (np.arange(patch.shape[1]) + left - x).astype(np.float32)[None, :]
    dy = (np.arange(patch.shape[0]) + top - y).astype(np.float32)[:, None]
    zone = defects.Zone(
        patch=patch,
        along=dx * np.float32(cos) + dy * np.float32(sin),
        across=dy * np.float32(cos) - dx * np.float32(sin),
        half_length=half_length,
        half_width=half_width,
        direction=(cos, sin),
        deviation=max(float(patch.std()), _WEAKEST_DEVIATION),
        unit=max(1.0, side / textures.REFERENCE_SIDE_PX),
    )
    return zone, left, top


def _window(gray: Float, left: int, top: int, width: int, height: int) -> Float:
    """Return a (height, width) window that is reflected where it leaves the image."""
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(gray.shape[0], top + height), min(gray.shape[1], left + width)
    before, after = (y0 - top, x0 - left), (top + height - y1, left + width - x1)
    return np.asarray(
        cv2.copyMakeBorder(
            gray[y0:y1, x0:x1], before[0], after[0], before[1], after[1], cv2.BORDER_REFLECT
        ),
        np.float32,
    )


def _at_border(
    rng: np.random.Generator, size: tuple[int, int], *, grain: float | None, angle: float
) -> tuple[float, float, float]:
    """Return a place on a border (x, y), and the angle of a defect there.

    Args:
        rng: source of randomness.
        size: (height, width), px.
        grain: the middle of a border that crosses this direction, and along the border; None: any
            border, as often a corner as another place, at the angle given.
        angle: see above, radians.
    """
    height, width = size
    # The top or the bottom, or one of the sides.
    is_level = bool(rng.integers(2)) if grain is None else abs(math.sin(grain)) > math.sqrt(0.5)
    far, place = bool(rng.integers(2)), rng.uniform()
    if grain is not None:
        place, angle = 0.5, 0.0 if is_level else math.pi / 2
    elif rng.uniform() < 0.5:
        place = float(rng.integers(2))
    if is_level:
        return place * (width - 1), far * (height - 1.0), angle
    return far * (width - 1.0), place * (height - 1), angle


def _across_grain(
    gray: Float, centre_xy: tuple[float, float], *, radius: int, draw: float
) -> float:
    """Return an angle for a stroke, radians; `draw` in 0..1 picks it.

    Where the texture has a direction the angle keeps 30 degrees away from it: along the grain a
    stroke could not be told from the texture.
    """
    grain = _grain(gray, centre_xy, radius=radius, otherwise=None)
    return draw * math.pi if grain is None else grain + math.radians(30 + 120 * draw)


def _grain(
    gray: Float, centre_xy: tuple[float, float], *, radius: int, otherwise: _Other
) -> float | _Other:
    """Return the direction of the texture, radians, or something else where it has none.

    It has one where the structure tensor's coherence is above 0.3.
    """
    x, y = round(centre_xy[0]), round(centre_xy[1])
    patch = gray[max(0, y - radius) : y + radius, max(0, x - radius) : x + radius]
    gx, gy = cv2.Sobel(patch, cv2.CV_32F, 1, 0), cv2.Sobel(patch, cv2.CV_32F, 0, 1)
    xx, yy, xy = float((gx * gx).mean()), float((gy * gy).mean()), float((gx * gy).mean())
    coherence = math.hypot(xx - yy, 2 * xy) / max(xx + yy, 1e-6)
    if coherence < 0.3:
        return otherwise
    return 0.5 * math.atan2(2 * xy, xx - yy) + math.pi / 2


def ellipse(
    core: npt.NDArray[np.bool_],
    corner: tuple[int, int],
    size: tuple[int, ...],
    *,
    margin: float,
) -> npt.NDArray[np.bool_]:
    """Return the weak label of one defect.

    Args:
        core: (h, w), the defect's own mask; it may reach beyond the image.
        corner: image column and row of the core's first pixel.
        size: (height, width) of the image, px.
        margin: by how much the label is wider than the smallest ellipse of the core's centre and
            axes that holds all of it, on every side, as a share of its shorter half axis.

    Returns:
        (height, width) bool.
    """
    rows, columns = np.nonzero(core)
    points = np.stack([columns, rows], axis=1).astype(np.float64)
    centre = points.mean(axis=0)
    spread = np.cov(points.T) + np.eye(2) / 12  # a pixel has a deviation of its own
    variances, vectors = np.linalg.eigh(spread)
    local = (points - centre) @ vectors
    reach = math.sqrt(float((local**2 / variances).sum(axis=1).max()))
    short, long = reach * np.sqrt(variances)
    pad = max(margin * short, 0.01 * min(size))
    x = (np.arange(size[1]) - corner[0] - centre[0])[None, :]
    y = (np.arange(size[0]) - corner[1] - centre[1])[:, None]
    across = (x * vectors[0, 0] + y * vectors[1, 0]) / (short + pad)
    along = (x * vectors[0, 1] + y * vectors[1, 1]) / (long + pad)
    return np.asarray(across**2 + along**2 <= 1)
