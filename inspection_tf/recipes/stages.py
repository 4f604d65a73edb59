"""The networks of a recipe: how each one is built, checked before it trains, and fitted."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import keras

from inspection_tf import config, images
from inspection_tf.datasets.loading import augment, loader
from inspection_tf.datasets.records import Records
from inspection_tf.models import backbones, input_layers
from inspection_tf.training import fit, initial_weights, phases
from inspection_tf.training.runs.run_folder import RunFolder

Build = Callable[..., keras.Model]
"""Builds a network from `image_size`, `channels`, `template` and `options`."""


class StageSpec(config.Section):
    """How one network of a recipe is trained; a recipe says of which kind its `model` is."""

    loader: loader.LoaderSpec
    augment: augment.AugmentSpec
    train: fit.TrainSpec
    start: str = ""
    """Network of this recipe, trained before, whose backbone this one starts from; none: its own
    weights. Both must have the same backbone."""
    weights: Path | None = None
    """A `.keras` file of the same network, such as `source/model.keras` of an earlier bundle, that
    training starts from; its scaling is kept too. None: from the beginning."""
    model: config.Section


@dataclasses.dataclass(frozen=True, slots=True)
class Network:
    """A network of a recipe.

    Attributes:
        build: makes it.
        spec: its options, and how it is trained.
    """

    build: Build
    spec: StageSpec


def check_backbones(size: tuple[int, int], networks: Mapping[str, Network]) -> None:
    """Build each backbone once, so that what does not fit ends a run before it begins.

    Args:
        size: (height, width) of the networks' input, px.
        networks: in the order of training; the options of each have a `backbone`.

    Raises:
        errors.ConfigError: weights are absent, the size does not fit, or a network starts from one
            that is not trained before it or has another backbone.
        errors.BundleError: weights are damaged or of another network.
    """
    built: dict[str, keras.Model] = {}
    for name, network in networks.items():
        options = network.spec.model
        shrink: int = getattr(options, "input_shrink", 1)
        encoder: backbones.Options = getattr(options, "backbone")  # noqa: B009  of a subclass
        shrunk = (size[0] // shrink, size[1] // shrink)
        backbone = backbones.build(image_size=shrunk, channels=1, options=encoder)
        if network.spec.start:
            initial_weights.pairs(backbone, network.spec.start, built)
        built[name] = backbone


def check_models(
    preprocessing: images.Preprocessing, records: Records, networks: Mapping[str, Network]
) -> None:
    """Build and compile each network once, so that none fails after another was trained.

    Args:
        preprocessing: of the images.
        records: which have templates or not.
        networks: in the order of training.

    Raises:
        errors.ConfigError: an option of a model or of its training does not fit, one starts from
            another backbone than its own, or weights are absent.
        errors.BundleError: weights are damaged or of another network.
    """
    built: dict[str, keras.Model] = {}
    for name, network in networks.items():
        spec = network.spec
        model = network.build(
            image_size=preprocessing.size,
            channels=1 if preprocessing.channels == "gray" else 3,
            template=records.has_template,
            options=spec.model,
        )
        fit.compile_model(model, spec.train, steps_per_epoch=1)
        phases.check(model, spec.train.phases)
        if spec.start:
            initial_weights.start_from(model, spec.start, built)
        if spec.weights is not None:
            source = initial_weights.load_network(spec.weights)
            initial_weights.copy(model, source, origin=str(spec.weights))
        built[name] = model


def build_stage(
    network: Network,
    train: loader.Cache,
    *,
    seed: int,
    trained: Mapping[str, keras.Model] | None = None,
) -> keras.Model:
    """Build one network of a recipe; what it needs is drawn from `seed` alone.

    Its scaling is that of its training images: mean and standard deviation of their grey values.

    Args:
        network: what builds it, and how it is trained.
        train: images that teach.
        seed: of the run.
        trained: networks of this recipe so far, by name.

    Raises:
        errors.ConfigError: `spec.start` names none of them, or one with another backbone.
        errors.BundleError: `spec.weights` is damaged or another network.
    """
    spec = network.spec
    fit.seed_everything(seed, deterministic=spec.train.deterministic)
    source = None if spec.weights is None else initial_weights.load_network(spec.weights)
    mean, deviation = train.statistics()
    if source is not None:
        scaling = source.get_layer(input_layers.scaling_layer("image"))
        deviation, mean = 1 / scaling.scale, -scaling.offset / scaling.scale
    model = network.build(
        image_size=train.size,
        channels=int(train.image.shape[-1]),
        template=train.template is not None,
        options=spec.model.model_copy(update={"input_mean": mean, "input_scale": deviation}),
    )
    if spec.start:
        initial_weights.start_from(model, spec.start, trained or {})
    if source is not None:
        initial_weights.copy(model, source, origin=str(spec.weights))
    return model


def fit_stage(
    network: Network,
    train: loader.Cache,
    tune: loader.Cache | None,
    *,
    seed: int,
    folder: RunFolder,
    trained: Mapping[str, keras.Model] | None = None,
) -> keras.Model:
    """Build one network of a recipe, as `build_stage`, and fit it.

    Args:
        network: what builds it, and how it is trained.
        train: images that teach.
        tune: images that are measured while it trains, or None.
        seed: of the run.
        folder: of this network.
        trained: networks of this recipe so far, by name.

    Raises:
        errors.ConfigError: `spec.start` names none of them, or one with another backbone.
        errors.BundleError: `spec.weights` is damaged or another network.
    """
    spec = network.spec
    model = build_stage(network, train, seed=seed, trained=trained)
    if spec.loader.unmarked == "drop" and "probability" in model.output:
        train = train.without_unmarked()
    fit.fit(model, train, tune, fit.Stage(spec.train, spec.loader, spec.augment, seed, folder))
    return model
