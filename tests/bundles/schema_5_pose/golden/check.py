"""Checks a bundle on this machine without the software that made it.

    python golden/check.py

Needs numpy and onnxruntime. Every file must have the SHA-256 that manifest.json lists, and every
network must return what was recorded. Exit code 0: it may be used here; 1: it may not.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

TOLERANCE = 1e-3  # other processors round differently; a wrong model is off by far more


def say(text):
    """Print a line."""
    sys.stdout.write(text + "\n")


def check_files(root, manifest):
    """Return the files that are missing, extra or altered."""
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path != root / "manifest.json"
    }
    listed = manifest["files"]
    wrong = [f"{name}: not in the manifest" for name in sorted(found - set(listed))]
    for name, expected in sorted(listed.items()):
        path = root / name
        if not path.is_file():
            wrong.append(f"{name}: missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            wrong.append(f"{name}: not as it was written")
    return wrong


def run(root, file, item):
    """Return how far a network is from what was recorded of it, in any of its outputs."""
    import numpy as np

    # Nothing about this machine leaves it; onnxruntime reads that when it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(root / file), providers=onnxruntime.get_available_providers()
    )
    inputs = {name: np.load(root / path) for name, path in item["inputs"].items()}
    paths = {session.get_outputs()[0].name: item["output"], **item.get("further", {})}
    off = 0.0
    for output, path in zip(session.run(list(paths), inputs), paths.values(), strict=True):
        expected = np.load(root / path)
        if output.shape != expected.shape or not np.isfinite(output).all():
            return float("inf")
        off = max(off, float(np.abs(output - expected).max()))
    return off


def check_networks(root, manifest, samples):
    """Return the networks that differ, after printing a line for each run."""
    files = {graph["name"]: graph["file"] for graph in manifest["graphs"]}
    wrong = []
    for sample in samples:
        for item in sample.get("tensors", []):
            off = run(root, files[item["graph"]], item)
            say(f"{sample['image']}  {item['graph']}: off by {off:.2g}")
            if not off <= TOLERANCE:  # NaN is not within it
                wrong.append(f"{item['graph']} on {sample['image']}: off by {off:.3g}")
    return wrong


def main():
    """Check the bundle that this file lies in, or another one."""
    parser = argparse.ArgumentParser(description="Check a bundle with numpy and onnxruntime.")
    parser.add_argument("bundle", nargs="?", default=Path(__file__).resolve().parents[1])
    root = Path(parser.parse_args().bundle)
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    samples = json.loads((root / "golden" / "expected.json").read_text(encoding="utf-8"))
    wrong = check_files(root, manifest)
    if not wrong:  # nothing that was altered reaches a parser
        wrong = check_networks(root, manifest, samples)
    for line in wrong:
        say(f"WRONG  {line}")
    if wrong:
        say(f"{manifest['model_id']}: do not use this bundle here")
        return 1
    say(f"{manifest['model_id']}: {len(manifest['files'])} files and all networks as recorded")
    say("Your own integration is right when it decides about the golden images as here:")
    for sample in samples:
        say(f"{sample['image']}  {sample['outcome']}  score {sample['score']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
