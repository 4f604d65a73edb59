"""TF-TRT: a SavedModel, and a script that converts it in NVIDIA's containers of TensorFlow.

TensorFlow has TF-TRT up to 2.17, and this package needs a newer one; so the script needs TensorFlow
alone, and runs where the engine will.
"""

import shutil
from pathlib import Path

from inspection_tf import errors
from inspection_tf.conversion.builders import saved_model
from inspection_tf.conversion.request import Builder, ConversionRequest
from inspection_tf.engines import installed
from inspection_tf.engines.entry import EngineEntry, Precision

_SCRIPT = "build.py"
_PRECISIONS: dict[str, Precision] = {"fp32": "float32", "fp16": "float16"}
"""Those that need no calibration of TF-TRT's own."""


def build(request: ConversionRequest) -> EngineEntry:
    """Write a SavedModel for each network, and the script that converts them.

    Raises:
        errors.BundleError: TensorFlow is absent.
        errors.ConfigError: the precision is none of TF-TRT's own.
    """
    precision = request.spec.precision
    if precision not in _PRECISIONS:
        raise errors.ConfigError(
            f"precision must be {' or '.join(_PRECISIONS)} for tftrt. Got {precision!r}. "
            "Choose one, or inspection convert BUNDLE --to tensorrt for int8."
        )
    for graph in request.graphs:
        saved_model.write(request, graph, request.build_folder / graph)
    script = Path(__file__).with_name("tf_trt_script.py")
    shutil.copyfile(script, request.build_folder / _SCRIPT)
    return EngineEntry(
        kind="savedmodel",
        precision=_PRECISIONS[precision],
        files={graph: request.in_bundle(f"{graph}/saved_model.pb") for graph in request.graphs},
        target="the GPU that builds it",
        options={"signature": saved_model.SIGNATURE, "script": request.in_bundle(_SCRIPT)},
        versions=installed.versions("tensorflow", "tensorflow-cpu", "keras"),
    )


SCRIPT = Builder(build)
