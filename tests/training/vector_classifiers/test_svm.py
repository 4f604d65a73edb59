import keras
import numpy as np
import pytest
import vector_examples

from inspection_tf import errors
from inspection_tf.bundle import onnx_guard
from inspection_tf.engines import onnxruntime_engine
from inspection_tf.models.classical import RbfSvm
from inspection_tf.training import vector_classifiers
from inspection_tf.training.vector_classifiers import svm

QUICK = svm.Options(c=(1.0, 10.0), gamma=(0.3, 1.0))


@pytest.fixture(scope="module", params=[2, 3])
def fitted(request):
    examples = vector_examples.make(classes=request.param, shift=4.0)
    return svm.fit(examples, options=QUICK), examples


def test_the_classes_are_told_with_probabilities(fitted):
    machine, examples = fitted
    found = machine.probabilities(examples.features)
    assert found.shape == (120, len(examples.classes))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert vector_examples.accuracy(machine, examples) > 0.85


def test_the_onnx_file_gives_the_same_probabilities(fitted):
    machine, examples = fitted
    session = onnxruntime_engine.start(machine.to_onnx())
    (given,), (returned,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("features", ["batch", 12])
    assert (returned.name, returned.shape) == (
        "class_probability",
        ["batch", len(examples.classes)],
    )
    (found,) = session.run(None, {"features": examples.features.astype(np.float32)})
    np.testing.assert_allclose(found, machine.probabilities(examples.features), atol=1e-4)
    assert found.dtype == np.float32


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_a_layer_gives_the_same_probabilities(classes):
    examples = vector_examples.make(classes=classes, shift=2.0)
    fitted = svm.fit(examples, options=QUICK)
    numbers = fitted.parameters()
    layer = RbfSvm(classes=classes, vector_count=len(numbers.support_vectors), gamma=numbers.gamma)
    standardized = (examples.features - numbers.mean) / numbers.deviation
    layer.build(standardized.shape)
    layer.set_parameters(numbers)
    found = np.asarray(keras.ops.softmax(layer(standardized)))
    expected = fitted.probabilities(examples.features)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected[:, 0]) > 0.5


def test_probabilities_of_another_are_compared_to_a_ten_thousandth():
    fitted = svm.fit(vector_examples.make(), options=QUICK)
    right = fitted.probabilities(fitted.sample)
    fitted.require_like(right + 5e-5, what="The layer", way_out="Use another")
    with pytest.raises(errors.GateError, match=r"The layer must .* 0\.0002\. Use another\."):
        fitted.require_like(right + 2e-4, what="The layer", way_out="Use another")


def test_a_library_that_keeps_its_numbers_elsewhere_is_named():
    fitted = svm.fit(vector_examples.make(), options=QUICK)
    del fitted.classifier.steps[1][1].calibrated_classifiers_
    with pytest.raises(errors.BundleError, match="Install another version of scikit-learn"):
        fitted.parameters()


def test_equal_machines_give_equal_files_that_a_bundle_may_hold(fitted):
    machine, examples = fitted
    data = machine.to_onnx()
    assert svm.fit(examples, options=QUICK).to_onnx() == data
    onnx_guard.check(data, name="model.onnx")


def test_a_file_that_differs_is_refused(fitted, monkeypatch):
    machine, _ = fitted

    class Session:
        def run(self, _names, _given):
            return (machine.probabilities(machine.sample)[:, ::-1],)

    monkeypatch.setattr(onnxruntime_engine, "start", lambda data: Session())
    with pytest.raises(errors.GateError, match=r"to 0\.0001\. Got a difference of"):
        machine.to_onnx()


def test_settings_are_chosen_on_groups_that_were_not_learned():
    # The first feature names the group, six examples each, of one class: a narrow kernel learns
    # the groups by heart and knows nothing of others; the second feature tells the classes.
    rng = np.random.default_rng(0)
    group = np.arange(96) // 6
    labels = group % 2
    features = np.stack([group * 50.0, rng.normal(size=96) + 1.5 * labels], axis=1)
    names = tuple(f"part{number}" for number in group)
    examples = vector_classifiers.Examples(features, labels, names, ("OK", "worn"))
    chosen = svm.fit(examples, options=svm.Options(c=(1.0,), gamma=(0.2, 2000.0)))
    assert chosen.gamma == 0.2


def test_a_class_of_one_group_cannot_be_calibrated():
    examples = vector_examples.make(12)
    one = vector_classifiers.Examples(
        examples.features, examples.labels, ("a", "b") * 6, examples.classes
    )
    with pytest.raises(errors.DataError, match="Got 1 of OK"):
        svm.fit(one)
