import keras
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.models import classifier, saved
from inspection_tf.models.additions import evidence, novelty
from inspection_tf.training import features

SIZE = (32, 48)


def build(**options):
    keras.utils.set_random_seed(3)
    backbone = {"name": "cnn", "strides": (16,)}
    return classifier.build(image_size=SIZE, classes=3, backbone=backbone, **options)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (6, *SIZE, 1), np.uint8)


def test_the_limit_is_the_distance_that_a_share_keeps_to_other_groups():
    # Directions at 0, 10, 60 and 90 degrees; the first two are of one group. To the nearest of
    # another group it is 60, 50, 30 and 30 degrees.
    angles = np.deg2rad([0, 10, 60, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1) * [[1], [5], [2], [3]]
    groups, rows = ("a", "a", "b", "c"), np.arange(4)

    def distance(degrees):
        return pytest.approx(1 - np.cos(np.deg2rad(degrees)))

    assert novelty.limit(vectors, groups, rows, familiar_share=1.0) == distance(60)
    # Half of four are two, and the second smallest is 30; three quarters are three.
    assert novelty.limit(vectors, groups, rows, familiar_share=0.5) == distance(50)
    assert novelty.limit(vectors, groups, rows, familiar_share=0.25) == distance(30)


def test_of_descriptors_the_limit_is_how_far_they_lie_apart():
    # On a line at 0, 1, 4 and 10; the first two are of one group: 4, 3, 3 and 6 to another group's.
    vectors = np.array([[0.0], [1], [4], [10]])
    given = {"groups": ("a", "a", "b", "c"), "rows": np.arange(4), "metric": "euclidean"}
    assert novelty.limit(vectors, familiar_share=1.0, **given) == 6
    assert novelty.limit(vectors, familiar_share=0.5, **given) == 4
    assert novelty.limit(vectors, familiar_share=0.25, **given) == 3


def test_the_nearest_of_the_references_counts_as_a_distance():
    layer = novelty.NearestDistance(references=2)
    layer.build((None, 2))
    layer.set_weights([np.array([[0.0, 0], [3, 4]], np.float32)])
    # To the second it is 0, 0.5 and 500; 5 is as far from both as can be between them.
    points = np.array([[3, 4], [3, 4.5], [303, 404], [1.5, 2]], np.float32)
    expected = [[0], [0.5], [500], [2.5]]
    np.testing.assert_allclose(np.asarray(layer(points)), expected, rtol=1e-5, atol=1e-3)


def test_images_of_one_group_say_nothing_of_what_is_new():
    with pytest.raises(errors.DataError, match="two groups or more"):
        novelty.limit(np.eye(3), ("a", "a", "a"), np.arange(3), familiar_share=0.95)


def test_references_are_spread_evenly():
    assert novelty.references(4).tolist() == [0, 1, 2, 3]
    assert novelty.references(9, most=4).tolist() == [0, 2, 4, 6]
    assert len(novelty.references(2000)) == novelty.MOST


def test_the_limit_is_about_the_references_that_the_network_compares_with():
    # 2000 images of one law, each a part of its own, of which 512 are compared with: a share of
    # 0.95 of other images of this law are within the limit, too.
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 12)) + 1
    rows = novelty.references(len(vectors))
    groups = [str(number) for number in range(2000)]
    limit = novelty.limit(vectors, groups, rows, familiar_share=0.95)
    fresh = rng.normal(size=(4000, 12)) + 1
    kept, fresh = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (vectors[rows], fresh))
    is_new = 1 - (fresh @ kept.T).max(axis=1) > limit
    assert 0.03 < is_new.mean() < 0.07


@pytest.mark.parametrize("head", ["pooled", "cells", "vgg"])
def test_a_training_image_is_not_new_and_the_novelty_is_the_distance_over_the_limit(head, images):
    model = build(head=head)
    vectors = features.of_classifier(model).predict_on_batch({"image": images})
    kept = vectors[:4]
    found = novelty.attach(model, kept, 0.02).predict_on_batch({"image": images})
    assert found["class_novelty"].shape == (6, 1)
    np.testing.assert_allclose(found["class_novelty"][:4], 0, atol=1e-4)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = (1 - (unit[4:] @ unit[:4].T).max(axis=1)) / 0.02
    np.testing.assert_allclose(found["class_novelty"][4:, 0], expected, rtol=1e-3, atol=1e-4)


def test_it_stands_beside_the_evidence_and_is_saved(images, tmp_path):
    model = evidence.attach(build(head="pooled"))
    vectors = features.of_classifier(model).predict_on_batch({"image": images})
    model = novelty.attach(model, vectors, 0.1)
    assert list(model.output) == ["class_probability", "class_evidence", "class_novelty"]
    model.save(tmp_path / "model.keras")
    again = saved.load(tmp_path / "model.keras").predict_on_batch({"image": images})
    first = model.predict_on_batch({"image": images})
    for name, values in first.items():
        np.testing.assert_array_equal(again[name], values)
