"""Registration: a template is laid onto an image before both are compared, by one rule everywhere.

Training, evaluation and runtime call `prepare`, on source images before their preprocessing.
"""

import dataclasses
from typing import Literal

import cv2
import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config, errors, images
from inspection_tf.images import alignment, geometry
from inspection_tf.images.preprocessing import Image

Method = Literal["none", "phase", "ecc_translation", "ecc_euclidean", "ecc_affine"]

_MOTIONS = {
    "phase": None,
    "ecc_translation": cv2.MOTION_TRANSLATION,
    "ecc_euclidean": cv2.MOTION_EUCLIDEAN,
    "ecc_affine": cv2.MOTION_AFFINE,
}


class AlignSpec(config.Section):
    """How a template is laid onto its image."""

    method: Method = "phase"
    """none; phase: translation by phase correlation; ecc_*: refined from there by maximising the
    correlation, as translation, euclidean (and rotation) or affine (and scale, shear)"""
    max_shift_px: float = pydantic.Field(default=16.0, gt=0)
    """farthest that any corner of the template may move, px of the source"""
    iterations: int = pydantic.Field(default=50, ge=1)
    """at most, of ecc_*"""
    min_response: float = pydantic.Field(default=0.5, ge=0, le=1)
    """correlation of image and moved template, under which the template is left as it was"""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """A template as it lies on its image.

    Attributes:
        template: of the template's dtype and shape; beyond its border the border is repeated. The
            very array of the call where nothing moved.
        matrix: (3, 3), from template px to image px.
        response: correlation of image and this template, -1..1; 0 where one of them is featureless
            or nothing was measured.
        reason: why the template was left as it was; empty where its place was found.
    """

    template: Image
    matrix: NDArray[np.float64]
    response: float
    reason: str = ""

    @property
    def is_aligned(self) -> bool:
        """Whether the template was found on the image, be it where it lay already."""
        return not self.reason

    @property
    def shift_xy(self) -> tuple[float, float]:
        """How far the middle of the template moved, px."""
        height, width = self.template.shape[:2]
        middle = np.array([[(width - 1) / 2, (height - 1) / 2]])
        moved = geometry.transform_points(middle, self.matrix) - middle
        return float(moved[0, 0]), float(moved[0, 1])


def align(template: Image, image: Image, spec: AlignSpec) -> Aligned:
    """Lay a template onto an image.

    It stays where it is when it lies as well there as anywhere. It is left as it was, and `reason`
    says why, when its place is not found: too little to see, farther away than `max_shift_px`, or
    a correlation under `min_response`.

    Args:
        template: (H, W) gray or (H, W, 3) RGB, uint8 or uint16.
        image: likewise, of the same size; its channels and bit depth may differ.
        spec: how.

    Raises:
        errors.ImageError: a template of another size, or no image.
    """
    template, image = images.read(template), images.read(image)
    _require_one_size(template, image)
    here = np.eye(3)
    if spec.method == "none":
        return Aligned(template, here, 0.0, "method none")
    moving, fixed = alignment.features(template), alignment.features(image)
    if min(fixed.shape) < alignment.SMALLEST_SIDE or not (moving.any() and fixed.any()):
        return Aligned(template, here, 0.0, "image or template is featureless")
    matrix = alignment.search(
        moving,
        fixed,
        motion=_MOTIONS[spec.method],
        max_shift_px=spec.max_shift_px,
        iterations=spec.iterations,
    )
    inside = alignment.warp(np.ones(fixed.shape, np.uint8), matrix, border=cv2.BORDER_CONSTANT)
    response = alignment.correlation(alignment.warp(moving, matrix), fixed, inside)
    problem = ""
    if response <= alignment.correlation(moving, fixed, inside):  # it lay as well before
        matrix, response = here, alignment.correlation(moving, fixed)
    if (far := alignment.farthest(matrix, fixed.shape)) > spec.max_shift_px:
        problem = f"{far:.1f} px away, over {spec.max_shift_px:g}"
    elif response < spec.min_response:
        problem = f"correlation {response:.2f} under {spec.min_response:g}"
    if problem:
        return Aligned(template, here, alignment.correlation(moving, fixed), problem)
    return Aligned(alignment.warp(template, matrix), matrix, response)


def prepare(
    image: Image,
    template: Image,
    preprocessing: images.Preprocessing,
    spec: AlignSpec,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], images.Placement]:
    """Lay the template onto the image, then make the network's two inputs.

    Where the template moved away from the border there is nothing to compare with: the second
    input shows the image itself there, and no difference.

    Args:
        image: as `images.read` returns it, read with the orientation of `preprocessing`.
        template: likewise, of the same size.
        preprocessing: of both inputs.
        spec: how the template is laid.

    Returns:
        Image and template, (h, w, 1 or 3) uint8 each, and where the source lies in them.

    Raises:
        errors.ImageError: a template of another size, or an image that does not fit.
        errors.ConfigError: the preprocessing looks at a part of the image.
    """
    if preprocessing.focus.is_wanted:
        raise errors.ConfigError(
            "preprocessing.focus must be none where images are compared with templates. Got "
            f"{preprocessing.focus.method}. Leave it out, or inspect the images alone."
        )
    aligned = align(template, image, spec)
    prepared, placement = images.preprocess(image, preprocessing)
    laid = images.preprocess(aligned.template, preprocessing)[0]
    if aligned.template is not template:
        whole = np.full(aligned.template.shape[:2], 255, np.uint8)
        covered = alignment.warp(whole, aligned.matrix, border=cv2.BORDER_CONSTANT)
        plain = preprocessing.model_copy(update={"window": None, "channels": "gray"})
        laid = np.where(images.preprocess(covered, plain)[0] < 255, prepared, laid)
    return prepared, laid, placement


def _require_one_size(template: Image, image: Image) -> None:
    (height, width), got = image.shape[:2], template.shape[:2]
    if got != (height, width):
        raise errors.ImageError(
            f"The template must be {height} x {width} px (height x width), as its image. "
            f"Got a template of another size, {got[0]} x {got[1]}. "
            "Cut it from the same place, or resize it."
        )
