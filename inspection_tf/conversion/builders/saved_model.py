"""From the Keras files of a bundle: SavedModel and LiteRT."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inspection_tf.conversion import libraries
from inspection_tf.conversion.request import Builder, ConversionRequest, Networks
from inspection_tf.engines import installed
from inspection_tf.engines.entry import EngineEntry
from inspection_tf.engines.library_types import TfTensor
from inspection_tf.engines.network import Network, named_inputs, output_names

_ENDPOINT, SIGNATURE = "serve", "serving_default"  # Keras writes both


def write(request: ConversionRequest, graph: str, folder: Path) -> None:
    """Write a graph as a SavedModel: `serving_default` takes uint8 images by name."""
    try:
        import keras
        import tensorflow as tf

        from inspection_tf.tasks import saved_networks
    except ImportError as problem:
        raise installed.missing("tensorflow", "train", "This engine") from problem
    model = saved_networks.load(request.keras_file(graph))
    names = sorted(model.input)
    signature = [
        tf.TensorSpec((None, *model.input[name].shape[1:]), tf.uint8, name=name) for name in names
    ]

    def serve(*tensors: TfTensor) -> dict[str, TfTensor]:
        outputs: dict[str, TfTensor] = model(dict(zip(names, tensors, strict=True)), training=False)
        return outputs

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(_ENDPOINT, serve, input_signature=signature)
    with libraries.blaming("TensorFlow must be able to write the network"):
        archive.write_out(str(folder), verbose=False)


def savedmodel(request: ConversionRequest) -> EngineEntry:
    """Write a SavedModel for each network.

    Raises:
        errors.BundleError: TensorFlow is absent.
    """
    for graph in request.graphs:
        write(request, graph, request.build_folder / graph)
    return EngineEntry(
        kind="savedmodel",
        precision="float32",
        files={graph: request.in_bundle(f"{graph}/saved_model.pb") for graph in request.graphs},
        options={"signature": SIGNATURE},
        versions=installed.versions("tensorflow", "tensorflow-cpu", "keras"),
    )


def litert(request: ConversionRequest) -> EngineEntry:
    """Write a LiteRT file for each network.

    Raises:
        errors.BundleError: TensorFlow is absent, or a layer has no counterpart.
    """
    for graph in request.graphs:
        with tempfile.TemporaryDirectory() as folder:
            write(request, graph, Path(folder) / "model")
            import tensorflow as tf

            converter = tf.lite.TFLiteConverter.from_saved_model(
                str(Path(folder) / "model"), signature_keys=[_ENDPOINT]
            )
            with libraries.blaming("Every layer must have a counterpart in LiteRT"):
                data = converter.convert()
        (request.build_folder / f"{graph}.tflite").write_bytes(data)
    return EngineEntry(
        kind="litert",
        precision="float32",
        files={graph: request.in_bundle(f"{graph}.tflite") for graph in request.graphs},
        versions=installed.versions("tensorflow", "tensorflow-cpu", "ai-edge-litert"),
    )


class SavedModel(Network):
    """A SavedModel as a network, for the gate; the runtime does without TensorFlow."""

    def __init__(self, file: str | os.PathLike[str], outputs: Sequence[str] = ()) -> None:
        """Load it.

        Args:
            file: saved_model.pb of it.
            outputs: names of its outputs, in the order of the manifest; empty: as it has them.

        Raises:
            errors.BundleError: it lacks an output.
        """
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(Path(file).parent))
        self._run = self._loaded.signatures[SIGNATURE]
        self._outputs = output_names(outputs, self._run.structured_outputs)
        self._constant = tf.constant

    def run_all(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        """Return every output for a batch; see `runtime.Engine.run_all`."""
        inputs = named_inputs(batch, template)
        found = self._run(**{name: self._constant(value) for name, value in inputs.items()})
        return tuple(np.asarray(found[name]) for name in self._outputs)


def _start(request: ConversionRequest, entry: EngineEntry) -> Networks:
    return {
        graph: SavedModel(request.built_file(file), request.outputs(graph))
        for graph, file in entry.files.items()
    }


SAVED_MODEL, LITERT = Builder(savedmodel, start=_start), Builder(litert)
