"""What `import inspection_tf.runtime` costs on top of the libraries that it cannot do without.

Fresh interpreters, the two imports in turn, median of seven. Byte code lies in a folder of this
run's own and is written before the first measurement: a box where nothing may be written compiles
this package at each start and is slower.

    python benchmarks/import_time.py
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIBRARIES = "import cv2, onnxruntime, numpy, pydantic"
RUNTIME = "import inspection_tf.runtime"
# What a first verdict needs besides: pydantic's schemas and onnxruntime come in when used.
FIRST_VERDICT = "from inspection_tf import runtime; runtime.Inspector.load({!r}).inspect({!r})"
LIMIT = 1.3


def seconds(code: str, environment: dict[str, str]) -> float:
    """Return the wall time of a fresh interpreter that runs `code`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - started


def main() -> None:
    """Print both medians and their ratio, and the time to a first verdict if a bundle is given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7, help="interpreters of each kind")
    parser.add_argument("--bundle", type=Path, help="also time loading it and a first verdict")
    options = parser.parse_args()
    codes = {"libraries": LIBRARIES, "runtime": RUNTIME}
    if options.bundle:
        image = options.bundle / "golden" / "0.png"
        codes["first verdict"] = FIRST_VERDICT.format(str(options.bundle), str(image))
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "PYTHONPYCACHEPREFIX": folder,
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for code in codes.values():
            seconds(code, environment)
        taken: dict[str, list[float]] = {name: [] for name in codes}
        for _ in range(options.repeats):
            for name, code in codes.items():
                taken[name].append(seconds(code, environment))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, median in medians.items():
        print(f"{name:>14} {1e3 * median:6.0f} ms   (fastest {1e3 * min(taken[name]):.0f} ms)")
    ratio = medians["runtime"] / medians["libraries"]
    fastest = min(taken["runtime"]) / min(taken["libraries"])
    print(f"{'ratio':>14} {ratio:6.2f}      (fastest {fastest:.2f}; limit {LIMIT})")


if __name__ == "__main__":
    main()
