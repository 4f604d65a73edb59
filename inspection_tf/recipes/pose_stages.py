"""The network that finds poses, the part before its scanner, and how far stated errors hold."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import joblib
import keras
import numpy as np
from numpy.typing import NDArray

from inspection_tf import errors, evaluation, images, process
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.loading import loader
from inspection_tf.datasets.records import Record, Records
from inspection_tf.export import networks, ship
from inspection_tf.export.trained import KerasNetwork
from inspection_tf.projection import Setup, setup_files
from inspection_tf.recipes import folds, stages
from inspection_tf.recipes.experiment import Experiment
from inspection_tf.runtime.runner import Runner
from inspection_tf.tasks import once, pose
from inspection_tf.tasks.base import Context, Output, Prepared
from inspection_tf.tasks.pose import comparison, measures, rules
from inspection_tf.tasks.pose.learning import network
from inspection_tf.thresholds import OperatingPoint
from inspection_tf.training.runs.run_folder import RunFolder

_LOG = logging.getLogger("inspection_tf")
_ROOM = 0.2  # share of a range that labels may be beyond: of parts that look alike
_LEAST_DEG = 1.0  # of what the network may tell of an angle that does not change
_OF_EACH = 4  # images of a batch that each process measures
_MOST = 3.0  # deviations that an error counts as
_FEWEST = 20  # images with a pose from which a deviation is scaled


class Finder(stages.StageSpec):
    """The network that finds poses, and how it is trained."""

    model: network.Options


@dataclasses.dataclass(frozen=True)
class PosePlan:
    """What a run is about: a part before a scanner, and what is decided.

    Attributes:
        finder: the network, and how it is trained.
        setup: part, scanner and beam.
        rules: what is decided by.
        preprocessing: of the images for the network.
        seed: of the run.
    """

    finder: Finder
    setup: Setup
    rules: pose.Settings
    preprocessing: images.Preprocessing
    seed: int

    @property
    def assets(self) -> dict[str, bytes]:
        """Further files of the bundle."""
        return {pose.PART: setup_files.dumped(self.setup)}

    @property
    def network(self) -> stages.Network:
        """What `stages.fit_stage` fits."""
        return stages.Network(network.build, self.finder)


def with_part(
    data: data_spec.DataSpec, part: Path | None, unit: Literal["mm", "in"] | None
) -> data_spec.DataSpec:
    """Return a data section that draws another part.

    Args:
        data: the section.
        part: STL of the part; None: the section as it is.
        unit: of its numbers.

    Raises:
        errors.ConfigError: one is given without the other, or the images are not drawn.
    """
    if part is None and unit is None:
        return data
    if not isinstance(data, data_spec.XraysSpec):
        raise errors.ConfigError(
            f"--part needs drawn X-rays, data.format xray. Got {data.format}. Leave it out: the "
            "part of recorded images is in --setup."
        )
    return data.model_copy(update={"xray": data.xray.of_part(part, unit)})


def plan(cfg: Experiment, finder: Finder, given: pose.Settings, *, setup: Path | None) -> PosePlan:
    """Return what a run is about; drawn X-rays say themselves how they were taken.

    Args:
        cfg: the configuration.
        finder: the network.
        given: rules; of drawn X-rays range, symmetry, photons and open beam are those of the data.
        setup: `part.npz` with part, scanner and beam, of recorded images; None: that of the drawn
            ones, or the file in the folder of the images.

    Raises:
        errors.ConfigError: there is no part.
        errors.DataError: the part is no closed mesh, or does not fit the scanner.
        errors.BundleError: the file is none.
    """
    data = cfg.data
    if isinstance(data, data_spec.XraysSpec):
        if setup is not None:
            raise errors.ConfigError(
                f"--setup is for recorded X-rays. Got {setup} and data.format xray, whose part is "
                "in data.xray. Leave it out."
            )
        before, detector = data.xray.nominal(), data.xray.detector
        _LOG.info("%s", before.described())
        taken = {"photons": detector.photons, "open_value": detector.open_value}
        spec = given.refinement.model_copy(update=taken)
        given = given.model_copy(update={"refinement": spec, "poses": data.xray.poses})
        symmetry = data.xray.part.symmetry
    else:
        root = data.root if isinstance(data, data_spec.StoredSpec) else None
        if root is not None and root.suffix.lower() == ".csv":
            root = root.parent
        file = setup or (root / pose.PART if root is not None else None)
        if file is None or not file.is_file():
            raise errors.ConfigError(
                f"Recorded X-rays need the part before its scanner, {pose.PART}. Got "
                f"{'none' if file is None else f'no file {file}'}. Name it with --setup."
            )
        before = setup_files.read(file)
        symmetry = int(getattr(data, "symmetry", 1))
    rules_of_part = given.model_copy(update={"symmetry": symmetry})
    field = min(before.scanner.field_of_view_mm) / 2
    theta, psi = (max(most, _LEAST_DEG) for most in (given.poses.theta_deg, given.poses.psi_deg))
    if symmetry > 1:  # a part that is turned before it is tilted has theta and psi the other way
        theta = psi = max(theta, psi)
    if finder.train.loss == "pose_turn" and (finder.model.head == "classes" or symmetry > 1):
        raise errors.ConfigError(
            "finder.train.loss pose_turn teaches one pose of a part without symmetry. Got the head "
            f"{finder.model.head} and a symmetry of {symmetry}. Use pose_modes."
        )
    model = finder.model.model_copy(
        update={
            "tilts_deg": (theta, psi),
            "field_mm": field,
            "symmetry": symmetry,
        }
    )
    fitted = finder.model_copy(update={"model": model})
    return PosePlan(fitted, before, rules_of_part, cfg.preprocessing, cfg.seed)


def train(
    chosen: PosePlan, records: Records, tune: Records | None, folder: RunFolder
) -> dict[str, keras.Model]:
    """Fit the network on the records, watching `tune`.

    Raises:
        errors.DataError: the labels are no poses.
        errors.DivergedError: the loss left the finite numbers.
        errors.StorageError: the disk is full.
    """

    def cache(some: Records) -> loader.Cache:
        cached = loader.cache(some, chosen.preprocessing, spec=chosen.finder.loader)
        _require_in_range(cached, chosen.finder.model)
        return cached

    model = stages.fit_stage(
        chosen.network,
        cache(records),
        cache(tune) if tune else None,
        seed=chosen.seed,
        folder=folder.within(pose.FINDER),
    )
    return {pose.FINDER: model}


def _require_in_range(cached: loader.Cache, options: network.Options) -> None:
    """Refuse labels that the network cannot tell.

    Raises:
        errors.DataError: theta or psi of an image is beyond.
    """
    if cached.pose is None or options.head == "free":
        return
    for place, (name, most) in enumerate(zip(("theta", "psi"), options.tilts_deg, strict=True), 1):
        beyond = np.flatnonzero(np.abs(cached.pose[:, place]) > most * (1 + _ROOM))
        if len(beyond):
            row = int(beyond[0])
            raise errors.DataError(
                f"{cached.ids[row]}: {name} must lie within -{most:g} to {most:g} degrees, the "
                f"range of rules.poses. Got {cached.pose[row, place]:g}. Widen the range, use the "
                "head free, or correct the label."
            )


def _runner(
    chosen: PosePlan,
    models: dict[str, keras.Model],
    own: networks.Converted | None,
    classes: tuple[str, ...],
) -> Runner:
    """Return what judges images, by the shipped networks where a fold has none of its own."""
    context = Context(
        classes,
        chosen.preprocessing,
        chosen.rules,
        OperatingPoint(threshold=rules.AT_LIMIT),
        assets=chosen.assets,
    )
    found = (
        networks.started(own)
        if own
        else {name: KerasNetwork(model) for name, model in models.items()}
    )
    return Runner(pose.TASK, found, context)


def _ran(
    chosen: PosePlan, models: dict[str, keras.Model], tuning: ship.Tuning
) -> Iterator[tuple[Runner, Record, Prepared, Output]]:
    """Run networks and refinement on images, several at a time; no label is read."""
    turn = chosen.preprocessing.orientation
    for own, records in tuning:
        runner = _runner(chosen, models, own, records.classes)
        size = _OF_EACH * joblib.cpu_count()
        for first in range(0, len(records), size):
            some = records[first : first + size]
            batch = [runner.prepare_decoded(*record.read_pair(orientation=turn)) for record in some]
            for record, prepared, output in zip(some, batch, runner.run(batch), strict=True):
                yield runner, record, prepared, output


def _judged(
    chosen: PosePlan, models: dict[str, keras.Model], tuning: ship.Tuning
) -> Iterator[evaluation.ImageResult]:
    """Judge images, and compare the verdicts with their labels."""
    for runner, record, prepared, output in _ran(chosen, models, tuning):
        verdict = runner.decide(output, prepared)
        yield comparison.compare(record, verdict, runner.context)


def _over(result: measures.PoseResult) -> NDArray[np.float64]:
    """Return (6,), errors over deviations; nan where an image shows nothing of a number."""
    stated = np.array(result.stated)
    shown = np.isfinite(stated) & (stated > 0)
    return np.where(shown, np.abs(result.off) / np.where(shown, stated, 1.0), np.nan)


@contextlib.contextmanager
def poses_measured_once(
    chosen: PosePlan, models: dict[str, keras.Model], division: folds.Division
) -> Iterator[None]:
    """Measure each pose once within a block, as far as memory is given to the results.

    They are measured when it begins, by as many processes as there are cores: `calibrated` asks
    for them, and so do evaluation and gate.

    Args:
        chosen: the plan of the run.
        models: the trained network.
        division: of the images.
    """
    # After a cross-validation the same images tune and are measured, by the networks of their
    # folds; the gate runs the shipped network on all of them.
    is_validated = any(own for own, _ in division.measured)
    asked = [*division.tuning, *([] if is_validated else division.measured)]
    asked += [(None, records) for own, records in division.measured if own]
    count = sum(len(records) for _, records in asked)
    with once.keeping(processes=joblib.cpu_count()):
        if chosen.rules.refine:
            with process.bar("measuring poses") as progress:
                for done, _ in enumerate(_ran(chosen, models, asked), start=1):
                    progress(done, count)
                    if not once.has_room():
                        break
        yield


def calibrated(
    chosen: PosePlan, models: dict[str, keras.Model], division: folds.Division
) -> pose.Settings:
    """Return rules whose stated deviations hold where a network has not learned from the image.

    Each is multiplied by the root mean square of errors over deviations, of images whose pose is
    trusted; an error counts as three deviations at most, so that one alone does not decide. From
    few images that is known better than a quantile of them would be.

    Args:
        chosen: the plan of the run.
        models: the trained network.
        division: of the images, those count that choose the thresholds.
    """
    if not chosen.rules.refine:
        _LOG.info("stated deviations are those of the network alone")
        return chosen.rules
    as_measured = chosen.rules.model_copy(update={"deviation_scale": (1.0,) * 6})
    errors_over = [
        _over(row.result_as(measures.PoseResult))
        for row in _judged(dataclasses.replace(chosen, rules=as_measured), models, division.tuning)
        if measures.is_told(row)
    ]
    if len(errors_over) < _FEWEST:
        _LOG.warning(
            "stated deviations are those of photons alone: %d images that choose thresholds have a "
            "pose, and scaling them takes %d",
            len(errors_over),
            _FEWEST,
        )
        return chosen.rules
    # A number that an image does not show, or that may not change, has nothing to scale.
    squares = np.minimum(np.nan_to_num(np.array(errors_over), nan=0.0), _MOST) ** 2
    held = np.sqrt(squares.mean(axis=0))
    # Photons set the least that a deviation can be; what is less here is chance.
    scale = tuple(np.maximum(held, 1.0).tolist())
    _LOG.info("stated deviations are multiplied by %s", ", ".join(f"{one:.2f}" for one in scale))
    return chosen.rules.model_copy(update={"deviation_scale": scale})


def bundle_spec(chosen: PosePlan, cfg: Experiment) -> ship.BundleSpec:
    """Return what the bundle is for."""
    return ship.BundleSpec(
        pose.NAME, cfg.preprocessing, cfg.threshold, chosen.rules, assets=chosen.assets
    )
