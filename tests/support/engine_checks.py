"""What the tests of engines share."""

import hashlib
import json

from inspection_tf.conversion import convert, engine_gate

ANYTHING = engine_gate.GateSpec(
    band=1.0, flipped_share=1.0, metric_drop=1.0, corner_error_rise=1e9, batch_sizes=(1, 3)
)
"""Toy networks of fields have learnt nothing: what they say is compared, not judged."""


def contents(root):
    """Return the SHA-256 of every file under a folder, by its path."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def spec(**changes):
    return convert.ConvertSpec(calibration_images=4, judged_images=12, **changes)


def manifest_values(root):
    return json.loads((root / "manifest.json").read_text())
