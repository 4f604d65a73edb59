"""The networks of a recipe: how each is built and fitted, and on which images."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import toy_records

from inspection_tf import config, errors, images
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.models import backbones, unet
from inspection_tf.recipes import stages
from inspection_tf.training import fit, phases
from inspection_tf.training.runs import checkpoints
from inspection_tf.training.runs.run_folder import RunFolder


class Network(config.Section):
    input_mean: float = 1.0
    """Gray value that becomes 0."""
    input_scale: float = 2.0
    """Gray values that make one unit."""


class Toy(stages.StageSpec):
    model: Network


def toy(**loading):
    return Toy(
        loader=loader.LoaderSpec(batch_size=2, **loading),
        augment=augment.AugmentSpec(),
        train=fit.TrainSpec(epochs=1, pictures=0),
        model=Network(),
    )


def build(options, *, image_size=(16, 16), channels=1, template=False):
    return unet.build(
        image_size=image_size,
        channels=channels,
        template=template,
        filters=(4, 8),
        dropout=0.3,
        input_mean=options.input_mean,
        input_scale=options.input_scale,
    )


def fit_stage(images, path, *, tune=None, seed=3, built=build, **loading):
    folder = RunFolder(path, is_resumed=False).within("toy")
    network = stages.Network(built, toy(**loading))
    return stages.fit_stage(network, images, tune, seed=seed, folder=folder)


@pytest.fixture
def fitted(monkeypatch):
    """Record what a stage hands to `fit.fit`, which does not run."""
    seen = []
    monkeypatch.setattr(fit, "fit", lambda *values: seen.append(values))
    return seen


def test_a_stage_is_a_section_that_a_recipe_adds_a_model_to():
    assert list(Toy.model_fields) == ["loader", "augment", "train", "start", "weights", "model"]
    with pytest.raises(ValueError, match="raet"):
        stages.StageSpec(loader={}, augment={}, train={"raet": 1})


def test_a_network_is_built_for_its_images(teach, tmp_path, fitted):
    shapes = []

    def built(options, **shape):
        shapes.append(shape)
        return build(options, **shape)

    fit_stage(teach, tmp_path, built=built)
    wide = np.repeat(np.repeat(teach.image, 2, axis=2), 3, axis=3)
    fit_stage(dataclasses.replace(teach, image=wide, template=wide), tmp_path, built=built)
    assert shapes == [
        {"image_size": (16, 16), "channels": 1, "template": False},
        {"image_size": (16, 32), "channels": 3, "template": True},
    ]


def test_a_stage_learns_from_pairs_in_its_own_folder(teach, tune, tmp_path):
    taught, watched = (dataclasses.replace(part, template=part.image) for part in (teach, tune))
    model = fit_stage(taught, tmp_path, tune=watched)
    assert set(model.input) == {"image", "template"}
    assert (tmp_path / "toy" / "checkpoints" / "last.npz").is_file()
    header, row = (tmp_path / "toy" / "history.csv").read_text().splitlines()
    assert "val_dice_defective" in header.split(",")
    assert row.startswith("1.0,")
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_network_begins_as_its_seed_says_whatever_ran_before(teach, tmp_path, fitted):
    def weights(seed):
        return checkpoints.capture(fit_stage(teach, tmp_path, seed=seed), optimizer=False)

    first = weights(3)
    keras.utils.set_random_seed(9)
    build(Network())
    again, other = weights(3), weights(4)
    assert first.keys() == again.keys()
    assert all((again[name] == value).all() for name, value in first.items())
    assert any((other[name] != value).any() for name, value in first.items())


def test_a_model_is_scaled_by_its_training_images(teach, tmp_path, fitted):
    seen = []

    def built(options, **shape):
        seen.append(options)
        return build(options, **shape)

    spec = toy()
    folder = RunFolder(tmp_path, is_resumed=False)
    network = stages.Network(built, spec)
    model = stages.fit_stage(network, teach, None, seed=3, folder=folder)
    mean, deviation = teach.image.mean(), teach.image.std()  # no pixel of them is 0
    assert seen[0].input_mean == pytest.approx(mean)
    assert seen[0].input_scale == pytest.approx(deviation)
    assert spec.model == Network()  # the configuration stays what was written down
    fitted_model, _, _, stage = fitted[0]
    assert fitted_model is model
    assert stage == fit.Stage(spec.train, spec.loader, spec.augment, 3, folder)


def unmarked(images):
    """Return the cache with a defect of class 1 in its second image that no mask marks."""
    label = images.label.copy()
    label[1] = 1
    return dataclasses.replace(images, label=label)


@pytest.mark.parametrize(("choice", "count"), [("good", 6), ("drop", 5)])
def test_unmarked_defects_teach_a_segmentation_or_not(teach, tmp_path, fitted, choice, count):
    images = unmarked(teach)
    fit_stage(images, tmp_path, tune=images, unmarked=choice)
    _, taught, watched, _ = fitted[0]
    assert len(taught) == count
    assert ("0-1" in taught.ids) == (choice == "good")
    assert watched is images  # what is measured is not chosen


def test_unmarked_defects_always_teach_a_classifier(teach, tmp_path, fitted):
    images = unmarked(teach)
    fit_stage(images, tmp_path, built=build_tuned, unmarked="drop")
    assert fitted[0][1] is images


# Starting from another network of the recipe


def build_tuned(options, *, filters=4, depth=2, output="class_probability", **shape):
    """Build a network on a backbone of `depth` convolutions with batch norm."""
    features = x = keras.Input((16, 16, 1))
    for number in range(depth):
        x = keras.layers.Conv2D(filters, 3, padding="same", name=f"conv{number}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{number}")(x)
    backbone = keras.Model(features, x, name="backbone")
    image = keras.Input((16, 16, 1), dtype="uint8", name="image")
    x = backbone(keras.layers.Rescaling(1 / 64, -2)(image))
    if output == "class_probability":
        x = keras.layers.GlobalAveragePooling2D()(x)
        x = keras.layers.Dense(2, activation="softmax", name=output)(x)
    else:
        x = keras.layers.Conv2D(1, 1, activation="sigmoid", name=output)(x)
    return keras.Model({"image": image}, {output: x})


def start(images, path, trained, *, name="segmenter"):
    network = stages.Network(build_tuned, toy().model_copy(update={"start": name}))
    folder = RunFolder(path, is_resumed=False)
    return stages.fit_stage(network, images, None, seed=3, folder=folder, trained=trained)


def segmenter_of(**options):
    """A network whose weights and statistics are none of a fresh one."""
    model = build_tuned(None, output="probability", **options)
    for number, variable in enumerate(model.variables):
        variable.assign(np.full(variable.shape, 1 + number, np.float32))
    return model


@pytest.mark.parametrize("depth", [2, 3])
def test_a_stage_starts_from_the_backbone_of_a_network_trained_before(
    teach, tmp_path, fitted, depth
):
    before = segmenter_of(depth=depth)  # a deeper one has layers to spare
    model = start(teach, tmp_path, {"segmenter": before})
    other = before.get_layer("backbone")
    for layer in model.get_layer("backbone").layers[1:]:
        pairs = zip(layer.get_weights(), other.get_layer(layer.name).get_weights(), strict=True)
        for value, expected in pairs:
            np.testing.assert_array_equal(value, expected)
    # The head is its own, as its seed says.
    fresh = fit_stage(teach, tmp_path, built=build_tuned)
    for value, expected in zip(
        model.get_layer("class_probability").get_weights(),
        fresh.get_layer("class_probability").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("trained", [None, {}, {"other": None}])
def test_a_stage_starts_from_a_network_there_is(teach, tmp_path, fitted, trained):
    with pytest.raises(errors.ConfigError, match=r"trained before\. Got 'segmenter' of \["):
        start(teach, tmp_path, trained)
    assert fitted == []


@pytest.mark.parametrize(("options", "layer"), [({"filters": 5}, "conv0"), ({"depth": 1}, "conv1")])
def test_a_stage_does_not_start_from_another_backbone(teach, tmp_path, fitted, options, layer):
    with pytest.raises(errors.ConfigError, match=f"Got another {layer} in the segmenter"):
        start(teach, tmp_path, {"segmenter": segmenter_of(**options)})
    assert fitted == []


# What is checked before a run begins


def section(*, start="", **backbone):
    return types.SimpleNamespace(
        model=types.SimpleNamespace(backbone=backbones.Options(**backbone)), start=start
    )


def check(size, **specs):
    stages.check_backbones(size, {name: stages.Network(None, spec) for name, spec in specs.items()})


def test_weights_of_every_stage_are_looked_for_before_a_run_begins(tmp_path):
    sound, absent = section(name="vgg10"), section(name="vgg10", weights=tmp_path / "no.weights.h5")
    check((32, 32), segmenter=sound)
    with pytest.raises(errors.ConfigError, match=r"weights must be a file. Got .*no.weights.h5"):
        check((32, 32), segmenter=sound, classifier=absent)


def test_the_size_is_checked_as_a_shrinking_stage_sees_it():
    spec = section(name="vgg10", strides=(8,))
    check((16, 32), classifier=spec)
    spec.model.input_shrink = 4  # 16 / 4 = 4, which 8 does not divide
    with pytest.raises(errors.ConfigError, match=r"divisible by 8. Got \(4, 8\)"):
        check((16, 32), classifier=spec)


def test_a_start_that_will_not_fit_ends_a_run_before_it_begins():
    before = section(name="mobilenet", strides=(2, 4), first_stride=2)
    same = section(name="mobilenet", strides=(4,), first_stride=2, start="segmenter")
    check((32, 32), segmenter=before, classifier=same)
    other = section(name="vgg10", strides=(4,), start="segmenter")
    with pytest.raises(errors.ConfigError, match=r"Got another block1_conv1\w* in the segmenter"):
        check((32, 32), segmenter=before, classifier=other)
    with pytest.raises(errors.ConfigError, match=r"trained before\. Got 'segmenter' of \[\]"):
        check((32, 32), classifier=same, segmenter=before)


def test_every_network_is_built_and_compiled_before_one_is_trained():
    found = toy_records.make()
    sound = toy()
    preprocessing = images.Preprocessing(size=(16, 16))

    def built(options, *, image_size, channels, template):
        assert (image_size, channels, template) == ((16, 16), 1, False)
        return build(options)

    def check_all(**specs):
        networks = {name: stages.Network(built, spec) for name, spec in specs.items()}
        stages.check_models(preprocessing, found, networks)

    def trained(**changes):
        return sound.model_copy(update={"train": sound.train.model_copy(update=changes)})

    check_all(segmenter=sound)
    wrong = trained(loss="cross_entropy")
    with pytest.raises(errors.ConfigError, match=r"train\.loss must fit the output probability"):
        check_all(segmenter=sound, other=wrong)
    phased = trained(phases=(phases.Phase(epochs=1, backbone="frozen"),))
    with pytest.raises(errors.ConfigError, match="backbone"):
        check_all(unet=phased)


def test_weights_to_start_from_are_read_before_one_is_trained(tmp_path):
    found = toy_records.make()
    preprocessing = images.Preprocessing(size=(16, 16))
    other = unet.build(image_size=(16, 16), filters=(4, 12), dropout=0.3)
    build(Network()).save(tmp_path / "same.keras")
    other.save(tmp_path / "other.keras")

    def check_from(name):
        spec = toy().model_copy(update={"weights": tmp_path / name})
        stages.check_models(preprocessing, found, {"unet": stages.Network(build, spec)})

    check_from("same.keras")
    with pytest.raises(errors.BundleError, match=r"other\.keras: weights must be of the same"):
        check_from("other.keras")
    with pytest.raises(errors.ConfigError, match=r"must be a \.keras file\. Got .*absent"):
        check_from("none.keras")
