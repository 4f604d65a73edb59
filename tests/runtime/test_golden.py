import contextlib
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from inspection_tf import bundle, decision, errors, images, runtime
from inspection_tf.engines import network
from inspection_tf.runtime import golden


def refused(root, match):
    with pytest.raises(errors.BundleError, match=match) as caught:
        runtime.Inspector.load(root, threads=1)
    assert caught.value.exit_code == 4


def edit(root, change):
    path = root / runtime.GOLDEN
    samples = json.loads(path.read_text())
    path.write_text(json.dumps(change(samples)))


def test_golden_samples_are_counted(toy_bundle):
    assert runtime.Inspector.load(toy_bundle, threads=1).check_golden(toy_bundle) == 4


def test_a_golden_image_altered_with_its_hash_is_refused(toy_bundle_copy, reseal):
    path = toy_bundle_copy / "golden" / "0.png"
    images.write_png(path, 255 - images.read(path))
    refused(reseal(toy_bundle_copy), "Golden sample golden/0.png must come out as recorded")


@pytest.mark.parametrize("value", [0.002, math.nan, math.inf])
def test_a_golden_map_altered_with_its_hash_is_refused(toy_bundle_copy, reseal, value):
    path = toy_bundle_copy / "golden" / "3.npy"
    expected = np.load(path)
    expected[0, 0] += value  # twice the tolerance of 0.001, or not finite
    np.save(path, expected)
    refused(reseal(toy_bundle_copy), "Golden sample golden/3.png must come out as recorded")


def test_rounding_of_another_processor_is_let_through(toy_bundle_copy, reseal):
    path = toy_bundle_copy / "golden" / "3.npy"
    np.save(path, np.load(path) + np.float32(1e-5))
    runtime.Inspector.load(reseal(toy_bundle_copy), threads=1)


@pytest.mark.parametrize(
    ("name", "value"), [("outcome", "OK"), ("outcome", "REVIEW"), ("score", 0.5), ("score", None)]
)
def test_a_golden_verdict_altered_with_its_hash_is_refused(toy_bundle_copy, reseal, name, value):
    edit(toy_bundle_copy, lambda samples: [samples[0] | {name: value}, *samples[1:]])
    refused(reseal(toy_bundle_copy), "Golden sample golden/0.png must come out as recorded")


@pytest.mark.parametrize(
    "change",
    [
        lambda samples: [],
        lambda samples: {},
        lambda samples: None,
        lambda samples: ["golden/0.png"],
        lambda samples: [{"image": "golden/0.png"}],
        lambda samples: [samples[0] | {"image": ["golden/0.png"]}],
        lambda samples: [samples[0] | {"image": "../part.png"}],
        lambda samples: [samples[0] | {"output": "golden/0.png"}],
        lambda samples: [samples[0] | {"image": "MODEL_CARD.md"}],
        lambda samples: [samples[0] | {"score": "high"}],
    ],
)
def test_golden_samples_that_cannot_be_read_are_refused(toy_bundle_copy, reseal, change):
    edit(toy_bundle_copy, change)
    refused(reseal(toy_bundle_copy), "must hold golden samples that can be read")


@pytest.mark.parametrize(
    ("text", "match"),
    [("", "must be JSON"), ("no JSON", "must be JSON"), ("[" * 100_000, "must be flat")],
)
def test_golden_samples_that_are_no_json_are_refused(toy_bundle_copy, reseal, text, match):
    (toy_bundle_copy / runtime.GOLDEN).write_text(text)
    refused(reseal(toy_bundle_copy), f"the golden samples {match}")


@pytest.mark.parametrize(
    "header",
    [
        b"(90, 10000000000), }",  # 90 * 10**10 floats of 4 bytes: 3.6 TB
        b"(90, 10 ** 30), }   ",
        b"(64, 64), 'x': [    ",
        b"(64, 65), }         ",
    ],
)
def test_a_golden_map_that_lies_about_its_size_is_refused(toy_bundle_copy, reseal, header):
    path = toy_bundle_copy / "golden" / "0.npy"
    data = path.read_bytes()
    assert b"(64, 64), }         " in data  # the header is text
    path.write_bytes(data.replace(b"(64, 64), }         ", header))
    refused(
        reseal(toy_bundle_copy),
        "must hold golden samples that can be read. Got: an output is no map",
    )


def test_a_golden_map_with_objects_is_never_unpickled(toy_bundle_copy, reseal):
    np.save(toy_bundle_copy / "golden" / "0.npy", np.array([{}], object), allow_pickle=True)
    refused(reseal(toy_bundle_copy), "must hold golden samples that can be read")


def test_a_bundle_without_golden_samples_is_refused(toy_bundle_copy, reseal):
    (toy_bundle_copy / runtime.GOLDEN).unlink()
    refused(reseal(toy_bundle_copy), "must hold golden samples that can be read. Got: none")


def test_a_manifest_of_another_image_size_is_refused(toy_bundle_copy, reseal):
    spec = images.Preprocessing(size=(32, 32), fit="stretch").model_dump(mode="json")
    changed = [{"name": "image", "preprocessing": spec}]
    refused(reseal(toy_bundle_copy, inputs=changed), "network must accept uint8 of shape")


def test_rules_that_cannot_be_applied_are_refused(toy_bundle_copy, reseal):
    rules = decision.Rules(min_area_mm2=1.0).model_dump(mode="json")
    settings = {"rules": rules}
    refused(reseal(toy_bundle_copy, settings=settings), "Rules in mm need the scale")


def test_golden_samples_may_be_left_out_where_nothing_is_at_stake(toy_bundle_copy, reseal):
    edit(toy_bundle_copy, lambda samples: [samples[0] | {"outcome": "OK"}])
    reseal(toy_bundle_copy)
    runtime.Inspector.load(toy_bundle_copy, check_golden=False, threads=1)


@pytest.mark.parametrize("file", ["model.onnx", "golden/0.png", runtime.GOLDEN])
def test_what_is_replaced_after_it_was_checked_is_refused(toy_bundle_copy, monkeypatch, file):
    read = bundle.read

    def replaced(root):
        manifest = read(root)
        path = toy_bundle_copy / file
        path.write_bytes(path.read_bytes() + b" ")
        return manifest

    monkeypatch.setattr(bundle, "read", replaced)
    with pytest.raises(errors.BundleError, match=r"as it was written\. Got another SHA-256"):
        runtime.Inspector.load(toy_bundle_copy)


def test_a_score_that_is_not_finite_in_one_class_is_nan():
    assert math.isnan(network.ng_score(np.array([math.nan, 0.1, 0.2])))
    assert math.isnan(network.ng_score(np.array([0.7, 0.1, math.inf])))
    assert network.ng_score(np.array([0.7, 0.1, 0.2])) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("is_exact", "precision", "is_refused"),
    # One of nine numbers off by 0.04 is 0.0044 in the mean: within 0.005.
    [(True, "int8", True), (False, "int8", False), (False, "float32", True)],
)
def test_each_corner_counts_when_an_engine_is_started(is_exact, precision, is_refused):
    recorded = np.linspace(0.1, 0.9, 9, dtype=np.float32)
    found = recorded.copy()
    found[0] += 0.04
    runner = SimpleNamespace(
        task=SimpleNamespace(graphs=lambda *_: [SimpleNamespace(is_exact=is_exact)]),
        context=SimpleNamespace(settings=None, preprocessing=None, classes=()),
        array_of=lambda prepared: found,
        judge=lambda prepared: SimpleNamespace(score=0.05, outcome="OK"),
    )
    entry = SimpleNamespace(precision=precision, output_tolerance=0.005, score_tolerance=0.02)
    sample = SimpleNamespace(score=0.05, outcome="OK", output="engines/own/golden/0.npy")
    with contextlib.ExitStack() as stack:
        if is_refused:
            stack.enter_context(pytest.raises(errors.BundleError, match=r"the output by 0\.04"))
        golden._compare_engine(runner, "own", entry, sample, None, recorded)
