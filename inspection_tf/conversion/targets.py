"""What a bundle can be converted to, the only list of it.

To add a target: a file in `builders/` with a value `Builder`, and a `Target` here that names it.
"""

import dataclasses
from collections.abc import Mapping

from inspection_tf import errors

_INT8 = ("calibration_images", "seed")
_SEARCHED = (*_INT8, "judged_images")


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Something that a bundle can be converted to.

    Attributes:
        name: as `--to` takes it.
        builder: file of `builders/` and the name of the `Builder` in it, `FILE:NAME`; imported
            where used.
        summary: what it is, in a few words, for `--help`.
        needs: extra of this package that building takes; empty: none.
        options: fields of `ConvertSpec` that it heeds, beside those of the gate.
    """

    name: str
    builder: str
    summary: str
    needs: str = ""
    options: tuple[str, ...] = ()


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("openvino", "openvino_ir:FLOAT32", "OpenVINO in float32", needs="openvino"),
        Target(
            "openvino-bf16",
            "openvino_ir:BFLOAT16",
            "OpenVINO in bfloat16, on processors that compute in it",
            needs="openvino",
        ),
        Target(
            "openvino-int8",
            "openvino_ir:INT8",
            "OpenVINO with convolutions in int8",
            needs="openvino",
            options=(*_SEARCHED, "accuracy_control"),
        ),
        Target(
            "onnx-int8",
            "onnx_int8:INT8",
            "onnxruntime with convolutions in int8",
            needs="engines",
            options=_SEARCHED,
        ),
        Target("onnx-fp16", "onnx_int8:FLOAT16", "onnxruntime in float16", needs="engines"),
        Target(
            "savedmodel", "saved_model:SAVED_MODEL", "a SavedModel for TensorFlow", needs="train"
        ),
        Target("litert", "saved_model:LITERT", "LiteRT in float32", needs="train,litert"),
        Target(
            "tensorrt",
            "tensorrt_plan:PLAN",
            "a plan of TensorRT, or a script for trtexec",
            needs="engines",
            options=(*_INT8, "precision", "compute_capability", "batch"),
        ),
        Target(
            "tftrt",
            "tf_trt:SCRIPT",
            "a SavedModel and a script for TF-TRT",
            needs="train",
            options=("precision",),
        ),
        Target(
            "triton",
            "triton_repository:REPOSITORY",
            "a model repository for Triton",
            options=("batch", "engine", "instances", "queue_delay_us"),
        ),
    )
}


def find(name: str) -> Target:
    """Return a target by its name.

    Raises:
        errors.ConfigError: there is none.
    """
    if name not in TARGETS:
        raise errors.ConfigError(
            f"--to must be one of {', '.join(TARGETS)}. Got {name!r}. Choose one."
        )
    return TARGETS[name]


def in_words() -> str:
    """Return what `--help` says of the targets."""
    each = [
        f"{target.name} ({target.summary}{f'; [{target.needs}]' if target.needs else ''})"
        for target in TARGETS.values()
    ]
    return f"{', '.join(each[:-1])} or {each[-1]}; in brackets the extra that it needs."


def heeding(option: str, text: str) -> str:
    """Return the help of an option: the targets that heed it, and what it says.

    Args:
        option: a field of `ConvertSpec`.
        text: what it says.
    """
    heeded = [target.name for target in TARGETS.values() if option in target.options]
    return f"{', '.join(heeded)}: {text}"
