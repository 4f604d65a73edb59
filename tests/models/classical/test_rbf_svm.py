import keras
import numpy as np
import pytest

from inspection_tf.models.classical import RbfSvm, SvmParameters


def outputs(machine, features, *, classes):
    layer = RbfSvm(classes=classes, vector_count=len(machine.support_vectors), gamma=machine.gamma)
    inputs = keras.Input((features.shape[1],))
    model = keras.Model(inputs, keras.layers.Softmax()(layer(inputs)))
    layer.set_parameters(machine)
    return model.predict_on_batch(features)


def test_two_classes_have_the_sigmoid_of_one_decision():
    machine = SvmParameters(
        mean=np.zeros(1),
        deviation=np.ones(1),
        support_vectors=np.array([[0.0], [2.0]]),
        coefficients=np.array([[-1.0], [1.0]]),
        intercept=np.array([0.5]),
        gamma=0.25,
        slope=np.array([2.0]),
        offset=np.array([-1.0]),
    )
    # At 2: exp(0) - exp(-0.25 * 4) + 0.5 = 1.5 - 1 / e, of which the log odds are twice, less 1.
    odds = 2 * (1.5 - np.exp(-1)) - 1
    (found,) = outputs(machine, np.array([[2.0]]), classes=2)
    assert found[1] == pytest.approx(1 / (1 + np.exp(-odds)))
    assert found.sum() == pytest.approx(1)


def test_of_three_classes_that_win_once_each_the_sums_decide():
    # No vector counts: the decisions are the intercepts. 0 beats 1 by 3, 2 beats 0 by 1, 1 beats 2
    # by 1: one vote each; what speaks is 3 - 1, -3 + 1 and 1 - 1, over 3 (|s| + 1).
    machine = SvmParameters.blank(features=2, classes=3)
    machine.intercept[:] = 3.0, -1.0, 1.0
    machine.slope[:] = 1.0
    (found,) = outputs(machine, np.zeros((1, 2)), classes=3)
    votes = np.array([1 + 2 / 9, 1 - 2 / 9, 1.0])
    sigmoid = 1 / (1 + np.exp(-votes))
    np.testing.assert_allclose(found, sigmoid / sigmoid.sum(), rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_blank_machine_tells_nothing_apart(classes):
    machine = SvmParameters.blank(features=4, classes=classes)
    found = outputs(machine, np.random.default_rng(0).normal(size=(3, 4)), classes=classes)
    np.testing.assert_allclose(found, 1 / classes, rtol=1e-6)
