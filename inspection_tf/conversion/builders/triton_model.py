"""Triton's Python backend: a file's bytes in, the verdict as JSON out.

Preprocessing, thresholds and rules are those of `inspection_tf.runtime`; the networks are models
of the same repository, asked through the server, so that it batches and places them.
"""

import json
from pathlib import Path

import triton_python_backend_utils as pb_utils

from inspection_tf import bundle, errors, runtime


class _Remote:
    """A network that the server runs."""

    def __init__(self, name, outputs):
        self.name, self.outputs = name, list(outputs)

    def run(self, batch, template=None):
        return self._ask(self.outputs[:1], batch, template)[0]

    def run_all(self, batch, template=None):
        return self._ask(self.outputs, batch, template)

    def _ask(self, outputs, batch, template):
        given = {"image": batch} if template is None else {"image": batch, "template": template}
        request = pb_utils.InferenceRequest(
            model_name=self.name,
            requested_output_names=outputs,
            inputs=[pb_utils.Tensor(name, value) for name, value in given.items()],
        )
        response = request.exec()
        if response.has_error():
            raise pb_utils.TritonModelException(response.error().message())
        found = [pb_utils.get_output_tensor_by_name(response, name) for name in outputs]
        return tuple(tensor.as_numpy() for tensor in found)


class TritonPythonModel:
    """One inspector for each instance."""

    def initialize(self, args):
        """Read what the bundle says of itself."""
        folder = Path(args["model_repository"]) / args["model_version"]
        text = (folder / "manifest.json").read_text(encoding="utf-8")
        manifest = bundle.Manifest.model_validate_json(text).with_assets_of(folder)
        names = [graph.name for graph in manifest.graphs]
        networks = {name: _Remote(name, manifest.output_names(name)) for name in names}
        settings = json.loads(args["model_config"])["parameters"]
        self.inspector = runtime.Inspector(
            manifest, networks, model_sha256=settings["model_sha256"]["string_value"]
        )

    def execute(self, requests):
        """Decide about one image a request."""
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        def read(name):
            tensor = pb_utils.get_input_tensor_by_name(request, name)
            return None if tensor is None else tensor.as_numpy().tobytes()

        try:
            verdict = self.inspector.inspect(read("image"), template=read("template"))
        except errors.InspectionError as problem:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(problem)))
        text = json.dumps(verdict.to_dict())
        return pb_utils.InferenceResponse(
            output_tensors=[pb_utils.Tensor("verdict", _strings([text]))]
        )


def _strings(values):
    import numpy as np

    return np.array([value.encode() for value in values], dtype=object)
