import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.models import corners


@pytest.mark.parametrize(
    ("head", "beside", "shape"),
    [("dense", None, None), ("grid", "grid", (4, 6, 13)), ("heatmap", "heatmap", (4, 6, 4))],
)
def test_what_teaches_a_head_stands_beside_the_corners_until_it_is_deployed(head, beside, shape):
    model = corners.build(image_size=(16, 24), head=head, filters=(4, 8), raised=0)
    names = ["corners"] if beside is None else ["corners", beside]
    assert list(model.output) == names
    if beside:
        assert model.output[beside].shape == (None, *shape)
    assert list(corners.deployed(model).output) == ["corners"]


def test_a_deployed_locator_shares_its_weights():
    model = corners.build(image_size=(16, 24), filters=(4, 8))
    deployed = corners.deployed(model)
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 1), dtype=np.uint8)
    before = np.asarray(deployed({"image": image})["corners"])
    layer = model.get_layer("offsets")
    layer.set_weights([weight + 0.5 for weight in layer.get_weights()])
    assert (np.asarray(deployed({"image": image})["corners"]) != before).any()


def test_a_regressor_begins_in_the_middle_of_the_image():
    model = corners.build(image_size=(16, 16), head="dense", filters=(4, 4))
    model.get_layer("coordinates").kernel.assign(np.zeros((4, 8)))
    found = np.asarray(model({"image": np.zeros((1, 16, 16, 1), np.uint8)})["corners"])
    np.testing.assert_allclose(found[0, :8], 0.5)


def test_a_network_without_presence_is_always_sure():
    model = corners.build(image_size=(16, 16), head="dense", filters=(4, 4), presence=False)
    image = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 1), dtype=np.uint8)
    assert np.asarray(model({"image": image})["corners"])[:, 8].tolist() == [1, 1, 1]


def test_raising_makes_cells_smaller():
    shapes = [
        corners.build(image_size=(32, 64), filters=(4, 6, 8), raised=raised).output["heatmap"].shape
        for raised in range(3)
    ]
    assert [shape[1:3] for shape in shapes] == [(4, 8), (8, 16), (16, 32)]


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"filters": ()}, "filters and dense_units"),
        ({"filters": (4, 0)}, "filters and dense_units"),
        ({"filters": (4, 8), "raised": 2}, "raised must be less"),
        ({"filters": (4, 8), "image_size": (18, 24)}, r"divisible by 4.*\(20, 24\)"),
        ({"head": "dense", "filters": (4, 4, 4)}, "3 blocks need an image of 64 px"),
        ({"head": "grid", "points": 1}, "points must be 4"),
        ({"points": 2}, "points must be 4 or"),
        ({"kernel_initializer": "nothing"}, "kernel_initializer"),
        ({"head": "boxes"}, "head"),
        ({"width": 3}, "width"),
    ],
)
def test_what_does_not_fit_is_refused(asked, match):
    with pytest.raises(errors.ConfigError, match=match):
        corners.build(**({"image_size": (32, 32)} | asked))
