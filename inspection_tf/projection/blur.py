"""Blur of images by a Gaussian, whatever its width."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

_Images = NDArray[np.float32]
_WIDE = 8.0  # px: a wider one changes so little from pixel to pixel that fewer pixels show it


def blurred(image: _Images, sigma: float) -> _Images:
    """Return images as a Gaussian blurs them; what lies beside one is taken to be as its border.

    Args:
        image: (height, width) or (k, height, width).
        sigma: standard deviation, px; 0: nothing changes.
    """
    if not sigma > 0:
        return image
    if image.ndim == 3:
        return np.stack([blurred(one, sigma) for one in image])
    image = np.ascontiguousarray(image)
    step = int(sigma / _WIDE)
    if step <= 1:
        side = 2 * math.ceil(4 * sigma) + 1
        found = cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(found, np.float32)
    height, width = image.shape
    small = cv2.resize(
        image, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA
    )
    # The sides need be no multiples of the step: each is so many times as short.
    down, across = sigma * small.shape[0] / height, sigma * small.shape[1] / width
    side = 2 * math.ceil(4 * max(down, across)) + 1
    small = cv2.GaussianBlur(
        small, (side, side), across, sigmaY=down, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def average(
    values: NDArray[np.float64], seen: NDArray[np.bool_], sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sums that a Gaussian weighs, and the noise of each of them where that of a pixel is 1.

    Pixels that are not seen, and what lies beside the image, take no part: there the sums are
    smaller, and their noise too.

    Args:
        values: (height, width).
        seen: (height, width), which of them count.
        sigma: standard deviation of the Gaussian, px.
    """
    kernel = cv2.getGaussianKernel(2 * math.ceil(4 * sigma) + 1, sigma, cv2.CV_64F)
    sums, squares = (
        cv2.sepFilter2D(image, cv2.CV_64F, weights, weights, borderType=cv2.BORDER_CONSTANT)
        for image, weights in (
            (np.where(seen, values, 0.0), kernel),
            (seen.astype(np.float64), kernel**2),
        )
    )
    return sums, np.sqrt(np.maximum(squares, 0.0))
