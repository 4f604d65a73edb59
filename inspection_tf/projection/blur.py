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
    small = blurred(np.asarray(small, np.float32), sigma / step)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def noise_of_average(sigma: float) -> float:
    """Return the standard deviation of noise, 1 in each pixel, that a Gaussian averages.

    Args:
        sigma: standard deviation of the Gaussian, px.
    """
    side = 8 * math.ceil(sigma) + 1
    one = np.zeros((side, side), np.float32)
    one[side // 2, side // 2] = 1.0
    return float(np.sqrt((blurred(one, sigma) ** 2).sum()))
