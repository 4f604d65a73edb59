import keras
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.tasks.fields.learning import losses, network


@pytest.mark.parametrize(
    ("head", "beside", "shape"),
    [("dense", None, None), ("grid", "grid", (4, 6, 13)), ("heatmap", "heatmap", (4, 6, 4))],
)
def test_what_teaches_a_head_stands_beside_the_corners_until_it_is_deployed(head, beside, shape):
    model = network.build(image_size=(16, 24), head=head, filters=(4, 8), raised=0)
    names = ["corners"] if beside is None else ["corners", beside]
    assert list(model.output) == names
    if beside:
        assert model.output[beside].shape == (None, *shape)
    assert list(network.deployed(model).output) == ["corners"]


def test_a_deployed_locator_shares_its_weights():
    model = network.build(image_size=(16, 24), filters=(4, 8))
    deployed = network.deployed(model)
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 1), dtype=np.uint8)
    before = np.asarray(deployed({"image": image})["corners"])
    layer = model.get_layer("offsets")
    layer.set_weights([weight + 0.5 for weight in layer.get_weights()])
    assert (np.asarray(deployed({"image": image})["corners"]) != before).any()


def test_a_regressor_begins_in_the_middle_of_the_image():
    model = network.build(image_size=(16, 16), head="dense", filters=(4, 4))
    model.get_layer("coordinates").kernel.assign(np.zeros((4, 8)))
    found = np.asarray(model({"image": np.zeros((1, 16, 16, 1), np.uint8)})["corners"])
    np.testing.assert_allclose(found[0, :8], 0.5)


def test_a_network_without_presence_is_always_sure():
    model = network.build(image_size=(16, 16), head="dense", filters=(4, 4), presence=False)
    image = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 1), dtype=np.uint8)
    assert np.asarray(model({"image": image})["corners"])[:, 8].tolist() == [1, 1, 1]


def blocks_of(size, *, padding):
    """The side of a row of pixels after each of three blocks of stride 2 and pooling by 2."""
    for _ in range(3):
        size = -(-size // 2) if padding == "same" else (size - 5) // 2 + 1
        size //= 2
    return size


def test_the_talks_second_attempt_has_the_parameters_of_its_code():
    size, options = network.PRESETS["attempt2"]
    model = network.build(image_size=size[:2], channels=size[2], options=options)
    kernels = 5 * 5 * 3 * 32 + 32 + 5 * 5 * 32 * 32 + 32 + 5 * 5 * 32 * 64 + 64
    norms = 4 * (32 + 32 + 64)
    # 300 -> 148 -> 74 -> 35 -> 17 -> 7 -> 3 and 400 -> 198 -> 99 -> 48 -> 24 -> 10 -> 5
    cells = blocks_of(300, padding="valid") * blocks_of(400, padding="valid")
    assert cells == 3 * 5
    dense = cells * 64 * 8 + 8
    assert model.count_params() == kernels + norms + dense == 87_528
    assert model.get_layer("flatten").output.shape == (None, 960)


def test_other_dense_networks_pad_their_borders():
    assert network.Options().padding == "same"
    (height, width, channels), options = network.PRESETS["attempt1"]
    assert options.padding == "same"
    first = network.build(image_size=(height, width), channels=channels, options=options)
    assert first.count_params() == pytest.approx(52e6, rel=0.05)
    size, second = network.PRESETS["attempt2"]
    padded = network.build(image_size=size[:2], channels=size[2], options=second, padding="same")
    assert blocks_of(300, padding="same") * blocks_of(400, padding="same") == 5 * 6
    # The 15 cells more have 64 features and 8 numbers each.
    assert padded.count_params() == 87_528 + 15 * 64 * 8


def test_a_network_without_borders_locates_on_the_smallest_image_it_takes():
    model = network.build(
        image_size=(31, 31), head="dense", filters=(4, 4), padding="valid", presence=False
    )
    found = np.asarray(model({"image": np.zeros((2, 31, 31, 1), np.uint8)})["corners"])
    assert found.shape == (2, 9)


def test_raising_makes_cells_smaller():
    shapes = [
        network.build(image_size=(32, 64), filters=(4, 6, 8), raised=raised).output["heatmap"].shape
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
        # 1 px is left of 2, which a kernel of 5 and a stride of 2 make of 7; then of 31.
        ({"head": "dense", "filters": (4, 4), "padding": "valid", "image_size": (30, 99)}, "31 px"),
        ({"head": "dense", "filters": (4,), "padding": "full"}, "padding"),
        ({"head": "grid", "points": 1}, "points must be 4"),
        ({"points": 2}, "points must be 4 or"),
        ({"kernel_initializer": "nothing"}, "kernel_initializer"),
        ({"head": "boxes"}, "head"),
        ({"width": 3}, "width"),
    ],
)
def test_what_does_not_fit_is_refused(asked, match):
    with pytest.raises(errors.ConfigError, match=match):
        network.build(**({"image_size": (32, 32)} | asked))


def rectangles(count, rng, *, at_border):
    """Photos of a bright rectangle, and its corners as shares; some touch x = 0."""
    images = rng.integers(0, 60, (count, 32, 32, 1)).astype(np.uint8)
    target = np.ones((count, 9), np.float32)
    for image, row, touches in zip(images, target, at_border, strict=True):
        width, height = rng.integers(8, 15, 2)
        x0, y0 = (0 if touches else rng.integers(3, 16)), rng.integers(3, 16)
        image[y0 : y0 + height, x0 : x0 + width] = rng.integers(150, 256)
        x1, y1 = x0 + width, y0 + height
        row[:8] = np.array([x0, y0, x1, y0, x1, y1, x0, y1]) / 32
    return images, target


@pytest.mark.slow
@pytest.mark.parametrize("head", ["heatmap", "grid"])
def test_a_field_that_touches_the_border_trains_and_predicts_like_any_other(head):
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    touches = np.arange(768) % 3 == 0
    images, target = rectangles(768, rng, at_border=touches)
    model = network.build(image_size=(32, 32), head=head, filters=(8, 16, 16), raised=1)
    beside = {"heatmap": losses.HeatmapCrossEntropy(), "grid": losses.GridLoss()}[head]
    model.compile(
        keras.optimizers.Adam(4e-3),
        loss={"corners": losses.CornerMae(corner_weight=20.0), head: beside},
    )
    taught = {"corners": target[:640], head: target[:640]}
    model.fit({"image": images[:640]}, taught, batch_size=32, epochs=30, verbose=0)
    found = np.asarray(model.predict({"image": images[640:]}, verbose=0)["corners"])
    off = np.abs(found[:, :8] - target[640:, :8]).mean(axis=1)
    at_border, elsewhere = off[touches[640:]].mean(), off[~touches[640:]].mean()
    assert elsewhere < 0.03
    assert at_border < max(1.5 * elsewhere, 0.015)
