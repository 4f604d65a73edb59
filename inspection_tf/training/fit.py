"""Fitting a model: one order of events, in one phase or several, resumable at any epoch.

Why this recipe and not Keras's defaults: on few images, glorot weights with Adam at 1e-3 fall into
"all background". He weights, a warm-up, a clipped gradient and an equal share of defective images
keep them out of it; the cosine decay and averaged weights settle the last points of Dice.
"""

import functools
import logging
from typing import Any, Literal

import keras
import pydantic

from inspection_tf import config, errors, files, plots
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.training import callbacks, checkpoints, doctor, output_kinds, phases
from inspection_tf.training.phases import Phase
from inspection_tf.training.run_folder import History, RunFolder

_LOG = logging.getLogger("inspection_tf")
LossName = Literal[
    "soft_dice",
    "bce_dice",
    "focal",
    "tversky",
    "adaptive_bce_dice",
    "cross_entropy",
    "class_focal",
    "corner_mae",
]


class TrainSpec(config.Section):
    """How a model is fitted."""

    epochs: int = pydantic.Field(default=30, ge=1)
    """Passes; an epoch shows `loader.images_per_epoch` images. With phases, the sum of theirs."""
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
    """Name in `losses.SEGMENTATION` or, for a classifier, `losses.CLASSIFICATION`, or for a field
    `losses.LOCATION`."""
    loss_options: dict[str, float | bool | tuple[float, ...]] = pydantic.Field(default_factory=dict)
    """Arguments of the loss: numbers, true or false, lists of numbers."""
    select: Literal["best", "last"] = "last"
    """Weights that are shipped. `best` looks at the tune split, which then promises too much. In a
    cross-validation it is `last`: what is watched there also judges."""
    validate_every: int = pydantic.Field(default=1, ge=1)
    """Epochs between validations."""
    pictures: int = pydantic.Field(default=4, ge=0)
    """Images in the grid that each validation draws; 0: none. It shows the averaged weights or,
    while these still lag far behind, those that learn."""
    deterministic: bool = True
    """Same seed, same weights, bit by bit, on one machine."""
    phases: tuple[Phase, ...] = ()
    """Of fine-tuning, one after the other, each from the averaged weights of the one before; none:
    one training of everything."""

    @pydantic.model_validator(mode="after")
    def _phases_add_up(self) -> "TrainSpec":
        total = sum(phase.epochs for phase in self.phases)
        if self.phases and total != self.epochs:
            raise ValueError(
                f"epochs must be the sum of the epochs of its phases, {total}, got {self.epochs}"
            )
        return self


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


def compile_model(
    model: keras.Model, spec: TrainSpec, *, steps_per_epoch: int, ignored_id: int | None = None
) -> None:
    """Give a model its optimizer, loss and metrics.

    Args:
        model: with one output, `probability`, `class_probability` or `corners`; beside the last,
            what only teaches it.
        spec: its `phases` are not looked at: the whole is compiled as one.
        steps_per_epoch: batches.
        ignored_id: stands in masks for pixels that count for nothing; None: all count.

    Raises:
        errors.ConfigError: the output is another, or the loss does not fit it or does not take one
            of `loss_options`.
    """
    task = output_kinds.of(model)
    if spec.loss not in task.losses:
        raise errors.ConfigError(
            f"train.loss must fit the output {task.output}. Got {spec.loss}. "
            f"Choose one of {', '.join(task.losses)}."
        )
    # Only maps have pixels; what is beside them, a teacher's map, has the same.
    own = (
        {"ignored_id": ignored_id}
        if ignored_id is not None and task.output == output_kinds.MAP
        else {}
    )
    try:
        loss = task.losses[spec.loss](**{**spec.loss_options, **own})
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
        loss={
            task.output: loss,
            **{name: output_kinds.BESIDE[name](**own) for name in task.beside},
        },
        loss_weights=task.loss_weights,
        metrics={task.output: task.metrics(ignored_id=ignored_id)},
    )
    model.optimizer.build(model.trainable_variables)


def _settings(spec: TrainSpec, leg: phases.Leg) -> TrainSpec:
    """Return the settings of one phase, as of a training without any."""
    if leg.phase is None:
        return spec
    own = leg.phase.model_dump(include={"epochs", "learning_rate", "warmup_epochs"})
    given = {name: value for name, value in own.items() if value is not None}
    return spec.model_copy(update={**given, "phases": ()})


def _begin(
    model: keras.Model,
    leg: phases.Leg,
    settings: TrainSpec,
    *,
    steps: int,
    before: Any,
    ignored_id: int | None,
) -> None:
    """Compile a model for a phase; `before` is the optimizer of the one that ended just now."""
    if leg.phase is not None:
        phases.set_trainable(model, leg.phase)
    compile_model(model, settings, steps_per_epoch=steps, ignored_id=ignored_id)
    if before is not None and leg.phase is not None and leg.phase.optimizer_state == "carry":
        phases.carry(before, model.optimizer)


def _last_checkpoint(run: RunFolder) -> tuple[checkpoints.Values | None, int]:
    path = run.path / "checkpoints" / "last.npz"
    if not run.is_resumed or not path.is_file():
        return None, 0
    values, done = checkpoints.load(path)
    _LOG.info("resuming after epoch %d", done)
    return values, done


def _watchers(
    task: output_kinds.Task,
    train: loader.Cache,
    tune: loader.Cache | None,
    legs: tuple[phases.Leg, ...],
    spec: TrainSpec,
    loading: loader.LoaderSpec,
    history: History,
    run: RunFolder,
) -> tuple[callbacks.FiniteGuard, callbacks.Validate, callbacks.Record]:
    """Return the callbacks that go through all phases, in the order in which they must stand."""
    guard = callbacks.FiniteGuard()
    ends = tuple(leg.last for leg in legs if leg.phase is not None)
    validate = callbacks.Validate(
        None
        if tune is None
        else loader.shared(
            loader.for_evaluation(tune, batch_size=loading.batch_size, target=task.target),
            names=task.outputs,
        ),
        monitor=task.monitor,
        every=spec.validate_every,
        epochs=spec.epochs,
        run=run,
        guard=guard,
        picture=output_kinds.picture(task, tune or train, run, spec.pictures),
        phase_ends=ends,
        is_lower_better=task.is_lower_better,
        prefix=task.prefix,
    )
    record = callbacks.Record(run, history, epochs=spec.epochs, guard=guard, phase_ends=ends)
    return guard, validate, record


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
    A phase ends with its averaged weights, which the next begins with.

    Args:
        model: of `inspection_tf.models`, freshly built with the same seed.
        train: images that teach.
        tune: images that are measured after every `validate_every` epochs, at the end of a phase
            and at the end; None: none are.
        spec: schedule, loss and selection.
        loading: batch size and sampling.
        augmentation: ranges.
        seed: fixes order and augmentation.
        run: receives history, checkpoints, pictures and status.
        extra_callbacks: of Keras, after those of this package; training begins once a phase.

    Returns:
        The history: a row an epoch, with loss, metrics, and `val_` metrics where measured.

    Raises:
        errors.ConfigError: `spec` does not fit the model.
        errors.DivergedError: the loss left the finite numbers; the model holds the weights that the
            epoch began with, and `checkpoints/` what earlier epochs left.
        errors.StorageError: the disk is full; the last checkpoint is whole.
    """
    phases.check(model, spec.phases)
    task = output_kinds.of(model)
    legs = phases.plan(spec.phases, epochs=spec.epochs)
    steps = loader.steps_per_epoch(train, loading)
    ignored_id = train.ignored_id or (None if tune is None else tune.ignored_id)
    values, done = _last_checkpoint(run)
    history = History(run.path / "history.csv")
    history.keep(done)
    watching = _watchers(task, train, tune, legs, spec, loading, history, run)
    guard, validate, _ = watching
    validate.resume(done)
    draw = functools.partial(
        loader.for_training,
        train,
        spec=loading,
        augmentation=augmentation,
        seed=seed,
        target=task.target,
    )
    before = None
    for leg in legs:
        if leg.last < min(done, spec.epochs):
            continue
        settings = _settings(spec, leg)
        _begin(model, leg, settings, steps=steps, before=before, ignored_id=ignored_id)
        if values is not None:
            checkpoints.restore(model, values)
            values = None
        first = max(done, leg.first)
        if first < leg.last:
            model.fit(
                loader.shared(draw(epochs=leg.last, first_epoch=first), names=task.outputs),
                epochs=leg.last,
                initial_epoch=first,
                steps_per_epoch=steps,
                verbose=0,
                shuffle=False,
                callbacks=[
                    *watching,
                    keras.callbacks.TensorBoard(run.path / "tensorboard", write_graph=False),
                    callbacks.ProgressBar(first_epoch=first, epochs=leg.last, steps=steps),
                    *extra_callbacks,
                ],
            )
        if guard.diverged_at is not None:
            guard.go_back()  # Keras ends by putting the average in: 0 before the first step
            raise _diverged(guard.diverged_at, leg, settings)
        model.optimizer.finalize_variable_values(model.trainable_variables)
        before = model.optimizer
    if spec.select == "best" and validate.best is not None and run.number is None:
        checkpoints.restore(model, validate.best, optimizer=False)
    shown = [{name: row[name] for name in row if name != "phase"} for row in history.rows]
    plots.save(plots.learning_curves(shown), run.path / "evaluation" / "curves.png")
    diagnosis = doctor.diagnose(history.rows)
    _LOG.info("curves: %s", diagnosis)
    files.write(run.path / "evaluation" / "diagnosis.txt", f"{diagnosis}\n")
    return history.rows


def _diverged(epoch: int, leg: phases.Leg, settings: TrainSpec) -> errors.DivergedError:
    section = "train" if leg.phase is None else f"train.phases.{leg.number - 1}"
    return errors.DivergedError(
        f"The loss must stay finite. Got NaN or infinity in epoch {epoch + 1}. The last finite "
        f"weights are kept; lower {section}.learning_rate (now {settings.learning_rate:g}) or "
        "check the images and their labels."
    )
