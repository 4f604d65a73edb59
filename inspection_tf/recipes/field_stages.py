"""The two looks that locate a field: how each is trained, one after the other."""

import functools
from typing import Any

import keras

from inspection_tf import config, errors, images
from inspection_tf.datasets.loading import loader
from inspection_tf.datasets.records import Records
from inspection_tf.recipes import ladder, stages
from inspection_tf.tasks.fields import closeup_data, closeups, network
from inspection_tf.training import fit, phases
from inspection_tf.training.run_folder import RunFolder


class Locator(stages.Stage):
    """The first look: the whole photo."""

    model: network.Options


class Refiner(stages.Stage):
    """The second look: a close-up of each corner."""

    model: network.Options
    closeups: closeups.CloseupSpec
    sampling: closeup_data.SamplingSpec


def check(preprocessing: images.Preprocessing, locator: Locator, refiner: Refiner | None) -> None:
    """Build and compile both networks once, so that none fails after the other was trained.

    Args:
        preprocessing: of the photos.
        locator: how the first look is trained.
        refiner: how the second look is trained; None: there is none.

    Raises:
        errors.ConfigError: an option of a model or of its training does not fit.
    """
    asked: Any = {"channels": 1 if preprocessing.channels == "gray" else 3}
    looks: list[tuple[Any, dict[str, Any]]] = [(locator, {"image_size": preprocessing.size})]
    if refiner is not None:
        side = refiner.closeups.size_px
        looks.append((refiner, {"image_size": (side, side), "points": 1}))
    for stage, shown in looks:
        model = network.build(options=stage.model, **asked, **shown)
        fit.compile_model(model, stage.train, steps_per_epoch=1)
        phases.check(model, stage.train.phases)


def train(
    part: Records,
    tune: Records | None,
    *,
    preprocessing: images.Preprocessing,
    locator: Locator,
    refiner: Refiner | None,
    seed: int,
    run: RunFolder,
) -> tuple[keras.Model, keras.Model | None]:
    """Fit the networks, each in a folder of its own, without what only taught them.

    Args:
        part: photos that teach, whose labels are corners.
        tune: photos that are measured while they train, or None.
        preprocessing: of the photos.
        locator: how the first look is trained.
        refiner: how the second look is trained; None: there is none.
        seed: of the run.
        run: its folder.

    Raises:
        errors.DataError: the labels are no corners, or no photo shows a field.
        errors.DivergedError: a loss left the finite numbers.
        errors.StorageError: the disk is full.
    """
    looks: dict[str, tuple[Any, Any, Any]] = {
        "locator": (functools.partial(loader.cache, spec=locator.loader), locator, 4)
    }
    if refiner is not None:
        spec, sampling = refiner.closeups, refiner.sampling
        close = functools.partial(closeup_data.cache, spec=spec, sampling=sampling)
        looks["refiner"] = (close, refiner, 1)
    fitted: dict[str, keras.Model] = {}
    for name, (look, stage, points) in looks.items():
        held = look(part, preprocessing)
        watched = look(tune, preprocessing) if tune else None
        build = functools.partial(network.build, points=points, **stages.image_shape(held))
        model = stages.fit_stage(build, stage, held, watched, seed=seed, run=run.within(name))
        fitted[name] = network.deployed(model)
    return fitted["locator"], fitted.get("refiner")


def search(
    part: Records,
    tune: Records,
    spec: ladder.LadderSpec,
    *,
    preprocessing: images.Preprocessing,
    locator: Locator,
    measure: ladder.Measure,
    seed: int,
    run: RunFolder,
) -> list[ladder.Step]:
    """Climb a ladder of first looks; see `ladder.climb`.

    A rung changes fields of the locator's `model` and `train`, named `model.filters` and so on, and
    the size of the images, `size`.

    Args:
        part: photos that teach.
        tune: photos that are measured.
        spec: the rungs, and the `corner_error` that must be reached.
        preprocessing: of the photos.
        locator: what the rungs change.
        measure: exports a network, such as `export.onnx.weigh`.
        seed: of each training.
        run: each rung has a folder inside.

    Raises:
        errors.ConfigError: a rung names what a locator does not have.
    """
    held: dict[tuple[int, int], tuple[loader.Cache, loader.Cache]] = {}

    def train_rung(rung: ladder.Rung, folder: RunFolder) -> tuple[keras.Model, RunFolder]:
        shown, stage = _at_rung(rung, preprocessing, locator)
        if shown.size not in held:
            held.clear()  # photos of one size at a time
            first, second = (
                loader.cache(chosen, shown, spec=stage.loader) for chosen in (part, tune)
            )
            held[shown.size] = first, second
        taught, watched = held[shown.size]
        build = functools.partial(network.build, **stages.image_shape(taught))
        model = stages.fit_stage(build, stage, taught, watched, seed=seed, run=folder)
        return network.deployed(model), folder

    for rung in spec.rungs:
        check(*_at_rung(rung, preprocessing, locator), None)
    return ladder.climb(spec, run=run, train=train_rung, measure=measure, metric=_ERROR)


_ERROR = "val_corner_error"


def _at_rung(
    rung: ladder.Rung, preprocessing: images.Preprocessing, locator: Locator
) -> tuple[images.Preprocessing, Locator]:
    """Return the settings of a rung."""
    changes: dict[str, dict[str, Any]] = {"model": {}, "train": {}}
    for name, value in rung.settings.items():
        if name == "size":
            values = {**preprocessing.model_dump(), "size": value}
            preprocessing = config.validate(images.Preprocessing, values, origin=rung.name)
            continue
        section, _, field = name.partition(".")
        if section not in changes or not field:
            raise errors.ConfigError(
                f"rung {rung.name}: it may change size, model.FIELD and train.FIELD. "
                f"Got {name!r}. Correct it."
            )
        changes[section][field] = value
    parts = {
        section: config.replace(getattr(locator, section), given, origin=f"rung {rung.name}")
        for section, given in changes.items()
    }
    return preprocessing, locator.model_copy(update=parts)
