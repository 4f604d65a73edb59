"""Records whose X-rays of a part are drawn when they are read."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspection_tf import images
from inspection_tf.datasets import file_hashes
from inspection_tf.datasets.readers.located.poses import CLASSES
from inspection_tf.datasets.records import Record, Records, Split
from inspection_tf.projection import Pose
from inspection_tf.synthesis import xrays
from inspection_tf.synthesis.xrays import XraySample, XraySpec, flaws

# Raised whenever the same spec and seed begin to give other pixels.
DRAWING_VERSION = 1
_KEPT_BYTES = 64 * 2**20
"""Of X-rays that were drawn already: those that are judged are read several times."""


@dataclass(frozen=True, slots=True)
class XraySource:
    """X-ray `index` of a drawn set.

    Attributes:
        index: place in the set, from 0.
        seed: of the set.
        spec: what the set is drawn from.
        is_flawed: whether something is wrong with the part.
        repeated: how often each pixel is shown along both sides: what was drawn with wide pixels
            has the size of all others.
    """

    index: int
    seed: int
    spec: XraySpec
    is_flawed: bool
    repeated: int = 1

    @property
    def shows_own_part(self) -> bool:
        """Whether no other image shows the same part: it is taken for this one."""
        return True

    @property
    def symmetry(self) -> int:
        """How often the part looks alike in a turn about its vertical axis."""
        return self.spec.part.symmetry

    def _sample(self) -> XraySample:
        return _draw(self.seed, self.spec, _shape(self.spec))(self.index, is_flawed=self.is_flawed)

    def read_image(self, *, orientation: images.Orientation = "apply") -> images.Image:
        """Draw the X-ray, which no orientation turns."""
        image = self._sample().image
        for axis in (0, 1) if self.repeated > 1 else ():
            image = image.repeat(self.repeated, axis=axis)
        return image

    def read_mask(self, *, orientation: images.Orientation = "apply") -> NDArray[np.bool_]:
        """Return (H, W), nowhere True: the label is a pose."""
        height, width = self.spec.size
        return np.zeros((height * self.repeated, width * self.repeated), np.bool_)

    def read_pose(self) -> Pose:
        """Return how the part lies."""
        return self._sample().pose

    def identity(self) -> bytes:
        """Return everything the pixels follow from, a part's own file too."""
        drawn = (DRAWING_VERSION, "xray", self.index, self.seed, self.is_flawed)
        what = self.spec.model_dump_json(exclude={"part": {"file"}})  # its hash says more
        return repr((*drawn, self.repeated, _shape(self.spec), what)).encode()


def _shape(spec: XraySpec) -> str:
    """Return a hash of a part's own file, which may have changed under its name; "" without."""
    return "" if spec.part.file is None else file_hashes.sha256(spec.part.file).hex()


@functools.lru_cache(maxsize=4)  # those that teach and those that are judged, of two sets
def _draw(seed: int, spec: XraySpec, shape: str) -> Callable[..., XraySample]:
    """Return what draws an X-ray of a set, whose part has this shape; it keeps some it drew."""
    nominal = spec.nominal()
    drawn = functools.partial(xrays.draw, seed=seed, spec=spec, nominal=nominal)
    height, width = spec.size
    return functools.lru_cache(maxsize=max(8, _KEPT_BYTES // (2 * height * width)))(drawn)


def radiographs(
    *,
    count: int,
    flawed_share: float,
    spec: XraySpec,
    taught: XraySpec,
    seed: int,
    shares: Mapping[Split, float] | None = None,
) -> Records:
    """Return records of drawn X-rays.

    Args:
        count: number of images.
        flawed_share: share of images with something wrong with the part, among those that do not
            teach, 0..1.
        spec: what to draw from.
        taught: what images that teach are drawn from; of the same size, or of pixels so many times
            as wide, which are then repeated.
        seed: of the set; image `i` follows from (seed, i).
        shares: of the images in each split; None: none is fixed, and all may be judged.

    Raises:
        errors.ConfigError: the count is below 1, or the share is none.
        errors.DataError: the part is no closed mesh, or does not fit the scanner.
    """
    flaws.require_set(count, flawed_share)
    spec.nominal()  # what is wrong with a part is said before anything is drawn
    found = []
    for index, split in enumerate(_splits(count, shares)):
        teaches = split == "train"
        is_flawed = not teaches and flaws.is_flawed(index, flawed_share)
        repeated = spec.size[0] // taught.size[0] if teaches else 1
        source = XraySource(index, seed, taught if teaches else spec, is_flawed, repeated)
        found.append(Record(f"xray/{index:06d}", is_flawed, source, split=split))
    return Records.of(found, origin="the drawn X-rays", classes=CLASSES)


def _splits(count: int, shares: Mapping[Split, float] | None) -> list[Split | None]:
    """Return the split of each image: every one is drawn for itself, so they go in order."""
    if shares is None:
        return [None] * count
    ends = np.rint(np.cumsum(list(shares.values())) * count).astype(int)
    numbers = np.searchsorted(ends, np.arange(count), side="right")
    names = list(shares)
    return [names[min(number, len(names) - 1)] for number in numbers.tolist()]
