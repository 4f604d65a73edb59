"""How far a network looks: its total stride and its receptive field, read from the ONNX graph."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.engines import installed
from inspection_tf.engines.library_types import Foreign, OnnxNode

_MOST_CELLS = 4  # of an interpolation: those of a cubic one
# What changes each value by itself, or puts values of one place together.
_POINTWISE = {"Add", "BatchNormalization", "Cast", "Clip", "Concat", "Div", "Elu", "Exp"} | {
    *("HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Max", "Min", "Mul", "Neg", "PRelu"),
    *("Pad", "Pow", "Relu", "Reshape", "Sigmoid", "Softplus", "Sqrt", "Sub", "Tanh", "Transpose"),
}

Constants = Mapping[str, NDArray[np.generic]]
"""Name of a constant of a network to its value."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reach:
    """What a value of a network hangs on.

    Attributes:
        field: px of the image, along one axis.
        jump: px of the image from one cell of the map to the next.
        total_stride: the largest jump on the way.
    """

    field: float = 1.0
    jump: float = 1.0
    total_stride: float = 1.0

    def through(self, cells: float, scale: float) -> "Reach":
        """Return the reach after an operator that reads `cells` and strides by `scale`."""
        jump = self.jump * scale
        return Reach(self.field + (cells - 1) * self.jump, jump, max(self.total_stride, jump))


def _attributes(node: OnnxNode) -> dict[str, Foreign]:
    import onnx

    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _kernel(node: OnnxNode, constants: Constants) -> tuple[int, int]:
    """Return the longer side of a kernel, dilation included, and the larger stride."""
    given = _attributes(node)
    shape = given.get("kernel_shape") or list(constants[node.input[1]].shape[2:])
    dilations = given.get("dilations") or [1] * len(shape)
    sizes = [(k - 1) * d + 1 for k, d in zip(shape, dilations, strict=True)]
    return max(sizes), max(given.get("strides") or [1])


def _enlarged(node: OnnxNode, constants: Constants, shapes: dict[str, list[int]]) -> float:
    """Return by how much a Resize enlarges the longer axis."""
    scales = [constants[name] for name in node.input[2:3] if name in constants]
    if scales and scales[0].size:
        return float(max(scales[0]))
    given, made = shapes.get(node.input[0]), shapes.get(node.output[0])
    if given and made and all(given[2:]) and all(made[2:]):
        return max(b / a for a, b in zip(given[2:], made[2:], strict=True))
    raise ValueError("a Resize whose scale is not known")


def _interpolated(node: OnnxNode, constants: Constants) -> tuple[bool, int, float]:
    """Return what an interpolation, a product with a constant, reads.

    Each value that it makes takes a few neighbouring cells, none before those of the value before.
    Anything else looks at the whole map.

    Returns:
        Whether it works along the columns, how many cells it reads, and its scale.

    Raises:
        ValueError: it is no interpolation.
    """
    place = next((p for p, name in enumerate(node.input) if name in constants), None)
    matrix = np.zeros((0, 0)) if place is None else np.squeeze(constants[node.input[place]])
    if matrix.ndim != 2:
        raise ValueError("a MatMul")
    taken = (matrix if place == 0 else matrix.T) != 0  # of each value the cells it takes
    if not taken.any(axis=1).all():
        raise ValueError("a MatMul")
    first = taken.argmax(axis=1)
    last = taken.shape[1] - 1 - taken[:, ::-1].argmax(axis=1)
    cells = int((last - first).max()) + 1
    if cells > _MOST_CELLS or (np.diff(first) < 0).any() or (np.diff(last) < 0).any():
        raise ValueError("a MatMul")
    return place == 1, cells, taken.shape[1] / taken.shape[0]


def reach(path: str | Path) -> Reach:
    """Return the reach of a network's output.

    Source: Araujo et al. 2019, "Computing receptive fields of convolutional neural networks".

    Args:
        path: of the ONNX file.

    Raises:
        errors.BundleError: the network is not fully convolutional, or the package onnx is absent.
    """
    try:
        import onnx
    except ImportError as problem:
        raise installed.missing("onnx", "engines", "A tile plan") from problem
    proto = onnx.shape_inference.infer_shapes(onnx.load(path))
    graph = proto.graph
    constants = {v.name: onnx.numpy_helper.to_array(v) for v in graph.initializer}
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    known = {value.name: Reach() for value in graph.input}
    for node in graph.node:
        before = [known[name] for name in node.input if name in known]
        if not before:
            continue
        try:
            known.update(dict.fromkeys(node.output, _after(node, before, constants, shapes)))
        except ValueError as problem:
            raise errors.BundleError(
                "Tiles need a fully convolutional network: one that looks no further than its "
                f"receptive field. Got {problem} ({node.name}). Use images of the network's size."
            ) from problem
    return known[graph.output[0].name]


def _after(
    node: OnnxNode, before: list[Reach], constants: Constants, shapes: dict[str, list[int]]
) -> Reach:
    kind = node.op_type
    joined = Reach(
        max(one.field for one in before),
        max(one.jump for one in before),
        max(one.total_stride for one in before),
    )
    if kind in ("Conv", "MaxPool", "AveragePool"):
        return joined.through(*_kernel(node, constants))
    if kind == "ConvTranspose":
        size, stride = _kernel(node, constants)
        return joined.through(math.ceil(size / stride), 1 / stride)
    if kind == "Resize":
        scale = _enlarged(node, constants, shapes)
        nearest = _attributes(node).get("mode", b"nearest") == b"nearest"
        return joined.through(1 if nearest else 2, 1 / scale)
    if kind == "MatMul":
        along_columns, cells, scale = _interpolated(node, constants)
        # The rows have a product of their own, of the same scale; an axis is counted once.
        return joined.through(cells, scale) if along_columns else joined
    if kind == "DepthToSpace":
        return joined.through(1, 1 / _attributes(node)["blocksize"])
    if kind == "SpaceToDepth":
        size = _attributes(node)["blocksize"]
        return joined.through(size, size)
    is_last = False
    if kind == "Softmax":  # over the classes of a pixel, wherever their axis lies
        given = shapes.get(node.input[0], [])
        axis = _attributes(node).get("axis", -1)
        is_last = len(given) == 4 and axis != 0 and given[axis] == min(given[1:])
    if kind == "Slice":  # some classes of all pixels
        given, made = shapes.get(node.input[0], []), shapes.get(node.output[0], [])
        cut = [one for one, other in zip(given, made, strict=False) if one != other]
        is_last = len(given) == len(made) == 4 and cut == [min(given[1:])]
    if kind not in _POINTWISE and not is_last:
        raise ValueError(f"a {kind}")
    if kind == "Reshape" and len(shapes.get(node.output[0], [])) != 4:
        raise ValueError("a Reshape to other axes")
    return joined
