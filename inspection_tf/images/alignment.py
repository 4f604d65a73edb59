"""The arithmetic of laying one gray image onto another: phase correlation, ECC, warping.

With F and G the spectra of image and template, the inverse transform of `w F conj(G) / (|F G| + e)`
has its peak at the shift. A Gaussian `w` makes that peak a Gaussian, whose logarithm is a parabola:
three points of it give its place between the pixels. ECC (Evangelidis and Psarakis 2008) starts
there and raises the correlation step by step.
"""

import functools
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import images
from inspection_tf.images import geometry

SMALLEST_SIDE = 8  # px; under it there is nothing to correlate
_SMOOTHING_PX = 1.0  # sigma, before anything is compared
_FLAT = 0.25  # counts of deviation, under which there is nothing to see
_WHOLE_PX = 0.1  # a shift this close to a whole one is made without interpolation
_PEAK_SIGMA_PX = 1.0  # width of the correlation's peak
_EPSILON = 1e-5  # of the ECC, the gain at which it stops


def features(image: images.Image) -> NDArray[np.float32]:
    """Return gray (H, W) float32 around 0 with a deviation of 1, less its finest noise.

    All 0 where there is nothing to see.
    """
    gray = cv2.GaussianBlur(images.to_gray(image).astype(np.float32), (0, 0), _SMOOTHING_PX)
    deviation = float(gray.std(dtype=np.float64))
    if deviation < _FLAT:
        return np.zeros(gray.shape, np.float32)
    return np.asarray((gray - gray.mean(dtype=np.float64)) / deviation, np.float32)


def correlation(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    inside: NDArray[np.uint8] | None = None,
) -> float:
    """Return `(mean(a b) - mean(a) mean(b)) / (std(a) std(b))`; 0 where one is constant."""
    (mean_a, std_a), (mean_b, std_b) = (
        (float(mean[0, 0]), float(std[0, 0]))
        for mean, std in (cv2.meanStdDev(part, mask=inside) for part in (first, second))
    )
    product = cv2.mean(cv2.multiply(first, second), mask=inside)[0]
    scale = std_a * std_b
    return (product - mean_a * mean_b) / scale if scale > 1e-9 else 0.0


def search(
    moving: NDArray[np.float32],
    fixed: NDArray[np.float32],
    *,
    motion: int | None,
    max_shift_px: float,
    iterations: int,
) -> NDArray[np.float64]:
    """Return the matrix (3, 3) from template to image px.

    Args:
        moving: the template's features (H, W).
        fixed: those of the image.
        motion: what ECC may do, as cv2 numbers it; None for the phase correlation alone.
        max_shift_px: how far to look.
        iterations: of ECC, at most.
    """
    shift_xy = _phase_shift(moving, fixed, max_shift_px)
    matrix = geometry.scale_offset_matrix((1.0, 1.0), shift_xy)
    if motion is not None:
        matrix = _refine(moving, fixed, matrix, motion, max_shift_px, iterations)
    if np.array_equal(matrix[:2, :2], np.eye(2)):
        whole = np.rint(matrix[:2, 2])
        matrix[:2, 2] = np.where(np.abs(matrix[:2, 2] - whole) < _WHOLE_PX, whole, matrix[:2, 2])
    return matrix


def farthest(matrix: NDArray[np.float64], size: tuple[int, ...]) -> float:
    """Return how far a corner of a template of (height, width) moves, px."""
    right, bottom = size[1] - 1, size[0] - 1
    corners = np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], np.float64)
    steps = geometry.transform_points(corners, matrix) - corners
    return float(np.linalg.norm(steps, axis=1).max())


def _refine(
    moving: NDArray[np.float32],
    fixed: NDArray[np.float32],
    matrix: NDArray[np.float64],
    motion: int,
    max_shift_px: float,
    iterations: int,
) -> NDArray[np.float64]:
    """Return what ECC makes of a first matrix: with all pixels, then without the defects.

    Where ECC fails or runs away, what was found before it stays.
    """
    for leave_out in (False, True):
        mask = _unchanged(moving, fixed, matrix) if leave_out else None
        try:
            refined = _ecc(moving, fixed, matrix, mask, motion, iterations)
        except (cv2.error, np.linalg.LinAlgError):
            break
        if not farthest(refined, fixed.shape) <= max_shift_px:  # also where it is not a number
            break
        matrix = refined
    return matrix


def _ecc(
    moving: NDArray[np.float32],
    fixed: NDArray[np.float32],
    matrix: NDArray[np.float64],
    mask: NDArray[np.uint8] | None,
    motion: int,
    iterations: int,
) -> NDArray[np.float64]:
    """Return a better matrix from template to image; `mask` lies as the template."""
    # ECC looks up in the template what lies at each pixel of the image: the inverse.
    start = np.linalg.inv(matrix)[:2].astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, iterations, _EPSILON)
    _, refined = cv2.findTransformECC(fixed, moving, start, motion, criteria, mask, 1)
    return np.asarray(np.linalg.inv(np.vstack([refined, [0.0, 0.0, 1.0]])), np.float64)


def _unchanged(
    moving: NDArray[np.float32], fixed: NDArray[np.float32], matrix: NDArray[np.float64]
) -> NDArray[np.uint8] | None:
    """Return the template's pixels without those that no shift of a pixel explains: defects.

    None where little would be left: then it is the place that is wrong, not the parts.
    """
    moved, kernel = warp(moving, matrix), np.ones((5, 5), np.uint8)
    odd = (fixed < cv2.erode(moved, kernel) - 0.5) | (fixed > cv2.dilate(moved, kernel) + 0.5)
    if odd.mean() > 0.25:
        return None
    unchanged = 1 - cv2.dilate(odd.astype(np.uint8), np.ones((7, 7), np.uint8))
    return np.asarray(warp(unchanged, np.asarray(np.linalg.inv(matrix), np.float64)), np.uint8)


def _phase_shift(
    moving: NDArray[np.float32], fixed: NDArray[np.float32], max_shift_px: float
) -> tuple[float, float]:
    """Return (x, y) px that bring `moving` onto `fixed`.

    The second look is at what both show after the first: the window no longer pulls towards 0.
    """
    first = _peak(_cross_power(fixed, moving), max_shift_px)
    step_x, step_y = (int(step) for step in np.rint(first))
    here = _overlap(fixed, step_x, step_y), _overlap(moving, -step_x, -step_y)
    if not (step_x or step_y) or min(here[0].shape) < SMALLEST_SIDE:
        return float(first[0]), float(first[1])
    rest = _peak(_cross_power(*here), 2.0)
    return step_x + float(rest[0]), step_y + float(rest[1])


def _overlap(image: NDArray[np.float32], step_x: int, step_y: int) -> NDArray[np.float32]:
    """Return the part of an image that another, moved by whole steps, covers."""
    height, width = image.shape
    return image[max(0, step_y) : height + min(0, step_y), max(0, step_x) : width + min(0, step_x)]


def _cross_power(fixed: NDArray[np.float32], moving: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the phase correlation, 1 at most, with shift (0, 0) at [0, 0]."""
    window = cv2.createHanningWindow((fixed.shape[1], fixed.shape[0]), cv2.CV_32F)
    size = (cv2.getOptimalDFTSize(fixed.shape[0]), cv2.getOptimalDFTSize(fixed.shape[1]))
    first, second = (_spectrum(part, window, size) for part in (fixed, moving))
    product = first * np.conj(second)
    strength = np.abs(product)
    # Frequencies at which there is next to nothing would count as much as the others.
    product *= _low_pass(size) / (strength + 1e-3 * strength.mean() + 1e-12)
    parts = product.view(np.float32).reshape(*size, 2)
    flags = cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT
    return np.asarray(cv2.dft(parts, flags=flags), np.float32)


def _spectrum(
    part: NDArray[np.float32], window: NDArray[np.float32], size: tuple[int, int]
) -> NDArray[np.complex64]:
    """Return the spectrum (h, w) of an image faded out at its border and padded to `size`."""
    faded = np.zeros(size, np.float32)
    mean = float((part * window).sum(dtype=np.float64) / window.sum(dtype=np.float64))
    faded[: part.shape[0], : part.shape[1]] = (part - mean) * window
    spectrum = cv2.dft(faded, flags=cv2.DFT_COMPLEX_OUTPUT).view(np.complex64)[..., 0]
    return np.asarray(spectrum, np.complex64)


@functools.lru_cache(maxsize=4)
def _low_pass(size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the spectrum (h, w) of a Gaussian of `_PEAK_SIGMA_PX`."""
    squares = np.fft.fftfreq(size[0])[:, None] ** 2 + np.fft.fftfreq(size[1])[None] ** 2
    return np.exp(-2 * (math.pi * _PEAK_SIGMA_PX) ** 2 * squares).astype(np.float32)


def _peak(surface: NDArray[np.float32], radius: float) -> NDArray[np.float64]:
    """Return (x, y) px of the highest place within `radius` of no shift, between the pixels."""
    reach = [min(int(radius), (side - 1) // 2 - 1) for side in surface.shape]
    steps_y, steps_x = (np.arange(-r, r + 1) for r in reach)
    near = surface[np.ix_(steps_y, steps_x)]
    # Where a straight edge leaves a ridge, not a peak, the smallest shift is taken.
    distance = steps_y[:, None] ** 2 + steps_x[None] ** 2
    is_near = distance <= max(1.0, radius * radius)
    judged = np.where(is_near, near * (1 - 0.1 * distance / max(1.0, radius * radius)), -1.0)
    row, column = np.unravel_index(np.argmax(judged), near.shape)
    y, x = int(steps_y[row]), int(steps_x[column])
    offsets = []
    for line in (surface[y, [x - 1, x, x + 1]], surface[[y - 1, y, y + 1], x]):
        low, middle, high = np.log(np.maximum(line.astype(np.float64), 1e-6))
        bend = 2 * middle - low - high
        offsets.append(float(np.clip((high - low) / (2 * bend), -0.5, 0.5)) if bend > 1e-3 else 0.0)
    return np.array([x, y]) + offsets


def warp(
    array: NDArray[Any], matrix: NDArray[np.float64], *, border: int = cv2.BORDER_REPLICATE
) -> NDArray[Any]:
    """Move pixels by a matrix; whole steps copy them."""
    if np.array_equal(matrix, np.eye(3)):
        return array
    height, width = array.shape[:2]
    is_whole = np.array_equal(matrix[:2, :2], np.eye(2)) and np.array_equal(matrix, np.rint(matrix))
    how = cv2.INTER_NEAREST if is_whole else cv2.INTER_LINEAR
    moved: NDArray[Any] = cv2.warpAffine(
        array, matrix[:2], (width, height), flags=how, borderMode=border
    )
    return moved
