"""Converted networks on their way into a bundle, started under a manifest."""

from collections.abc import Mapping
from typing import TypeAlias

from inspection_tf import bundle, runtime
from inspection_tf.tasks.base import Networks

Converted: TypeAlias = Mapping[str, bytes]
"""ONNX files by the names of their graphs."""


def started(models: Converted) -> Networks:
    """Start ONNX files on onnxruntime."""
    return {name: runtime.Engine(model) for name, model in models.items()}


def inspector(
    models: Converted, manifest: bundle.Manifest, *, model_sha256: str = ""
) -> runtime.Inspector:
    """Start ONNX files under a manifest."""
    return runtime.Inspector(manifest, started(models), model_sha256=model_sha256)
