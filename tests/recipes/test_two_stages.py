"""The networks of a recipe: how each is built and fitted, and on which images."""

import dataclasses
import types

import keras
import numpy as np
import pytest

from inspection_tf import config, errors, images
from inspection_tf.datasets import data_spec, records
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.models import backbones, unet
from inspection_tf.recipes import stages as stages_
from inspection_tf.training import fit, phases
from inspection_tf.training.run_folder import RunFolder


class Network(config.Section):
    input_mean: float = 1.0
    """Gray value that becomes 0."""
    input_scale: float = 2.0
    """Gray values that make one unit."""


class Toy(stages_.Stage):
    model: Network


def stage(**loading):
    return Toy(
        loader=loader.LoaderSpec(batch_size=2, **loading),
        augment=augment.AugmentSpec(),
        train=fit.TrainSpec(epochs=1, pictures=0),
        model=Network(),
    )


def build(options, **changes):
    return unet.build(
        image_size=(16, 16),
        filters=(4, 8),
        dropout=0.3,
        input_mean=options.input_mean,
        input_scale=options.input_scale,
        **changes,
    )


def build_paired(options):
    return build(options, template=True)


def fit_stage(held, path, *, watched=None, seed=3, built=build, **loading):
    run = RunFolder(path, is_resumed=False).within("toy")
    return stages_.fit_stage(built, stage(**loading), held, watched, seed=seed, run=run)


@pytest.fixture
def fitted(monkeypatch):
    """Record what a stage hands to `fit.fit`, which does not run."""
    seen = []
    monkeypatch.setattr(fit, "fit", lambda *given, **named: seen.append((given, named)))
    return seen


def test_a_stage_is_a_section_that_a_recipe_adds_a_model_to():
    assert list(Toy.model_fields) == ["loader", "augment", "train", "start", "weights", "model"]
    with pytest.raises(ValueError, match="raet"):
        stages_.Stage(loader={}, augment={}, train={"raet": 1})


def test_the_shape_that_a_model_needs_is_that_of_the_images(teach):
    assert stages_.shape(teach) == {"image_size": (16, 16), "channels": 1, "template": False}
    wide = np.zeros((6, 10, 14, 3), np.uint8)
    paired = dataclasses.replace(teach, image=wide, template=wide)
    assert stages_.shape(paired) == {"image_size": (10, 14), "channels": 3, "template": True}


def test_a_stage_learns_from_pairs_in_its_own_folder(teach, tune, tmp_path):
    taught, watched = (dataclasses.replace(held, template=held.image) for held in (teach, tune))
    model = fit_stage(taught, tmp_path, watched=watched, built=build_paired)
    assert set(model.input) == {"image", "template"}
    assert (tmp_path / "toy" / "checkpoints" / "last.npz").is_file()
    header, row = (tmp_path / "toy" / "history.csv").read_text().splitlines()
    assert "val_dice_defective" in header.split(",")
    assert row.startswith("1.0,")
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_network_begins_as_its_seed_says_whatever_ran_before(
    teach, tmp_path, fitted, weights, assert_same
):
    first = weights(fit_stage(teach, tmp_path, seed=3))
    keras.utils.set_random_seed(9)
    build(Network())
    assert_same(weights(fit_stage(teach, tmp_path, seed=3)), first)
    other = weights(fit_stage(teach, tmp_path, seed=4))
    assert any((other[name] != value).any() for name, value in first.items())


def test_a_model_is_scaled_by_its_training_images(teach, tmp_path, fitted):
    seen = []

    def built(options):
        seen.append(options)
        return build(options)

    given = stage()
    run = RunFolder(tmp_path, is_resumed=False)
    model = stages_.fit_stage(built, given, teach, None, seed=3, run=run)
    mean, deviation = teach.image.mean(), teach.image.std()  # no pixel of them is 0
    assert seen[0].input_mean == pytest.approx(mean)
    assert seen[0].input_scale == pytest.approx(deviation)
    assert given.model == Network()  # the configuration stays what was written down
    (handed, *_), named = fitted[0]
    assert handed is model
    assert (named["seed"], named["run"]) == (3, run)
    assert (named["spec"], named["loading"]) == (given.train, given.loader)
    assert named["augmentation"] == given.augment


def unmarked(held):
    """Return the cache with a defect of class 1 in its second image that no mask marks."""
    label = held.label.copy()
    label[1] = 1
    return dataclasses.replace(held, label=label)


@pytest.mark.parametrize(("choice", "count"), [("good", 6), ("drop", 5)])
def test_unmarked_defects_teach_a_segmentation_or_not(teach, tmp_path, fitted, choice, count):
    held = unmarked(teach)
    fit_stage(held, tmp_path, watched=held, unmarked=choice)
    _, taught, watched = fitted[0][0]
    assert len(taught) == count
    assert ("0-1" in taught.ids) == (choice == "good")
    assert watched is held  # what is measured is not chosen


def test_unmarked_defects_always_teach_a_classifier(teach, tmp_path, fitted):
    held = unmarked(teach)
    fit_stage(held, tmp_path, built=build_tuned, unmarked="drop")
    assert fitted[0][0][1] is held


# Starting from another network of the recipe


def build_tuned(options, *, filters=4, depth=2, output="class_probability"):
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


def start(held, path, trained, *, name="segmenter", built=build_tuned):
    given = stage().model_copy(update={"start": name})
    run = RunFolder(path, is_resumed=False)
    return stages_.fit_stage(built, given, held, None, seed=3, run=run, trained=trained)


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


# Divisions


class Source:
    def read_image(self, *, orientation="apply"):
        return np.zeros((4, 4), np.uint8)

    def read_mask(self, *, orientation="apply"):
        return np.zeros((4, 4), np.bool_)

    def identity(self):
        return b"4"


def make_found(count=12, *, group=lambda n: ""):
    return records.Records.of(
        records.Record(f"{n:02d}", n % 2 == 0, Source(), group=group(n)) for n in range(count)
    )


def divide(found, run, **fields):
    trained = []

    def train(*given):
        trained.append(given)
        return f"networks {len(trained)}"

    spec = data_spec.DataSpec(format="folder", **{"tune": 0.25, "test": 0.25, **fields})
    return stages_.divide(found, spec, seed=1, run=run, train=train), trained


def test_without_folds_the_networks_that_are_shipped_are_measured(tmp_path):
    found, run = make_found(), RunFolder(tmp_path, is_resumed=False)
    division, trained = divide(found, run)
    assert trained == []
    assert division.split == "test"
    assert {name: len(part) for name, part in division.parts.items()} == {
        "train": 6,
        "tune": 3,
        "test": 3,
    }
    assert division.tuning == [(None, division.parts["tune"])]
    assert division.measured == [(None, division.parts["test"])]


def test_with_folds_every_image_is_measured_by_networks_that_did_not_see_it(tmp_path):
    found = make_found(group=lambda n: f"board{n // 4}")
    run = RunFolder(tmp_path, is_resumed=False)
    division, trained = divide(found, run, folds=3)
    assert division.split == "out_of_fold"
    assert division.measured == division.tuning
    networks = [name for name, _ in division.measured]
    assert networks == ["networks 1", "networks 2", "networks 3"]
    assert [folder.path for _, _, folder in trained] == [
        tmp_path / "folds" / str(n) for n in (1, 2, 3)
    ]
    for (taught, tested, _), (_, measured) in zip(trained, division.measured, strict=True):
        assert measured is tested
        assert not set(taught.ids) & set(tested.ids)
        assert len(set(tested.groups)) == 1  # as many folds as boards
        assert len(taught) + len(tested) == 12
    measured = sorted(name for _, part in division.measured for name in part.ids)
    assert measured == list(found.ids)
    # What is shipped learns from all of them; nothing is left to tune or test.
    assert list(division.parts) == ["train"]
    assert division.parts["train"].ids == found.ids


def test_composed_defects_teach_in_folds_and_are_never_measured(tmp_path):
    compose = data_spec.ComposeSpec(per_image=1)
    division, trained = divide(
        make_found(), RunFolder(tmp_path, is_resumed=False), folds=2, compose=compose
    )
    # A fold teaches 3 good, 3 defective and 3 composed; the shipped one 6, 6 and 6.
    assert [len(taught) for taught, _, _ in trained] == [9, 9]
    assert [len(part) for _, part in division.measured] == [6, 6]
    assert division.parts["train"].counts() == {"images": 18, "defective": 12}


def section(*, start="", **backbone):
    return types.SimpleNamespace(
        model=types.SimpleNamespace(backbone=backbones.Options(**backbone)), start=start
    )


def check(size, **stages):
    stages_.check_backbones(size, {name: (None, stage) for name, stage in stages.items()})


def test_weights_of_every_stage_are_looked_for_before_a_run_begins(tmp_path):
    sound, absent = section(name="vgg10"), section(name="vgg10", weights=tmp_path / "no.weights.h5")
    check((32, 32), segmenter=sound)
    with pytest.raises(errors.ConfigError, match=r"weights must be a file. Got .*no.weights.h5"):
        check((32, 32), segmenter=sound, classifier=absent)


def test_the_size_is_checked_as_a_shrinking_stage_sees_it():
    stage = section(name="vgg10", strides=(8,))
    check((16, 32), classifier=stage)
    stage.model.input_shrink = 4  # 16 / 4 = 4, which 8 does not divide
    with pytest.raises(errors.ConfigError, match=r"divisible by 8. Got \(4, 8\)"):
        check((16, 32), classifier=stage)


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
    found = make_found()
    sound = stage()
    preprocessing = images.Preprocessing(size=(16, 16))

    def built(options, *, image_size, channels, template):
        assert (image_size, channels, template) == ((16, 16), 1, False)
        return build(options)

    stages_.check_models(preprocessing, found, {"segmenter": (built, sound)})
    wrong = sound.model_copy(
        update={"train": sound.train.model_copy(update={"loss": "cross_entropy"})}
    )
    with pytest.raises(errors.ConfigError, match=r"train\.loss must fit the output probability"):
        stages_.check_models(
            preprocessing, found, {"segmenter": (built, sound), "other": (built, wrong)}
        )
    phased = sound.train.model_copy(update={"phases": (phases.Phase(epochs=1, backbone="frozen"),)})
    with pytest.raises(errors.ConfigError, match="backbone"):
        stages_.check_models(
            preprocessing, found, {"unet": (built, sound.model_copy(update={"train": phased}))}
        )


@pytest.mark.parametrize("empty", ["tune", "test"])
def test_a_split_that_is_empty_ends_a_run_before_it_begins(tmp_path, empty):
    spec = data_spec.DataSpec(**{"tune": 0.3, "test": 0.3, empty: 0.0})
    with pytest.raises(errors.DataError, match=f"Got no {empty} split. Give data.{empty} a share"):
        stages_.divide(
            make_found(), spec, seed=1, run=RunFolder(tmp_path, is_resumed=False), train=None
        )
