import math

import numpy as np
import pytest
from gate_checks import compared

from inspection_tf import decision, errors, runtime, thresholds
from inspection_tf.datasets.records import Record
from inspection_tf.export import gate, onnx

THRESHOLD = 0.5


class Altered:
    """The Keras model as an engine, its map altered."""

    def __init__(self, model, change):
        self.model, self.change = model, change

    def run(self, batch, template=None):
        output = self.model({"image": batch}, training=False)["probability"]
        return self.change(np.array(output))


@pytest.fixture
def compare(toy_model, toy_shipped, toy_records):
    """Return a function that gates the toy model against itself with an altered map."""

    def run(change=lambda x: x, *, records=toy_records, model=toy_model, threshold=THRESHOLD):
        point = thresholds.OperatingPoint(threshold=threshold, mask_threshold=0.1)
        manifest = toy_shipped.shipped.manifest.model_copy(update={"operating_point": point})
        engine = Altered(onnx.rebuild_float32(model), change)
        inspector = runtime.Inspector(manifest, {"segmenter": engine}, model_sha256="")
        return compared({"segmenter": model}, inspector, records)

    return run


def refused(parity, match="No bundle was written"):
    assert not parity.passed
    with pytest.raises(errors.GateError, match=match) as caught:
        parity.require()
    assert caught.value.exit_code == 7


def test_equal_maps_pass_on_every_image(compare, toy_records):
    parity = compare()
    assert (parity.images, parity.flips) == (len(toy_records), ())
    assert parity.max_score_difference == parity.max_probability_difference == 0
    assert parity.passed
    parity.require()
    assert parity.to_dict()["passed"] is True
    assert parity.to_dict()["reference"] == "keras float32"


def test_a_drift_within_the_limit_passes_and_is_reported(compare):
    parity = compare(lambda x: x - np.float32(5e-5))
    assert parity.max_score_difference == pytest.approx(5e-5, rel=0.01)
    assert parity.mean_probability_difference == pytest.approx(5e-5, rel=0.01)
    parity.require()


def test_a_drift_over_the_limit_is_refused(compare):
    parity = compare(lambda x: x - np.float32(2e-4))
    assert parity.flips == ()
    refused(
        parity, r"within 0.0001. Got 0 changed verdicts and a difference of 0.0002 on 12 images"
    )


def test_a_drift_of_one_image_suffices(compare):
    calls = []

    def change(output):
        calls.append(1)
        return output - np.float32(2e-4) if len(calls) == 7 else output

    refused(compare(change))


def test_a_changed_verdict_is_refused_however_small_the_drift(compare, toy_records):
    # The threshold lies half of the drift under the score of one defective image.
    record = toy_records.where(is_defect=True)[0]
    score = _score(compare, record)
    parity = compare(
        lambda x: x - np.float32(4e-5), records=[record], threshold=float(score - 2e-5)
    )
    (flip,) = parity.flips
    assert (flip.id, flip.outcome_before, flip.outcome_after) == (record.id, "NG", "OK")
    assert abs(flip.margin) == pytest.approx(2e-5, rel=0.01)
    assert flip.score_before - flip.score_after == pytest.approx(4e-5, rel=0.01)
    assert parity.max_score_difference < gate.MAX_SCORE_DIFFERENCE
    assert parity.to_dict()["changed_verdicts"][0]["id"] == record.id
    refused(parity, rf"Got 1 changed verdicts .*\({record.id} NG .* -> OK .*No bundle was written")


def _score(compare, record):
    seen = []

    def remember(output):
        seen.append(output.max())
        return output

    compare(remember, records=[record])
    return seen[0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_export_that_is_not_finite_is_refused(compare, value):
    def change(output):
        output[0, 5, 5, 0] = value
        return output

    parity = compare(change)
    assert parity.max_score_difference == parity.max_probability_difference == math.inf
    refused(parity, "12 changed verdicts|difference of inf")


def test_a_model_that_is_not_finite_is_refused_even_if_its_export_agrees(toy_records, toy_shipped):
    class Broken:
        layers = ()

        def predict_on_batch(self, batch):
            return {"probability": np.full((1, 64, 64, 1), np.nan, np.float32)}

        def __call__(self, batch, training):
            return self.predict_on_batch(batch)

    engine, manifest = Altered(Broken(), lambda x: x), toy_shipped.shipped.manifest
    inspector = runtime.Inspector(manifest, {"segmenter": engine}, model_sha256="")
    parity = compared({"segmenter": Broken()}, inspector, toy_records)
    assert parity.flips == ()  # REVIEW on both sides
    refused(parity, "difference of inf")


def test_a_gate_without_images_is_no_gate(compare):
    with pytest.raises(errors.DataError, match=r"tune or test images\. Got none") as caught:
        compare(records=[])
    assert caught.value.exit_code == 3


def test_rules_are_part_of_what_is_compared(toy_model, toy_shipped, toy_records):
    # Everything is dropped by the rule on both sides, so a drift changes no verdict.
    rules = decision.Rules(min_area_px=64 * 64)
    manifest = toy_shipped.shipped.manifest
    settings = manifest.settings.model_copy(update={"rules": rules})
    inspector = runtime.Inspector(
        manifest.model_copy(update={"settings": settings}),
        {"segmenter": Altered(toy_model, lambda x: x)},
        model_sha256="",
    )
    parity = compared({"segmenter": toy_model}, inspector, toy_records[:2])
    assert parity.passed
    assert inspector.judge(inspector.prepare(toy_records[1].read_image())).outcome == "OK"


def test_a_model_of_mixed_precision_is_compared_in_float32(compare, toy_records):
    import keras

    from inspection_tf.models import unet

    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = unet.build(image_size=(64, 64), filters=(4, 8))
    finally:
        keras.config.set_dtype_policy("float32")
    assert not onnx.is_float32(model)
    assert compare(model=model, records=toy_records[:2]).max_probability_difference == 0


def test_a_record_is_read_in_the_orientation_of_the_bundle(compare, toy_records):
    asked = []

    class Source:
        def read_image(self, *, orientation="apply"):
            asked.append(orientation)
            return toy_records[0].read_image()

    compare(records=[Record(id="a", is_defect=False, source=Source())])
    assert asked == ["apply"]
