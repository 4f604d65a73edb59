"""The model's time in an OpenVINO engine beside that of OpenVINO's own `benchmark_app`.

python -m benchmarks.openvino_tool --bundle BUNDLE [--engine openvino-int8 --batch 8]

Both run the same IR with the same threads, in turns. The bundle's engine is started by the runtime
and inspects the golden images; its time is that between the batch and the map.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tyro

from inspection_tf import bench, errors, runtime
from inspection_tf.bench import timing


def _tool_ms(ir: Path, shape: str, *, threads: int, seconds: int, batch: int) -> float:
    """Return the median time an image of `benchmark_app`."""
    tool = Path(sys.executable).with_name("benchmark_app")
    with tempfile.TemporaryDirectory() as folder:
        words = [str(tool), "-m", str(ir), "-d", "CPU", "-api", "sync", "-hint", "none"]
        words += ["-nstreams", "1", "-nthreads", str(threads), "-t", str(seconds)]
        words += ["-shape", shape, "-infer_precision", "f32"]
        words += ["-report_type", "no_counters", "-report_folder", folder, "-json_stats"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        reports = list(Path(folder).glob("*.json"))
        if done.returncode or not reports:
            raise errors.BundleError(
                f"benchmark_app must run the engine's file. Got {done.stdout[-300:]!r}. "
                "Run it by hand to see why."
            )
        results = json.loads(reports[0].read_text())["execution_results"]
    return float(results["latency (ms)"]) / batch


def main(
    bundle: Path,
    *,
    engine: str = "openvino-int8",
    batch: int = 8,
    threads: int = 2,
    repeats: int = 7,
    seconds: int = 5,
) -> int:
    """Compare both.

    Args:
        bundle: of a bundle with the engine.
        engine: of OpenVINO.
        batch: images a call.
        threads: of one inference.
        repeats: turns of each.
        seconds: that a turn of `benchmark_app` takes.
    """
    inspector = runtime.Inspector.load(bundle, engine=engine, threads=threads)
    manifest = inspector.manifest
    entry = manifest.engines[engine]
    if entry.kind != "openvino" or len(entry.files) != 1:
        raise errors.ConfigError(
            f"The engine must be one network of OpenVINO. Got {engine}. Choose another."
        )
    ir = bundle / entry.files[manifest.main]
    pre = manifest.inputs[0].preprocessing
    sizes = [batch, *pre.size, 1 if pre.channels == "gray" else 3]
    shape = ",".join(f"{item.name}[{','.join(map(str, sizes))}]" for item in manifest.inputs)
    frames = timing.in_batches(bench.golden_frames(bundle), batch)[0]
    way = timing.Way(engine, inspector)
    here_ms: list[float] = []
    tool_ms: list[float] = []
    for _ in range(repeats):
        timing.once(way, frames)
        here_ms.append(float(np.median([timing.once(way, frames)[0]["model"] for _ in range(15)])))
        tool_ms.append(_tool_ms(ir, shape, threads=threads, seconds=seconds, batch=batch))
    ratios = np.array(here_ms) / np.array(tool_ms)
    print(
        f"{manifest.model_id} {engine} batch {batch}, {threads} threads: model "
        f"{np.median(here_ms):.2f} ms an image here, {np.median(tool_ms):.2f} ms in benchmark_app, "
        f"ratio {np.median(ratios):.3f} ({ratios.min():.3f} to {ratios.max():.3f})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
