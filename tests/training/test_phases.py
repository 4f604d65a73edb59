import keras
import numpy as np
import pytest

from inspection_tf import config, errors
from inspection_tf.models import classifier
from inspection_tf.training import fit, phases
from inspection_tf.training.runs.run_folder import History, RunFolder

TWO = (
    phases.Phase(epochs=2, backbone="frozen", learning_rate=0.02),
    phases.Phase(epochs=2, batch_norm="trained", warmup_epochs=0, optimizer_state="carry"),
)
PARTLY = (
    phases.Phase(epochs=1, backbone="frozen"),
    phases.Phase(
        epochs=2, trainable_from="backbone_norm", batch_norm="trained", optimizer_state="carry"
    ),
)


@pytest.fixture(scope="module")
def tuned(train, make_tuned, tmp_path_factory):
    """An uninterrupted training in two phases: its folder, model, history, and what was seen."""
    path, seen = tmp_path_factory.mktemp("phases") / "run", []
    model, rows = train(path, build=make_tuned, phases=TWO, extra=[Watch(seen)])
    return path, model, rows, seen


class Watch(keras.callbacks.Callback):
    """Notes, by (epoch, place), the weights, their average, and moments."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def note(self, epoch, place):
        optimizer = self.model.optimizer
        kept = optimizer._trainable_variables
        self.seen.append(
            {
                "at": (epoch, place),
                "weights": {v.path: np.array(v) for v in self.model.weights},
                "average": dict(
                    zip(
                        [v.path for v in kept],
                        [np.array(v) for v in optimizer._model_variables_moving_average],
                        strict=True,
                    )
                ),
                "moments": dict(
                    zip(
                        [v.path for v in kept],
                        [np.array(v) for v in optimizer._momentums],
                        strict=True,
                    )
                ),
                "rate": float(optimizer.learning_rate),
            }
        )

    def on_epoch_begin(self, epoch, logs=None):
        self.note(epoch, "begin")

    def on_epoch_end(self, epoch, logs=None):
        self.note(epoch, "end")


def seen_at(seen, epoch, place):
    (found,) = [noted for noted in seen if noted["at"] == (epoch, place)]
    return found


def interrupt(model):
    raise KeyboardInterrupt


# The plan


def test_phases_follow_each_other_and_a_training_without_any_is_one():
    (only,) = phases.plan((), epochs=30)
    assert (only.first, only.last, only.phase) == (0, 30, None)
    first, second = phases.plan(TWO, epochs=4)
    assert (first.number, first.first, first.last) == (1, 0, 2)
    assert (second.number, second.first, second.last) == (2, 2, 4)
    assert second.phase is TWO[1]


def test_epochs_are_the_sum_of_those_of_the_phases():
    assert fit.TrainSpec(epochs=4, phases=TWO).phases == TWO
    with pytest.raises(errors.ConfigError, match="sum of the epochs of its phases, 4, got 5"):
        config.validate(fit.TrainSpec, {"epochs": 5, "phases": TWO}, origin="x")


def test_phases_are_read_from_yaml(tmp_path):
    spec = fit.TrainSpec(epochs=7, phases=TWO + PARTLY, loss_options={"class_weights": (1, 2)})
    path = tmp_path / "train.yaml"
    path.write_text(config.to_yaml(spec))
    assert config.load(fit.TrainSpec, path) == spec


def test_a_frozen_phase_needs_a_backbone(train, make_model, tmp_path):
    with pytest.raises(errors.ConfigError, match="needs a model with a layer named 'backbone'"):
        train(tmp_path / "run", phases=TWO)
    phases.check(make_model(), TWO[1:])  # nothing to freeze: phases of the learning rate alone


# What learns


@pytest.mark.parametrize(
    ("backbone", "batch_norm", "expected"),
    [
        ("frozen", "inference", set()),
        ("frozen", "trained", {"statistics", "norm"}),
        ("trained", "inference", {"kernel"}),
        ("trained", "trained", {"kernel", "norm", "statistics"}),
    ],
)
def test_a_step_moves_what_the_phase_lets_learn(backbone, batch_norm, expected, make_tuned):
    fit.seed_everything(0)
    model = make_tuned()
    phases.set_trainable(model, phases.Phase(backbone=backbone, batch_norm=batch_norm))
    fit.compile_model(model, fit.TrainSpec(epochs=1, warmup_epochs=0), steps_per_epoch=4)
    model.run_eagerly = True
    before = {v.path: np.array(v) for v in model.weights}
    image = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 1), dtype=np.uint8)
    model.train_on_batch({"image": image}, {"probability": (image > 200).astype(np.uint8)})
    moved = {v.path for v in model.weights if not np.array_equal(v, before[v.path])}
    kinds = {"kernel": "kernel", "gamma": "norm", "beta": "norm", "moving_mean": "statistics"}
    found = {
        kinds[path.split("/")[-1]]
        for path in moved
        if path.startswith("backbone") and path.split("/")[-1] in kinds
    }
    assert found == expected
    assert {"head_conv/kernel", "head_norm/gamma", "head_norm/moving_mean"} <= moved


def test_flags_change_neither_the_weights_nor_their_order(make_tuned, weights, assert_same):
    fit.seed_everything(0)
    model = make_tuned()
    captured = []
    frozen = phases.Phase(backbone="frozen", batch_norm="trained")
    for phase in (phases.Phase(), *TWO, frozen, *PARTLY):
        phases.set_trainable(model, phase)
        captured.append(weights(model))
    for other in captured[1:]:
        assert_same(other, captured[0])


def test_a_released_backbone_is_as_it_was_built(make_tuned):
    model = make_tuned()
    before = [v.path for v in model.trainable_variables]
    for phase in TWO:
        phases.set_trainable(model, phase)
    assert [v.path for v in model.trainable_variables] == before


# A part of the backbone


def moved_by_a_step(model, phase):
    """Set up a phase, make one step on two images, and return what moved and what did not."""
    phases.set_trainable(model, phase)
    fit.compile_model(
        model,
        fit.TrainSpec(epochs=1, warmup_epochs=0, loss="cross_entropy"),
        steps_per_epoch=4,
    )
    model.run_eagerly = True
    before = {v.path: np.array(v) for v in model.weights}
    shape = (2, *model.input["image"].shape[1:])
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    model.train_on_batch({"image": image}, {"class_probability": np.array([0, 1])})
    moved = {v.path for v in model.weights if not np.array_equal(v, before[v.path])}
    return moved, before.keys() - moved


def tuned_from(part, **options):
    return phases.Phase(trainable_from=part, **options)


@pytest.mark.parametrize("batch_norm", ["inference", "trained"])
def test_a_backbone_learns_from_a_block_on(batch_norm):
    fit.seed_everything(0)
    options = {"name": "vgg10", "strides": (4,)}
    model = classifier.build(image_size=(16, 16), backbone=options)
    moved, rested = moved_by_a_step(model, tuned_from("block3", batch_norm=batch_norm))
    # Of block3 three convolutions without bias, and their norms: scale, offset, mean and variance.
    kernels = {f"block3_conv{index}/kernel" for index in (1, 2, 3)}
    norms = {
        f"block3_conv{index}_norm/{name}"
        for index in (1, 2, 3)
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    expected = kernels | (norms if batch_norm == "trained" else set())
    assert {path for path in moved if path.startswith("block")} == expected
    assert {"class_logits/kernel", "class_logits/bias", "pooled_norm/gamma"} <= moved
    assert {f"block2_conv2_norm/{name}" for name in ("gamma", "moving_mean")} <= rested


def test_the_top_blocks_of_a_mobilenet_v2_learn():
    fit.seed_everything(0)
    options = {"name": "keras_mobilenet_v2", "strides": (32,)}
    model = classifier.build(image_size=(32, 32), backbone=options)
    moved, _ = moved_by_a_step(model, tuned_from("block_16"))
    top = {f"block_16_{name}/kernel" for name in ("expand", "depthwise", "project")}
    assert {path for path in moved if path.startswith("block")} == top
    assert "Conv1/kernel" not in moved


def test_what_was_frozen_in_part_can_be_released_and_frozen_again(make_tuned):
    model = make_tuned()
    everything = [v.path for v in model.trainable_variables]
    phases.set_trainable(model, tuned_from("backbone_norm", batch_norm="trained"))
    parts = [v.path for v in model.trainable_variables]
    assert [path for path in parts if path.startswith("backbone")] == [
        "backbone_norm/gamma", "backbone_norm/beta",
    ]  # fmt: skip
    phases.set_trainable(model, phases.Phase(batch_norm="trained"))
    assert [v.path for v in model.trainable_variables] == everything


def test_a_part_of_a_frozen_backbone_is_refused():
    values = {"backbone": "frozen", "trainable_from": "block_13"}
    with pytest.raises(errors.ConfigError, match="must go with backbone: trained, got frozen"):
        config.validate(phases.Phase, values, origin="x")


def test_a_part_that_the_backbone_does_not_have_is_refused(make_model, make_tuned):
    with pytest.raises(errors.ConfigError, match=r"Got 'block_13'\. Choose one of backbone_conv"):
        phases.check(make_tuned(), [phases.Phase(), tuned_from("block_13")])
    with pytest.raises(errors.ConfigError, match="needs a model with a layer named 'backbone'"):
        phases.check(make_model(), [tuned_from("block_13")])


# From one to the next


def test_moments_of_what_was_trained_before_are_carried():
    head, backbone = keras.Variable([1.0, 2.0]), keras.Variable([3.0])
    before, after = keras.optimizers.AdamW(), keras.optimizers.AdamW()
    before.build([head])
    before.apply([keras.ops.array([0.5, -1.0])])
    after.build([backbone, head])
    phases.carry(before, after)
    # Adam's first step: a tenth of the gradient, a thousandth of its square.
    np.testing.assert_allclose(after._momentums[1], [0.05, -0.1], rtol=1e-5)
    np.testing.assert_allclose(after._velocities[1], [0.25e-3, 1e-3], rtol=1e-4)
    assert float(after._momentums[0][0]) == float(after._velocities[0][0]) == 0
    assert int(after.iterations) == 0


def test_the_backbone_rests_in_the_first_phase_and_moves_in_the_second(tuned):
    seen = tuned[3]
    start, frozen, end = (
        seen_at(seen, *place)["weights"] for place in ((0, "begin"), (1, "end"), (3, "end"))
    )
    for path, value in start.items():
        is_same = np.array_equal(value, frozen[path])
        assert is_same == path.startswith("backbone"), path
        assert not np.array_equal(end[path], frozen[path]), path


def test_a_phase_begins_with_the_average_of_the_one_before(tuned):
    average = seen_at(tuned[3], 1, "end")["average"]
    begun = seen_at(tuned[3], 2, "begin")["weights"]
    assert set(average) < set(begun)
    for path, value in average.items():
        np.testing.assert_array_equal(begun[path], value)


def test_each_phase_has_its_own_learning_rate(tuned):
    # A warm-up of one epoch from a twentieth of 0.02, the rate of the phase; then none, at 0.01,
    # the rate of the training.
    assert seen_at(tuned[3], 0, "begin")["rate"] == pytest.approx(0.001)
    assert seen_at(tuned[3], 1, "begin")["rate"] == pytest.approx(0.02)
    assert seen_at(tuned[3], 2, "begin")["rate"] == pytest.approx(0.01)


@pytest.mark.parametrize("state", ["carry", "reset"])
def test_the_optimizer_goes_on_or_starts_anew(state, tuned, train, make_tuned, tmp_path):
    seen = tuned[3]
    if state == "reset":
        seen = []
        second = TWO[1].model_copy(update={"optimizer_state": "reset", "epochs": 1})
        train(
            tmp_path / "run",
            build=make_tuned,
            watched=None,
            epochs=3,
            phases=(TWO[0], second),
            extra=[Watch(seen)],
        )
    ended, begun = (seen_at(seen, *place)["moments"] for place in ((1, "end"), (2, "begin")))
    assert set(ended) == {path for path in begun if not path.startswith("backbone")}
    for path, value in begun.items():
        if state == "carry" and path in ended:
            np.testing.assert_array_equal(value, ended[path])
            assert value.any()
        else:
            assert not value.any()


# What a training leaves


def test_one_history_tells_the_phase_of_each_epoch_and_measures_where_one_ends(tuned):
    path, _, rows, _ = tuned
    assert [(row["epoch"], row["phase"]) for row in rows] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    # Every third epoch is validated, and the last of each phase.
    assert ["val_loss" in row for row in rows] == [False, True, True, True]
    assert History(path / "history.csv").rows == rows
    status = RunFolder(path, is_resumed=True).status()
    assert (status["epoch"], status["epochs"], status["seconds_left"]) == (4, 4, 0)
    assert (path / "evaluation" / "curves.png").is_file()


def test_one_phase_of_everything_is_a_training_without_phases(
    train, make_tuned, tmp_path, checkpoint, assert_same
):
    options = {"build": make_tuned, "epochs": 2}
    _, plain = train(tmp_path / "plain", **options)
    whole = (phases.Phase(epochs=2, batch_norm="trained"),)
    _, rows = train(tmp_path / "phase", phases=whole, **options)
    assert rows == [{**row, "phase": 1.0} for row in plain]
    for name in ("last", "best"):
        found, expected = (checkpoint(tmp_path / run, name) for run in ("phase", "plain"))
        assert_same(found[0], expected[0])


@pytest.mark.parametrize(
    ("epoch", "step"),
    [
        pytest.param(1, 1, id="first phase", marks=pytest.mark.slow),
        pytest.param(2, 0, id="switch"),
        pytest.param(3, 1, id="second phase"),
    ],
)
def test_an_interrupted_training_ends_as_if_it_never_was(
    epoch, step, train, make_tuned, at, tuned, tmp_path, weights, assert_same, assert_same_training
):
    path, options = tmp_path / "run", {"build": make_tuned, "phases": TWO}
    with pytest.raises(KeyboardInterrupt):
        train(path, extra=[at(epoch, step, interrupt)], **options)
    assert len(History(path / "history.csv").rows) == epoch
    model, rows = train(path, resumed=True, process_seed=99, **options)
    assert rows == tuned[2]
    assert_same_training(path, tuned[0])
    assert_same(weights(model), weights(tuned[1]))
    if epoch == 3:  # and once at its end it stays as it is
        model, _ = train(path, resumed=True, process_seed=98, **options)
        assert_same_training(path, tuned[0])
        assert_same(weights(model), weights(tuned[1]))


@pytest.mark.slow
def test_a_training_of_a_part_ends_as_if_it_was_never_interrupted(
    train, make_tuned, at, tmp_path, weights, assert_same, assert_same_training
):
    options = {"build": make_tuned, "phases": PARTLY, "epochs": 3}
    whole, rows = train(tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", extra=[at(2, 1, interrupt)], **options)
    model, resumed = train(tmp_path / "run", resumed=True, process_seed=99, **options)
    assert resumed == rows
    assert_same_training(tmp_path / "run", tmp_path / "whole")
    assert_same(weights(model), weights(whole))


def test_a_phase_that_diverges_is_named_and_leaves_what_it_began_with(
    train, make_tuned, at, tmp_path, checkpoint
):
    models = []

    def spoil(model):
        models.append(model)
        model.trainable_variables[0].assign(
            keras.ops.full_like(model.trainable_variables[0], np.nan)
        )

    path = tmp_path / "run"
    with pytest.raises(
        errors.DivergedError, match=r"epoch 3.*train\.phases\.1\.learning_rate \(now 0\.01\)"
    ):
        train(path, build=make_tuned, watched=None, phases=TWO, extra=[at(2, 1, spoil)])
    _, epoch = checkpoint(path)
    assert epoch == 2
    assert all(np.isfinite(v).all() for v in models[0].weights)
