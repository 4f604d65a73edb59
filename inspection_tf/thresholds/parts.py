"""Which images show one part: the unit that every promise counts.

Images of one part err together, so six photos of a part say as much about other parts as one does.
A *defective part* has an image on which a defect is to be found. It escapes when any of these
images is judged OK; or, where all images of a part are looked at before it is passed on, only when
each of them is. A good image that is NG makes its part an overkill, whichever of the two is meant.

An order statistic of the parts takes the place of that of the images: the scores of a part become
one number, the lowest of its defective images ("any") or the highest ("each").
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inspection_tf import errors

PartEscapes = Literal["any", "each"]
"""When a defective part escapes: any of its defective images is judged OK, or each of them."""

UNKNOWN = "No parts are known: each image was taken for a part of its own."


class Parts(NamedTuple):
    """Which part each image of a split shows."""

    of: NDArray[np.int64]
    """(images,), the number of each image's part."""
    are_known: bool
    """False where no parts are known and each image was taken for a part of its own."""

    @property
    def are_single(self) -> bool:
        """Whether every image is the only one of its part."""
        return len(np.unique(self.of)) == len(self.of)

    def count(self, among: NDArray[np.bool]) -> int:
        """Return the number of parts that have an image among these.

        Args:
            among: (images,).
        """
        return len(np.unique(self.of[among]))

    def weights(self, defective: NDArray[np.bool]) -> NDArray[np.float64]:
        """Return (images,) weights under which the images of each part, of each label, add up to 1.

        Args:
            defective: (images,) labels.
        """
        _, place, size = np.unique(2 * self.of + defective, return_inverse=True, return_counts=True)
        weights: NDArray[np.float64] = 1.0 / size[place]
        return weights


def numbered(groups: ArrayLike | Sequence[str] | None, images: int) -> Parts:
    """Return the parts of a split, numbered.

    An image whose own group is None, nan or "", as a table leaves it, is a part of its own. A name
    and a number that are written alike are one part.

    Args:
        groups: (images,) names or numbers, equal for images of one part; None: not known.
        images: of the split.

    Raises:
        errors.DataError: there are not as many as images.
    """
    if groups is None:
        return Parts(np.arange(images), are_known=False)
    names = np.asarray(groups, object)
    if names.shape != (images,):
        raise errors.DataError(
            f"groups must name the part of each of {images} images. Got shape {names.shape}. "
            "Give one name per image, or leave it out where no two images show one part."
        )
    # A missing one is its own place, which is no text and so equal to no name.
    named = [place if _is_missing(name) else str(name) for place, name in enumerate(names)]
    number = {name: place for place, name in enumerate(dict.fromkeys(named))}
    of = np.array([number[name] for name in named], np.int64)
    return Parts(of, are_known=any(isinstance(name, str) for name in named))


def _is_missing(name: object) -> bool:
    return name is None or name == "" or name != name  # nan


def extreme(
    score: NDArray[np.float64], part: NDArray[np.int64], part_escapes: PartEscapes
) -> NDArray[np.float64]:
    """Return the score of each part: the lowest of its images for `any`, the highest for `each`.

    Args:
        score: (images,).
        part: (images,), numbers of their parts.
        part_escapes: which of the two.

    Returns:
        (parts,), in the order of their numbers.
    """
    names, place = np.unique(part, return_inverse=True)
    any_image = part_escapes == "any"
    extremes = np.full(names.size, np.inf if any_image else -np.inf)
    (np.minimum if any_image else np.maximum).at(extremes, place, score)
    return extremes


class PairedParts:
    """The scores of two stages, part by part.

    A part is cut off by the first stage when its images are under the first threshold: any of them,
    or each. Of those that are left it is cut off by the second when, of the images that the first
    stage let pass, any or each is under the second threshold.

    Attributes:
        first: (parts,) rising: up to which first threshold each part passes the first stage.
    """

    def __init__(
        self,
        first: NDArray[np.float64],
        second: NDArray[np.float64],
        part: NDArray[np.int64],
        part_escapes: PartEscapes,
    ) -> None:
        """Sort the parts.

        Args:
            first: (images,) scores of the first stage.
            second: (images,) scores of the second.
            part: (images,) numbers.
            part_escapes: any or each.
        """
        self._images = first, second, part
        self._part_escapes = part_escapes
        reached = extreme(first, part, part_escapes)
        self._order = np.lexsort((extreme(second, part, part_escapes), reached))
        self.first = reached[self._order]

    def second(self, passed: float) -> NDArray[np.float64]:
        """Return (parts,), in the order of `first`: up to which second threshold each passes.

        Args:
            passed: first score at or above which the first stage lets an image pass. Parts of which
                it lets none pass have -inf.
        """
        first, second, part = self._images
        if self._part_escapes == "each":
            second = np.where(first >= passed, second, -np.inf)
        return extreme(second, part, self._part_escapes)[self._order]
