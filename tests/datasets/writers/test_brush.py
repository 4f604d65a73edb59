"""Masks as Label Studio's brush keeps them, read back as its decoder reads them."""

import numpy as np
import pytest
from brush_masks import decoded

from inspection_tf.datasets.writers import brush


def test_two_pixels_bit_by_bit():
    # 8 values (2 px of 4 channels), values of 8 bits, lengths of 3, 4, 8 and 16 bits; then a run of
    # 4 zeros and one of 4 times 255, both with a length of 3 bits that is one less.
    bits = f"{8:032b}" + "00111" + "0010" + "0011" + "0111" + "1111"
    bits += "1" + "00" + "011" + "00000000" + "1" + "00" + "011" + "11111111"
    bits += "0" * (-len(bits) % 8)
    expected = [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]
    assert brush.encode(np.array([[False, True]])) == expected


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (2, 2), (3, 5), (1, 64), (1, 65), (17, 31), (130, 127)]
)
def test_any_mask_is_read_back(size):
    rng = np.random.default_rng(1)
    for share in (0.0, 0.03, 0.5, 1.0):
        mask = rng.random(size) < share
        np.testing.assert_array_equal(decoded(brush.encode(mask), size), mask)


def test_a_run_that_is_longer_than_one_can_be_is_several():
    mask = np.zeros((200, 200), bool)  # 160,000 values, of which a run takes 65,536
    mask[150:] = True
    np.testing.assert_array_equal(decoded(brush.encode(mask), mask.shape), mask)
