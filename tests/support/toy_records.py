"""Records of black images of 4 x 4 px, every second one defective by its label."""

import numpy as np

from inspection_tf.datasets import records


class Source:
    def read_image(self, *, orientation="apply"):
        return np.zeros((4, 4), np.uint8)

    def read_mask(self, *, orientation="apply"):
        return np.zeros((4, 4), np.bool_)

    def identity(self):
        return b"4"


def make(count=12, *, group=lambda n: ""):
    return records.Records.of(
        records.Record(f"{n:02d}", n % 2 == 0, Source(), group=group(n)) for n in range(count)
    )
