"""The networks that locate a field: a locator sees the whole photo, a refiner each corner."""

import dataclasses
from typing import Any, Literal

import keras

from inspection_tf import config, errors, images
from inspection_tf.datasets.loading import loader
from inspection_tf.datasets.records import Records
from inspection_tf.recipes import ladder, stages
from inspection_tf.tasks.fields import LOCATOR, REFINER, closeups
from inspection_tf.tasks.fields.learning import closeup_data, network
from inspection_tf.training import fit, phases
from inspection_tf.training.runs.run_folder import RunFolder


class Locator(stages.StageSpec):
    """The network that sees the whole photo."""

    model: network.Options


class Refiner(stages.StageSpec):
    """The network that sees a close-up of each corner."""

    model: network.Options
    closeups: closeups.CloseupSpec
    sampling: closeup_data.SamplingSpec


@dataclasses.dataclass(frozen=True, slots=True)
class FieldNetworks:
    """How the networks that locate a field are trained.

    Attributes:
        preprocessing: of the photos.
        locator: how the first one is trained.
        refiner: how the second one is trained; None: there is none.
        seed: of the run.
    """

    preprocessing: images.Preprocessing
    locator: Locator
    refiner: Refiner | None
    seed: int

    def check(self) -> None:
        """Build and compile each network once, so that none fails after the other was trained.

        Raises:
            errors.ConfigError: an option of a model or of its training does not fit.
        """
        _check(network_of(self.locator, 4), self.preprocessing, self.preprocessing.size)
        if self.refiner is not None:
            side = self.refiner.closeups.size_px
            _check(network_of(self.refiner, 1), self.preprocessing, (side, side))


def network_of(spec: Locator | Refiner, points: Literal[1, 4]) -> stages.Network:
    """Return what `stages.fit_stage` fits.

    Args:
        spec: how the network is trained.
        points: corners that it finds: 4, or 1 for a refiner.
    """

    def build(
        *, image_size: tuple[int, int], channels: int, template: bool, options: network.Options
    ) -> keras.Model:
        # Nothing to compare a photo with: a field has no template.
        return network.build(
            image_size=image_size, channels=channels, points=points, options=options
        )

    return stages.Network(build, spec)


def _check(
    checked: stages.Network, preprocessing: images.Preprocessing, size: tuple[int, int]
) -> None:
    spec = checked.spec
    model = checked.build(
        image_size=size,
        channels=1 if preprocessing.channels == "gray" else 3,
        template=False,
        options=spec.model,
    )
    fit.compile_model(model, spec.train, steps_per_epoch=1)
    phases.check(model, spec.train.phases)


def train(
    chosen: FieldNetworks, photos: Records, tune: Records | None, folder: RunFolder
) -> dict[str, keras.Model]:
    """Fit the networks, each in a folder of its own, without what only taught them.

    Args:
        chosen: the networks.
        photos: that teach, whose labels are corners.
        tune: photos that are measured while they train, or None.
        folder: of the run.

    Returns:
        The networks by their names in the bundle, the locator first.

    Raises:
        errors.DataError: the labels are no corners, or no photo shows a field.
        errors.DivergedError: a loss left the finite numbers.
        errors.StorageError: the disk is full.
    """

    def fitted(
        name: str, built: stages.Network, images: loader.Cache, watched: loader.Cache | None
    ) -> keras.Model:
        within = folder.within(name)
        model = stages.fit_stage(built, images, watched, seed=chosen.seed, folder=within)
        return network.deployed(model)

    def whole(records: Records) -> loader.Cache:
        return loader.cache(records, chosen.preprocessing, spec=chosen.locator.loader)

    watched = whole(tune) if tune else None
    locator, refiner = network_of(chosen.locator, 4), chosen.refiner
    models = {LOCATOR: fitted(LOCATOR, locator, whole(photos), watched)}
    if refiner is None:
        return models
    spec, sampling = refiner.closeups, refiner.sampling

    def close(records: Records) -> loader.Cache:
        return closeup_data.cache(records, chosen.preprocessing, spec=spec, sampling=sampling)

    watched = close(tune) if tune else None
    models[REFINER] = fitted(REFINER, network_of(refiner, 1), close(photos), watched)
    return models


def search(
    base: FieldNetworks,
    photos: Records,
    tune: Records,
    spec: ladder.LadderSpec,
    *,
    measure: ladder.Measure,
    folder: RunFolder,
) -> list[ladder.Step]:
    """Climb a ladder of locators; see `ladder.climb`.

    A rung changes fields of the locator's `model` and `train`, named `model.filters` and so on, and
    the size of the images, `size`.

    Args:
        base: what the rungs change; its refiner does not matter.
        photos: that teach.
        tune: photos that are measured.
        spec: the rungs, and the `corner_error` that must be reached.
        measure: exports a network, such as `export.onnx.weigh`.
        folder: each rung has one inside.

    Raises:
        errors.ConfigError: a rung names what a locator does not have.
    """
    cached: dict[tuple[int, int], tuple[loader.Cache, loader.Cache]] = {}

    def train_rung(rung: ladder.Rung, within: RunFolder) -> tuple[keras.Model, RunFolder]:
        at_rung = _at_rung(rung, base)
        preprocessing, locator = at_rung.preprocessing, at_rung.locator
        if preprocessing.size not in cached:
            cached.clear()  # photos of one size at a time
            first, second = (
                loader.cache(records, preprocessing, spec=locator.loader)
                for records in (photos, tune)
            )
            cached[preprocessing.size] = first, second
        model = stages.fit_stage(
            network_of(locator, 4), *cached[preprocessing.size], seed=base.seed, folder=within
        )
        return network.deployed(model), within

    for rung in spec.rungs:
        dataclasses.replace(_at_rung(rung, base), refiner=None).check()
    return ladder.climb(spec, run=folder, train=train_rung, measure=measure, metric=_ERROR)


_ERROR = "val_corner_error"


def _at_rung(rung: ladder.Rung, base: FieldNetworks) -> FieldNetworks:
    """Return the settings of a rung."""
    preprocessing, locator = base.preprocessing, base.locator
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
        section: config.replace(getattr(locator, section), fields, origin=f"rung {rung.name}")
        for section, fields in changes.items()
    }
    locator = locator.model_copy(update=parts)
    return dataclasses.replace(base, preprocessing=preprocessing, locator=locator)
