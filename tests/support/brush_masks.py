"""What Label Studio's decoder makes of the bytes of a brush: that of thi.ng/rle-pack."""

import numpy as np


def decoded(data, size):
    """Return the (height, width) mask that bytes hold; its four channels must agree."""
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def read(count):
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    count, width = read(32), read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    values = []
    while len(values) < count:
        is_run, length = read(1), 1 + read(lengths[read(2)])
        values += [read(width)] * length if is_run else [read(width) for _ in range(length)]
    channels = np.array(values).reshape(*size, 4)
    assert (channels == channels[..., :1]).all()
    assert set(np.unique(channels)) <= {0, 255}
    return channels[..., 3] > 0
