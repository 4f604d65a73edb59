"""The most memory that inspecting takes, measured in a process that does nothing else."""

import subprocess
import sys
from pathlib import Path

_CHILD = """
import sys
from inspection_tf import bench, runtime
from inspection_tf.process import memory
root, engine, threads, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]) or None, int(sys.argv[4])
inspector = runtime.Inspector.load(root, engine=engine, threads=threads)
frames = bench.golden_frames(root)
for _ in range(3):
    bench.inspect_batch(inspector, [frames[n % len(frames)] for n in range(batch)])
print(memory.peak_bytes())
"""


def of_engine(root: Path, engine: str, threads: int | None, batch_size: int) -> int | None:
    """Return the most memory of a process that inspects with an engine; None where it fails.

    Args:
        root: the bundle's folder.
        engine: its name in the bundle.
        threads: of one inference; None: one for each core.
        batch_size: images a call of the network.
    """
    words = [str(root), engine, str(threads or 0), str(batch_size)]
    child = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD, *words], capture_output=True, text=True, check=False
    )
    return int(child.stdout.split()[-1]) if child.returncode == 0 else None
