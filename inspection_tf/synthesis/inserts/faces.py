"""Grey values of what an image shows: holder, rake face, flank, wear land, fracture.

What a function draws does not depend on the damage: a broken insert looks as it would look whole,
but where it is broken.
"""

import math

import cv2
import numpy as np

from inspection_tf.synthesis import textures
from inspection_tf.synthesis.inserts.spec import InsertSpec
from inspection_tf.synthesis.inserts.view import View, ridge, rising, speckle, streaks
from inspection_tf.synthesis.textures import Float

_REDUCED = 6  # the background is drawn that much smaller: it is out of focus


def background(rng: np.random.Generator, view: View, spec: InsertSpec) -> Float:
    """Draw the tool holder behind the insert, out of focus: (H, W) grey values."""
    height, width = (max(8, side // _REDUCED) for side in view.size)
    level = float(rng.uniform(*spec.background))
    small = level + np.float32(0.06 * level) * textures.smooth_field(
        rng, (height, width), cell=min(height, width) / 1.5
    )
    for _ in range(int(rng.integers(0, 4))):  # edges and screws of the holder
        x, y = int(rng.integers(-2, width + 2)), int(rng.integers(-2, height + 2))
        axes = int(rng.integers(3, width // 2 + 4)), int(rng.integers(1, height // 4 + 2))
        turn, gray = float(rng.uniform(-25, 25)), level * float(rng.uniform(0.35, 1.35))
        cv2.ellipse(small, (x, y), axes, turn, 0, 360, gray, -1)
    small = cv2.GaussianBlur(small, (0, 0), float(rng.uniform(1.2, 2.5)))
    size = view.size[1], view.size[0]
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), np.float32)


def rake(rng: np.random.Generator, view: View, behind: Float) -> Float:
    """Draw the rake face beyond the edge, seen at a flat angle, over what is behind it."""
    height = view.size[0]
    reach = float(rng.choice((0.0, 0.04, 0.1, 0.2, 0.6))) * height * float(rng.uniform(0.7, 1.3))
    level = float(rng.uniform(45, 150))
    if reach < 2:  # the camera looks along it
        return behind
    beyond = -view.down
    # The chip breaker: its far border is wavy, and light and shade run along the edge.
    waves = float(rng.uniform(0, 0.3)) * reach
    phase = view.right * np.float32(2 * math.pi / (float(rng.uniform(0.25, 0.8)) * view.size[1]))
    border = np.float32(reach) + np.float32(waves) * np.sin(phase + rng.uniform(0, 6))
    border += view.right * np.float32(rng.uniform(-0.06, 0.06))
    cover = rising(border - beyond, width=max(3.0, 0.25 * reach)) * rising(beyond + 1)
    if view.edge.radius_px is not None:
        slant = float(rng.uniform(0.2, 1.5))
        left = view.right + np.float32(0.05 * view.edge.radius_px) - np.float32(slant) * beyond
        cover *= rising(left, width=5.0)
    face = level + 7 * streaks(rng, view.right, view.down, stretch=10, width=1.6)
    roll = beyond * np.float32(1 / max(reach, 4.0))
    face += np.float32(rng.uniform(-30, 45)) * roll
    face += np.float32(rng.uniform(0, 60)) * ridge(
        roll - np.float32(rng.uniform(0.2, 0.9)), width=0.18
    )
    return np.asarray(behind + cover * (face - behind), np.float32)


def flank(rng: np.random.Generator, view: View, spec: InsertSpec) -> Float:
    """Draw the coated flank as it is without damage: (H, W) grey values."""
    level, contrast = float(rng.uniform(*spec.coating)), float(rng.uniform(*spec.grain))
    mottle = textures.smooth_field(
        rng, view.size, cell=min(view.size) * float(rng.uniform(0.12, 0.4))
    )
    # Bright metal shows its marks more than a dark coating does.
    face = (_grain(rng, view) + np.float32(0.8) * mottle) * np.float32(
        contrast * (0.6 + level / 150)
    )
    face += level
    shine = float(rng.uniform(0, spec.highlight)) * float(rng.random() < 0.6)
    face += shine * _highlight(rng, view) * (1 + np.float32(0.15) * mottle)
    if view.edge.radius_px is not None:
        radius = view.edge.radius_px
        # The rounded side is a cylinder: light runs down it.
        place = view.right + np.float32(radius * float(rng.uniform(0.4, 0.8)))
        band = ridge(place, width=radius * float(rng.uniform(0.12, 0.3)))
        face += np.float32(rng.uniform(-15, 110)) * band * (1 + np.float32(0.1) * mottle)
        # At its border it turns away from the camera.
        away = rising(view.right + np.float32(radius - 5), width=10)
        face *= np.float32(0.6) + np.float32(0.4) * away
    return np.asarray(face, np.float32)


def _grain(rng: np.random.Generator, view: View) -> Float:
    """Return grinding marks, which have a direction, and speckle; about unit deviation."""
    turn = float(rng.choice((0.0, math.pi / 2))) + float(rng.normal(0, 0.12))
    cos, sin = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    lengthwise, across = view.right * cos + view.down * sin, view.down * cos - view.right * sin
    share, width = float(rng.uniform(0.15, 0.9)), float(rng.uniform(1.0, 2.2))
    stretch = float(rng.uniform(15, 60))
    grain = np.float32(share) * streaks(rng, lengthwise, across, stretch=stretch, width=width)
    grain += np.float32(1 - share) * speckle(rng, view.size, sigma=float(rng.uniform(0.7, 1.3)))
    for _ in range(int(rng.integers(0, 4))):  # marks of single grains of the wheel
        place = float(rng.uniform(0, 0.8)) * view.size[0]
        strength = float(rng.choice((-1.0, 1.0))) * float(rng.uniform(0.6, 1.8))
        grain += np.float32(strength) * ridge(
            across - np.float32(place), width=float(rng.uniform(0.7, 3))
        )
    return np.asarray(grain, np.float32)


def _highlight(rng: np.random.Generator, view: View) -> Float:
    """Return the specular highlight, a band over the flank: 1 in its middle."""
    bow = float(rng.uniform(-0.5, 0.5))
    lobe = view.right * np.float32(math.sin(bow)) + view.down * np.float32(math.cos(bow))
    lobe -= np.float32(rng.uniform(0.0, 0.7) * view.size[0])
    return ridge(lobe, width=float(rng.uniform(0.08, 0.3)) * view.size[0])


def glint(rng: np.random.Generator, view: View, face: Float) -> None:
    """Add the light that the honed edge reflects, in place."""
    strength = float(rng.uniform(-10, 95))
    uneven = streaks(rng, view.depth, view.along, stretch=40, width=float(rng.uniform(2, 9)))
    line = ridge(
        view.depth - view.missing - np.float32(rng.uniform(0.5, 1.6)),
        width=float(rng.uniform(0.7, 1.5)),
    )
    # A fracture has no honed edge.
    line *= rising(np.float32(5) - view.missing, width=4.0)
    face += np.float32(strength) * line * np.clip(0.7 + 0.4 * uneven, 0, 1.8)


def wear_land(rng: np.random.Generator, view: View, face: Float) -> None:
    """Lay the abraded land over the flank, in place."""
    is_bright = rng.random() < 0.75
    level = float(rng.uniform(30, 95)) if is_bright else float(rng.uniform(-14, 6))
    # Chips run down the flank: the grooves go across the edge.
    grooves = streaks(
        rng, view.depth, view.along, stretch=float(rng.uniform(10, 40)), width=rng.uniform(0.9, 1.8)
    )
    rough = speckle(rng, view.size, sigma=float(rng.uniform(0.8, 1.3)))
    patches = textures.smooth_field(rng, view.size, cell=float(rng.uniform(5, 14)))
    land = face + np.float32(level)
    land += np.float32(rng.uniform(6, 18)) * grooves
    land += np.float32(rng.uniform(4, 11)) * rough
    land += np.float32(rng.uniform(4, 14)) * patches
    sparks = np.float32(1.0 if is_bright else 2.0) * np.maximum(grooves + rough - 1.8, 0)
    land += np.float32(28) * sparks
    pits = np.minimum(patches + np.float32(0.6) * rough + np.float32(1.0), 0)
    land += np.float32(rng.uniform(4, 22)) * pits
    inward = view.land - view.depth
    is_worn = rising(view.land - np.float32(1.5), width=2.0)
    rim = float(rng.uniform(-25, 60)) if is_bright else float(rng.uniform(15, 80))
    land += np.float32(rim) * ridge(inward - np.float32(1.2), width=1.2)
    # Heat has coloured the coating below the land: no clear step to rely on.
    warm = np.exp(np.minimum(inward, 0) * np.float32(1 / rng.uniform(4, 14)))
    face += np.float32(rng.uniform(-22, 14)) * warm * is_worn
    cover = rising(inward) * is_worn
    face += cover * (land - face)


def fracture(rng: np.random.Generator, view: View, face: Float, beyond: Float) -> None:
    """Show where material is missing what lies under it, in place.

    Args:
        rng: the only source of randomness.
        view: where it is missing.
        face: (H, W) grey values of the flank.
        beyond: (H, W) grey values of what lies beyond the edge.
    """
    inside = view.missing - view.depth
    shown = beyond
    # Where little is missing, by the roughness of every edge, no fracture is seen.
    is_deep = rising(view.missing - np.float32(5), width=4.0)
    if is_deep.any():
        shown = beyond + is_deep * (_fracture(rng, view, face, beyond) - beyond)
    face += rising(inside) * (view.missing > 0) * (shown - face)


def _fracture(rng: np.random.Generator, view: View, face: Float, beyond: Float) -> Float:
    """Return the surface of a fracture; its upper part may be open to what lies beyond."""
    inside = view.missing - view.depth
    share = np.clip(inside / np.maximum(view.missing, 1), 0, 1)
    # It faces elsewhere than what is around it, so it is darker or brighter.
    contrast, is_dark = float(rng.uniform(40, 85)), bool(rng.random() < 0.65)
    around = float(face[view.is_missing].mean()) if view.is_missing.any() else 0.0
    level = around - contrast if is_dark and around > contrast + 15 else around + contrast
    broken = level + np.float32(rng.uniform(18, 34)) * _relief(rng, view)
    broken += np.float32(rng.uniform(8, 22)) * textures.smooth_field(rng, view.size, cell=22.0)
    broken += 8 * speckle(rng, view.size, sigma=0.9)
    shade = float(rng.uniform(-0.4, 0.1)) * (1 if is_dark else -1)
    broken *= 1 + np.float32(shade) * share
    wall = float(rng.choice((-1.0, 1.0))) * float(rng.uniform(60, 110))
    broken += np.float32(wall) * ridge(inside - np.float32(1.5), width=1.5)
    opening = float(rng.uniform(-0.1, 0.8))
    if opening > 0:
        reach = np.asarray(share - np.float32(1 - opening), np.float32)
        broken += rising(reach, width=0.12) * (beyond - broken)
    return np.asarray(broken, np.float32)


def _relief(rng: np.random.Generator, view: View) -> Float:
    """Return the shading of grains with ridges between them, lit from one side."""
    coarse = textures.smooth_field(rng, view.size, cell=float(rng.uniform(6, 12)))
    fine = textures.smooth_field(rng, view.size, cell=float(rng.uniform(2.5, 4.5)))
    relief = np.abs(coarse) * np.float32(4.5) + coarse + fine
    light = float(rng.uniform(0, 2 * math.pi))
    kernel = np.zeros((3, 3), np.float32)
    kernel[1, 0], kernel[1, 2] = -math.cos(light), math.cos(light)
    kernel[0, 1], kernel[2, 1] = -math.sin(light), math.sin(light)
    return np.asarray(cv2.filter2D(relief, -1, kernel), np.float32)
