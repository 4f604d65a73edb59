"""Textured surfaces with defects, exact pixel masks and weak ellipse labels.

`render` draws a surface; `on_image` composes the same defects onto a user's own good image, so
that a detector can be trained before the first defect was seen.

**Mask rule.** Each defect has a weight, 0 outside and 1 at its peak; its change in grey values is
the weight times what it does at its peak. The mask holds the pixels where the weight is at least
`MASK_SHARE` of the peak. Pixels with weight 0 keep the grey value of the clean image, exactly.

**Ellipse rule.** The ellipse with the mask's centre and axes, large enough to hold the whole mask,
then widened on every side by a share of its shorter half axis: the label DAGM 2007 ships.
"""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
import numpy.typing as npt
import pydantic

from inspection_tf import config, errors, files, images
from inspection_tf.synthesis import defects, part_defects, placement, textures
from inspection_tf.synthesis.defects import DEFECTS, DefectName
from inspection_tf.synthesis.part_defects import PART_DEFECTS, PartDefectName
from inspection_tf.synthesis.textures import TEXTURES, Float, TextureName

__all__ = ["DEFECTS", "MASK_SHARE", "TEXTURES", "Sample", "SurfaceSpec", "on_image", "render"]

MASK_SHARE = 0.3
SMALLEST_SIDE_PX = 32
_FEWEST_PIXELS = 6  # of a mask; a defect that the border cuts to less is drawn again


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first number must not exceed the second")
    return pair


Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Range = Annotated[tuple[Share, Share], pydantic.AfterValidator(_ordered)]
Margin = Annotated[
    tuple[pydantic.NonNegativeFloat, pydantic.NonNegativeFloat], pydantic.AfterValidator(_ordered)
]
Family = DefectName | PartDefectName
_DRAWS: dict[str, Callable[[np.random.Generator, defects.Zone], defects.Change]] = {
    str(name): draw for name, draw in (*DEFECTS.items(), *PART_DEFECTS.items())
}
_EXTENTS: dict[str, defects.Extent] = {
    str(name): extent for name, extent in (*defects.EXTENTS.items(), *part_defects.EXTENTS.items())
}
Families = Annotated[tuple[Family, ...], pydantic.Field(min_length=1)]
Side = Annotated[int, pydantic.Field(ge=SMALLEST_SIDE_PX)]


class SurfaceSpec(config.Section):
    """What surfaces and defects are drawn from."""

    size: tuple[Side, Side] = (256, 256)
    """Height and width of a rendered image, px."""
    textures: Annotated[tuple[TextureName, ...], pydantic.Field(min_length=1)] = get_args(
        TextureName
    )
    """Texture families to draw from, with equal chance."""
    defects: Families = get_args(DefectName)
    """Defect families to draw from, with equal chance; by default those of surfaces."""
    contrast: Range = (0.8, 1.0)
    """Range of the defects' contrast: 1 is obvious, 0.1 barely visible."""
    max_defects: Annotated[int, pydantic.Field(ge=1)] = 2
    """Most defects on one defective image; each number up to it is equally likely."""
    extent: Range | None = None
    """Range of a defect's long axis as a share of the smaller side; null: each family's own."""
    aspect: Range | None = None
    """Range of short axis / long axis; null: each family's own."""
    margin: Margin = (0.15, 0.45)
    """Range by which the ellipse label exceeds the mask, as a share of its shorter half axis."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One image with its labels.

    Attributes:
        image: (H, W) uint8, or (H, W, 3) where the good image had colours.
        mask: (H, W) bool, the pixels that the defects changed (see the mask rule above).
        ellipse: (H, W) bool, the weak label: a covering ellipse for each defect.
        texture: family of the texture; "image" for a user's image.
        defects: families of the defects, in the order they were drawn; empty on a good image.
        contrast: contrast of the defects; 0 on a good image.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    ellipse: npt.NDArray[np.bool_]
    texture: str
    defects: tuple[str, ...]
    contrast: float


def render(rng: np.random.Generator, spec: SurfaceSpec, *, is_defect: bool) -> Sample:
    """Draw a surface, with defects or without.

    The surface is drawn first: the same `rng` gives the same surface either way.

    Args:
        rng: the only source of randomness.
        spec: what to draw from.
        is_defect: whether to add defects.
    """
    name = spec.textures[rng.integers(len(spec.textures))]
    image = textures.render(rng, name, size=spec.size)
    if is_defect:
        return dataclasses.replace(on_image(rng, image, spec), texture=name)
    nothing = np.zeros(spec.size, bool)
    return Sample(image, nothing, nothing.copy(), name, (), 0.0)


def on_image(rng: np.random.Generator, image: npt.NDArray[Any], spec: SurfaceSpec) -> Sample:
    """Compose defects onto a good image.

    Strength follows the image's own grey values around each defect. All channels of a colour
    image get the same change.

    Args:
        rng: the only source of randomness.
        image: (H, W) or (H, W, 3) uint8 without defects; it is left as it is.
        spec: what to draw from; `size` and `textures` are not used.

    Raises:
        errors.ImageError: the image is not uint8, has another shape, or is too small.
    """
    image = _checked(image)
    gray = (image if image.ndim == 2 else image.mean(axis=2)).astype(np.float32)
    contrast = float(rng.uniform(*spec.contrast))
    change = np.zeros_like(gray)
    mask, ellipse = np.zeros(gray.shape, bool), np.zeros(gray.shape, bool)
    names = [
        spec.defects[rng.integers(len(spec.defects))]
        for _ in range(int(rng.integers(1, spec.max_defects + 1)))
    ]
    for name in names:
        _add_defect(rng, spec, name, gray, contrast, (change, mask, ellipse))
    changed = change if image.ndim == 2 else change[..., None]
    result = np.clip(np.rint(image + changed), 0, 255).astype(np.uint8)
    return Sample(result, mask, ellipse, "image", tuple(names), contrast)


def _checked(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    is_picture = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if not is_picture or image.dtype != np.uint8 or min(image.shape[:2]) < SMALLEST_SIDE_PX:
        raise errors.ImageError(
            f"Defects go onto (H, W) or (H, W, 3) uint8 images of at least {SMALLEST_SIDE_PX} px a "
            f"side. Got shape {image.shape}, {image.dtype}. Read the image with images.read and "
            "window 16 bits to 8."
        )
    return image


def _add_defect(
    rng: np.random.Generator,
    spec: SurfaceSpec,
    name: Family,
    gray: Float,
    contrast: float,
    sums: tuple[Float, npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
) -> None:
    """Draw one defect and add it to (change, mask, ellipse), in place."""
    change, mask, ellipse = sums
    height, width = gray.shape
    default = _EXTENTS[name]
    extent = default._replace(
        length=spec.extent or default.length, aspect=spec.aspect or default.aspect
    )
    for _ in range(20):
        zone, left, top = placement.place(
            rng, gray, extent=extent, is_stroke=name in defects.STROKES
        )
        weight, full_change = _DRAWS[name](rng, zone)
        y0, x0 = max(0, -top), max(0, -left)
        y1, x1 = min(weight.shape[0], height - top), min(weight.shape[1], width - left)
        core = weight >= MASK_SHARE * weight.max()
        if core[y0:y1, x0:x1].sum() >= _FEWEST_PIXELS:
            break
    here = (slice(top + y0, top + y1), slice(left + x0, left + x1))
    change[here] += contrast * full_change[y0:y1, x0:x1]
    mask[here] |= core[y0:y1, x0:x1]
    margin = float(rng.uniform(*spec.margin))
    ellipse |= placement.ellipse(core, (left, top), gray.shape, margin=margin)


def draw(index: int, *, seed: int, spec: SurfaceSpec, defective_fraction: float) -> Sample:
    """Draw one sample of a set; it depends on `seed` and `index` alone, not on its neighbours.

    Args:
        index: place in the set, from 0.
        seed: of the whole set.
        spec: what to draw from.
        defective_fraction: share of defective images, spread evenly over the indices.
    """
    is_defect = math.floor((index + 1) * defective_fraction) > math.floor(
        index * defective_fraction
    )
    return render(np.random.default_rng([seed, index]), spec, is_defect=is_defect)


def write_folder(
    out: str | Path,
    *,
    count: int,
    defective_fraction: float,
    spec: SurfaceSpec,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write a set as `good/ defect/ masks/ ellipses/NNNN.png` and `surface.yaml`.

    The folder appears complete or not at all. Labels have the stem of their image.

    Args:
        out: the folder; it must not exist yet, or be empty.
        count: number of images.
        defective_fraction: share of defective images, 0..1.
        spec: what to draw from.
        seed: of the set; image `i` is drawn from (seed, i).
        progress: called with the number of images written so far.

    Returns:
        The folder.

    Raises:
        errors.ConfigError: `count` or `defective_fraction` is out of range, or the folder holds
            something already.
        errors.StorageError: the disk is full or the folder cannot be written.
    """
    out = Path(out)
    if count < 1 or not 0 <= defective_fraction <= 1:
        raise errors.ConfigError(
            "count must be at least 1 and defective_fraction within 0..1. "
            f"Got {count} and {defective_fraction}. Correct them."
        )
    with files.new_folder(out) as partial:
        for name in ("good", "defect", "masks", "ellipses"):
            (partial / name).mkdir()
        for index in range(count):
            sample = draw(index, seed=seed, spec=spec, defective_fraction=defective_fraction)
            _write(partial, f"{index:04d}.png", sample)
            if progress is not None:
                progress(index + 1)
        head = f"seed: {seed}\ncount: {count}\ndefective_fraction: {defective_fraction}\nspec:\n"
        body = "".join(f"  {line}\n" for line in config.to_yaml(spec).splitlines())
        files.write(partial / "surface.yaml", head + body)
    return out


def _write(folder: Path, name: str, sample: Sample) -> None:
    if not sample.defects:
        images.write_png(folder / "good" / name, sample.image)
        return
    images.write_png(folder / "defect" / name, sample.image)
    images.write_png(folder / "masks" / name, sample.mask)
    images.write_png(folder / "ellipses" / name, sample.ellipse)
