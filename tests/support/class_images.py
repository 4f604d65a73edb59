"""Images of three classes that a small network learns in seconds: even, with a dark corner or band.

The dark corner is the upper left one, so that it is known where evidence should lie.
"""

import dataclasses

import numpy as np

from inspection_tf.datasets import records

SIDE = 32  # px
CLASSES = ("chipped", "worn")


@dataclasses.dataclass(frozen=True)
class Source:
    number: int
    seed: int
    label_kind = "classes"
    shows_own_part = True

    def read_image(self, *, orientation="apply"):
        rng = np.random.default_rng(self.seed)
        image = rng.normal(150, 12, (SIDE, SIDE))
        if self.number == 1:
            image[:12, :12] -= 90
        if self.number == 2:
            image[20:26] += 70
        return np.clip(image, 0, 255).astype(np.uint8)

    def read_mask(self, *, orientation="apply"):
        return np.zeros((SIDE, SIDE), np.bool_)

    def identity(self):
        return repr((self.number, self.seed)).encode()


def make(count=48, *, seed=0):
    """Return records, half of them good, the others of the two classes in turn."""
    found = []
    for index in range(count):
        number = 0 if index % 2 == 0 else 1 + index // 2 % 2
        found.append(
            records.Record(
                f"{index:03}", number > 0, Source(number, seed + index), class_id=max(number, 1)
            )
        )
    return records.Records.of(found, classes=CLASSES)
