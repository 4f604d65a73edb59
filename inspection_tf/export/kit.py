"""The acceptance kit of a bundle: what an integrator checks without this package."""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspection_tf import bundle, images, process, runtime
from inspection_tf.bundle.listed_files import CHECK
from inspection_tf.runtime import batches

PAGE = "INTEGRATION.md"


class Listener:
    """A network that keeps what it is fed and what it returns, image by image."""

    def __init__(self, network: runtime.Network) -> None:
        """Wrap a network."""
        self.network = network
        self.seen: list[tuple[dict[str, NDArray[np.uint8]], NDArray[Any]]] = []

    def run(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> NDArray[Any]:
        """Return the output for a batch; see `runtime.Engine.run`."""
        output = self.network.run(batch, template)
        for place in range(len(batch)):
            one = slice(place, place + 1)
            given = {} if template is None else {"template": template[one].copy()}
            self.seen.append(({"image": batch[one].copy(), **given}, output[one].copy()))
        return output


def listening(
    manifest: bundle.Manifest, networks: Mapping[str, runtime.Network]
) -> tuple[runtime.Inspector, dict[str, Listener]]:
    """Return an inspector on networks that keep what they are fed, and these."""
    listeners = {name: Listener(network) for name, network in networks.items()}
    inspector = runtime.Inspector(
        manifest,
        listeners[manifest.main],
        model_sha256="",
        classifier=listeners.get(bundle.CLASSIFIER),
        refiner=listeners.get(bundle.REFINER),
    )
    return inspector, listeners


def networks_of(inspector: runtime.Inspector) -> dict[str, runtime.Network]:
    """Return the networks of an inspector by graph."""
    found = {
        inspector.manifest.main: inspector.engine,
        bundle.CLASSIFIER: inspector.classifier,
        bundle.REFINER: inspector.refiner,
    }
    return {name: network for name, network in found.items() if network is not None}


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
    shown: set[str] = set()
    for number, (name, image, template) in enumerate(chosen):
        prepared = inspector.prepare(image, template)
        verdict = inspector.judge(prepared)[0]
        names = {"image": f"golden/{number}.png", "output": f"golden/{number}.npy"}
        draft.write(names["output"], _npy(inspector.output(prepared)))
        draft.write(names["image"], images.encode_png(image))
        if template is not None:
            names["template"] = f"golden/{number}_template.png"
            draft.write(names["template"], images.encode_png(template))
        more: dict[str, Any] = {}
        if inspector.classifier is not None:
            more |= {"first_score": inspector.ng_score(prepared), "decided_by": verdict.decided_by}
        if verdict.outcome not in shown:  # one of each says enough, and maps are large
            more["tensors"] = _write_tensors(draft, inspector, prepared, number)
            shown.add(verdict.outcome)
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
    draft: bundle.Draft, inspector: runtime.Inspector, prepared: runtime.Prepared, number: int
) -> list[dict[str, Any]]:
    """Write what each network is fed on a golden image, and what it returns.

    Args:
        draft: of the bundle.
        inspector: of the bundle.
        prepared: the image.
        number: of the sample.

    Returns:
        For `expected.json`: graph, inputs by name, output; all in paths.
    """
    heard, listeners = listening(inspector.manifest, networks_of(inspector))
    batches.run(heard, [prepared], runs_both=True)
    written = []
    for graph, listener in listeners.items():
        if not listener.seen:  # there is no field to look at a second time
            continue
        given, output = listener.seen[0]
        paths = {name: f"golden/tensors/{number}_{graph}_{name}.npy" for name in given}
        for name, path in paths.items():
            draft.write(path, _npy(given[name]))
        path = f"golden/tensors/{number}_{graph}_output.npy"
        draft.write(path, _npy(output))
        written.append({"graph": graph, "inputs": paths, "output": path})
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
    if manifest.is_located:
        decided = f"NG when 1 - confidence >= {point.threshold:.6g}; else OK"
        rules: dict[str, Any] = manifest.field_rules.model_dump(mode="json")
    else:
        decided = (
            f"a pixel is defective from {point.mask_threshold:.6g}; the score is the peak of the "
            f"regions that survive the rules; NG when it is >= {point.threshold:.6g}"
        )
        rules = manifest.rules.model_dump(mode="json", exclude_defaults=True)
    stages = "".join(
        f"; before it, OK when the {name}'s sum over all classes but the first is under "
        f"{stage.threshold:.6g}"
        for name, stage in manifest.stage_points.items()
    )
    review = "" if point.review_from is None else f"; REVIEW from {point.review_from:.6g}"
    lines = [
        f"Networks: {files}; ONNX, float32, any batch.",
        (
            f"Input: {inputs}, uint8 (batch, {spec.size[0]}, {spec.size[1]}, {channels}), "
            "not scaled: the graph does that."
        ),
        (
            f"Before it: orientation {spec.orientation}, fit {spec.fit}, 16 bit by the window in "
            f"`manifest.json`, as `inspection_tf.images` does.{_tiled(manifest)}{_laid(manifest)}"
        ),
        f"Output: {outputs}.{_located(manifest)}",
        f"Decision: {decided}{review}{stages}.",
        f"Rules: {process.markdown(', '.join(f'{n} {v}' for n, v in rules.items())) or 'none'}.",
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


def _laid(manifest: bundle.Manifest) -> str:
    """Return how a template comes to lie on its image."""
    if not manifest.has_template or manifest.alignment.method == "none":
        return ""
    return (
        f" The template is laid onto the image first, by at most "
        f"{manifest.alignment.max_shift_px:g} px (method {manifest.alignment.method}), as "
        "`inspection_tf.images.registration` does."
    )


def _located(manifest: bundle.Manifest) -> str:
    """Return which corner is which, and what a second look sees."""
    if not manifest.is_located:
        return ""
    order = (
        " Corners: x, y of top left, top right, bottom right, bottom left of the text, as shares "
        "of width and height."
    )
    spec = manifest.closeups
    if spec is None:
        return order
    return (
        f"{order} The refiner sees four close-ups of the photo, one centred on each corner, "
        f"{spec.size_px} px for {spec.span:g} times the square root of the field's area, its x "
        "axis along the text and its y axis across it, both into the field, and returns that "
        "corner in shares of the close-up, as `inspection_tf.closeups` cuts them; of all "
        "confidences the lowest counts."
    )


def _tiled(manifest: bundle.Manifest) -> str:
    plan = manifest.tiles
    if plan is None:
        return ""
    return (
        f" Images of any size, in tiles every {plan.stride} px without the {plan.margin} px at a "
        f"tile's borders (blending {plan.blending}, edges {plan.edges})."
    )
