"""The most memory that inspecting takes, measured in a process that does nothing else."""

import subprocess
import sys
from pathlib import Path

_CHILD = """
import sys
from inspection_tf import bench, runtime
from inspection_tf.bench import peak_memory
root, engine, threads, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]) or None, int(sys.argv[4])
inspector = runtime.Inspector.load(root, engine=engine, threads=threads)
frames = bench.golden_frames(root)
for _ in range(3):
    bench.inspect_batch(inspector, [frames[n % len(frames)] for n in range(batch)])
print(peak_memory.own_bytes())
"""
_STATUS = Path("/proc/self/status")


def own_bytes() -> int:
    """Return the most memory that this process has held so far."""
    if _STATUS.is_file():
        # getrusage would count what the process that started this one held at that moment.
        values = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        if "VmHWM" in values:
            return 1024 * int(values["VmHWM"].split()[0])
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_bytes(root: Path, engine: str, threads: int | None, batch_size: int) -> int | None:
    """Return the most memory of a process that inspects with an engine; None where it fails."""
    words = [str(root), engine, str(threads or 0), str(batch_size)]
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD, *words], capture_output=True, text=True, check=False
    )
    return int(done.stdout.split()[-1]) if done.returncode == 0 else None
