"""Fitting a model: one order of events, in one phase or several, resumable at any epoch.

Why this recipe and not Keras's defaults: on few images, glorot weights with Adam at 1e-3 fall into
"all background". He weights, a warm-up, a clipped gradient and an equal share of defective images
keep them out of it; the cosine decay and averaged weights settle the last points of Dice.
"""

import functools
import logging

import keras

from inspection_tf import errors, files, plots
from inspection_tf.datasets.loading import loader
from inspection_tf.losses.keras_types import Optimizer, Schedule
from inspection_tf.training import callbacks, doctor, outputs, phases
from inspection_tf.training.runs import checkpoints
from inspection_tf.training.runs.run_folder import History, RunFolder
from inspection_tf.training.stage import Stage, TrainSpec

__all__ = ["Stage", "TrainSpec", "compile_model", "fit", "seed_everything"]

_LOG = logging.getLogger("inspection_tf")


def seed_everything(seed: int, *, deterministic: bool = True) -> None:
    """Seed Python, NumPy and TensorFlow, and ask TensorFlow for reproducible kernels."""
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def _schedule(spec: TrainSpec, steps: int) -> Schedule:
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
        model: with one output that a task knows how to learn, and what only helps to teach it.
        spec: its `phases` do not matter: the whole is compiled as one.
        steps_per_epoch: batches.
        ignored_id: stands in masks for pixels that count for nothing; None: all count.

    Raises:
        errors.ConfigError: the output is another, or the loss does not fit it or does not take one
            of `loss_options`.
    """
    trained = outputs.of(model)
    learning = trained.learning
    if spec.loss not in learning.losses:
        raise errors.ConfigError(
            f"train.loss must fit the output {trained.output}. Got {spec.loss}. "
            f"Choose one of {', '.join(learning.losses)}."
        )
    # What is beside a map, a teacher's, has the same pixels.
    has_ignored = ignored_id is not None and learning.has_pixels
    ignored = {"ignored_id": ignored_id} if has_ignored else {}
    try:
        loss = learning.losses[spec.loss](**{**spec.loss_options, **ignored})
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
            trained.output: loss,
            **{name: learning.beside[name](**ignored) for name in trained.beside},
        },
        loss_weights=trained.loss_weights,
        metrics={trained.output: trained.metrics(ignored_id=ignored_id)},
    )
    model.optimizer.build(model.trainable_variables)


def _settings(spec: TrainSpec, phase: phases.Phase | None) -> TrainSpec:
    """Return the settings of one phase, as of a training without any."""
    if phase is None:
        return spec
    fields = phase.model_dump(include={"epochs", "learning_rate", "warmup_epochs"})
    differing = {name: value for name, value in fields.items() if value is not None}
    return spec.model_copy(update={**differing, "phases": ()})


def _begin(
    model: keras.Model,
    phase: phases.Phase | None,
    settings: TrainSpec,
    *,
    steps: int,
    before: Optimizer | None,
    ignored_id: int | None,
) -> None:
    """Compile a model for a phase; `before` is the optimizer of the one that ended just now."""
    if phase is not None:
        phases.set_trainable(model, phase)
    compile_model(model, settings, steps_per_epoch=steps, ignored_id=ignored_id)
    if before is not None and phase is not None and phase.optimizer_state == "carry":
        phases.carry(before, model.optimizer)


def _last_checkpoint(folder: RunFolder) -> tuple[checkpoints.Values | None, int]:
    path = folder.path / "checkpoints" / "last.npz"
    if not folder.is_resumed or not path.is_file():
        return None, 0
    values, done = checkpoints.load(path)
    _LOG.info("resuming after epoch %d", done)
    return values, done


def _watchers(
    trained: outputs.TrainedOutput,
    train: loader.Cache,
    tune: loader.Cache | None,
    stage: Stage,
    history: History,
) -> tuple[callbacks.FiniteGuard, callbacks.Validate, callbacks.Record]:
    """Return the callbacks that go through all phases, in the order in which they must stand."""
    spec, folder = stage.spec, stage.folder
    guard = callbacks.FiniteGuard()
    ends = tuple(phases.ends(spec.phases))
    batches = None
    if tune is not None:
        batches = loader.shared(
            trained.learning.for_evaluation(tune, batch_size=stage.loading.batch_size),
            names=trained.names,
        )
    validate = callbacks.Validate(
        batches,
        monitor=trained.monitor,
        every=spec.validate_every,
        epochs=spec.epochs,
        run=folder,
        guard=guard,
        picture=outputs.picture(trained, tune or train, folder, spec.pictures),
        phase_ends=ends,
        is_lower_better=trained.learning.is_lower_better,
        prefix=trained.prefix,
    )
    record = callbacks.Record(folder, history, epochs=spec.epochs, guard=guard, phase_ends=ends)
    return guard, validate, record


def fit(
    model: keras.Model,
    train: loader.Cache,
    tune: loader.Cache | None,
    stage: Stage,
    *,
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
        stage: how, on which batches, from which seed, and where to.
        extra_callbacks: of Keras, after those of this package; training begins once a phase.

    Returns:
        The history: a row an epoch, with loss, metrics, and `val_` metrics where measured.

    Raises:
        errors.ConfigError: the stage does not fit the model.
        errors.DivergedError: the loss left the finite numbers; the model holds the weights that the
            epoch began with, and `checkpoints/` what earlier epochs left.
        errors.StorageError: the disk is full; the last checkpoint is whole.
    """
    spec, folder = stage.spec, stage.folder
    phases.check(model, spec.phases)
    trained = outputs.of(model)
    steps = loader.steps_per_epoch(train, stage.loading)
    ignored_id = train.ignored_id or (None if tune is None else tune.ignored_id)
    values, done = _last_checkpoint(folder)
    history = History(folder.path / "history.csv")
    history.keep(done)
    watchers = _watchers(trained, train, tune, stage, history)
    guard, validate, _ = watchers
    validate.resume(done)
    draw = functools.partial(
        trained.learning.for_training,
        train,
        spec=stage.loading,
        augmentation=stage.augmentation,
        seed=stage.seed,
    )
    before = None
    for scheduled in phases.plan(spec.phases, epochs=spec.epochs):
        if scheduled.last < min(done, spec.epochs):
            continue
        phase = scheduled.phase
        settings = _settings(spec, phase)
        _begin(model, phase, settings, steps=steps, before=before, ignored_id=ignored_id)
        if values is not None:
            checkpoints.restore(model, values)
            values = None
        first, last = max(done, scheduled.first), scheduled.last
        if first < last:
            model.fit(
                loader.shared(draw(epochs=last, first_epoch=first), names=trained.names),
                epochs=last,
                initial_epoch=first,
                steps_per_epoch=steps,
                verbose=0,
                shuffle=False,
                callbacks=[
                    *watchers,
                    keras.callbacks.TensorBoard(folder.path / "tensorboard", write_graph=False),
                    callbacks.ProgressBar(first_epoch=first, epochs=last, steps=steps),
                    *extra_callbacks,
                ],
            )
        if guard.diverged_at is not None:
            guard.go_back()  # Keras ends by putting the average in: 0 before the first step
            raise _diverged(guard.diverged_at, scheduled, settings)
        model.optimizer.finalize_variable_values(model.trainable_variables)
        before = model.optimizer
    if spec.select == "best" and validate.best is not None and folder.number is None:
        checkpoints.restore(model, validate.best, optimizer=False)
    _conclude(history, folder)
    return history.rows


def _conclude(history: History, folder: RunFolder) -> None:
    """Draw the curves of a training, and write what they say."""
    curves = [{name: row[name] for name in row if name != "phase"} for row in history.rows]
    plots.save(plots.learning_curves(curves), folder.path / "evaluation" / "curves.png")
    diagnosis = doctor.diagnose(history.rows)
    _LOG.info("curves: %s", diagnosis)
    files.write(folder.path / "evaluation" / "diagnosis.txt", f"{diagnosis}\n")


def _diverged(
    epoch: int, scheduled: phases.ScheduledPhase, settings: TrainSpec
) -> errors.DivergedError:
    in_phase = scheduled.phase is not None
    section = f"train.phases.{scheduled.number - 1}" if in_phase else "train"
    return errors.DivergedError(
        f"The loss must stay finite. Got NaN or infinity in epoch {epoch + 1}. The last finite "
        f"weights are kept; lower {section}.learning_rate (now {settings.learning_rate:g}) or "
        "check the images and their labels."
    )
