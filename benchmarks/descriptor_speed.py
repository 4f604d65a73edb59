"""How long a core takes to describe a photo of 224 x 224 px by what was counted before networks.

In all, and of each family of descriptors alone. Run it with one thread and on an idle machine:

    OMP_NUM_THREADS=1 python benchmarks/descriptor_speed.py
"""

import time

import cv2
import numpy as np

from inspection_tf.images import descriptors

REPEATS = 5


def milliseconds(image: np.ndarray, options: descriptors.Options) -> float:
    """Return the least that this process took for an image, after one that does not count."""
    taken = []
    for _ in range(REPEATS + 1):
        started = time.process_time()
        descriptors.describe(image, options)
        taken.append(time.process_time() - started)
    return 1000 * min(taken[1:])


def main() -> None:
    """Print a table."""
    noise = np.random.default_rng(0).integers(0, 256, (224, 224), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 2)
    usual = descriptors.Options()
    print(f"{'all':>8} {milliseconds(image, usual):7.1f} ms")
    for family in usual.families:
        alone = usual.model_copy(update={"families": (family,)})
        print(f"{family:>8} {milliseconds(image, alone):7.1f} ms")


if __name__ == "__main__":
    main()
