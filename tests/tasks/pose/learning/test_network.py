import keras
import numpy as np
import pytest

from inspection_tf import errors
from inspection_tf.export import onnx
from inspection_tf.projection import Pose
from inspection_tf.runtime import Engine
from inspection_tf.tasks.pose.learning import heads, network
from inspection_tf.training import phases
from inspection_tf.training.phases import Phase

SMALL = {"backbone": {"name": "cnn", "strides": (8,)}, "dense_units": (16,), "cell_channels": 4}
SIZE = (32, 40)


def build(**options):
    keras.utils.set_random_seed(1)
    return network.build(image_size=SIZE, **{**SMALL, **options})


def images(count=3):
    return np.random.default_rng(0).integers(0, 256, (count, *SIZE, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("options", "modes"),
    [
        ({}, 36),
        ({"phi_classes": 8, "symmetry": 4, "pooling": "average", "dropout": 0.5}, 8),
        ({"head": "circle", "input_shrink": 1}, 1),
        ({"head": "circle", "symmetry": 4}, 1),
        ({"head": "free", "dense_units": ()}, 1),
    ],
)
def test_each_head_tells_poses_that_survive_the_export(options, modes, tmp_path):
    model = build(**options)
    found = model.predict_on_batch({"image": images()})[network.OUTPUT]
    assert found.shape == (3, modes, heads.NUMBERS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[..., 0].sum(axis=1), 1, rtol=1e-5)
    assert np.isfinite(found).all()
    assert (found[..., 7:] > 0).all()
    exported = Engine(onnx.convert(model), threads=1).run(images())
    np.testing.assert_allclose(exported, found, rtol=1e-4, atol=1e-3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        again.predict_on_batch({"image": images()})[network.OUTPUT], found
    )


def test_classes_of_phi_share_a_turn_and_reach_to_their_neighbours():
    found = build(phi_classes=8, symmetry=2).predict_on_batch({"image": images()})
    phi = found[network.OUTPUT][..., 1]
    middles = 22.5 * (np.arange(8) + 0.5)  # 180 degrees in eight classes
    assert (np.abs(phi - middles) <= 22.5).all()


def decoded(layer, *inputs):
    return np.asarray(layer([np.asarray(one, np.float32) for one in inputs]))


def test_numbers_of_a_class_become_degrees_and_mm():
    layer = heads.PoseDecoder(step_deg=90.0, tilts_deg=(10.0, 20.0), field_mm=50.0)
    values = np.zeros((1, 24))
    values[0, 6:12] = [np.arctanh(0.5), np.arctanh(-0.1), np.arctanh(0.2), 0.1, -0.2, 0.3]
    found = decoded(layer, np.log([[1, 2, 3, 4]]), values, np.log([[0.1] * 6]))
    np.testing.assert_allclose(found[0, :, 0], [0.1, 0.2, 0.3, 0.4], rtol=1e-5)
    # The middle of the second class, and half of the way to that of the third.
    np.testing.assert_allclose(found[0, 1, 1:7], [135 + 45, -1, 4, 5, -10, 15], rtol=1e-5)
    np.testing.assert_allclose(found[0, 1, 7:], [9, 1, 2, 5, 5, 5], rtol=1e-5)


@pytest.mark.parametrize("phi", [-170.0, -10.0, 0.0, 80.0, 170.0])
def test_a_point_on_a_circle_is_an_angle(phi):
    layer = heads.CircleDecoder(symmetry=1, tilts_deg=(10.0, 10.0), field_mm=50.0)
    sine, cosine = np.sin(np.radians(phi)), np.cos(np.radians(phi))
    found = decoded(layer, [[3 * sine, 3 * cosine, 0, 0, 0, 0, 0.5]], np.zeros((1, 6)))
    np.testing.assert_allclose(found[0, 0, 1:7], [phi, 0, 0, 0, 0, 25], atol=1e-4)


def test_a_point_goes_around_as_often_as_a_part_looks_alike():
    layer = heads.CircleDecoder(symmetry=4, tilts_deg=(10.0, 10.0), field_mm=50.0)
    found = decoded(layer, [[1, 0, 0, 0, 0, 0, 0]], np.zeros((1, 6)))
    assert found[0, 0, 1] == pytest.approx(22.5)  # a quarter of a quarter of a turn


@pytest.mark.parametrize("pose", [(30.0, 50.0, -120.0), (200.0, -80.0, 10.0), (0.0, 0.0, 0.0)])
def test_two_columns_of_a_rotation_are_its_angles(pose):
    truth = Pose(*pose)
    first, second = truth.rotation[:, 0], truth.rotation[:, 1]
    layer = heads.FreeDecoder(field_mm=10.0)
    # Neither of length 1 nor at right angles: made so.
    columns = [*(2 * first), *(0.5 * second + 3 * first), 0.1, 0.2, 0.3]
    found = decoded(layer, [columns], np.zeros((1, 6)))[0, 0]
    assert Pose(*found[1:4].tolist()).turn_to(truth) < 0.02
    np.testing.assert_allclose(found[4:7], [1, 2, 3], rtol=1e-5)


def test_the_talks_network_freezes_its_body_first_and_then_trains_all():
    """ResNet50 of grey images: 23.6 M parameters without its head."""
    model = network.build(image_size=(32, 32), options=network.TALK2019)
    backbone = model.get_layer("backbone")
    # He et al.: 25.6 M with the classes of ImageNet, 2.05 M of which are those of the last layer;
    # the first convolution has one channel where it had three.
    assert backbone.count_params() == 23_587_712 - 2 * 7 * 7 * 64
    first, second = Phase(epochs=10, backbone="frozen"), Phase(epochs=100)
    heads_alone = len(model.trainable_variables) - len(backbone.trainable_variables)
    phases.set_trainable(model, first)
    assert not backbone.trainable_variables
    assert len(model.trainable_variables) == heads_alone
    phases.set_trainable(model, second)
    assert len(backbone.trainable_variables) > 100


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"dense_units": (0,)}, "dense_units"),
        ({"input_shrink": 3}, "divisible by 24"),
        ({"head": "other"}, "head"),
        ({"template": True}, "sees one image"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, why):
    with pytest.raises(errors.ConfigError, match=why):
        build(**options)


@pytest.mark.slow
def test_the_talks_network_trains_its_head_alone_and_then_all():
    import numpy.testing as npt

    from inspection_tf.training import fit

    keras.utils.set_random_seed(1)
    model = network.build(image_size=(32, 32), options=network.TALK2019)
    rng = np.random.default_rng(0)
    batch = {"image": rng.integers(0, 256, (8, 32, 32, 1)).astype(np.uint8)}
    pose = np.concatenate([rng.uniform(0, 10, (8, 6)), np.ones((8, 1))], axis=1)
    target = {network.OUTPUT: pose.astype(np.float32)}
    spec = fit.TrainSpec(epochs=4, loss="pose_modes", learning_rate=1e-3, warmup_epochs=0)

    def kernels():
        body = model.get_layer("backbone").get_layer("conv1_conv")
        return body.get_weights()[0].copy(), model.get_layer("dense1").get_weights()[0].copy()

    before = kernels()
    losses = []
    for phase in (Phase(epochs=2, backbone="frozen"), Phase(epochs=2, batch_norm="trained")):
        phases.set_trainable(model, phase)
        fit.compile_model(model, spec, steps_per_epoch=2)
        for _ in range(4):
            losses.append(float(np.ravel(model.train_on_batch(batch, target))[0]))
        after = kernels()
        if phase.backbone == "frozen":
            npt.assert_array_equal(after[0], before[0])
        else:
            assert np.abs(after[0] - before[0]).max() > 0
        assert np.abs(after[1] - before[1]).max() > 0
        before = after
    assert np.isfinite(losses).all()
    assert losses[3] < losses[0]  # of the head alone
    assert losses[7] < losses[4]  # of all, whose batch norm is another one at first
