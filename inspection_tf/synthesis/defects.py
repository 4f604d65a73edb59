"""Seven families of surface defect, each a weight and a change.

A family gets a `Zone` (the surface around the defect in the defect's own axes) and returns its
`weight`, 0 outside, 1 at its peak, and the `change` in grey values that it makes at full contrast.
A change is zero wherever the weight is zero. Sizes are shares of the image's smaller side, grey
values are shares of the local deviation, so a defect suits any image it is composed onto.

| family | what it is |
|---|---|
| scratch | bent, tapering, bright or dark, with a shadow at one side |
| blotch | a stain with an irregular edge; the texture goes on underneath |
| spot | a small opaque speck with a sharp edge |
| line | a straight opaque hair of constant width |
| flow | the texture is turned and stretched; brightness stays |
| dent | shading of a bump: one flank bright, the other dark; the texture is drawn inwards |
| fade | the texture is attenuated towards its local mean (DAGM 2007 class 1) |
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import cv2
import numpy as np

from inspection_tf.synthesis import textures
from inspection_tf.synthesis.textures import Float

DefectName = Literal["scratch", "blotch", "spot", "line", "flow", "dent", "fade"]


class Change(NamedTuple):
    """What a defect does to its zone; both (h, w)."""

    weight: Float
    change: Float


@dataclasses.dataclass(frozen=True, slots=True)
class Zone:
    """The surface around one defect.

    Attributes:
        patch: (h, w) grey values, reflected beyond the image's borders.
        along: (h, w) distance from the centre along the long axis, px.
        across: (h, w) distance from the centre across it, px.
        half_length: half of the long axis, px.
        half_width: half of the short axis, px.
        direction: unit vector (x, y) of the long axis.
        deviation: standard deviation of the grey values.
        unit: width of a fine stroke, px.
    """

    patch: Float
    along: Float
    across: Float
    half_length: float
    half_width: float
    direction: tuple[float, float]
    deviation: float
    unit: float


class Extent(NamedTuple):
    """Ranges from which a defect's axes are drawn, and where it lies.

    Attributes:
        length: long axis as a share of the image's smaller side.
        aspect: short axis as a share of the long one.
        lies: anywhere at any angle; along the grain of the texture; centred on a border or a
            corner; or along a border that the grain runs into, as at the ends of a ground part.
    """

    length: tuple[float, float]
    aspect: tuple[float, float]
    lies: Literal["anywhere", "along", "border", "end"] = "anywhere"


def _smoothstep(value: Float) -> Float:
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)


def _blur(image: Float, sigma: float) -> Float:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _sign(rng: np.random.Generator) -> float:
    return float(rng.choice((-1.0, 1.0)))


def blob(
    rng: np.random.Generator, zone: Zone, *, edge: float, ragged: float, lobes: int | None = None
) -> Float:
    """Return the weight of one to three merging lobes with a wavy outline.

    Args:
        rng: source of randomness.
        zone: gives the axes.
        edge: softness; 0.1 is sharp, 0.7 fades from the very middle.
        ragged: waviness of the outline as a share of the radius.
        lobes: their number; None draws one for round zones and up to three for long ones.
    """
    aspect = zone.half_width / zone.half_length
    random_count = int(rng.integers(1, 4 if aspect < 0.6 else 3 if aspect < 0.75 else 2))
    count = random_count if lobes is None else lobes
    share = (1.0, 0.58, 0.42)[count - 1]
    waves = textures.smooth_field(rng, zone.patch.shape, cell=max(2.0, 0.9 * zone.half_width))
    stretch = 1 + np.float32(ragged) * np.clip(waves, -1.5, 1.5)
    total = np.zeros_like(zone.patch)
    for position in np.linspace(share - 1, 1 - share, count) if count > 1 else (0.0,):
        size, sideways = rng.uniform(0.8, 1.0), rng.uniform(-0.25, 0.25) if count > 1 else 0.0
        u = (zone.along - position * zone.half_length) / (share * size * zone.half_length)
        v = (zone.across - sideways * zone.half_width) / (size * zone.half_width)
        total += np.exp(-1.5 * (u * u + v * v) * stretch * stretch)
    rim = np.exp(-1.5)  # a lobe ends where it has fallen to this
    weight = _smoothstep((total - rim) / np.float32(edge * (1 - rim)))
    return np.asarray(weight, np.float32)


def blend(weight: Float, target: Float, zone: Zone) -> Change:
    """Return the change from the patch to a target, as far as there is weight."""
    return Change(weight, weight * (target - zone.patch))


def _scratch(rng: np.random.Generator, zone: Zone) -> Change:
    u = zone.along / np.float32(zone.half_length)
    bow = rng.uniform(-0.8, 0.8) * zone.half_width * (u * u - 0.4)
    wave = (
        rng.uniform(0.1, 0.3) * zone.half_width * np.sin(rng.uniform(3, 6) * u + rng.uniform(0, 6))
    )
    offset = zone.across - (bow + wave).astype(np.float32)
    pressure = 0.85 + 0.15 * np.sin(rng.uniform(4, 9) * u + rng.uniform(0, 6))
    taper = np.sqrt(np.clip(1 - u * u, 0, 1))
    half_width = np.float32(rng.uniform(2.8, 3.6) * zone.unit) * (0.55 + 0.45 * taper)
    profile = np.clip(1 - np.square(offset / half_width), 0, 1)
    weight = np.asarray(pressure * profile * _smoothstep(5 * (1 - np.abs(u))), np.float32)
    side = np.clip(offset / half_width, -1, 1)
    strength = _sign(rng) * rng.uniform(3.0, 4.0) * zone.deviation
    return Change(weight, (np.float32(strength) * weight * (1 - 0.8 * side)).astype(np.float32))


def _blotch(rng: np.random.Generator, zone: Zone) -> Change:
    weight = blob(rng, zone, edge=0.22, ragged=0.15)
    strength = _sign(rng) * rng.uniform(2.3, 3.0) * zone.deviation
    mottle = textures.smooth_field(rng, zone.patch.shape, cell=max(2.0, 0.4 * zone.half_width))
    shade = np.float32(strength) * (1 + np.float32(0.15) * np.clip(mottle, -1.5, 1.5))
    return Change(weight, weight * shade)


def _spot(rng: np.random.Generator, zone: Zone) -> Change:
    weight = blob(rng, zone, edge=0.3, ragged=0.12, lobes=1)
    mean = _blur(zone.patch, zone.half_length)
    return blend(
        weight, mean + np.float32(_sign(rng) * rng.uniform(3.0, 4.0) * zone.deviation), zone
    )


def _line(rng: np.random.Generator, zone: Zone) -> Change:
    half_width = np.float32(rng.uniform(1.9, 2.6) * zone.unit)
    ends = np.clip(zone.half_length - np.abs(zone.along), 0, 1)
    weight = _smoothstep((half_width - np.abs(zone.across)) / zone.unit + 0.5) * ends
    mean = _blur(zone.patch, 6 * zone.unit)
    strength = _sign(rng) * rng.uniform(3.0, 4.0) * zone.deviation
    return blend(np.asarray(weight, np.float32), mean + np.float32(strength), zone)


def _flow(rng: np.random.Generator, zone: Zone) -> Change:
    weight = blob(rng, zone, edge=0.3, ragged=0.12)
    angle = _sign(rng) * rng.uniform(0.7, 1.5)
    zoom_along, zoom_across = rng.uniform(0.3, 0.5), rng.uniform(0.9, 1.3)
    # Along and across are orthonormal, so the patch's own axes follow from `direction`.
    cos, sin = np.cos(angle), np.sin(angle)
    u = (cos * zone.along - sin * zone.across) * zoom_along
    v = (sin * zone.along + cos * zone.across) * zoom_across
    turned = _sample(zone, u.astype(np.float32), v.astype(np.float32))
    sigma = max(2.0, 0.4 * zone.half_width)
    # Only what is finer than the zone is turned; a little stronger, as a pulled thread shows.
    target = np.float32(1.3) * (turned - _blur(turned, sigma)) + _blur(zone.patch, sigma)
    return blend(weight, target, zone)


def _dent(rng: np.random.Generator, zone: Zone) -> Change:
    u = zone.along / np.float32(zone.half_length)
    v = zone.across / np.float32(zone.half_width)
    inside = np.clip(1 - u * u - v * v, 0, 1)
    weight = _smoothstep(np.float32(2.2) * inside)
    light = rng.uniform(0, 2 * np.pi)
    slope = np.float32(np.cos(light)) * u + np.float32(np.sin(light)) * v
    pull = 1 - np.float32(rng.uniform(0.3, 0.5)) * inside
    pulled = _sample(zone, zone.along * pull, zone.across * pull)
    strength = np.float32(rng.uniform(3.4, 4.6) * zone.deviation)
    target = pulled + strength * slope * np.sqrt(inside) * 1.6
    return blend(weight, target, zone)


def _fade(rng: np.random.Generator, zone: Zone) -> Change:
    weight = blob(rng, zone, edge=0.5, ragged=0.15)
    mean = _blur(zone.patch, max(1.5, 0.3 * zone.half_width))
    drift = textures.smooth_field(rng, zone.patch.shape, cell=max(2.0, zone.half_width))
    mean += np.float32(rng.uniform(0.1, 0.35) * zone.deviation) * drift
    # Attenuated texture keeps a fine residue; measured 0.15 to 0.3 of the deviation on DAGM.
    residue = rng.standard_normal(zone.patch.shape, dtype=np.float32)
    mean += np.float32(rng.uniform(0.12, 0.22) * zone.deviation) * residue
    return blend(weight, mean, zone)


def _sample(zone: Zone, along: Float, across: Float) -> Float:
    """Return the patch at other places, given in the defect's axes, px."""
    height, width = zone.patch.shape
    cos, sin = (np.float32(part) for part in zone.direction)
    # The centre is where both axes are 0; the first pixel's axes tell where that is.
    centre_x = -(zone.along[0, 0] * cos - zone.across[0, 0] * sin)
    centre_y = -(zone.along[0, 0] * sin + zone.across[0, 0] * cos)
    x = centre_x + along * cos - across * sin
    y = centre_y + along * sin + across * cos
    return np.asarray(
        cv2.remap(zone.patch, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32
    ).reshape(height, width)


DEFECTS: dict[DefectName, Callable[[np.random.Generator, Zone], Change]] = {
    "scratch": _scratch,
    "blotch": _blotch,
    "spot": _spot,
    "line": _line,
    "flow": _flow,
    "dent": _dent,
    "fade": _fade,
}

EXTENTS: dict[DefectName, Extent] = {
    "scratch": Extent(length=(0.25, 0.60), aspect=(0.10, 0.25)),
    "blotch": Extent(length=(0.16, 0.30), aspect=(0.50, 1.00)),
    "spot": Extent(length=(0.07, 0.12), aspect=(0.70, 1.00)),
    "line": Extent(length=(0.30, 0.80), aspect=(0.05, 0.05)),
    "flow": Extent(length=(0.24, 0.40), aspect=(0.60, 1.00)),
    "dent": Extent(length=(0.16, 0.30), aspect=(0.70, 1.00)),
    "fade": Extent(length=(0.18, 0.34), aspect=(0.35, 1.00)),
}

# Thin families: they cross the grain of the texture, where it has one, to be told from it.
STROKES: frozenset[DefectName] = frozenset({"scratch", "line"})
