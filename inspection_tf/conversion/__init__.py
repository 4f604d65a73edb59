"""A bundle -> engines, each gated against the float32 ONNX files."""
