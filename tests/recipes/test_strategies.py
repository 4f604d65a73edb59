import keras
import numpy as np
import pytest
from class_images import CLASSES, SIDE, make

from inspection_tf import config, errors, images, runtime
from inspection_tf.datasets import records
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.engines import installed
from inspection_tf.export import onnx
from inspection_tf.models.additions import evidence
from inspection_tf.recipes import stages, strategies
from inspection_tf.tasks import classification, saved_networks
from inspection_tf.training import fit
from inspection_tf.training.runs.run_folder import RunFolder

PREPROCESSING = images.Preprocessing(size=(SIDE, SIDE))
TRAIN = {"learning_rate": 0.01, "loss": "cross_entropy", "averaging": 0.5}
PLAIN = {"flips": False, "right_angles": False, "resampled_share": 0.0, "shift": 0.0}


def spec(strategy="scratch", *, epochs=8, **changes):
    values = {
        "strategy": strategy,
        "head_epochs": 1,
        "loader": {"batch_size": 8},
        "augment": PLAIN,
        "model": {"backbone": {"name": "cnn", "strides": (16,)}, "dropout": 0.0},
        "train": {
            "epochs": epochs,
            "learning_rate": 0.01,
            "loss": "cross_entropy",
            "averaging": 0.5,
        },
    }
    return config.validate(strategies.ClassifierSpec, values | changes, origin="test")


@pytest.fixture(scope="module")
def parts():
    split = records.split(make(), tune=0.25, test=0.25, seed=0)
    return {name: loader.cache(part, PREPROCESSING) for name, part in split.items()}


@pytest.fixture(scope="module")
def trained(parts, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("classifier"), is_resumed=False)
    model = strategies.train(
        spec(), parts["train"], parts["tune"], groups=parts["train"].ids, seed=1, folder=folder
    )
    return evidence.attach(model)


def test_the_phases_of_each_strategy_say_what_learns_when():
    assert strategies.phases_of(spec("scratch")) == ()
    (frozen,) = strategies.phases_of(spec("frozen"))
    assert (frozen.epochs, frozen.backbone, frozen.batch_norm) == (8, "frozen", "inference")
    head, top = strategies.phases_of(spec("finetune", body_learning_rate=1e-5))
    assert (head.epochs, head.backbone) == (1, "frozen")
    assert (top.epochs, top.backbone, top.batch_norm) == (7, "trained", "inference")
    assert top.learning_rate == 1e-5


def test_phases_of_ones_own_and_too_long_a_head_are_refused():
    phases = ({"epochs": 8, "backbone": "trained"},)
    with pytest.raises(errors.ConfigError, match=r"train\.phases must be empty"):
        spec(train={"epochs": 8, "loss": "cross_entropy", "phases": phases})
    with pytest.raises(errors.ConfigError, match="head_epochs must leave some"):
        spec("finetune", epochs=1)


def test_a_backbone_that_knows_nothing_is_refused_but_from_scratch():
    strategies.check(spec(), classification.Settings())
    for strategy in ("frozen", "finetune"):
        with pytest.raises(errors.ConfigError, match=f"strategy {strategy} needs a backbone"):
            strategies.check(spec(strategy), classification.Settings())


def test_evidence_is_refused_before_a_training_where_the_head_does_not_pool():
    dense = spec(model={"head": "vgg"})
    strategies.check(dense, classification.Settings(has_evidence=False))
    with pytest.raises(errors.ConfigError, match=r"has_evidence needs .*pooled or cells\. Got vgg"):
        strategies.check(dense, classification.Settings())


def test_a_classifier_learns_three_classes_and_says_where_it_sees_them(trained, parts):
    cached = parts["test"]
    outputs = trained.predict_on_batch({"image": cached.image})
    assert (outputs["class_probability"].argmax(axis=1) == cached.label).all()
    heat = outputs["class_evidence"][..., 1] - outputs["class_evidence"][..., 0]
    chipped = heat[cached.label == 1].mean(axis=0)
    # Cells of 16 px: the dark corner, 12 px of it, lies in the first.
    assert chipped.shape == (2, 2)
    assert chipped.argmax() == 0


def test_where_every_tune_image_is_right_no_temperature_is_set(trained, parts, caplog):
    tune = parts["tune"]
    before = trained.predict_on_batch({"image": tune.image})["class_probability"]
    assert (before.argmax(axis=1) == tune.label).all()
    assert strategies.calibrate(trained, tune) == 1.0
    after = trained.predict_on_batch({"image": tune.image})["class_probability"]
    np.testing.assert_array_equal(after, before)
    assert "does not say how sure to be" in caplog.text


def test_what_a_strategy_would_ignore_is_refused():
    with pytest.raises(errors.ConfigError, match="trainable_from belongs to the strategy finetune"):
        strategies.check(spec(trainable_from="conv3"), classification.Settings())
    patches = {"size_px": 16, "stride_px": 8}
    with pytest.raises(errors.ConfigError, match="needs a classifier of whole images"):
        strategies.check(spec(model={"patches": patches}), classification.Settings())
    strategies.check(spec(model={"patches": patches}), classification.Settings(has_evidence=False))


def test_novelty_is_learned_from_the_groups_of_the_training_images(trained, parts, tmp_path):
    images, folder = parts["train"], RunFolder(tmp_path, is_resumed=False)
    rules = classification.Settings(max_novelty=1.0, has_evidence=False)
    model = strategies.with_additions(
        trained, spec(familiar_share=1.0), rules, images, groups=images.ids, folder=folder
    )
    noise = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 1), np.uint8)
    found = {
        name: model.predict_on_batch({"image": pixels})["class_novelty"].max()
        for name, pixels in {"train": images.image, "noise": noise}.items()
    }
    assert found["train"] < 1e-2
    assert found["noise"] > 1
    with pytest.raises(errors.DataError, match="two groups or more"):
        strategies.with_additions(
            trained, spec(), rules, images, groups=["a"] * len(images), folder=folder
        )
    with pytest.raises(errors.ConfigError, match="max_novelty needs a classifier of whole images"):
        strategies.check(spec(model={"patches": {"size_px": 16, "stride_px": 8}}), rules)


@pytest.fixture(scope="module")
def classical(parts, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("classical"), is_resumed=False)
    described = {"lbp_radii": (1,), "glcm_levels": 8}
    chosen = spec("classical", descriptors=described, vector_machine={"c": (3.0,), "gamma": (0.3,)})
    rules = classification.Settings(has_evidence=False, max_novelty=1.0)
    strategies.check(chosen, rules)
    images, tune = parts["train"], parts["tune"]
    model = strategies.train(
        chosen, images, tune, groups=images.ids, seed=1, folder=folder, trained={}
    )
    return strategies.with_additions(model, chosen, rules, images, groups=images.ids, folder=folder)


def test_descriptors_and_a_machine_tell_three_classes(classical, parts):
    outputs = classical.predict_on_batch({"image": parts["test"].image})
    assert (outputs["class_probability"].argmax(axis=1) == parts["test"].label).all()
    assert sorted(outputs) == ["class_novelty", "class_probability"]
    # Whatever is far from all support vectors gets one and the same answer: only novelty knows.
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, SIDE, SIDE, 1), np.uint8)
    empty = np.stack([np.full((SIDE, SIDE, 1), value, np.uint8) for value in (0, 120, 255)])
    found = classical.predict_on_batch({"image": np.concatenate([noise, empty])})["class_novelty"]
    assert found.min() > 1.5


def test_a_classical_classifier_is_exported_and_loaded_as_every_network(classical, parts, tmp_path):
    given = {"image": parts["test"].image}
    expected = classical.predict_on_batch(given)
    classical.save(tmp_path / "model.keras")
    twin = saved_networks.load(tmp_path / "model.keras").predict_on_batch(given)
    found = runtime.Engine(onnx.convert(classical)).run_all(given["image"])
    for name, other in zip(("class_probability", "class_novelty"), found, strict=True):
        np.testing.assert_allclose(twin[name], expected[name], atol=1e-6)
        np.testing.assert_allclose(other, expected[name], atol=1e-4)


def test_what_the_classical_way_has_not_is_refused():
    rules = classification.Settings(has_evidence=False, max_novelty=1.0)
    with pytest.raises(errors.ConfigError, match=r"has_evidence needs .* Set has_evidence: false"):
        strategies.check(spec("classical"), classification.Settings(max_novelty=1.0))
    with pytest.raises(errors.ConfigError, match=r"classical needs rules\.max_novelty: far from"):
        strategies.check(spec("classical"), classification.Settings(has_evidence=False))
    with pytest.raises(errors.ConfigError, match=r"starts from nothing\. Got classifier\.weights"):
        strategies.check(spec("classical", weights="a.keras"), rules)
    with pytest.raises(errors.ConfigError, match="trainable_from belongs to the strategy finetune"):
        strategies.check(spec("classical", trainable_from="conv3"), rules)
    backbone = {"backbone": {"name": "cnn", "strides": (16,), "weights": "a.weights.h5"}}
    with pytest.raises(errors.ConfigError, match=r"backbone\.weights a\.weights"):
        strategies.check(spec("classical", model=backbone), rules)


def test_a_library_that_is_absent_is_told_of_before_any_work(monkeypatch):
    monkeypatch.setattr(installed, "versions", lambda *_: {})
    with pytest.raises(errors.BundleError, match="strategy classical needs scikit-learn"):
        strategies.check(spec("classical"), classification.Settings(has_evidence=False))


def test_what_describes_is_computed_once(parts, tmp_path):
    chosen = spec(
        "classical",
        descriptors={"families": ("lbp",), "lbp_radii": (1,)},
        vector_machine={"c": (3.0,), "gamma": (0.3,)},
        feature_folder=tmp_path / "kept",
    )
    images, rules = parts["train"], classification.Settings(has_evidence=False, max_novelty=1.0)

    def trained(seed):
        (tmp_path / str(seed)).mkdir()
        folder = RunFolder(tmp_path / str(seed), is_resumed=False)
        given = {"groups": images.ids, "folder": folder}
        model = strategies.train(chosen, images, None, seed=seed, **given)
        return strategies.with_additions(model, chosen, rules, images, **given)

    first = trained(1).predict_on_batch({"image": images.image})
    files = sorted((tmp_path / "kept").rglob("*"))
    assert files
    second = trained(2).predict_on_batch({"image": images.image})
    assert sorted((tmp_path / "kept").rglob("*")) == files
    # Each training image is its own nearest, whichever machine stands behind the distances.
    assert max(first["class_novelty"].max(), second["class_novelty"].max()) < 1e-2


def test_good_images_are_not_called_as_a_class():
    with pytest.raises(errors.ConfigError, match=f"ok_name must be .* Got '{CLASSES[0]}' with the"):
        strategies.network(spec(), CLASSES, ok_name=CLASSES[0])


def test_a_calibrated_classifier_has_the_likeliest_temperature(parts):
    keras.utils.set_random_seed(0)
    network = strategies.network(spec(), CLASSES)
    model = network.build(
        image_size=(SIDE, SIDE), channels=1, template=False, options=network.spec.model
    )
    tune = parts["tune"]
    before = model.predict_on_batch({"image": tune.image})["class_probability"]

    def cost(probability):
        return -np.log(probability[np.arange(len(tune)), tune.label]).mean()

    temperature = strategies.calibrate(model, tune)
    after = model.predict_on_batch({"image": tune.image})["class_probability"]
    assert temperature != 1.0
    assert cost(after) < cost(before)
    # A second time there is nothing left to divide by.
    assert strategies.calibrate(model, tune) == pytest.approx(1.0, rel=0.05)


def test_a_fold_is_not_calibrated_on_what_it_is_tested_on(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(strategies, "calibrate", lambda *_: pytest.fail("calibrated"))
    monkeypatch.setattr(stages, "fit_stage", lambda network, *_, **__: network.build(
        image_size=(SIDE, SIDE), channels=1, template=False, options=network.spec.model
    ))  # fmt: skip
    fold = RunFolder(tmp_path, is_resumed=False).fold(1)
    strategies.train(spec(), parts["train"], parts["tune"], groups=(), seed=1, folder=fold)


def test_features_are_computed_once_and_a_regression_of_them_becomes_the_head(
    parts, trained, tmp_path
):
    asked = spec("features", start="segmenter", feature_folder=tmp_path / "features")
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        folder = RunFolder(tmp_path / run, is_resumed=False)
        # A backbone that learned the same images is what it starts from.
        model = strategies.train(
            asked, parts["train"], None, groups=parts["train"].ids, seed=1, folder=folder,
            trained={"segmenter": trained},
        )  # fmt: skip
    kept = list((tmp_path / "features").rglob("*.npz"))
    assert len(kept) == 1
    outputs = model.predict_on_batch({"image": parts["test"].image})
    found = outputs["class_probability"].argmax(axis=1)
    assert (found == parts["test"].label).mean() > 0.9


def test_features_need_a_head_that_is_linear_in_them():
    with pytest.raises(errors.ConfigError, match=r"features needs .*head pooled, and no patches"):
        strategies.check(
            spec("features", start="x", model={"head": "cells"}), classification.Settings()
        )


def test_specs_of_a_stage_are_those_of_every_recipe():
    made = spec()
    assert isinstance(made, stages.StageSpec)
    assert isinstance(made.train, fit.TrainSpec)
    assert isinstance(made.augment, augment.AugmentSpec)
