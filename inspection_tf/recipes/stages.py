"""What every recipe does around its straight line: command line, provenance, the last lines."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import keras

from inspection_tf import (
    bundle,
    config,
    errors,
    evaluation,
    images,
    plots,
    process,
    tasks,
)
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.datasets.records import Records, split_ids
from inspection_tf.models import backbones
from inspection_tf.training import fit, initial_weights, phases
from inspection_tf.training.run_folder import RunFolder, versions

load_network = initial_weights.load_network
SectionT = TypeVar("SectionT", bound=config.Section)
# What builds it, and the section that says how: see `fit_stage`.
Network = tuple[Callable[..., keras.Model], Any]


class Measured(Protocol):
    """What a recipe ends with: a bundle that was written and measured."""

    @property
    def manifest(self) -> bundle.Manifest:
        """Of the bundle."""
        ...

    @property
    def rows(self) -> list[evaluation.ImageResult]:
        """One for each measured image."""
        ...

    @property
    def report(self) -> dict[str, Any]:
        """In the layout of `metrics.json`."""
        ...

    def show(self, name: str) -> evaluation.Look:
        """Return image, labels and verdict of a measured image."""
        ...


class Stage(config.Section):
    """How one network of a recipe is trained; a recipe adds its `model`."""

    loader: loader.LoaderSpec
    augment: augment.AugmentSpec
    train: fit.TrainSpec
    start: str = ""
    """Network of this recipe, trained before, whose backbone this one starts from; none: its own
    weights. Both must have the same backbone."""
    weights: Path | None = None
    """A `.keras` file of the same network, such as `source/model.keras` of an earlier bundle, that
    training starts from; its scaling is kept too. None: from the beginning."""


def check_backbones(size: tuple[int, int], networks: Mapping[str, Network]) -> None:
    """Build each backbone once, so that what does not fit ends a run before it begins.

    Args:
        size: (height, width) of the networks' input, px.
        networks: in the order of training; the `model` of their sections has a `backbone`.

    Raises:
        errors.ConfigError: weights are absent, the size does not fit, or a stage starts from one
            that is not trained before it or has another backbone.
        errors.BundleError: weights are damaged or of another network.
    """
    built: dict[str, keras.Model] = {}
    for name, (_, stage) in networks.items():
        shrink = getattr(stage.model, "input_shrink", 1)
        shrunk = (size[0] // shrink, size[1] // shrink)
        own = backbones.build(image_size=shrunk, channels=1, options=stage.model.backbone)
        if stage.start:
            initial_weights.pairs(own, stage.start, built)
        built[name] = own


def check_models(
    preprocessing: images.Preprocessing, found: Records, networks: Mapping[str, Network]
) -> None:
    """Build and compile each network once, so that none fails after another was trained.

    Args:
        preprocessing: of the images.
        found: the records, which have templates or not.
        networks: as `fit_stage` gets them, in the order of training.

    Raises:
        errors.ConfigError: an option of a model or of its training does not fit, or one starts from
            another backbone than its own.
        errors.BundleError: weights are damaged or of another network.
    """
    built: dict[str, keras.Model] = {}
    asked = {
        "image_size": preprocessing.size,
        "channels": 1 if preprocessing.channels == "gray" else 3,
        "template": found.has_template,
    }
    for name, (build, stage) in networks.items():
        model = build(options=stage.model, **asked)
        fit.compile_model(model, stage.train, steps_per_epoch=1)
        phases.check(model, stage.train.phases)
        if stage.start:
            initial_weights.start_from(model, stage.start, built)
        built[name] = model


def shape(held: loader.Cache) -> dict[str, Any]:
    """Return what images need of a model: the arguments of `build` that say their shape."""
    return {**image_shape(held), "template": held.template is not None}


def image_shape(held: loader.Cache) -> dict[str, Any]:
    """Return what single images need of a model; see `shape`."""
    return {"image_size": held.size, "channels": int(held.image.shape[-1])}


def fit_stage(
    build: Callable[..., keras.Model],
    stage: Any,
    held: loader.Cache,
    watched: loader.Cache | None,
    *,
    seed: int,
    run: RunFolder,
    trained: Mapping[str, keras.Model] | None = None,
) -> keras.Model:
    """Build one network of a recipe and fit it; what it needs is drawn from `seed` alone.

    Its scaling is that of its training images: mean and standard deviation of their grey values.

    Args:
        build: takes `options` and returns a model.
        stage: a section with `model`, `loader`, `augment` and `train`.
        held: training images.
        watched: images that are measured while it trains, or None.
        seed: of the run.
        run: folder of this network.
        trained: networks of this recipe so far, by name.

    Raises:
        errors.ConfigError: `stage.start` names none of them, or one with another backbone.
        errors.BundleError: `stage.weights` is damaged or another network.
    """
    fit.seed_everything(seed, deterministic=stage.train.deterministic)
    source = None if stage.weights is None else load_network(stage.weights)
    mean, deviation = held.statistics()
    if source is not None:
        scaling = source.get_layer("scaling")
        deviation, mean = 1 / scaling.scale, -scaling.offset / scaling.scale
    model = build(
        options=stage.model.model_copy(update={"input_mean": mean, "input_scale": deviation})
    )
    if stage.start:
        initial_weights.start_from(model, stage.start, trained or {})
    if source is not None:
        initial_weights.copy(model, source, origin=str(stage.weights))
    if stage.loader.unmarked == "drop" and "probability" in model.output:
        held = held.without_unmarked()
    fit.fit(
        model,
        held,
        watched,
        spec=stage.train,
        loading=stage.loader,
        augmentation=stage.augment,
        seed=seed,
        run=run,
    )
    return model


@dataclasses.dataclass(frozen=True)
class Division:
    """Which images train what is shipped, and which ones choose thresholds and measure.

    Attributes:
        parts: train, and without folds tune and test.
        tuning: networks and images they were not trained on; None: the networks that are shipped.
        measured: likewise.
        split: what the measured images are called.
    """

    parts: dict[str, Records]
    tuning: list[tuple[Any, Records]]
    measured: list[tuple[Any, Records]]
    split: str


def divide(
    found: Records,
    spec: data_spec.DataSpec,
    *,
    seed: int,
    run: RunFolder,
    train: Callable[[Records, Records, RunFolder], Any],
) -> Division:
    """Split the records, or cross-validate: train a network for each fold on all other images.

    Args:
        found: all records.
        spec: the data section.
        seed: of the run.
        run: its folder; each fold has one inside.
        train: from the training images of a fold, its test images and its folder to converted
            networks.

    Raises:
        errors.DataError: without folds, the tune or the test split is empty.
    """
    if not spec.folds:
        parts = data_spec.split(found, spec, seed=seed)
        for name, needs in (("tune", "The thresholds"), ("test", "The metrics")):
            if not len(parts[name]):
                raise errors.DataError(
                    f"{needs} need images that no network has learned from. Got no {name} split. "
                    f"Give data.{name} a share, or cross-validate with data.folds."
                )
        return Division(parts, [(None, parts["tune"])], [(None, parts["test"])], "test")
    tested = [
        (train(part["train"], part["test"], run.fold(number)), part["test"])
        for number, part in enumerate(data_spec.folds(found, spec, seed=seed), start=1)
    ]
    whole = {"train": data_spec.for_training(found, spec)}
    return Division(whole, tested, tested, "out_of_fold")


def _commit() -> str | None:
    """Return the commit of the working folder, or None outside a repository."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def provenance(
    name: str,
    settings: config.Section,
    data: data_spec.DataSpec,
    found: Records,
    parts: Mapping[str, Records],
    *,
    seed: int,
) -> bundle.Provenance:
    """Return what a bundle says of its origin.

    Args:
        name: of the recipe.
        settings: the whole configuration.
        data: its data section.
        found: all records that were read.
        parts: the splits.
        seed: of the run.
    """
    return bundle.Provenance(
        recipe=name,
        config=settings.model_dump(mode="json"),
        seed=seed,
        commit=_commit(),
        versions=versions(),
        data=bundle.Data(
            format=data.format,
            root=str(data.root) if data.root else None,
            absolute_root=str(config.absolute(data.root)) if data.root else None,
            sha256=found.sha256(),
            splits=split_ids(parts),
            source=data.model_dump(mode="json"),
        ),
    )


def finish(run: RunFolder, shipped: Measured) -> dict[str, Any]:
    """Write the evaluation of a run, and print its metrics and the next commands.

    Args:
        run: receives `evaluation/`.
        shipped: the bundle and its measurement.

    Returns:
        The report.
    """
    folder = run.path / "evaluation"
    evaluation.write(folder, shipped.rows, shipped.report)
    point = shipped.manifest.operating_point
    task = tasks.get(shipped.manifest.task)
    plots.write_evaluation(
        folder,
        shipped.rows,
        task=task,
        threshold=point.threshold,
        show=shipped.show,
        report=shipped.report,
    )
    process.show_table(evaluation.table(shipped.report, task.measures))
    splits = shipped.manifest.provenance.data.splits
    commands = _next_commands(run.path / "bundle", has_test="test" in splits)
    for line in (*([point.note] if point.note else ()), *commands):
        process.say(line)
    return shipped.report


def _next_commands(path: Path, *, has_test: bool) -> tuple[str, ...]:
    # Cross-validation ships a network that has seen every image: only others can measure it.
    images = "--split test" if has_test else "ROOT"
    return (
        "",
        f"The bundle is in {path}. Next:",
        f"  inspection verify {path}",
        f"  inspection predict {path} IMAGE... --out DIR",
        f"  inspection evaluate {path} {images} --out DIR",
        f"  inspection bench {path}",
    )


def launch(
    section: type[SectionT], body: Callable[[SectionT, Path | None], Any], script: str
) -> int:
    """Run a recipe from the command line; returns the exit code.

    Args:
        section: the class of the configuration.
        body: the recipe's `run(cfg, out)`.
        script: its `__file__`; the YAML of the same name beside it holds the defaults.
    """
    path = Path(script)

    def command() -> int:
        config.help_texts.restore()
        settings, out = config.from_command_line(
            section,
            default_path=path.with_suffix(".yaml"),
            program=f"python -m pipelines.{path.stem}",
            description=(sys.modules["__main__"].__doc__ or "").split("\n")[0],
        )
        body(settings, out)
        return 0

    return process.run(command)
