"""Images of 16 x 16 px, bright squares as defects: a training on them takes seconds."""

import numpy as np

from inspection_tf.datasets.loading import loader

SIZE = (16, 16)


def make_cache(count, *, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(80, 120, (count, *SIZE, 1), dtype=np.uint8)
    mask = np.zeros((count, *SIZE, 1), np.uint8)
    for row in range(0, count, 2):  # every second one is defective
        top, left = rng.integers(2, 9, 2)
        mask[row, top : top + 5, left : left + 5] = 1
    image += 100 * mask
    ids = tuple(f"{seed}-{row}" for row in range(count))
    return loader.Cache(image, mask, mask.any(axis=(1, 2, 3)), ids)


def assert_same_variables(left, right):
    """Compare captured variables, bit by bit."""
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name], err_msg=name)
