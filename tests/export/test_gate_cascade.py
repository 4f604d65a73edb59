import math

import numpy as np
import pytest
from gate_checks import compared

from inspection_tf import errors, runtime, thresholds
from inspection_tf.export import gate, trained


class Altered:
    """A trained model as an engine, its output altered."""

    def __init__(self, model, change):
        self.network, self.change = trained.KerasNetwork(model), change

    def run(self, batch, template=None):
        return self.change(self.network.run(batch, template))


class Fixed:
    """A model of float32 that returns what it was given, whatever it sees."""

    layers = ()

    def __init__(self, name, output):
        self.name, self.output = name, np.array(output, np.float32)

    def predict_on_batch(self, batch):
        return {self.name: self.output.copy()}


def as_it_is(output):
    return output


def drift(amount):
    """Move probability from OK to the first kind of defect."""

    def change(output):
        return output + np.array([-amount, amount, 0], np.float32)

    return change


@pytest.fixture
def compare(toy_cascade, toy_stages, toy_classes):
    """Return a function that gates both toy models against themselves, altered."""

    def run(
        first=as_it_is,
        second=as_it_is,
        *,
        records=toy_classes,
        classifier=toy_stages.classifier,
        segmenter=toy_stages.segmenter,
        first_threshold=0.5,
        threshold=0.5,
    ):
        manifest = toy_cascade.shipped.manifest.model_copy(
            update={
                "operating_point": thresholds.OperatingPoint(
                    threshold=threshold, mask_threshold=0.1
                ),
                "stage_points": {
                    "classifier": thresholds.OperatingPoint(threshold=first_threshold)
                },
            }
        )
        exported = runtime.Inspector(
            manifest,
            {"segmenter": Altered(segmenter, second), "classifier": Altered(classifier, first)},
            model_sha256="",
        )
        return compared({"segmenter": segmenter, "classifier": classifier}, exported, records)

    return run


def refused(parity, match="No bundle was written"):
    assert not parity.passed
    with pytest.raises(errors.GateError, match=match) as caught:
        parity.require()
    assert caught.value.exit_code == 7


def test_equal_networks_pass_on_every_image(compare):
    parity = compare()
    assert (parity.images, parity.flips) == (12, ())
    assert parity.max_score_difference == parity.max_probability_difference == 0
    parity.require()


def test_a_drift_of_the_classifier_alone_is_refused(compare):
    parity = compare(drift(2e-4))
    assert parity.flips == ()
    assert parity.max_probability_difference == 0  # the maps agree
    assert parity.max_score_difference == pytest.approx(2e-4, rel=0.01)
    refused(parity, "Got 0 changed verdicts and a difference of 0.0002 on 12 images")


def test_a_drift_of_the_classifier_within_the_limit_passes_and_is_reported(compare):
    parity = compare(drift(5e-5))
    assert parity.max_score_difference == pytest.approx(5e-5, rel=0.01)
    parity.require()


def test_a_drift_between_the_kinds_of_defects_changes_nothing(compare):
    parity = compare(lambda output: output[:, [0, 2, 1]])
    assert parity.max_score_difference == pytest.approx(0, abs=1e-9)
    parity.require()


def test_a_drift_of_the_segmenter_counts_on_images_that_the_classifier_stops(compare, toy_classes):
    good = toy_classes.where(is_defect=False)
    parity = compare(second=lambda output: output + np.float32(2e-4), records=good)
    # two channels, so 4e-4 on their sum
    assert parity.max_score_difference == pytest.approx(4e-4, rel=0.01)
    refused(parity)


def test_a_verdict_changed_by_the_classifier_is_refused_however_small_the_drift(
    compare, toy_classes, toy_stages
):
    record = toy_classes.where(is_defect=True)[0]
    image = record.read_image()[None, ..., None]
    score = float(trained.KerasNetwork(toy_stages.classifier).run(image)[0, 1:].sum())
    parity = compare(drift(-4e-5), records=[record], first_threshold=score - 2e-5)
    (flip,) = parity.flips
    assert (flip.id, flip.outcome_before, flip.outcome_after) == (record.id, "NG", "OK")
    assert flip.stage == "classifier"
    assert flip.score_after < score - 2e-5 < flip.score_before
    assert parity.max_score_difference < gate.MAX_SCORE_DIFFERENCE
    refused(parity, "Got 1 changed verdicts")


@pytest.fixture
def tiny(compare, toy_classes):
    """A first score of 4e-9 under a threshold of 1e-8, and a segmenter that finds a defect."""
    found = np.zeros((1, 64, 64, 2))
    found[0, 8:16, 8:16, 0] = 0.75

    def run(first):
        return compare(
            lambda output: np.array([[1, first, 0]], np.float32),
            records=toy_classes[:1],
            classifier=Fixed("class_probability", [[1, 4e-9, 0]]),
            segmenter=Fixed("probability", found),
            first_threshold=1e-8,
        )

    return run


def test_a_tiny_first_threshold_does_not_inflate_a_drift(tiny):
    # The score that ranks moves from 0.5 * 0.4 = 0.2 to 0.3: that is no drift of the network.
    parity = tiny(6e-9)
    assert parity.max_score_difference == pytest.approx(2e-9)
    parity.require()


def test_a_tiny_first_threshold_does_not_hide_a_changed_verdict(tiny):
    parity = tiny(2e-8)
    assert parity.max_score_difference < 1e-7
    assert [(f.outcome_before, f.outcome_after) for f in parity.flips] == [("OK", "NG")]
    refused(parity, "Got 1 changed verdicts")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_classifier_that_is_not_finite_is_refused(compare, value):
    parity = compare(lambda output: np.full_like(output, value))
    assert parity.max_score_difference == math.inf
    refused(parity, "12 changed verdicts|difference of inf")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_classifiers_that_agree_on_nothing_finite_are_refused(compare, toy_classes, value):
    parity = compare(
        records=toy_classes[:1], classifier=Fixed("class_probability", [[0.5, value, 0]])
    )
    assert parity.flips == ()  # REVIEW on both sides
    refused(parity, "difference of inf")


def test_a_cascade_is_not_compared_without_its_trained_classifier(toy_cascade, toy_stages):
    exported = runtime.Inspector.load(toy_cascade.path, check_golden=False)
    with pytest.raises(errors.BundleError, match="must have the networks classifier, segmenter"):
        compared({"segmenter": toy_stages.segmenter}, exported, toy_cascade.parts["test"])


def test_a_model_that_compares_is_gated_on_its_pairs(toy_pair, toy_comparer):
    exported = runtime.Inspector.load(toy_pair.path, check_golden=False)
    parity = compared({"segmenter": toy_comparer}, exported, toy_pair.parts["test"])
    assert parity.images == len(toy_pair.parts["test"])
    parity.require()
