"""Keras -> ONNX: rebuilt in float32, converted by tf2onnx, named, checked and run once."""

import contextlib
import re
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from inspection_tf import errors, runtime, tasks
from inspection_tf.export.onnx_metadata import set_metadata

__all__ = ["IMAGE", "OPSET", "convert", "is_float32", "rebuild_float32", "set_metadata"]
OPSET = 18
_FIRST_NAME = 10**6  # all names of a graph have as many digits
IMAGE, TEMPLATE = "image", "template"

Shape = tuple[int, int, int]  # (height, width, channels)


def _in_float32(values: Any) -> Any:
    """Replace every dtype policy of a model's configuration by float32."""
    if isinstance(values, dict):
        if values.get("class_name") == "DTypePolicy":
            return {**values, "config": {"name": "float32"}}
        return {name: _in_float32(value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return type(values)(_in_float32(value) for value in values)
    return values


def _nested(layer: Any) -> bool:
    return isinstance(layer, keras.Model)


def is_float32(model: keras.Model) -> bool:
    """Return whether every layer computes in float32, those of nested models included."""
    return all(
        is_float32(layer) if _nested(layer) else layer.compute_dtype == "float32"
        for layer in model.layers
        # An input computes nothing, and carries whatever policy the session has.
        if not isinstance(layer, keras.layers.InputLayer)
    )


def _copy_weights(source: keras.Model, target: keras.Model) -> None:
    # By name: the order of a model's weights is that of its graph, which nobody promises to keep.
    for layer in source.layers:
        twin = target.get_layer(layer.name)
        if _nested(layer):
            _copy_weights(layer, twin)
        else:
            twin.set_weights(layer.get_weights())


def rebuild_float32(model: keras.Model) -> keras.Model:
    """Return the same network with every layer in float32 and the same weights.

    A mixed-precision model with bilinear up-sampling exports without an error to an invalid file,
    so nothing but float32 is ever converted.

    Args:
        model: a functional model, which may hold others.

    Raises:
        errors.BundleError: a layer cannot be built from its configuration.
    """
    try:
        twin = type(model).from_config(_in_float32(model.get_config()))
        _copy_weights(model, twin)
    except (TypeError, ValueError, NotImplementedError) as problem:
        first_line = str(problem).splitlines()[0]
        raise errors.BundleError(
            f"Every layer must be rebuilt from its configuration. Got: {first_line} "
            "Use layers of Keras, or register your own."
        ) from problem
    return twin


def _require_contract(model: keras.Model) -> tuple[dict[str, Shape], tuple[str, ...]]:
    """Return (height, width, channels) of each input, and the outputs, of a model to ship."""
    known = tasks.output_axes()
    given, returned = getattr(model, "input", None), getattr(model, "output", None)
    received = f"inputs {_described(given)} and outputs {_described(returned)}"
    inputs = given if isinstance(given, dict) else {}
    outputs = returned if isinstance(returned, dict) else {}
    names = tasks.outputs_in_order(outputs)
    if set(inputs) not in ({IMAGE}, {IMAGE, TEMPLATE}) or not names:
        raise errors.BundleError(
            f"The model must map {{{IMAGE!r}: ...}}, with or without {TEMPLATE!r}, to one of "
            f"{', '.join(known)}, or to several of one task. Got {received}. "
            "Build it with inspection_tf.models."
        )
    for name, tensor in inputs.items():
        if tensor.dtype != "uint8" or len(tensor.shape) != 4 or None in tensor.shape[1:]:
            raise errors.BundleError(
                f"The input {name} must be uint8 (batch, height, width, channels) of fixed size. "
                f"Got {received}. Build the model for one image size."
            )
    for name in names:
        if len(outputs[name].shape) != len(known[name]):
            raise errors.BundleError(
                f"The output {name} must be ({', '.join(known[name])}). Got {received}. "
                "Build the model with inspection_tf.models."
            )
    return {name: inputs[name].shape[1:] for name in sorted(inputs)}, names


def _described(structure: Any) -> str:
    if structure is None:
        return "that are not known yet"
    return str(keras.tree.map_structure(lambda x: f"{x.dtype} {tuple(x.shape)}", structure))


@contextlib.contextmanager
def _in_one_order() -> Iterator[None]:
    """Let tf2onnx walk equal models in the same order, in this process and in any other.

    It sorts nodes by name, and numbers the names by a counter of the process, so that __9 to __10
    is another order than __8 to __9; the readers of a value are a set of strings, whose order is
    another one in each process; and nodes lie in sets by where they lie in memory. All decide which
    nodes its optimisers join.
    """
    from tf2onnx import graph, utils

    plain = graph.Graph.find_output_consumers

    def in_order(self: Any, name: str) -> Any:
        return sorted(plain(self, name), key=lambda node: node.name)

    def by_name(self: Any) -> int:
        found: int = self.__dict__.setdefault("_order", zlib.crc32(self.name.encode()))
        return found

    utils.INTERNAL_NAME = _FIRST_NAME
    by_address = graph.Node.__hash__
    graph.Graph.find_output_consumers, graph.Node.__hash__ = in_order, by_name
    try:
        yield
    finally:
        graph.Graph.find_output_consumers, graph.Node.__hash__ = plain, by_address


def _convert(model: keras.Model, shapes: dict[str, Shape]) -> Any:
    import tensorflow as tf
    import tf2onnx

    signature = [
        tf.TensorSpec((None, *shape), tf.uint8, name=name) for name, shape in shapes.items()
    ]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def predict(*tensors: Any) -> Any:
        return model(dict(zip(shapes, tensors, strict=True)), training=False)

    try:
        with _in_one_order():
            proto, _ = tf2onnx.convert.from_function(
                predict, input_signature=signature, opset=OPSET
            )
    except Exception as problem:  # its converters raise whatever they stumble over
        raise errors.BundleError(
            f"Every layer must have a counterpart in ONNX. Got: {errors.first_line(problem)}. "
            "Leave out the layer that is named there."
        ) from problem
    return proto


def _name_batch(proto: Any) -> None:
    for value in (*proto.graph.input, *proto.graph.output):
        dimension = value.type.tensor_type.shape.dim[0]
        dimension.Clear()
        dimension.dim_param = "batch"


def _order_outputs(proto: Any, names: Sequence[str]) -> None:
    """Bring the outputs into the order of their names here: TensorFlow sorts them."""
    found = sorted(
        proto.graph.output,
        key=lambda value: names.index(value.name) if value.name in names else len(names),
    )
    del proto.graph.output[:]
    proto.graph.output.extend(found)


def _name_in_order(proto: Any, name: str, kept: Sequence[str]) -> None:
    """Number equal names in the order of the graph, so that equal models give equal files.

    tf2onnx numbers them by a counter of the process, and gives equal constants any one's name, so
    a constant is named after the node that reads it first. The names in `kept` stay.
    """
    graph, taken = proto.graph, Counter(kept)
    renamed = {"": ""} | {value: value for value in kept}
    constants = {value.name for value in graph.initializer}

    def unique(old: str) -> str:
        plain = re.sub(r"__\d+", "", old)
        taken[plain] += 1
        return plain if taken[plain] == 1 else f"{plain}#{taken[plain]}"

    graph.name, graph.doc_string = name, ""
    if any(a.HasField("g") or a.graphs for node in graph.node for a in node.attribute):
        return  # a subgraph refers to the names around it
    for node in graph.node:
        for values in (node.input, node.output):
            for place, old in enumerate(values):
                if old not in renamed:
                    constant = f"{node.name}:input{place}"
                    renamed[old] = unique(constant if old in constants else old)
                values[place] = renamed[old]
        node.name = unique(f"{node.name}:node")
    for values in (graph.initializer, graph.value_info):
        used = sorted((v for v in values if v.name in renamed), key=lambda v: renamed[v.name])
        del values[:]
        values.extend(used)
        for value in values:
            value.name = renamed[value.name]


def _shape_scaling(proto: Any) -> None:
    """Give the constants that scale an image four axes of one.

    With a plain number onnxruntime takes 10 ns a pixel of a grey image for each of them, a
    millisecond for 256 x 192; the results are the same to the bit.
    """
    constants = {value.name: value for value in proto.graph.initializer if not value.dims}
    scaled = {value.name for value in proto.graph.input}
    scaling, others = [], set()
    for node in proto.graph.node:
        if node.op_type in ("Cast", "Mul", "Add") and scaled & set(node.input):
            scaled |= set(node.output)
            scaling.append(node)
        else:
            others |= set(node.input)
    for node in scaling:
        for place, name in enumerate(node.input):
            if name not in constants:
                continue
            if name in others:  # as the number that it is: of fewer axes these would get four
                node.input[place] = f"{name}_of_images"
                if node.input[place] not in constants:
                    copy = proto.graph.initializer.add()
                    copy.CopyFrom(constants[name])
                    copy.name = node.input[place]
                    constants[copy.name] = copy
            value = constants[node.input[place]]
            if not value.dims:
                value.dims.extend((1, 1, 1, 1))


def _check(proto: Any, inputs: list[str], outputs: list[str]) -> None:
    import onnx

    names = [v.name for v in proto.graph.input], [v.name for v in proto.graph.output]
    if names != (inputs, outputs):
        raise errors.BundleError(
            f"The exported graph must have the inputs {inputs} and the outputs {outputs}. "
            f"Got {names[0]} and {names[1]}. Build the model with inspection_tf.models."
        )
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as problem:
        raise errors.BundleError(
            f"The exported graph must be valid ONNX. Got: {str(problem).splitlines()[0]}. "
            "Leave out the layer that is named there."
        ) from problem


def convert(model: keras.Model) -> bytes:
    """Convert a model to ONNX and run it at two batch sizes.

    Args:
        model: inputs `image` and perhaps `template`, uint8 (batch, height, width, channels);
            one output, float32, whose name and axes are among `tasks.output_axes()`, such as
            `{"probability": float32 (batch, height, width, classes)}`, or several of one task.

    Returns:
        The bytes of the file: opset 18, dynamic batch, outputs in the order of
        `tasks.outputs_in_order`.

    Raises:
        errors.BundleError: the model has other inputs or outputs, or the graph is not valid or does
            not run.
    """
    shapes, outputs = _require_contract(model)
    proto = _convert(rebuild_float32(model), shapes)
    _order_outputs(proto, outputs)
    _name_batch(proto)
    _shape_scaling(proto)
    _name_in_order(proto, model.name, [*shapes, *outputs])
    _check(proto, list(shapes), list(outputs))
    data = bytes(proto.SerializeToString())
    engine = runtime.Engine(data)
    for count in (1, 3):
        images = [np.zeros((count, *shape), np.uint8) for shape in shapes.values()]
        for output in engine.run_all(*images):
            if output.shape[0] != count or not np.isfinite(output).all():
                raise errors.BundleError(
                    f"The exported graph must run at batch {count} with finite output. "
                    f"Got shape {output.shape}. Report this with the model's summary."
                )
    return data


def weigh(model: keras.Model, *, rounds: int = 50) -> tuple[int, float]:
    """Export a model and return the size of the file, bytes, and its median latency, ms.

    Args:
        model: as `convert` takes it.
        rounds: inferences of one image that count.

    Raises:
        errors.BundleError: it cannot be exported.
    """
    data = convert(model)
    engine = runtime.Engine(data)
    images = [np.zeros((1, *tensor.shape[1:]), np.uint8) for tensor in model.inputs]
    spent = []
    for _ in range(rounds + 3):
        started = time.perf_counter()
        engine.run(*images)
        spent.append(time.perf_counter() - started)
    return len(data), 1e3 * float(np.median(spent[3:]))
