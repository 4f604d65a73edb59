import numpy as np
import pytest
import vector_examples

from inspection_tf import errors
from inspection_tf.training import vector_classifiers
from inspection_tf.training.vector_classifiers import examples as labelled


def make(labels, groups, classes=("OK", "worn"), features=None):
    values = np.zeros((len(labels), 2)) if features is None else features
    return vector_classifiers.Examples(values, np.array(labels), tuple(groups), classes)


def test_each_example_is_tried_once_and_no_group_straddles():
    examples = vector_examples.make(61, classes=3)
    folds = labelled.grouped_folds(examples, count=4, seed=1)
    assert len(folds) == 4
    tried = np.concatenate([rows for _, rows in folds])
    np.testing.assert_array_equal(np.sort(tried), np.arange(61))
    groups = np.array(examples.groups)
    for learn, rest in folds:
        assert not set(groups[learn]) & set(groups[rest])
        assert set(examples.labels[learn]) == {0, 1, 2}


def test_there_are_as_many_folds_as_the_rarest_class_has_groups():
    # worn is shown in three groups.
    examples = make([0] * 8 + [1] * 4, [*"abcdefgh", *"xyzz"])
    assert len(labelled.grouped_folds(examples, count=5, seed=0)) == 3


def test_folds_follow_from_the_seed():
    examples = vector_examples.make()
    first, same, other = (
        labelled.grouped_folds(examples, count=5, seed=seed)[0][1].tolist() for seed in (1, 1, 2)
    )
    assert first == same != other


def test_a_class_of_one_group_cannot_be_divided():
    with pytest.raises(errors.DataError, match=r"two groups or more.*Got 1 of worn"):
        labelled.grouped_folds(make([0, 0, 1, 1], "abcc"), count=5, seed=0)


def test_classes_of_which_no_fold_would_learn_are_refused():
    # Either group holds a class whole: what learns one of them has not seen the other class.
    with pytest.raises(errors.DataError, match="Got 1 of OK"):
        labelled.grouped_folds(make([0, 0, 1, 1], "aabb"), count=2, seed=0)


def test_standardized_features_have_mean_0_and_deviation_1_but_for_constants():
    examples = vector_examples.make()
    mean, deviation = examples.standardization()
    found = (examples.features - mean) / deviation
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(axis=0), [1] * 11 + [0], atol=1e-9)
    assert deviation[-1] == 1


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"labels": [0, 0, 0]}, "none of worn"),
        ({"labels": [0, 1, 2]}, "label 2 of the classes OK, worn"),
        ({"labels": [0, 0, 0], "classes": ("OK",)}, "none of two"),
        ({"groups": "ab"}, "3 labels and 2 groups"),
        ({"features": np.zeros((2, 2))}, r"shape \(2, 2\), 3 labels"),
        ({"features": np.full((3, 2), np.nan)}, "finite. Got NaN"),
    ],
)
def test_examples_that_do_not_fit_each_other_are_refused(wrong, what):
    with pytest.raises(errors.DataError, match=what):
        make(**({"labels": [0, 1, 1], "groups": "abc"} | wrong))
