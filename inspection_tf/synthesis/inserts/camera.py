"""What camera and light do to an image: depth of field, uneven light, vignetting, noise.

Nothing of it moves a pixel.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.synthesis.inserts.spec import InsertSpec
from inspection_tf.synthesis.textures import Float


def defocus(picture: Float, sigma_px: Float, *, largest: float) -> Float:
    """Blur each pixel by its own amount: a blend of the picture at three levels of blur.

    Args:
        picture: (H, W) grey values.
        sigma_px: (H, W) standard deviation of the blur, px.
        largest: of them; the blur ends there.
    """
    if largest < 0.3:
        return picture
    half = cv2.GaussianBlur(picture, (0, 0), largest / 2)
    full = cv2.GaussianBlur(picture, (0, 0), largest)
    share = np.clip(sigma_px * np.float32(2 / largest), 0, 2)
    near = picture + np.minimum(share, 1) * (half - picture)
    return np.asarray(near + np.maximum(share - 1, 0) * (full - half), np.float32)


def shoot(rng: np.random.Generator, picture: Float, spec: InsertSpec) -> NDArray[np.uint8]:
    """Return the photo of a picture.

    Args:
        rng: the only source of randomness.
        picture: (H, W) grey values under even light; it is changed.
        spec: light and noise.
    """
    height, width = picture.shape
    y, x = np.ogrid[:height, :width]
    x = (x / max(width - 1, 1) - 0.5).astype(np.float32)
    y = (y / max(height - 1, 1) - 0.5).astype(np.float32)
    angle = float(rng.uniform(0, 2 * math.pi))
    loss = spec.shading * float(rng.random())
    light = 1 - np.float32(loss) * (
        np.float32(0.5) + x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle))
    )
    # At the corners x^2 + y^2 is 0.5.
    light *= 1 - np.float32(spec.vignetting * float(rng.random()) * 2) * (x * x + y * y)
    picture *= light * np.float32(rng.uniform(0.85, 1.15))
    lens = float(rng.uniform(0.35, 1.0)) * min(spec.blur_px, 1.0)
    if lens > 0.2:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), lens), np.float32)
    if spec.noise:
        noise = rng.standard_normal(picture.shape, dtype=np.float32)
        # Shot noise: bright pixels carry more of it.
        deviation = np.float32(rng.uniform(0.2, 1.0) * spec.noise)
        picture += noise * deviation * np.sqrt(np.maximum(picture, 0) / 255 + np.float32(0.15))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
