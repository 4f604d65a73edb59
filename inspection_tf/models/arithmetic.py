"""Sizes and parameters of layers by their formulas, before any layer is built.

`complexity` counts those of a model that is there. The letters are those of the formulas: n cells
along one side of a map, filters of f x f cells, p cells of padding on each border, stride s.

Source: the talk on CNNs for cutting inserts, its slides "Padding", "Stride" and "One layer of a
CNN: number of parameters".
"""

from inspection_tf import errors


def conv_output_size(n: int, f: int, p: int = 0, s: int = 1) -> int:
    """Return how many cells a convolution or a pool makes along one side.

    floor((n + 2 p - f) / s) + 1: the places of a filter that lies within the padded map.

    Args:
        n: cells along the side of the input.
        f: cells along the side of the filter.
        p: cells that are added on both borders: 0 is "valid", `same_padding` is "same".
        s: stride, cells.

    Raises:
        errors.ConfigError: a number is out of range, or the filter exceeds the padded map.
    """
    if min(n, f, s) < 1 or p < 0:
        raise errors.ConfigError(
            f"n, f and s must be 1 or more, and p 0 or more. Got n={n}, f={f}, p={p} and s={s}. "
            "Correct them."
        )
    if f > n + 2 * p:
        raise errors.ConfigError(
            f"A filter must fit into the padded map of {n + 2 * p} cells. Got one of {f}. "
            "Use a smaller filter, or more padding."
        )
    return (n + 2 * p - f) // s + 1


def same_padding(f: int) -> int:
    """Return the padding of a "same" convolution, whose output is as large as its input.

    (f - 1) / 2, from n + 2 p - f + 1 = n. With a stride of s the output has ceil(n / s) cells, as
    many as Keras's `padding="same"` makes; but Keras adds the cells that it needs, at most so many,
    and the odd one at the end, so that its windows may lie elsewhere.

    Args:
        f: cells along the side of the filter.

    Raises:
        errors.ConfigError: f is even; then no equal padding on both borders keeps the size.
    """
    if f < 1 or f % 2 == 0:
        raise errors.ConfigError(
            f"A filter that keeps the size needs an odd side. Got {f}. Use {max(f, 0) + 1}."
        )
    return (f - 1) // 2


def conv_parameters(f: int, channels: int, filters: int, *, bias: bool = True) -> int:
    """Return the parameters of a convolution, whatever the size of its image.

    Each filter has f f channels weights and a bias: (f f channels + 1) filters.

    Args:
        f: cells along the side of a filter.
        channels: of the input, which each filter spans.
        filters: channels of the output.
        bias: whether each filter has one.
    """
    return (f * f * channels + bias) * filters


def dense_parameters(inputs: int, units: int, *, bias: bool = True) -> int:
    """Return the parameters of a dense layer: (inputs + 1) units.

    Args:
        inputs: numbers that each unit reads; of an image height x width x channels.
        units: numbers that the layer returns.
        bias: whether each unit has one.
    """
    return (inputs + bias) * units
