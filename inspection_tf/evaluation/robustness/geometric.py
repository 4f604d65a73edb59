"""Perturbations that move pixels: viewpoint, scale, deformation.

Nothing leaves the image, since a defect that left it would make its label wrong: what is tilted or
shrunk stays inside the frame, and a deformation fades out towards the border. Where nothing is left
to show, the image is mirrored at its border: a rim of one colour would be a defect of its own.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.evaluation.robustness import levels
from inspection_tf.images import Image, geometry

TILT_DEG = 45.0
SMALLEST = 0.5  # of the scale
BEND = 0.04  # of the shorter side
_FOCAL = 1.5  # of the longer side: a field of view of 37 degrees along it
_GRID = 6  # random displacements along each side


def viewpoint(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Tilt the image's plane about an axis through its middle, seen by a pinhole camera.

    At strength 1 by `TILT_DEG`, about an axis of random direction. The picture is shrunk until its
    corners are inside the frame.

    Args:
        image: (H, W) or (H, W, 3), uint8 or uint16.
        strength: over 0 to 1.
        rng: of the direction.
    """
    direction = rng.uniform(0, 2 * math.pi)
    height, width = image.shape[:2]
    corners = _corners(width, height)
    middle = corners.mean(axis=0)
    angle = math.radians(TILT_DEG * strength)
    tilted = _tilted(corners - middle, direction, angle, max(height, width))
    low, high = tilted.min(axis=0), tilted.max(axis=0)
    fit = float(min(1.0, *((width, height) / np.maximum(high - low, 1e-9))))
    placed = (tilted - (low + high) / 2) * fit + middle
    matrix = geometry.homography(corners, placed)
    warped = cv2.warpPerspective(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return levels.typed(warped, image)


def _corners(width: int, height: int) -> NDArray[np.float64]:
    """Return (4, 2) px, the outer corners of the outermost pixels."""
    right, bottom = width - 0.5, height - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])


def _tilted(
    points: NDArray[np.float64], direction: float, angle: float, longest: int
) -> NDArray[np.float64]:
    """Return where points of a plane appear that is turned about an axis in it through 0.

    Args:
        points: (n, 2) px from the middle.
        direction: of the axis, radians.
        angle: radians.
        longest: side of the image, px.
    """
    axis = np.array([math.cos(direction), math.sin(direction)])
    across = np.array([-axis[1], axis[0]])
    along, off = points @ axis, points @ across
    distance = _FOCAL * longest
    scale = distance / (distance + off * math.sin(angle))
    return np.asarray(
        (along[:, None] * axis + (off * math.cos(angle))[:, None] * across) * scale[:, None]
    )


def scale(image: Image, strength: float) -> Image:
    """Show everything smaller, in the middle of the frame: at strength 1 by `SMALLEST`.

    Args:
        image: (H, W) or (H, W, 3), uint8 or uint16.
        strength: over 0 to 1.
    """
    height, width = image.shape[:2]
    factor = 1 - (1 - SMALLEST) * strength
    inner_height, inner_width = max(1, round(height * factor)), max(1, round(width * factor))
    small = cv2.resize(image, (inner_width, inner_height), interpolation=cv2.INTER_AREA)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    framed = cv2.copyMakeBorder(
        small,
        top,
        height - inner_height - top,
        left,
        width - inner_width - left,
        cv2.BORDER_REFLECT_101,
    )
    return levels.typed(framed, image)


def deformation(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Bend the image smoothly, as if it were printed on rubber.

    At strength 1 the pixel that moves most moves by `BEND` of the shorter side; the border stays.

    Args:
        image: (H, W) or (H, W, 3), uint8 or uint16.
        strength: over 0 to 1.
        rng: of the field.
    """
    height, width = image.shape[:2]
    coarse = rng.normal(size=(_GRID, _GRID, 2)).astype(np.float32)
    field = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    fade = np.sin(np.pi * (x + 0.5) / width) * np.sin(np.pi * (y + 0.5) / height)
    field = field * fade[..., None]
    largest = float(np.hypot(field[..., 0], field[..., 1]).max())
    field *= BEND * strength * min(height, width) / max(largest, 1e-9)
    bent = cv2.remap(
        image,
        x + field[..., 0],
        y + field[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return levels.typed(bent, image)
