"""A student that learns from its teacher's map beside the mask."""

import functools
import json

import numpy as np
import pytest

from inspection_tf import bundle, errors, images
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.models import unet
from inspection_tf.tasks.fields.learning import network
from inspection_tf.training import distilling, fit
from inspection_tf.training.runs import checkpoints
from inspection_tf.training.runs.run_folder import RunFolder

SIZE = (16, 16)
BUILD = functools.partial(unet.build, image_size=SIZE)
TEACHER = {"model": unet.Options(filters=(8, 8), normalization="batch")}
SPEC = {"validate_every": 2, "pictures": 1, "learning_rate": 0.01}


@pytest.fixture
def distill(teach, tune):
    def run(path, *, resumed=False, loss="bce_dice", **options):
        fit.seed_everything(7)
        student = BUILD(filters=(4, 8), normalization="batch")
        path.mkdir(exist_ok=True)
        asked = {**TEACHER, "train": fit.TrainSpec(epochs=2, **SPEC), **options}
        distilling.train(
            student,
            BUILD,
            distilling.Teacher(**asked),
            teach,
            tune,
            fit.Stage(
                spec=fit.TrainSpec(epochs=2, loss=loss, **SPEC),
                loading=loader.LoaderSpec(batch_size=2),
                augmentation=augment.AugmentSpec(),
                seed=7,
                folder=RunFolder(path, is_resumed=resumed),
            ),
        )
        return student

    return run


def values(path):
    return checkpoints.load(path / "checkpoints" / "last.npz")[0]


@pytest.mark.slow
def test_the_teacher_comes_first_and_both_leave_what_a_training_leaves(distill, tmp_path):
    distill(tmp_path / "run")
    for part, columns in (("teacher", ()), ("student", ("taught_loss", "val_taught_loss"))):
        folder = tmp_path / "run" / part
        header = (folder / "history.csv").read_text().splitlines()[0].split(",")
        assert {"loss", "val_dice_defective", *columns} <= set(header)
        assert (folder / "validation" / "epoch_0002.png").is_file()
        assert (folder / "evaluation" / "curves.png").is_file()
    said = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (said["stage"], said["epoch"]) == ("student", 2)


def test_the_student_learns_and_its_teacher_does_not(teach):
    fit.seed_everything(0)
    student, teacher = (BUILD(filters=(4, 8), normalization="batch") for _ in range(2))
    learner = distilling.beside(student, teacher, share=0.5)
    before = [checkpoints.capture(model, optimizer=False) for model in (student, teacher)]
    fit.compile_model(learner, fit.TrainSpec(), steps_per_epoch=3)
    target = {name: teach.mask for name in learner.output}
    learner.fit({"image": teach.image}, target, batch_size=2, verbose=0)
    after = [checkpoints.capture(model, optimizer=False) for model in (student, teacher)]
    for name, value in before[1].items():  # the statistics of its norms as well
        np.testing.assert_array_equal(value, after[1][name])
    moved = [not np.array_equal(value, after[0][name]) for name, value in before[0].items()]
    assert sum(moved) > len(moved) // 2
    # What is trained is what is shipped.
    shown = teach.image[:2]
    np.testing.assert_array_equal(
        student.predict({"image": shown}, verbose=0)["probability"],
        learner.predict({"image": shown}, verbose=0)["probability"],
    )


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_weighs_both_losses(teach, share):
    fit.seed_everything(0)
    student, teacher = (BUILD(filters=(4, 8)) for _ in range(2))
    learner = distilling.beside(student, teacher, share=share)
    fit.compile_model(learner, fit.TrainSpec(), steps_per_epoch=3)
    target = {name: teach.mask for name in learner.output}
    found = learner.evaluate({"image": teach.image}, target, verbose=0, return_dict=True)
    expected = (1 - share) * found["probability_loss"] + share * found["taught_loss"]
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    assert found["taught_loss"] > 0


@pytest.mark.slow
def test_without_a_share_the_teacher_teaches_nothing(distill, train, tmp_path):
    build = functools.partial(BUILD, filters=(4, 8), normalization="batch")
    alone, _ = train(tmp_path / "alone", build=build, epochs=2, **SPEC | {"pictures": 0})
    taught = distill(tmp_path / "taught", share=0.0)
    for own, other in zip(alone.get_weights(), taught.get_weights(), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["random", "pruned"])
def test_a_resumed_run_ends_with_the_same_weights(distill, tmp_path, monkeypatch, start):
    distill = functools.partial(distill, start=start)
    whole = distill(tmp_path / "whole")
    begun = fit.fit

    def stop_before_the_student(model, *args, **kwargs):
        if model.name == "distilled":
            raise KeyboardInterrupt
        return begun(model, *args, **kwargs)

    monkeypatch.setattr(fit, "fit", stop_before_the_student)
    with pytest.raises(KeyboardInterrupt):
        distill(tmp_path / "cut")
    monkeypatch.setattr(fit, "fit", begun)
    resumed = distill(tmp_path / "cut", resumed=True)
    for own, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)
    for part in ("teacher", "student"):
        found, expected = values(tmp_path / "cut" / part), values(tmp_path / "whole" / part)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize(
    "other", [{"image_size": (32, 32)}, {"channels": 3}, {"classes": 2}, {"template": True}]
)
def test_a_teacher_of_other_images_or_classes_is_refused(other):
    given = {"image_size": SIZE, "filters": (4, 8)}
    with pytest.raises(errors.ConfigError, match="must take and give what its student does"):
        distilling.beside(unet.build(**given), unet.build(**given | other), share=0.5)


def test_what_gives_no_map_is_refused():
    locator = network.build(image_size=(32, 32), filters=(4, 8))
    with pytest.raises(errors.ConfigError, match="networks that give a map"):
        distilling.beside(BUILD(filters=(4, 8)), locator, share=0.5)


def test_a_student_that_does_not_fit_its_loss_ends_before_the_teacher_trains(distill, tmp_path):
    with pytest.raises(errors.ConfigError, match=r"train\.loss must fit"):
        distill(tmp_path / "run", loss="cross_entropy")
    assert not (tmp_path / "run" / "teacher" / "history.csv").exists()


def test_a_student_starts_as_the_channels_of_its_trained_teacher(distill, tmp_path, monkeypatch):
    begun, scales = fit.fit, []

    def train(model, *args, **kwargs):
        if model.name != "distilled":
            begun(model, *args, **kwargs)
        scales.append(model.get_layer("encoder1_conv1_norm").get_weights()[0])
        if model.name == "distilled":
            raise KeyboardInterrupt

    monkeypatch.setattr(fit, "fit", train)
    with pytest.raises(KeyboardInterrupt):
        distill(tmp_path / "run", start="pruned")
    taught, started = scales
    assert np.abs(taught - 1).max() > 0  # it has learned
    assert (len(taught), len(started)) == (8, 4)
    assert set(started) <= set(taught)


def test_a_start_that_does_not_fit_ends_before_the_teacher_trains(distill, tmp_path):
    deeper = unet.Options(filters=(8, 8, 8), normalization="batch")
    with pytest.raises(errors.ConfigError, match="must have its layers"):
        distill(tmp_path / "run", start="pruned", model=deeper)
    assert not (tmp_path / "run" / "teacher" / "history.csv").exists()


# A teacher that is there already


@pytest.fixture
def told(toy_bundle_copy, toy_records):
    """Ask for the teacher of the toy bundle, for a student of these records."""

    def ask(rows, root=toy_bundle_copy):
        held = loader.cache(toy_records.select(rows), images.Preprocessing(size=(64, 64)))
        return distilling._of_bundle(root, held)

    return ask


def test_a_bundles_network_teaches_if_all_its_images_train_the_student(told, toy_bundle_copy):
    taught = bundle.read(toy_bundle_copy).provenance.data.splits["train"]
    assert told(taught).output["probability"].shape == (None, 64, 64, 1)
    with pytest.raises(errors.DataError, match=r"learned from images that train.*Got 1 others"):
        told(taught[1:])


def test_a_bundle_without_its_source_teaches_nobody(told, toy_bundle_copy, reseal):
    taught = bundle.read(toy_bundle_copy).provenance.data.splits["train"]
    (toy_bundle_copy / "source" / "model.keras").unlink()
    with pytest.raises(errors.BundleError, match=r"model\.keras"):
        told(taught)


def test_a_cascade_teaches_nobody(told, toy_cascade, toy_records):
    with pytest.raises(errors.BundleError, match=r"bundle of one network.*Got 2 networks"):
        told(toy_records.ids, toy_cascade.path)
