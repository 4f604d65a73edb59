"""Names for the objects of libraries that ship no types.

For the type checker each is `Any`; for a reader it says what goes in and out.
"""

from typing import Any, TypeAlias

OnnxModel: TypeAlias = Any
"""`onnx.ModelProto`."""
OnnxGraph: TypeAlias = Any
"""`onnx.GraphProto`."""
OnnxNode: TypeAlias = Any
"""`onnx.NodeProto`."""
OnnxSession: TypeAlias = Any
"""`onnxruntime.InferenceSession`."""
OpenVinoCore: TypeAlias = Any
"""`openvino.Core`."""
OpenVinoModel: TypeAlias = Any
"""`openvino.Model`."""
OpenVinoCompiled: TypeAlias = Any
"""`openvino.CompiledModel`."""
OpenVinoRequest: TypeAlias = Any
"""`openvino.InferRequest`."""
OpenVinoNode: TypeAlias = Any
"""`openvino.Node`, an operator of a model."""
TfTensor: TypeAlias = Any
"""`tensorflow.Tensor`."""
TensorRtConfig: TypeAlias = Any
"""`tensorrt.IBuilderConfig`."""
Library: TypeAlias = Any
"""A module that is imported where it is used: tensorrt, cuda.bindings.runtime, nncf, onnx."""
Foreign: TypeAlias = Any
"""Another object of such a library, which is only handed on to it."""
