"""Converts the SavedModels of this folder by TF-TRT, on the machine that runs them.

    python build.py FOLDER

Needs TensorFlow alone, one built with TensorRT, which NVIDIA's containers have up to 2.17. FOLDER
lies outside the bundle, which holds what it declares alone. TensorRT builds its engines when a
converted model first runs. Exit code 0: done; 1: TF-TRT refuses; 2: another folder must be given.
"""

import json
import sys
from pathlib import Path


def complain(text: str) -> None:
    """Print a line on stderr."""
    sys.stderr.write(text + "\n")


def convert(source: Path, out: Path, precision: str, signature: str) -> None:
    """Convert one SavedModel.

    Args:
        source: its folder.
        out: folder of the converted one.
        precision: FP32 or FP16.
        signature: name of the signature that is kept.
    """
    from tensorflow.python.compiler.tensorrt import trt_convert

    converter = trt_convert.TrtGraphConverterV2(
        input_saved_model_dir=str(source),
        input_saved_model_signature_key=signature,
        precision_mode=precision,
    )
    converter.convert()
    converter.save(str(out))


def main() -> int:
    """Convert every network of the engine; returns the exit code."""
    here = Path(__file__).resolve().parent
    bundle = here.parent.parent
    if len(sys.argv) != 2:
        complain("Give a folder for the engines: python build.py FOLDER")
        return 2
    out = Path(sys.argv[1]).resolve()
    if out == bundle or bundle in out.parents:
        complain(f"The folder must lie outside the bundle. Got {out}. Give another one.")
        return 2
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    entry = manifest["engines"][here.name]
    precision = {"float32": "FP32", "float16": "FP16"}[entry["precision"]]
    for graph, file in sorted(entry["files"].items()):
        try:
            convert((bundle / file).parent, out / graph, precision, entry["options"]["signature"])
        except Exception as problem:  # RuntimeError where it was built without TensorRT
            reason = str(problem).rstrip(".")
            complain(
                f"TF-TRT must be able to convert the {graph}. Got: {reason}. Use a container of "
                "NVIDIA with TensorFlow up to 2.17, or inspection convert BUNDLE --to tensorrt."
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
