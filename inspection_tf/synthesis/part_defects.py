"""Five families of defect of a machined part, which the surface families do not show.

They are drawn onto images of good parts whose set tells classes of defects apart; see
`compose.classes`. Sizes, weights and changes are those of `defects`.

| family | what it is |
|---|---|
| pit | a small dark hole with a ragged rim |
| crack | a thin dark line that wanders, thins out and may branch |
| bare | an area that the tool left out, along the grain: smooth, darker, with a sharp edge |
| chip | material that broke off a border or a corner: smooth, shaded, cut by the border |
| step | all of an end of the part, up to a wavy line across the grain: smooth, of another grey |

Source: the classes of Huang et al. 2018, "Surface defect saliency of magnetic tile", as their
images show them.
"""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

from inspection_tf.synthesis import defects, textures
from inspection_tf.synthesis.defects import Change, Extent, Zone
from inspection_tf.synthesis.textures import Float

PartDefectName = Literal["pit", "crack", "bare", "chip", "step"]


def _smooth(rng: np.random.Generator, zone: Zone, *, offset: float) -> Float:
    """Return the patch with a trace of its texture, brighter or darker by so many deviations."""
    flat = np.asarray(cv2.GaussianBlur(zone.patch, (0, 0), 8 * zone.unit), np.float32)
    mottle = textures.smooth_field(rng, zone.patch.shape, cell=max(4.0, 12 * zone.unit))
    noise = rng.standard_normal(zone.patch.shape, dtype=np.float32)
    rough = np.float32(0.08) * mottle + np.float32(0.1) * noise
    trace = np.float32(rng.uniform(0.05, 0.4)) * (zone.patch - flat)
    change = np.float32(zone.deviation) * (np.float32(offset) + rough)
    return np.asarray(flat + trace + change, np.float32)


def _wave(rng: np.random.Generator, along: Float, *, length: float) -> Float:
    """Return a wandering offset in -1..1 for each place along an axis."""
    total = np.zeros_like(along)
    for number in range(1, 5):
        phase = np.float32(rng.uniform(0, 2 * np.pi))
        share = np.float32(rng.uniform(0.4, 1.0) / number)
        total += share * np.sin(np.float32(number * np.pi / length) * along + phase)
    return total / np.float32(2.1)


def _dark(weight: Float, zone: Zone, *, depth: float, around: float) -> Change:
    """Return a hole so many deviations darker than what lies so many px around it."""
    mean = np.asarray(cv2.GaussianBlur(zone.patch, (0, 0), around), np.float32)
    fall = np.float32(depth * max(zone.deviation, 8.0))
    return defects.blend(weight, np.maximum(mean - fall, 4), zone)


def _pit(rng: np.random.Generator, zone: Zone) -> Change:
    weight = defects.blob(rng, zone, edge=0.35, ragged=0.3, lobes=1)
    return _dark(weight, zone, depth=rng.uniform(2.5, 5.0), around=zone.half_length)


def _crack(rng: np.random.Generator, zone: Zone) -> Change:
    u = zone.along / np.float32(zone.half_length)
    bow = np.float32(rng.uniform(-1, 1) * zone.half_width) * (u * u - np.float32(0.3))
    bend = np.float32(zone.half_width * rng.uniform(0.3, 0.9))
    path = bow + bend * _wave(rng, zone.along, length=zone.half_length)
    width = np.float32(rng.uniform(0.9, 2.2) * zone.unit)
    taper = np.sqrt(np.clip(1 - u * u, 0, 1)) * (
        np.float32(0.75) + np.float32(0.25) * np.cos(5 * u)
    )
    weight = np.clip(np.float32(1.5) - np.abs(zone.across - path) / (width * taper + 1e-3), 0, 1)
    if rng.uniform() < 0.3:
        start, slope = rng.uniform(-0.4, 0.4), np.float32(rng.choice((-1, 1)) * rng.uniform(0.3, 1))
        run = np.clip(zone.along - np.float32(start * zone.half_length), 0, None)
        off = np.abs(zone.across - path - slope * run) / (np.float32(0.7) * width * taper + 1e-3)
        end = np.float32(0.4 * zone.half_length)
        weight = np.maximum(weight, np.clip(1.5 - off, 0, 1) * ((run > 0) & (run < end)))
    weight = np.asarray(weight * (np.abs(u) < 1), np.float32)
    return _dark(weight, zone, depth=rng.uniform(2.5, 4.5), around=4 * zone.unit)


def _bare(rng: np.random.Generator, zone: Zone) -> Change:
    weight = defects.blob(rng, zone, edge=0.08, ragged=rng.uniform(0.02, 0.3), lobes=1)
    offset = -rng.uniform(0.8, 2.0) if rng.uniform() < 0.8 else rng.uniform(0.3, 0.8)
    return defects.blend(weight, _smooth(rng, zone, offset=offset), zone)


def _chip(rng: np.random.Generator, zone: Zone) -> Change:
    weight = defects.blob(rng, zone, edge=0.12, ragged=0.35)
    slope = zone.across / np.float32(zone.half_width) * np.float32(rng.uniform(-0.6, 0.6))
    target = _smooth(rng, zone, offset=rng.uniform(-2.0, 1.2))
    return defects.blend(weight, target + np.float32(zone.deviation) * slope, zone)


def _step(rng: np.random.Generator, zone: Zone) -> Change:
    bend = np.float32(rng.uniform(0.02, 0.25) * zone.half_width)
    tilt = np.float32(rng.uniform(-0.15, 0.15)) * zone.along
    rim = (
        np.float32(zone.half_width) + tilt + bend * _wave(rng, zone.along, length=zone.half_length)
    )
    soft = np.float32(rng.uniform(1.0, 6.0) * zone.unit)
    weight = np.asarray(np.clip((rim - np.abs(zone.across)) / soft + 0.5, 0, 1), np.float32)
    offset = -rng.uniform(0.6, 1.6) if rng.uniform() < 0.75 else rng.uniform(0.5, 1.0)
    return defects.blend(weight, _smooth(rng, zone, offset=offset), zone)


PART_DEFECTS: dict[PartDefectName, Callable[[np.random.Generator, Zone], Change]] = {
    "pit": _pit,
    "crack": _crack,
    "bare": _bare,
    "chip": _chip,
    "step": _step,
}

EXTENTS: dict[PartDefectName, Extent] = {
    "pit": Extent(length=(0.03, 0.10), aspect=(0.35, 1.00)),
    "crack": Extent(length=(0.10, 0.45), aspect=(0.08, 0.25)),
    "bare": Extent(length=(0.25, 1.20), aspect=(0.12, 0.45), lies="along"),
    "chip": Extent(length=(0.06, 0.35), aspect=(0.30, 1.00), lies="border"),
    # Longer than the end it lies at, so that it reaches from border to border.
    "step": Extent(length=(2.20, 2.20), aspect=(0.12, 0.80), lies="end"),
}
