import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.models import unet
from inspection_tf.training import fit, pruning

SIZE = (32, 48)


def build(filters, **options):
    return unet.build(**{"image_size": SIZE, "filters": filters} | options)


def shown(model, seed=0, channels=1):
    rng = np.random.default_rng(seed)
    given = {
        tensor.name: rng.integers(0, 256, (2, *SIZE, channels), np.uint8) for tensor in model.inputs
    }
    return model.predict(given, verbose=0)["probability"]


def shake(model):
    """Give every weight a value of its own, so that no channel is like another."""
    rng = np.random.default_rng(3)
    for layer in model.layers:
        layer.set_weights(
            [value + rng.normal(0, 0.05, value.shape) for value in layer.get_weights()]
        )


def deafen(model, dead):
    """Let no layer read the channels whose place in the layer that made them is in `dead`."""
    for name, channels in pruning._follow(model).read.items():
        layer = model.get_layer(name)
        weights = layer.get_weights()
        if isinstance(layer, pruning._CONVOLUTIONS):
            kernel = pruning._readable(layer, weights[0])
            for place, (maker, index) in enumerate(channels):
                if maker not in ("image", "template") and index in dead:
                    kernel[:, :, place] = 0  # a view of the weights, transposed or not
            layer.set_weights(weights)


OPTIONS = [
    {},
    {"normalization": "batch"},
    {"normalization": "batch", "residual": True},
    {"normalization": "batch", "working_stride": 4, "upsampling": "bilinear"},
    {"normalization": "batch", "template": True, "channels": 3},
    {"classes": 3, "dropout": 0.2},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_channels_that_nothing_reads_are_the_ones_that_go(options):
    fit.seed_everything(0)
    teacher, student = build((16, 24, 32), **options), build((8, 12, 16), **options)
    shake(teacher)
    deafen(teacher, set(range(0, 32, 2)))
    pruning.start_from(student, teacher)
    expected = shown(teacher, channels=options.get("channels", 1))
    assert expected.std() > 0
    np.testing.assert_allclose(
        shown(student, channels=options.get("channels", 1)), expected, atol=1e-5
    )


def test_a_student_as_wide_as_its_teacher_is_its_teacher():
    fit.seed_everything(0)
    teacher, student = (build((8, 16), normalization="group") for _ in range(2))
    shake(teacher)
    pruning.start_from(student, teacher)
    for own, other in zip(student.get_weights(), teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)


def test_the_strength_of_a_channel_by_hand():
    model = build((8, 16), normalization="batch")
    maker, norm = model.get_layer("encoder1_conv1"), model.get_layer("encoder1_conv1_norm")
    reader = model.get_layer("encoder1_conv2")
    values = norm.get_weights()
    values[0] = np.array([1, -2, 3, 4, 0, 1, 1, 1], np.float32)
    norm.set_weights(values)
    kernel = np.zeros((3, 3, 8, 8), np.float32)
    kernel[0, 0, 0, :2] = (1, -1)  # 2, times a scale of 1
    kernel[1, 1, 1, 0] = -5  # times 2
    kernel[2, 2, 3, 7] = 0.5  # times 4
    kernel[:, :, 4] = 9  # times 0
    reader.set_weights([kernel])
    found = pruning._strengths(model, pruning._follow(model))[maker.name]
    np.testing.assert_allclose(found, [2, 10, 0, 2, 0, 0, 0, 0])


def test_what_is_added_up_keeps_the_same_channels():
    model = build((8, 8), residual=True, normalization="batch")
    tied = pruning._follow(model).tied
    # The bottom's shortcut is the pooled end of the level before, which is a sum itself.
    assert tied.connected("bottom_conv2", "encoder1_conv2")
    assert not tied.connected("bottom_conv1", "bottom_conv2")


@pytest.mark.parametrize(
    ("other", "got"),
    [
        ({"filters": (16, 32)}, "encoder1_conv1 with 16 channels for 8"),
        ({"filters": (4, 8, 8)}, "in one of them alone"),
        ({"normalization": "batch"}, "in one of them alone"),
        ({"channels": 3}, "encoder1_conv1 of another kernel or other inputs"),
    ],
)
def test_a_student_of_other_layers_is_refused(other, got):
    with pytest.raises(errors.ConfigError, match=got) as caught:
        pruning.start_from(build(**{"filters": (4, 8)} | other), build((8, 16)))
    assert caught.value.exit_code == 2
