"""Fitting a model: one schedule, one order of events, resumable at any epoch.

Why this recipe and not Keras's defaults: on few images, glorot weights with Adam at 1e-3 fall into
"all background". He weights, a warm-up, a clipped gradient and an equal share of defective images
keep them out of it; the cosine decay and averaged weights settle the last points of Dice.
"""

import logging
from typing import Any, Literal

import keras
import numpy as np
import pydantic

from inspection_tf import config, errors, losses, metrics, plots
from inspection_tf.datasets import augment, loader
from inspection_tf.training import callbacks, checkpoints
from inspection_tf.training.run_folder import History, RunFolder

_LOG = logging.getLogger("inspection_tf")
LossName = Literal["soft_dice", "bce_dice", "focal", "tversky", "adaptive_bce_dice"]


class TrainSpec(config.Section):
    """How a model is fitted."""

    epochs: int = pydantic.Field(default=30, ge=1)
    """Passes; an epoch shows `loader.images_per_epoch` images."""
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    """Of AdamW, after the warm-up."""
    warmup_epochs: float = pydantic.Field(default=1.0, ge=0)
    """Epochs in which the learning rate rises from a twentieth."""
    final_learning_rate_share: float = pydantic.Field(default=0.01, ge=0, le=1)
    """Where the cosine decay ends, share of the learning rate."""
    weight_decay: float = pydantic.Field(default=1e-3, ge=0)
    """Of AdamW."""
    clip_norm: float = pydantic.Field(default=1.0, gt=0)
    """Largest norm of the whole gradient."""
    averaging: float = pydantic.Field(default=0.99, ge=0, lt=1)
    """Momentum of the moving average of the weights that is validated and shipped; 0: none. A run
    of few steps takes at most `1 - 5 / steps`, so that it does not ship its own beginning."""
    loss: LossName = "bce_dice"
    """Name in `losses.LOSSES`."""
    loss_options: dict[str, float] = pydantic.Field(default_factory=dict)
    """Arguments of the loss."""
    select: Literal["best", "last"] = "last"
    """Weights that are shipped. `best` looks at the tune split, which then promises too much."""
    validate_every: int = pydantic.Field(default=1, ge=1)
    """Epochs between validations."""
    pictures: int = pydantic.Field(default=4, ge=0)
    """Images in the live validation grid; 0: none."""
    deterministic: bool = True
    """Same seed, same weights, bit by bit, on one machine."""


def seed_everything(seed: int, *, deterministic: bool = True) -> None:
    """Seed Python, NumPy and TensorFlow, and ask TensorFlow for reproducible kernels."""
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def _schedule(spec: TrainSpec, steps: int) -> Any:
    warmup = min(round(spec.warmup_epochs * steps), spec.epochs * steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        spec.learning_rate / 20 if warmup else spec.learning_rate,
        decay_steps=max(1, spec.epochs * steps - warmup),
        alpha=spec.final_learning_rate_share,
        warmup_target=spec.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def compile_model(model: keras.Model, spec: TrainSpec, *, steps_per_epoch: int) -> None:
    """Give a model its optimizer, loss and metrics.

    Raises:
        errors.ConfigError: the loss does not take one of `loss_options`.
    """
    try:
        loss = losses.LOSSES[spec.loss](**spec.loss_options)
    except TypeError as problem:
        raise errors.ConfigError(
            f"train.loss_options must fit the loss {spec.loss}. Got {spec.loss_options}: "
            f"{problem}. "
            "See inspection_tf.losses."
        ) from problem
    steps = spec.epochs * steps_per_epoch
    optimizer = keras.optimizers.AdamW(
        _schedule(spec, steps_per_epoch),
        weight_decay=spec.weight_decay,
        global_clipnorm=spec.clip_norm,
        use_ema=spec.averaging > 0,
        ema_momentum=max(0.0, min(spec.averaging, 1 - 5 / steps)),
    )
    # Decay pulls kernels to 0; biases and norms have no business there.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss={"probability": loss},
        metrics={"probability": [metrics.DiceDefective()]},
    )
    model.optimizer.build(model.trainable_variables)


def _validation_picture(held: loader.Cache, run: RunFolder, count: int) -> Any:
    """Return a callback that draws the same images after each epoch, most of them defective."""
    defective = np.flatnonzero(held.is_defect)[: max(1, count - count // 4)]
    good = np.flatnonzero(~held.is_defect)[: count - len(defective)]
    rows = np.concatenate([defective, good])

    def draw(model: keras.Model, epoch: int) -> None:
        output = model.predict_on_batch({"image": held.image[rows]})["probability"]
        samples = [
            plots.Example(
                image=held.image[row],
                mask_true=held.mask[row, ..., 0] > 0,
                probability=output[place, ..., 0],
                caption=held.ids[row],
            )
            for place, row in enumerate(rows)
        ]
        figure = plots.grid(samples, title=f"epoch {epoch}")
        plots.save(figure, run.path / "validation" / f"epoch_{epoch:04d}.png")

    return draw if len(rows) else None


def _resume(model: keras.Model, run: RunFolder) -> int:
    path = run.path / "checkpoints" / "last.npz"
    if not run.is_resumed or not path.is_file():
        return 0
    values, done = checkpoints.load(path)
    checkpoints.restore(model, values)
    _LOG.info("resuming after epoch %d", done)
    return done


def fit(
    model: keras.Model,
    train: loader.Cache,
    tune: loader.Cache | None,
    *,
    spec: TrainSpec,
    loading: loader.LoaderSpec,
    augmentation: augment.AugmentSpec,
    seed: int,
    run: RunFolder,
    extra_callbacks: tuple[keras.callbacks.Callback, ...] = (),
) -> list[dict[str, float]]:
    """Train a model and leave the chosen weights in it.

    A run that was interrupted goes on after its last full epoch and ends with the same weights.

    Args:
        model: of `inspection_tf.models`, freshly built with the same seed.
        train: images that teach.
        tune: images that are measured after each epoch; None: none are.
        spec: schedule, loss and selection.
        loading: batch size and sampling.
        augmentation: ranges.
        seed: fixes order and augmentation.
        run: receives history, checkpoints, pictures and status.
        extra_callbacks: of Keras, after those of this package.

    Returns:
        The history: a row an epoch, with loss, metrics, and `val_` metrics where measured.

    Raises:
        errors.DivergedError: the loss left the finite numbers; the model holds the weights that the
            epoch began with, and `checkpoints/` what earlier epochs left.
        errors.StorageError: the disk is full; the last checkpoint is whole.
    """
    steps = loader.steps_per_epoch(train, loading)
    compile_model(model, spec, steps_per_epoch=steps)
    done = _resume(model, run)
    history = History(run.path / "history.csv")
    history.keep(done)
    guard = callbacks.FiniteGuard()
    shown = tune if tune is not None and len(tune) else train
    validate = callbacks.Validate(
        loader.for_evaluation(tune, batch_size=loading.batch_size) if tune is not None else None,
        monitor="val_dice_defective",
        every=spec.validate_every,
        epochs=spec.epochs,
        run=run,
        guard=guard,
        picture=_validation_picture(shown, run, spec.pictures) if spec.pictures else None,
    )
    _restore_best(model, validate, run, done)
    if done < spec.epochs:
        model.fit(
            loader.for_training(
                train,
                spec=loading,
                augmentation=augmentation,
                seed=seed,
                epochs=spec.epochs,
                first_epoch=done,
            ),
            epochs=spec.epochs,
            initial_epoch=done,
            steps_per_epoch=steps,
            verbose=0,
            shuffle=False,
            callbacks=[
                guard,
                validate,
                callbacks.Record(run, history, epochs=spec.epochs, guard=guard),
                keras.callbacks.TensorBoard(run.path / "tensorboard", write_graph=False),
                callbacks.ProgressBar(first_epoch=done, epochs=spec.epochs, steps=steps),
                *extra_callbacks,
            ],
        )
    if guard.diverged_at is not None:
        guard.go_back()  # Keras ends by putting the average in, which is 0 before the first step
        raise _diverged(guard.diverged_at, spec)
    _choose_weights(model, validate, spec)
    plots.save(plots.learning_curves(history.rows), run.path / "evaluation" / "curves.png")
    return history.rows


def _restore_best(
    model: keras.Model, validate: callbacks.Validate, run: RunFolder, done: int
) -> None:
    path = run.path / "checkpoints" / "best.npz"
    if not done or not path.is_file():
        return
    values, epoch = checkpoints.load(path)
    if epoch > done:
        return  # written after the checkpoint that training resumes from; it will come again
    rows = [row for row in History(run.path / "history.csv").rows if row["epoch"] == epoch]
    validate.best = values
    validate.best_value = rows[0].get(validate.monitor, float(epoch - 1)) if rows else -np.inf


def _choose_weights(model: keras.Model, validate: callbacks.Validate, spec: TrainSpec) -> None:
    if spec.select == "best" and validate.best is not None:
        checkpoints.restore(model, validate.best, optimizer=False)
    elif spec.averaging > 0:
        model.optimizer.finalize_variable_values(model.trainable_variables)


def _diverged(epoch: int, spec: TrainSpec) -> errors.DivergedError:
    return errors.DivergedError(
        f"The loss must stay finite. Got NaN or infinity in epoch {epoch + 1}. The last finite "
        f"weights are kept; lower train.learning_rate (now {spec.learning_rate:g}) or check the "
        "images and masks."
    )
