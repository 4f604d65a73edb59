"""The acceptance kit of a bundle: what an integrator checks without this package."""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import bundle, images, process, runtime, tasks
from inspection_tf.bundle.listed_files import CHECK
from inspection_tf.engines.network import named_inputs
from inspection_tf.tasks.base import Networks, Prepared

PAGE = "INTEGRATION.md"


class Listener(runtime.Network):
    """A network that keeps what it is fed and all that it returns, image by image."""

    def __init__(self, network: runtime.Network) -> None:
        """Wrap a network."""
        self.network = network
        self.seen: list[tuple[dict[str, NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]] = []

    def run_all(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        """Return every output for a batch; see `runtime.Engine.run_all`."""
        outputs = self.network.run_all(batch, template)
        given = named_inputs(batch, template)
        for place in range(len(batch)):
            one = slice(place, place + 1)
            inputs = {name: array[one].copy() for name, array in given.items()}
            self.seen.append((inputs, tuple(output[one].copy() for output in outputs)))
        return outputs


def listening(networks: Networks) -> dict[str, Listener]:
    """Return networks that keep what they are fed."""
    return {name: Listener(network) for name, network in networks.items()}


def write_golden(
    draft: bundle.Draft,
    inspector: runtime.Inspector,
    chosen: Iterable[tuple[str, NDArray[Any], NDArray[Any] | None]],
) -> None:
    """Write golden samples: images, what the networks say of them, and the verdicts.

    Args:
        draft: of the bundle.
        inspector: of the bundle.
        chosen: id, image and template, decoded and turned.
    """
    samples: list[dict[str, Any]] = []
    outcomes_with_tensors: set[str] = set()
    for number, (name, image, template) in enumerate(chosen):
        prepared = inspector.prepare(image, template)
        (output,) = inspector.run([prepared], every_stage=True)
        verdict = inspector.decide(output, prepared)
        names = {"image": f"golden/{number}.png", "output": f"golden/{number}.npy"}
        draft.write(names["output"], _npy(inspector.as_array(output, prepared)))
        draft.write(names["image"], images.encode_png(image))
        if template is not None:
            names["template"] = f"golden/{number}_template.png"
            draft.write(names["template"], images.encode_png(template))
        more: dict[str, Any] = {**inspector.stage_scores(output, prepared)}
        if more:
            more["decided_by"] = verdict.decided_by
        if (
            verdict.outcome not in outcomes_with_tensors
        ):  # one of each says enough, and maps are large
            more["tensors"] = _write_tensors(draft, inspector, prepared, number)
            outcomes_with_tensors.add(verdict.outcome)
        samples.append(
            {
                **names,
                "id": name,
                "outcome": verdict.outcome,
                "score": verdict.to_dict()["score"],
                **more,
                "regions": [region.to_dict() for region in verdict.regions],
            }
        )
    draft.write(runtime.GOLDEN, json.dumps(samples, indent=2) + "\n")


def _write_tensors(
    draft: bundle.Draft, inspector: runtime.Inspector, prepared: Prepared, number: int
) -> list[dict[str, Any]]:
    """Write what each network is fed on a golden image, and what it returns.

    Args:
        draft: of the bundle.
        inspector: of the bundle.
        prepared: the image.
        number: of the sample.

    Returns:
        For `expected.json`: graph, inputs by name, output, and where the graph has several those
            beside the first by name; all in paths.
    """
    listeners = listening(inspector.networks)
    inspector.task.run(listeners, [prepared], inspector.context, every_stage=True)
    written = []
    for graph, listener in listeners.items():
        if not listener.seen:  # there is no field to look at a second time
            continue
        inputs, (output, *others) = listener.seen[0]
        paths = {name: f"golden/tensors/{number}_{graph}_{name}.npy" for name in inputs}
        for name, path in paths.items():
            draft.write(path, _npy(inputs[name]))
        path = f"golden/tensors/{number}_{graph}_output.npy"
        draft.write(path, _npy(output))
        item: dict[str, Any] = {"graph": graph, "inputs": paths, "output": path}
        if others:
            names = inspector.manifest.output_names(graph)[1:]
            further = {name: f"golden/tensors/{number}_{graph}_{name}.npy" for name in names}
            for path, other in zip(further.values(), others, strict=True):
                draft.write(path, _npy(other))
            item["further"] = further
        written.append(item)
    return written


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def write(draft: bundle.Draft, manifest: bundle.Manifest) -> None:
    """Write the script and the page; the script is this package's, whole."""
    draft.write(CHECK, Path(__file__).with_name("check_bundle.py").read_text(encoding="utf-8"))
    draft.write(PAGE, page(manifest))


def page(manifest: bundle.Manifest) -> str:
    """Return what an integrator must know, in ten lines of Markdown."""
    spec, point = manifest.inputs[0].preprocessing, manifest.operating_point
    channels = {"gray": "1, grey", "rgb": "3, RGB (never BGR)"}[spec.channels]
    files = ", then ".join(f"`{graph.file}` ({graph.when})" for graph in manifest.graphs)
    outputs = "; ".join(
        f"`{item.name}` float32 {tuple(item.shape)}, {item.kind}, {item.unit}"
        for item in manifest.outputs
    ).replace("'", "")
    inputs = " and ".join(f"`{item.name}`" for item in manifest.inputs)
    papers = tasks.get(manifest.task).papers(manifest.context)
    review = point.review_after("; ")
    rules = ", ".join(f"{name} {value}" for name, value in papers.rules.items())
    lines = [
        f"Networks: {files}; ONNX, float32, any batch.",
        (
            f"Input: {inputs}, uint8 (batch, {spec.size[0]}, {spec.size[1]}, {channels}), "
            "not scaled: the graph does that."
        ),
        (
            f"Before it: orientation {spec.orientation}, {_focus(spec)}fit {spec.fit}, 16 bit by "
            f"the window in `manifest.json`, as `inspection_tf.images` does.{papers.input_note}"
        ),
        f"Output: {outputs}.{papers.output_note}",
        f"Decision: {papers.decision}{review}{papers.before}.",
        f"Rules: {process.markdown(rules) or 'none'}.",
        "Everything above stands in `manifest.json`; an output that is not finite is never OK.",
        "Is the model right here? `python golden/check.py` (numpy, onnxruntime): exit code 0.",
        (
            "Is your integration right? Each `golden/*.png` must come out as "
            "`golden/expected.json` says: outcome, and score within 0.001."
        ),
        (
            "With Python: `pip install inspection-tf`, `runtime.Inspector.load(BUNDLE)` does it "
            "all, in a child of `os.fork()` too (gunicorn --preload, celery), which starts its own "
            "networks; on a GPU, and without that package, load them after the fork."
        ),
    ]
    body = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
    return f"# Integrating {process.markdown(manifest.model_id)}\n\n{body}\n"


def _focus(spec: images.Preprocessing) -> str:
    """Return what integrators must know of a focus, to stand before the fit; "" without one."""
    if not spec.focus.is_wanted:
        return ""
    height, width = spec.focus.size
    return (
        f"focus {spec.focus.method} ({height} x {width} px of the image are kept around it, where "
        "`inspection_tf.images.focus` finds it: outside of this package that is to be rebuilt, and "
        "`golden/tensors` show what must come out), "
    )
