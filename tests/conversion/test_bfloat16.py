"""Of two networks one stays in float32 where bfloat16 would decide otherwise."""

from types import SimpleNamespace

import pytest

from inspection_tf import bundle
from inspection_tf.conversion import request
from inspection_tf.conversion.builders import openvino_ir, triton_repository
from inspection_tf.engines import openvino_engine, starting
from inspection_tf.engines.network import StoredNetwork

pytest.importorskip("openvino")


@pytest.fixture
def ordered(toy_cascade, tmp_path, monkeypatch):
    """Return a function that builds an engine of which some networks do not decide alike."""
    monkeypatch.setattr(openvino_engine, "has_bfloat16", lambda: True)

    def build(*unlike):
        judged = []

        def judge(changed):
            (graph,) = changed
            judged.append(graph)
            passed = graph not in unlike
            return SimpleNamespace(passed=passed, failures=() if passed else ("a verdict",))

        conversion = request.ConversionRequest(
            toy_cascade.path,
            bundle.read(toy_cascade.path),
            "own",
            tmp_path,
            request.ConvertSpec(),
            dict,
            judge,
        )
        entry = openvino_ir.bfloat16(conversion)
        assert judged == ["classifier", "segmenter"]
        return conversion, entry

    return build


@pytest.mark.parametrize("graph", ["classifier", "segmenter"])
def test_the_network_that_does_not_decide_alike_stays_in_float32(ordered, graph, monkeypatch):
    conversion, entry = ordered(graph)
    assert entry.float_operators == {graph: ("all",)}
    hints = {}

    def start(model, *, options, **_rest):
        hints[model] = options["INFERENCE_PRECISION_HINT"]

    monkeypatch.setattr(openvino_engine, "OpenVinoEngine", start)
    for name in conversion.graphs:
        starting.start(StoredNetwork(name, entry, str))
    other = next(name for name in conversion.graphs if name != graph)
    assert hints == {
        conversion.in_bundle(f"{graph}.xml"): "f32",
        conversion.in_bundle(f"{other}.xml"): "bf16",
    }
    manifest = conversion.manifest.model_copy(update={"engines": {"own": entry}})
    spec = conversion.spec.model_copy(update={"engine": "own"})
    served = SimpleNamespace(manifest=manifest, spec=spec)
    for name, is_told in ((graph, False), (other, True)):
        text = triton_repository._network_config(served, name, "openvino")
        assert ("HINT_BF16" in text) == is_told


def test_where_both_decide_alike_both_are_in_bfloat16(ordered):
    assert ordered()[1].float_operators == {}


def test_where_none_does_the_gate_has_the_last_word_on_the_main_one(ordered):
    assert ordered("classifier", "segmenter")[1].float_operators == {"classifier": ("all",)}
