"""The kinds of engines, the only list of them.

To add a kind: a module of this room with a function `start_network`, and a value here; a target of
`conversion` that writes it.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import PurePosixPath

PRECISION_HINT = "INFERENCE_PRECISION_HINT"
"""OpenVINO's option for the precision that a network runs in."""


@dataclasses.dataclass(frozen=True, slots=True)
class EngineKind:
    """What a bundle, the runtime and the builders know of one kind of engine.

    Attributes:
        name: in the manifest.
        suffixes: of the files that lie in its folder, beside JSON, arrays and Markdown. Where the
            runtime starts it, each network starts from a file of the first one.
        module: of this room, whose `start_network` starts a network; empty: other software runs
            it.
        weights_suffix: of the file of weights beside the one that a network starts from; empty:
            there is none.
        packages: that run it, under any of these names; the first is the one to install. Another
            version may be faster or slower, so a choice among engines holds for these versions.
        options: of its software that a bundle may set, and the values they may have; None: nothing
            that is set reaches any software here.
        is_for_one_gpu: it is built for one GPU, which the machine that builds it may lack.
        copies_manifest: its folder holds a copy of the manifest, which every edit outdates.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str = ""
    weights_suffix: str = ""
    packages: tuple[str, ...] = ()
    options: Mapping[str, tuple[str, ...]] | None = None
    is_for_one_gpu: bool = False
    copies_manifest: bool = False

    @property
    def is_runnable(self) -> bool:
        """Whether the runtime starts it; the others are for other software."""
        return bool(self.module)

    @property
    def starts_from(self) -> str:
        """Suffix of the file that a network starts from; empty: any, the runtime reads none."""
        return self.suffixes[0] if self.is_runnable else ""

    def weights(self, file: str) -> str:
        """Return the file of weights beside the one that a network starts from; empty: none."""
        if not self.weights_suffix:
            return ""
        return str(PurePosixPath(file).with_suffix(self.weights_suffix))


KINDS: Mapping[str, EngineKind] = {
    kind.name: kind
    for kind in (
        EngineKind(
            "onnxruntime",
            (".onnx",),
            module="onnxruntime_engine",
            packages=("onnxruntime", "onnxruntime-gpu"),
        ),
        EngineKind(
            "openvino",
            (".xml", ".bin"),
            module="openvino_engine",
            weights_suffix=".bin",
            packages=("openvino",),
            # Others name folders to write to, and libraries to load.
            options={PRECISION_HINT: ("f32", "bf16", "f16")},
        ),
        EngineKind("litert", (".tflite",), module="litert_engine", packages=("ai-edge-litert",)),
        EngineKind("savedmodel", (".pb", ".index", ".py")),
        EngineKind(
            "tensorrt",
            (".engine",),
            module="tensorrt_engine",
            packages=("tensorrt",),
            is_for_one_gpu=True,
        ),
        EngineKind(
            "tensorrt_rtx",
            (".engine",),
            module="tensorrt_engine",
            packages=("tensorrt-rtx-cu13", "tensorrt-rtx-cu12"),
            is_for_one_gpu=True,
        ),
        EngineKind("trtexec", (".onnx", ".sh")),
        EngineKind(
            "triton",
            (".pbtxt", ".py", ".onnx", ".xml", ".bin", ".engine"),
            copies_manifest=True,
        ),
    )
}

SUFFIXES = frozenset(suffix for kind in KINDS.values() for suffix in kind.suffixes)
"""Of all files that lie in the folders of engines, beside JSON, arrays and Markdown."""
PACKAGES = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.packages))
"""All that run engines."""
