"""Pictures of calibration, learning curves, confusion counts and several ROC."""

import numpy as np
import pytest

from inspection_tf import errors, plots
from inspection_tf.evaluation import Estimate, calibration, strategies


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_reliability_has_a_bar_for_each_bin_with_images():
    sure = np.array([0.6, 0.7, 0.8, 0.9, 1.0])
    found = calibration.reliability(np.stack([sure, 1 - sure], 1), [0, 1, 0, 0, 1], bins=4)
    figure = plots.reliability(found)
    upper, lower = figure.axes
    assert upper.get_title() == "expected calibration error 0.200, n = 5"
    bars = [(bar.get_x(), bar.get_height()) for bar in upper.patches]
    assert bars == [(0.5, 1 / 2), (0.75, pytest.approx(2 / 3))]
    assert [bar.get_height() for bar in lower.patches] == [0, 0, 2, 3]


def test_a_confusion_matrix_names_its_classes():
    figure = plots.confusion_matrix(np.array([[3, 1], [0, 2]]), ["OK", "w$rn"])
    (axes,) = figure.axes
    assert texts(axes) == ["3\n75%", "1\n25%", "2\n100%"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["OK, n = 4", r"w\$rn, n = 2"]
    # Recalls 3/4 and 1
    assert axes.get_title() == "5 of 6 images right\nbalanced accuracy 0.875"
    with pytest.raises(errors.DataError, match="Got 6 images of 2 classes and 3 names"):
        plots.confusion_matrix(np.array([[3, 1], [0, 2]]), ["OK", "worn", "broken"])
    with pytest.raises(errors.DataError, match="Got 0 images"):
        plots.confusion_matrix(np.zeros((2, 2), np.int64), ["OK", "worn"])


def scores(*score):
    names = list("abcdef")[: len(score[0])]
    true = [0] * (len(names) // 2) + [1] * (len(names) - len(names) // 2)
    classes = (np.array(score) >= 0.5).astype(int)
    return strategies.Scores.of(names, [""] * len(names), true=true, score=score, predicted=classes)


def test_the_roc_of_several_strategies_are_in_one_picture():
    one = scores((0.1, 0.7, 0.6, 0.9))
    twice = scores((0.1, 0.7, 0.6, 0.9), (0.1, 0.2, 0.8, 0.9))
    (axes,) = plots.roc_curves({"one": one, "twice": twice}).axes
    first, second, chance = axes.lines
    # By falling score: defective, good, defective, good.
    assert first.get_xdata().tolist() == [0, 0, 0.5, 0.5, 1]
    assert first.get_ydata().tolist() == [0, 0.5, 0.5, 1, 1]
    assert first.get_label().startswith("one: 0.750")
    assert second.get_label().startswith("twice: 0.875")
    # At an overkill of 0.3 one repeat finds a half and the other all.
    assert np.interp(0.3, second.get_xdata(), second.get_ydata()) == pytest.approx(0.75)
    assert chance.get_label() == "at random: 0.5"
    assert axes.get_title() == "2 defective, 2 good images"
    with pytest.raises(errors.DataError, match="at least one strategy"):
        plots.roc_curves({})


def test_a_learning_curve_shows_its_interval_and_each_draw():
    points = [
        strategies.LearningPoint(0.5, 10.5, (0.7, 0.8, None), Estimate(0.75, 0.6, 0.9)),
        strategies.LearningPoint(1.0, 21.0, (0.9,), Estimate(0.9, 0.8, 1.0)),
    ]
    (axes,) = plots.learning_curve(points, metric="accuracy").axes
    mean, draws = axes.lines
    assert mean.get_xdata().tolist() == [10.5, 21]
    assert mean.get_ydata().tolist() == [0.75, 0.9]
    assert list(draws.get_ydata()) == [0.7, 0.8, 0.9]
    assert axes.get_ylabel() == "accuracy"
    with pytest.raises(errors.DataError, match="at least one point"):
        plots.learning_curve([])
