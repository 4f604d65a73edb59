"""Perturbations of grey levels: illumination, and variation within the class."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf import images
from inspection_tf.evaluation.robustness import levels
from inspection_tf.images import Image

GAIN, GAMMA, GRADIENT = 1.5, 1.4, 0.4
CONTRAST, NOISE, FOREIGN = 0.3, 0.04, 0.5
LOW_CYCLES = 6
_SILENT = 1e-3  # sum of shares of white, under which a frequency has no phase


def illumination(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Light the image otherwise: gain, gamma and a gradient across it.

    `(level ^ gamma) * gain * (1 + gradient * position)`, levels from 0 to 1 and clipped there. At
    strength 1 the gain is `GAIN` or its inverse, gamma is `GAMMA` or its inverse, and the gradient
    makes one end of the image brighter by `GRADIENT` and the other darker, in a random direction.

    Args:
        image: (H, W) or (H, W, 3), uint8 or uint16.
        strength: over 0 to 1.
        rng: of signs and direction.
    """
    signs = rng.choice([-1.0, 1.0], 2)
    direction = rng.uniform(0, 2 * math.pi)
    gain, gamma = GAIN ** (signs[0] * strength), GAMMA ** (signs[1] * strength)
    height, width = image.shape[:2]
    y, x = (np.arange(side, dtype=np.float32) + 0.5 for side in (height, width))
    slope = (
        np.cos(direction) * (2 * x / width - 1)[None]
        + np.sin(direction) * (2 * y / height - 1)[:, None]
    )
    slope /= abs(np.cos(direction)) + abs(np.sin(direction))  # -1 to 1 at the corners
    light = (gain * (1 + GRADIENT * strength * slope)).astype(np.float32)
    lit = levels.to_shares(image) ** np.float32(gamma) * levels.coloured(light, image)
    return levels.from_shares(lit, image)


def within_class(
    image: Image, strength: float, rng: np.random.Generator, other: Image | None = None
) -> Image:
    """Let the image look like another one of its class: contrast, texture, noise.

    Its contrast changes by up to `CONTRAST`, sensor noise of `NOISE` of full scale is added, and
    amplitudes of its low spatial frequencies, up to `LOW_CYCLES` along the image, become those of
    another image, by `FOREIGN` at strength 1. Phases stay, and with them its edges, and its mean
    (Yang and Soatto 2020, "FDA"). Without another image there is no such mixing.

    Args:
        image: (H, W) or (H, W, 3), uint8 or uint16.
        strength: over 0 to 1.
        rng: of the sign of the change of contrast, and of the noise.
        other: of any size and type; what it has more or less of colour is left out.
    """
    contrast = np.float32(1 + strength * CONTRAST * rng.choice([-1.0, 1.0]))
    noise = NOISE * rng.standard_normal(image.shape, np.float32)
    shares = levels.to_shares(image)
    if other is not None:
        shares = _mixed(shares, _fitted(other, image), FOREIGN * strength)
    mean = shares.mean(axis=(0, 1))
    return levels.from_shares(
        mean + (shares - mean) * contrast + np.float32(strength) * noise, image
    )


def _fitted(other: Image, image: Image) -> NDArray[np.float32]:
    """Return another image in the size and channels of an image; shares."""
    height, width = image.shape[:2]
    if image.ndim == 2:
        other = images.to_gray(other)
    resized = cv2.resize(levels.to_shares(other), (width, height), interpolation=cv2.INTER_AREA)
    if image.ndim == 3 and resized.ndim == 2:
        resized = np.repeat(resized[..., None], 3, axis=2)
    return np.asarray(resized, np.float32)


def _mixed(
    shares: NDArray[np.float32], foreign: NDArray[np.float32], amount: float
) -> NDArray[np.float32]:
    """Mix amplitudes of the low frequencies of an image with those of another; phases stay."""
    height, width = shares.shape[:2]
    highest = min((height - 1) // 2, LOW_CYCLES)
    down = _waves(np.arange(-highest, highest + 1), height)
    across = _waves(np.arange(min((width - 1) // 2, LOW_CYCLES) + 1), width)
    own, theirs = (_transformed(part, down, across) for part in (shares, foreign))
    amplitude = np.abs(own)
    change = amount * (np.abs(theirs) - amplitude)
    change[highest, 0] = 0  # the mean: that would be light
    added = own * np.divide(change, amplitude, out=np.zeros_like(change), where=amplitude > _SILENT)
    # The image is real: each frequency across, but 0, stands for its negative one too.
    added[:, 1:] *= 2
    low = _transformed(added, down.conj().T, across.conj().T).real
    return np.asarray(shares + low / (height * width), np.float32)


def _transformed(
    values: NDArray[np.generic], down: NDArray[np.complex64], across: NDArray[np.complex64]
) -> NDArray[np.complex64]:
    """Return `down @ values @ across.T` of each channel.

    Args:
        values: (h, w) or (h, w, channels).
        down: (k, h).
        across: (l, w).
    """
    rows = np.tensordot(down, values.astype(np.complex64), axes=(1, 0))
    return np.swapaxes(np.tensordot(across, rows, axes=(1, 1)), 0, 1)


def _waves(cycles: NDArray[np.int64], length: int) -> NDArray[np.complex64]:
    """Return (cycles, length), the waves of a discrete Fourier transform."""
    waves = np.exp(-2j * np.pi * cycles[:, None] * np.arange(length) / length)
    return np.asarray(waves, np.complex64)
