"""Whether a service decides as `inspection predict` does, field by field, on many images.

For each bundle: images of its own data, written as files; `inspection predict` on them, as JSON;
and the same files over /inspect, /inspect/batch, and the Open Inference Protocol as JSON and as
binary tensors (tritonclient). Times and what only a service says (model, version, queue_ms, id,
links) are left out, and so is the path that only the command knows.

    python benchmarks/service_verdicts.py BUNDLE... [--images 200]
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http

from inspection_tf import bundle, images
from inspection_tf.export import source_data

LEFT_OUT = {"model", "version", "queue_ms", "id", "links", "name", "ms", "path"}


def written(root: Path, folder: Path, count: int) -> list[Path]:
    """Write images of a bundle's data; where there are too few, again with other brightness."""
    manifest = bundle.read(root)
    parts = source_data.parts(manifest)
    order = [name for name in ("test", "tune", "train") if name in parts]
    records = [record for name in order for record in parts[name]][:count]
    rng = np.random.default_rng(0)
    paths = []
    for place in range(count):
        image = records[place % len(records)].read_image()
        if place >= len(records):
            top = np.iinfo(image.dtype).max
            image = np.clip(image * rng.uniform(0.7, 1.2), 0, top).astype(image.dtype)
        paths.append(folder / f"{place:04d}.png")
        images.write_png(paths[-1], image)
    return paths


def said(verdict: dict[str, Any]) -> dict[str, Any]:
    """Return what of a verdict must be equal."""
    return {name: value for name, value in verdict.items() if name not in LEFT_OUT}


def predicted(root: Path, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return what the command says."""
    command = [sys.executable, "-m", "inspection_tf", "predict", str(root), *map(str, paths)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    return [said(json.loads(line)) for line in done.stdout.splitlines()]


def asked(port: int, path: str, body: bytes, content_type: str) -> bytes:
    """Return the body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3600)
    connection.request("POST", path, body, {"Content-Type": content_type})
    data = connection.getresponse().read()
    connection.close()
    return data


def form(paths: Sequence[Path]) -> tuple[bytes, str]:
    """Return a form of images, and its content type."""
    boundary = uuid.uuid4().hex
    lines = []
    for path in paths:
        disposition = f'form-data; name="image"; filename="{path.name}"'
        lines.append(f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode())
        lines += [path.read_bytes(), b"\r\n"]
    body = b"".join([*lines, f"--{boundary}--\r\n".encode()])
    return body, f"multipart/form-data; boundary={boundary}"


def inferred(port: int, data: bytes, *, binary: bool) -> dict[str, Any]:
    """Return a verdict by the Open Inference Protocol."""
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{port}", network_timeout=600)
    tensor = tritonclient.http.InferInput("image", [len(data)], "UINT8")
    tensor.set_data_from_numpy(np.frombuffer(data, np.uint8), binary_data=binary)
    wanted = [tritonclient.http.InferRequestedOutput("verdict", binary_data=binary)]
    answer = client.infer("m", [tensor], outputs=wanted)
    return dict(json.loads(answer.as_numpy("verdict")[0]))


def compared(root: Path, count: int) -> None:
    """Print how many verdicts of a bundle are equal, by the way they were asked for."""
    with tempfile.TemporaryDirectory() as name:
        paths = written(root, Path(name), count)
        expected = predicted(root, paths)
        serve = [sys.executable, "-m", "inspection_tf", "serve", f"m={root}", "--port", "0"]
        options = ["--engine", "onnx", "--deadline-ms", "600000", "--max-mib", "512"]
        service = subprocess.Popen([*serve, *options], stdout=subprocess.PIPE, text=True)
        try:
            address = service.stdout.readline().strip() if service.stdout else ""
            port = int(address.rpartition(":")[2])
            files = [path.read_bytes() for path in paths]
            ways = {
                "/inspect": [
                    json.loads(asked(port, "/inspect", one, "image/png")) for one in files
                ],
                "/inspect/batch": [
                    json.loads(line)
                    for line in asked(port, "/inspect/batch", *form(paths)).splitlines()
                ],
                "v2 JSON": [inferred(port, one, binary=False) for one in files],
                "v2 binary": [inferred(port, one, binary=True) for one in files],
            }
        finally:
            service.terminate()
            service.wait()
    outcomes = dict(Counter(str(one["outcome"]) for one in expected))
    print(f"{bundle.read(root).task}: {len(expected)} images, {outcomes}")
    for way, found in ways.items():
        equal = sum(one == said(other) for one, other in zip(expected, found, strict=True))
        print(f"  {way:15} {equal} of {len(found)} equal", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=200)
    arguments = parser.parse_args()
    for one in arguments.bundles:
        compared(one, arguments.images)
