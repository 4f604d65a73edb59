"""Names about engines, apart from the sections that use them: those cost an import of pydantic."""

import re

FOLDER = "engines"
ONNX = "onnx"
"""Name of what every bundle has: its own float32 ONNX files on onnxruntime."""
AUTO = "auto"
PASSED, NOT_RUN, STALE = "passed", "built, not run", "must pass the gate again"
ALL = "all"
"""Instead of the names of operators: all of them."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def is_name(name: str) -> bool:
    """Return whether an engine may be called so: it names a folder, and means nothing else."""
    return bool(_NAME.fullmatch(name)) and name not in (ONNX, AUTO, ALL, "keras")
