"""Expected calibration error, reliability, and the temperature that mends it."""

import math

import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.evaluation import calibration


def test_the_error_is_the_mean_gap_between_sureness_and_success():
    # Five images in bins of width 0.25: 0.6 and 0.7 in the third, 0.8, 0.9 and 1.0 in the last.
    sure = np.array([0.6, 0.7, 0.8, 0.9, 1.0])
    probability = np.stack([sure, 1 - sure], axis=1)
    label = [0, 1, 0, 0, 1]
    found = calibration.reliability(probability, label, bins=4)
    assert found.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.counts.tolist() == [0, 0, 2, 3]
    assert found.confidence[2:] == pytest.approx([0.65, 0.9])
    assert found.accuracy[2:] == pytest.approx([1 / 2, 2 / 3])
    assert np.isnan(found.confidence[:2]).all()
    # 2/5 |0.5 - 0.65| + 3/5 |2/3 - 0.9| = 0.06 + 0.14
    error = calibration.expected_calibration_error(probability, label, bins=4)
    assert error == pytest.approx(0.2)
    assert found.expected_calibration_error == pytest.approx(error)


def test_a_bin_holds_its_upper_edge():
    probability = [[0.5, 0.5], [0.75, 0.25]]
    assert calibration.reliability(probability, [0, 0], bins=4).counts.tolist() == [0, 1, 1, 0]


def test_bins_of_equal_numbers_part_what_is_nearly_always_sure():
    sure = np.linspace(0.951, 0.999, 12)
    probability, label = np.stack([sure, 1 - sure], axis=1), np.zeros(12, int)
    wide = calibration.reliability(probability, label, bins=3)
    equal = calibration.reliability(probability, label, bins=3, binning="count")
    assert wide.counts.tolist() == [0, 0, 12]
    assert equal.counts.tolist() == [4, 4, 4]
    # All are right: the gap is 1 - confidence, in bins of any kind.
    assert wide.expected_calibration_error == pytest.approx(1 - 0.975)
    assert equal.expected_calibration_error == pytest.approx(1 - 0.975)


def sample(count, classes, scale=2.0, seed=0):
    """Logits, and labels drawn from just these probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, scale, (count, classes))
    shares = calibration.softmax(logits)
    label = (rng.random(count)[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    return logits, np.minimum(label, classes - 1)


def test_a_perfectly_calibrated_sample_has_hardly_an_error():
    logits, label = sample(20_000, 3)
    assert calibration.expected_calibration_error(calibration.softmax(logits), label) < 0.01
    # Twice as sure as it should be.
    wrong = calibration.softmax(2 * logits)
    assert calibration.expected_calibration_error(wrong, label) > 0.08


@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_the_temperature_is_recovered(true):
    logits, label = sample(8000, 4)
    found = calibration.fit_temperature(logits * true, label)
    assert found == pytest.approx(true, rel=0.05)
    mended = calibration.softmax(logits * true, found)
    assert calibration.expected_calibration_error(mended, label) < 0.02


def test_a_temperature_is_the_least_loss_of_all():
    logits, label = sample(150, 3, seed=5)
    best = calibration.fit_temperature(3 * logits, label)
    losses = [
        calibration.negative_log_likelihood(3 * logits, label, best * factor)
        for factor in (1, 0.98, 1.02)
    ]
    assert losses[0] == min(losses)


def test_logarithms_of_probabilities_are_logits():
    logits, label = sample(100, 3)
    shares = np.log(calibration.softmax(logits))
    assert calibration.fit_temperature(shares, label) == pytest.approx(
        calibration.fit_temperature(logits, label)
    )
    # softmax([ln 4, 0] / 2) = (2, 1) / 3
    assert calibration.softmax([[math.log(4), 0]], 2)[0] == pytest.approx([2 / 3, 1 / 3])


def test_a_temperature_stays_within_its_bounds():
    separated = np.array([[3.0, 0], [4.0, 1], [0, 2.0]])
    assert calibration.fit_temperature(separated, [0, 0, 1]) == calibration.MIN_TEMPERATURE
    assert calibration.fit_temperature(separated[:2], [0, 0]) == calibration.MIN_TEMPERATURE
    assert calibration.fit_temperature(separated, [1, 1, 0]) == calibration.MAX_TEMPERATURE
    assert calibration.fit_temperature(np.zeros((3, 2)), [0, 1, 1]) == 1.0


def test_large_logits_do_not_overflow():
    assert calibration.softmax([[1e4, 0.0, -1e4]]).tolist() == [[1, 0, 0]]
    assert calibration.negative_log_likelihood([[1e4, 0.0]], [1]) == 1e4


@pytest.mark.parametrize(
    ("probability", "label", "match"),
    [
        ([[0.5, 0.4]], [0], "of sum 1"),
        ([[1.5, -0.5]], [0], "not negative"),
        ([[math.nan, 1]], [0], "not negative"),
        ([[1.0]], [0], "at least two classes"),
        ([[0.5, 0.5]], [2], "0 to 1"),
        ([[0.5, 0.5]], [0, 1], "Got 1 images and 2 labels"),
    ],
)
def test_what_is_no_distribution_is_refused(probability, label, match):
    with pytest.raises(errors.DataError, match=match):
        calibration.expected_calibration_error(probability, label)


def test_what_cannot_be_computed_is_refused():
    with pytest.raises(errors.ConfigError, match="bins must be at least 1"):
        calibration.expected_calibration_error([[0.5, 0.5]], [0], bins=0)
    with pytest.raises(errors.ConfigError, match="temperature must be positive"):
        calibration.softmax([[0.0, 1.0]], 0)
    with pytest.raises(errors.DataError, match="finite number for each image"):
        calibration.fit_temperature([[-math.inf, 0]], [0])
