"""Dirt that is no damage: swarf, oil and dust. It hides what is under it, and no label knows it."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from inspection_tf.synthesis import textures
from inspection_tf.synthesis.inserts.view import View
from inspection_tf.synthesis.textures import Float


def add(rng: np.random.Generator, picture: Float, view: View, *, most: int) -> None:
    """Lay dirt over a picture, in place.

    Args:
        rng: the only source of randomness.
        picture: (H, W) grey values.
        view: where the insert is.
        most: pieces.
    """
    for _ in range(int(rng.integers(0, most + 1))):
        (_swarf, _oil, _dust, _dust)[int(rng.integers(4))](rng, picture, view)


def _somewhere(rng: np.random.Generator, view: View) -> tuple[float, float]:
    """Choose a place, mostly on the flank."""
    height, width = view.size
    highest = view.edge.start_xy[1] / height * float(rng.uniform(0.5, 1.1))
    return float(rng.uniform(0.03, 0.97)) * width, float(rng.uniform(highest, 0.98)) * height


def _swarf(rng: np.random.Generator, picture: Float, view: View) -> None:
    """A curl of metal: it shines where it turns to the light, and throws a shadow."""
    x, y = _somewhere(rng, view)
    length = float(rng.uniform(10, 60)) * view.scale
    step = np.linspace(-0.5, 0.5, 16)
    turn = float(rng.uniform(0, 2 * math.pi)) + float(rng.uniform(-3, 3)) * step
    curl = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    points = np.array([x, y]) + np.cumsum(curl, axis=0) * length / 16
    thickness = max(1, round(float(rng.uniform(0.8, 3.6)) * view.scale))
    shadow = _line(picture, points + np.array([1.2, 1.8]) * view.scale, thickness + 1)
    picture *= 1 - np.float32(rng.uniform(0.2, 0.5)) * cv2.GaussianBlur(shadow, (0, 0), 1.2)
    body, shine = float(rng.uniform(50, 150)), float(rng.uniform(20, 110))
    light = float(rng.uniform(0, 2 * math.pi))
    for k in range(0, 15, 3):
        piece = _line(picture, points[k : k + 4], thickness)
        facing = abs(math.cos(float(turn[k]) - light)) ** 3
        picture += piece * (np.float32(body + shine * facing) - picture)


def _line(picture: Float, points: NDArray[np.float64], thickness: int) -> Float:
    cover = np.zeros(picture.shape, np.uint8)
    fixed = np.round(points * 16).astype(np.int32)  # 4 bits behind the point
    cv2.polylines(cover, [fixed], False, 255, thickness, cv2.LINE_AA, 4)
    return np.asarray(cover * np.float32(1 / 255), np.float32)


def _patch(
    rng: np.random.Generator, view: View, radius: float
) -> tuple[tuple[slice, slice], Float]:
    """Return a window of the picture and, in it, a ragged distance from a middle: 1 at its rim."""
    x, y = _somewhere(rng, view)
    reach = math.ceil(1.6 * radius) + 1
    top, left = max(0, round(y) - reach), max(0, round(x) - reach)
    here = slice(top, round(y) + reach + 1), slice(left, round(x) + reach + 1)
    height, width = view.depth[here].shape
    rows, columns = np.ogrid[top : top + height, left : left + width]
    aspect = float(rng.uniform(0.6, 1.6))
    distance = np.hypot((columns - x) * aspect, rows - y).astype(np.float32) / np.float32(radius)
    if radius > 3:
        waves = textures.smooth_field(rng, (height, width), cell=0.6 * radius)
        distance *= 1 + np.float32(0.15) * waves
    return here, distance


def _oil(rng: np.random.Generator, picture: Float, view: View) -> None:
    """A drop of oil on the flank: darker, with a bright rim; what is under it stays visible."""
    radius = float(rng.uniform(5, 22)) * view.scale
    here, distance = _patch(rng, view, radius)
    inside = np.clip((1 - distance) * np.float32(0.3 * radius) + 0.5, 0, 1)
    on_flank = np.clip(view.depth[here] - view.missing[here], 0, 1)
    picture[here] *= 1 - np.float32(rng.uniform(0.12, 0.4)) * inside * on_flank
    rim = np.exp(-(((distance - 0.9) * np.float32(radius / 2)) ** 2))
    picture[here] += np.float32(rng.uniform(0, 22)) * rim * on_flank


def _dust(rng: np.random.Generator, picture: Float, view: View) -> None:
    """Some specks, bright or dark."""
    for _ in range(int(rng.integers(3, 14))):
        here, distance = _patch(rng, view, float(rng.uniform(0.6, 2.2)) * view.scale)
        strength = float(rng.choice((1.0, 1.0, -1.0))) * float(rng.uniform(15, 75))
        picture[here] += np.float32(strength) * np.clip(1.4 - distance, 0, 1)
