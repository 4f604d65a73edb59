"""Six families of statistical surface texture.

A texture is a pattern (zero mean, unit deviation) whose contrast and brightness drift over the
surface, on which soft bright and dark spots lie that belong to a good surface. So neither a
global nor a local threshold tells a defect from its surroundings; its structure does.

Source: the manner of the DAGM 2007 competition's classes (Wieler and Hahn 2007): a statistically
textured background, drawn anew for each image.
"""

from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
TextureName = Literal["moire", "weave", "grain", "brushed", "cells", "cloud"]

# Side of the image, px, at which every length below is meant; coarse structure grows with it.
REFERENCE_SIDE_PX = 256


def smooth_field(rng: np.random.Generator, size: tuple[int, int], *, cell: float) -> Float:
    """Return smooth random values with zero mean and about unit deviation.

    Args:
        rng: source of randomness.
        size: (height, width), px.
        cell: distance over which the values change, px.

    Returns:
        (height, width).
    """
    height, width = size
    rows, columns = int(np.ceil(height / cell)) + 3, int(np.ceil(width / cell)) + 3
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    shift_x, shift_y = rng.uniform(0, 1, 2)
    # One grid step is `cell` px: a scaling about the second knot, so that cubic weights exist.
    matrix = np.array(
        [[1 / cell, 0, 1 + shift_x], [0, 1 / cell, 1 + shift_y]],
        dtype=np.float32,
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    field: Float = cv2.warpAffine(
        grid, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT
    )
    return field * np.float32(1.4)  # cubic interpolation averages: it lowers the deviation


def _axes(size: tuple[int, int]) -> tuple[Float, Float]:
    rows, columns = np.ogrid[: size[0], : size[1]]
    return rows.astype(np.float32), columns.astype(np.float32)


def _moire(rng: np.random.Generator, size: tuple[int, int]) -> Float:
    """Waves that quicken up to the pixel grid and mirror about a centre; they beat and alias."""
    y, x = _axes(size)
    centre_y, centre_x = rng.uniform(0.3, 0.7, 2) * size
    dy, dx = np.abs(y - np.float32(centre_y)), np.abs(x - np.float32(centre_x))
    dx_dy = dx * dy
    scale = REFERENCE_SIDE_PX / min(size)
    total = np.zeros(size, np.float32)
    for _ in range(3):
        angle, pitch = rng.uniform(0, np.pi / 2), rng.uniform(1.0, 3.1)  # radians per px
        bend_x, bend_y = scale * rng.uniform(0.001, 0.012, 2)  # radians per px^2
        twist = scale * rng.uniform(0.002, 0.015)
        phase_x = (np.float32(pitch * np.cos(angle)) + np.float32(bend_x) * dx) * dx
        phase_y = (np.float32(pitch * np.sin(angle)) + np.float32(bend_y) * dy) * dy
        wave = np.cos(np.float32(twist) * dx_dy + phase_x + phase_y)
        total += np.float32(rng.uniform(0.6, 1.0)) * wave
    np.abs(total, out=total)
    total += np.float32(0.2) * rng.standard_normal(size, dtype=np.float32)
    return total


def _weave(rng: np.random.Generator, size: tuple[int, int]) -> Float:
    """Crossed threads, over and under, on a slightly drawn cloth."""
    y, x = _axes(size)
    angle, pitch = rng.uniform(-0.5, 0.5), rng.uniform(7, 12)
    ratio = rng.uniform(0.8, 1.25)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    cell = min(size) / 3
    along = (x * cos + y * sin) + 2.5 * smooth_field(rng, size, cell=cell)
    across = (y * cos - x * sin) + 2.5 * smooth_field(rng, size, cell=cell)
    warp = np.sin(along * np.float32(2 * np.pi / pitch))
    weft = np.sin(across * np.float32(2 * np.pi / (pitch * ratio)))
    over = np.float32(0.5) * warp * weft
    return np.asarray(np.maximum(np.abs(warp) + over, np.abs(weft) - over), np.float32)


def _grain(rng: np.random.Generator, size: tuple[int, int]) -> Float:
    """Band-passed noise: cast or blasted metal."""
    noise = rng.standard_normal(size, dtype=np.float32)
    fine = float(rng.uniform(0.8, 1.5))
    grain: Float = cv2.GaussianBlur(noise, (0, 0), fine)
    grain -= cv2.GaussianBlur(noise, (0, 0), 2.5 * fine)
    return grain


def _brushed(rng: np.random.Generator, size: tuple[int, int]) -> Float:
    """Noise drawn out along one direction: brushed or rolled metal."""
    height, width = size
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(8, 16)
    half = int(np.ceil(np.hypot(height, width) / 2)) + 2
    lines = rng.standard_normal((2 * half, int(2 * half / stretch) + 4), dtype=np.float32)
    lines = cv2.GaussianBlur(lines, (1, 3), 0.6)
    cos, sin = np.cos(angle), np.sin(angle)
    centre_x, centre_y = width / 2, height / 2
    matrix = np.array(
        [
            [cos / stretch, sin / stretch, 0.0],
            [-sin, cos, 0.0],
        ]
    )
    matrix[:, 2] = np.array([lines.shape[1] / 2, half]) - matrix[:, :2] @ (centre_x, centre_y)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    brushed: Float = cv2.warpAffine(
        lines, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT
    )
    return brushed


def _cells(rng: np.random.Generator, size: tuple[int, int]) -> Float:
    """Voronoi cells with shades and dark borders: etched grain, leather, foam."""
    height, width = size
    pitch = rng.uniform(9, 15)
    rows, columns = np.mgrid[-pitch : height + pitch : pitch, -pitch : width + pitch : pitch]
    seeds_y = (rows + rng.uniform(0, pitch, rows.shape)).astype(np.int64).ravel()
    seeds_x = (columns + rng.uniform(0, pitch, columns.shape)).astype(np.int64).ravel()
    inside = (seeds_y >= 0) & (seeds_y < height) & (seeds_x >= 0) & (seeds_x < width)
    free = np.ones(size, np.uint8)
    free[seeds_y[inside], seeds_x[inside]] = 0
    distance, label = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    shade = rng.standard_normal(int(label.max()) + 1, dtype=np.float32)
    cells: Float = np.float32(0.35) * shade[label] - distance / np.float32(0.35 * pitch)
    return np.asarray(cv2.GaussianBlur(cells, (0, 0), 0.8), np.float32)


def _cloud(rng: np.random.Generator, size: tuple[int, int]) -> Float:
    """Noise at octaves of scale under a fine grain: rust, stone, paint."""
    total = np.zeros(size, np.float32)
    cell, weight = min(size) / 5, 1.0
    roughness = rng.uniform(0.5, 0.65)
    while cell >= 3:
        total += np.float32(weight) * smooth_field(rng, size, cell=cell)
        cell, weight = cell / 2, weight * roughness
    grain = cv2.GaussianBlur(rng.standard_normal(size, dtype=np.float32), (0, 0), 0.8)
    total += np.float32(rng.uniform(2.5, 4.0)) * grain  # the blur left a deviation of 0.35
    return total


TEXTURES: dict[TextureName, Callable[[np.random.Generator, tuple[int, int]], Float]] = {
    "moire": _moire,
    "weave": _weave,
    "grain": _grain,
    "brushed": _brushed,
    "cells": _cells,
    "cloud": _cloud,
}


def _add_soft_spots(rng: np.random.Generator, surface: Float) -> None:
    """Add the bright and dark Gaussian spots of a good surface, in place; unit: deviations."""
    height, width = surface.shape
    scale = min(height, width) / REFERENCE_SIDE_PX
    for _ in range(int(rng.integers(8, 19))):
        sigma_x, sigma_y = rng.uniform(2.5, 8.0) * scale * rng.uniform(0.8, 1.25, 2)
        centre_y, centre_x = rng.uniform(0, 1, 2) * (height, width)
        peak = rng.choice((-1, 1)) * rng.uniform(1.0, 2.0)
        top, left = int(max(0, centre_y - 3.5 * sigma_y)), int(max(0, centre_x - 3.5 * sigma_x))
        patch = surface[
            top : int(centre_y + 3.5 * sigma_y) + 1, left : int(centre_x + 3.5 * sigma_x) + 1
        ]
        rows = np.arange(top, top + patch.shape[0]) - centre_y
        columns = np.arange(left, left + patch.shape[1]) - centre_x
        profile = np.outer(
            np.exp(-0.5 * (rows / sigma_y) ** 2), np.exp(-0.5 * (columns / sigma_x) ** 2)
        )
        patch += (peak * profile).astype(np.float32)


def render(
    rng: np.random.Generator, name: TextureName, *, size: tuple[int, int]
) -> npt.NDArray[Any]:
    """Draw one good surface.

    Args:
        rng: source of randomness.
        name: a key of `TEXTURES`.
        size: (height, width), px.

    Returns:
        (height, width) uint8.
    """
    pattern = TEXTURES[name](rng, size)
    mean, deviation = cv2.meanStdDev(pattern)
    surface: Float = (pattern - np.float32(mean.item())) / np.float32(max(deviation.item(), 1e-6))
    drift_cell = min(size) / rng.uniform(2.0, 4.0)
    contrast_drift = smooth_field(rng, size, cell=drift_cell)
    surface *= np.exp(np.clip(np.float32(0.25) * contrast_drift, -0.5, 0.5))
    # Soft limits: hard ones would leave flat patches, which look like defects.
    surface = np.float32(3.5) * np.tanh(surface / np.float32(3.5))
    _add_soft_spots(rng, surface)
    surface += np.float32(rng.uniform(0.3, 0.7)) * smooth_field(rng, size, cell=drift_cell)
    surface *= np.float32(rng.uniform(16, 22))
    surface += np.float32(rng.uniform(105, 145))
    # Noise of the camera, the same on good and defective surface.
    surface += rng.uniform(1.5, 3.0) * rng.standard_normal(size, dtype=np.float32)
    return np.clip(np.rint(surface), 0, 255).astype(np.uint8)
