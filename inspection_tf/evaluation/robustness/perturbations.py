"""The seven variations of an image, each with a strength from 0 to 1: the only list.

An image of 8 or 16 bits, grey or RGB, is perturbed as it was decoded, before it is preprocessed.
Its size and type stay. At strength 0 it stays as it is, bit for bit; what strength 1 is each of
them says. The strength only scales what was drawn: of one state of a generator, a weaker
perturbation is the same one, weaker.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from inspection_tf import errors
from inspection_tf.evaluation.robustness import appearance, covering, geometric
from inspection_tf.images import Image

Alone: TypeAlias = Callable[[Image, float, np.random.Generator], Image]
Apply: TypeAlias = Callable[[Image, float, np.random.Generator, Image | None], Image]


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One way in which images vary.

    Attributes:
        apply: from image, strength over 0 to 1, generator, and another image of the set (None:
            there is none) to an image.
        full: what strength 1 is, in words.
    """

    apply: Apply
    full: str


def _alone(apply: Alone) -> Apply:
    """Return what needs no other image, as a perturbation is called."""

    def applied(
        image: Image, strength: float, rng: np.random.Generator, other: Image | None
    ) -> Image:
        return apply(image, strength, rng)

    return applied


PERTURBATIONS: Mapping[str, Perturbation] = {
    "viewpoint": Perturbation(
        _alone(geometric.viewpoint), f"tilted by {geometric.TILT_DEG:.0f} degrees, about any axis"
    ),
    "scale": Perturbation(
        lambda image, strength, *_: geometric.scale(image, strength),
        f"shown at {geometric.SMALLEST:.0%} of its size",
    ),
    "deformation": Perturbation(
        _alone(geometric.deformation), f"bent by up to {geometric.BEND:.0%} of the shorter side"
    ),
    "occlusion": Perturbation(
        _alone(covering.occlusion), f"a patch on {covering.COVERED:.0%} of the area"
    ),
    "illumination": Perturbation(
        _alone(appearance.illumination),
        f"gain and gamma {appearance.GAIN} or 1/{appearance.GAIN}, gradient of "
        f"{appearance.GRADIENT:.0%}",
    ),
    "clutter": Perturbation(
        _alone(covering.clutter), f"shapes reach {covering.RIM:.0%} of the shorter side into it"
    ),
    "within_class": Perturbation(
        appearance.within_class,
        f"contrast {appearance.CONTRAST:.0%}, noise {appearance.NOISE:.0%}, "
        f"{appearance.FOREIGN:.0%} of another image's low frequencies",
    ),
}
"""Name to perturbation; further ones come last, since what is drawn depends on the place."""


def perturb(
    name: str,
    image: Image,
    strength: float,
    rng: np.random.Generator,
    *,
    other: Image | None = None,
) -> Image:
    """Return an image perturbed; the image itself at strength 0.

    Args:
        name: one of `PERTURBATIONS`.
        image: (H, W) or (H, W, 3) RGB, uint8 or uint16.
        strength: 0..1.
        rng: of what is drawn.
        other: another image of the set, for what mixes images; any size and type.

    Returns:
        In the size and type of the image.

    Raises:
        errors.ConfigError: there is no such perturbation, or the strength is not in 0..1.
    """
    if name not in PERTURBATIONS:
        raise errors.ConfigError(
            f"A perturbation must be one of {', '.join(PERTURBATIONS)}. Got {name!r}. Use one."
        )
    if not 0 <= strength <= 1:
        raise errors.ConfigError(
            f"The strength of a perturbation must be in 0..1. Got {strength}. Use for example 0.5."
        )
    if strength == 0:
        return image
    return PERTURBATIONS[name].apply(image, strength, rng, other)
