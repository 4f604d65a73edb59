"""From the Keras files of a bundle: SavedModel, LiteRT, and TF-TRT where TensorFlow has it."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors
from inspection_tf.conversion import request
from inspection_tf.engines.entry import EngineEntry, Precision

_ENDPOINT, _SIGNATURE = "serve", "serving_default"  # Keras writes both
_TFTRT: dict[str, Precision] = {"fp32": "float32", "fp16": "float16"}
"""Precisions of TF-TRT that need no calibration of its own."""


def _write(order: request.Order, graph: str, folder: Path) -> None:
    """Write a graph as a SavedModel: `serving_default` takes uint8 images by name."""
    try:
        import keras
        import tensorflow as tf

        from inspection_tf.tasks import saved_networks
    except ImportError as problem:
        raise request.missing("tensorflow", "train", "This engine") from problem
    model = saved_networks.load(order.source(graph))
    names = sorted(model.input)
    signature = [
        tf.TensorSpec((None, *model.input[name].shape[1:]), tf.uint8, name=name) for name in names
    ]

    def serve(*tensors: Any) -> Any:
        return model(dict(zip(names, tensors, strict=True)), training=False)

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(_ENDPOINT, serve, input_signature=signature)
    with request.blaming("TensorFlow must be able to write the network"):
        archive.write_out(str(folder), verbose=False)


def savedmodel(order: request.Order) -> EngineEntry:
    """Write a SavedModel for each network.

    Raises:
        errors.BundleError: TensorFlow is absent.
    """
    for graph in order.graphs:
        _write(order, graph, order.folder / graph)
    return EngineEntry(
        kind="savedmodel",
        precision="float32",
        files={graph: order.at(f"{graph}/saved_model.pb") for graph in order.graphs},
        options={"signature": _SIGNATURE},
        versions=request.versions("tensorflow", "tensorflow-cpu", "keras"),
    )


def litert(order: request.Order) -> EngineEntry:
    """Write a LiteRT file for each network.

    Raises:
        errors.BundleError: TensorFlow is absent, or a layer has no counterpart.
    """
    for graph in order.graphs:
        with tempfile.TemporaryDirectory() as folder:
            _write(order, graph, Path(folder) / "model")
            import tensorflow as tf

            converter = tf.lite.TFLiteConverter.from_saved_model(
                str(Path(folder) / "model"), signature_keys=[_ENDPOINT]
            )
            with request.blaming("Every layer must have a counterpart in LiteRT"):
                data = converter.convert()
        (order.folder / f"{graph}.tflite").write_bytes(data)
    return EngineEntry(
        kind="litert",
        precision="float32",
        files={graph: order.at(f"{graph}.tflite") for graph in order.graphs},
        versions=request.versions("tensorflow", "tensorflow-cpu", "ai-edge-litert"),
    )


def tftrt(order: request.Order) -> EngineEntry:
    """Convert SavedModels by TF-TRT, which TensorFlow has up to 2.17, in NVIDIA's containers.

    Raises:
        errors.BundleError: this TensorFlow has no TF-TRT, or it refuses a network.
        errors.ConfigError: the precision is none of its own.
    """
    try:
        import tensorflow as tf
        from tensorflow.python.compiler.tensorrt import trt_convert
    except ImportError as problem:
        raise _no_tftrt(request.first_line(problem)) from problem
    if order.spec.precision not in _TFTRT:
        raise errors.ConfigError(
            f"precision must be {' or '.join(_TFTRT)} for tftrt. Got {order.spec.precision!r}. "
            "Choose one, or inspection convert BUNDLE --to tensorrt for int8."
        )
    converted = order.folder
    for graph in order.graphs:
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "model"
            _write(order, graph, plain)
            try:
                converter = trt_convert.TrtGraphConverterV2(
                    input_saved_model_dir=str(plain),
                    input_saved_model_signature_key=_SIGNATURE,
                    precision_mode=order.spec.precision.upper(),
                )
                converter.convert()
                converter.save(str(converted / graph))
            except Exception as problem:  # RuntimeError where it was built without TensorRT
                shutil.rmtree(converted / graph, ignore_errors=True)
                received = f"TensorFlow {tf.__version__}: {request.first_line(problem)}"
                raise _no_tftrt(received) from problem
    return EngineEntry(
        kind="savedmodel",
        precision=_TFTRT[order.spec.precision],
        target="GPU",
        files={graph: order.at(f"{graph}/saved_model.pb") for graph in order.graphs},
        versions=request.versions("tensorflow", "keras"),
    )


def _no_tftrt(received: str) -> errors.BundleError:
    return errors.BundleError(
        "TF-TRT needs a TensorFlow that was built with TensorRT, which NVIDIA's containers have up "
        f"to 2.17. Got {received}. Use the ONNX path: inspection convert BUNDLE --to tensorrt."
    )


class SavedModel:
    """A SavedModel as a network, for the gate; the runtime does without TensorFlow."""

    def __init__(self, file: str | os.PathLike[str]) -> None:
        """Load it.

        Args:
            file: saved_model.pb of it.
        """
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(Path(file).parent))
        self._run = self._loaded.signatures[_SIGNATURE]
        self._constant = tf.constant

    def run(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> NDArray[Any]:
        """Return the output for a batch; see `runtime.Engine.run`."""
        given = {"image": batch} if template is None else {"image": batch, "template": template}
        found = self._run(**{name: self._constant(value) for name, value in given.items()})
        (output,) = found.values()
        return np.asarray(output)
