"""The network that finds poses, the part before its scanner, and how far stated errors hold."""

import concurrent.futures
import dataclasses
import logging
import os
import threading
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from numpy.typing import NDArray

from inspection_tf import config, errors, evaluation, images
from inspection_tf.datasets import data_spec
from inspection_tf.datasets.loading import loader
from inspection_tf.datasets.records import Record, Records
from inspection_tf.engines.network import Network
from inspection_tf.export import ship
from inspection_tf.export.trained import KerasNetwork
from inspection_tf.projection import Setup, setup_files
from inspection_tf.recipes import stages
from inspection_tf.recipes.experiment import Experiment
from inspection_tf.runtime.runner import Runner
from inspection_tf.tasks import pose
from inspection_tf.tasks.base import Context
from inspection_tf.tasks.pose import comparison, measures, rules
from inspection_tf.tasks.pose.learning import network
from inspection_tf.thresholds import OperatingPoint
from inspection_tf.training.runs.run_folder import RunFolder

_LOG = logging.getLogger("inspection_tf")
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
    if part is None or unit is None:
        raise errors.ConfigError(
            "--part and --unit go together: a mesh does not say in which unit it is. Got "
            f"{'--unit alone' if part is None else '--part alone'}. Give both, or none."
        )
    if not isinstance(data, data_spec.XraysSpec):
        raise errors.ConfigError(
            f"--part needs drawn X-rays, data.format xray. Got {data.format}. Leave it out: the "
            "part of recorded images is in --setup."
        )
    changed = {"file": part, "unit": unit}
    drawn = config.replace(data.xray.part, changed, origin="--part")
    return data.model_copy(update={"xray": data.xray.model_copy(update={"part": drawn})})


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
        before, detector = data.xray.nominal(), data.xray.detector
        taken = {"photons": detector.photons, "open_value": detector.open_value}
        spec = given.refinement.model_copy(update=taken)
        given = given.model_copy(update={"refinement": spec, "poses": data.xray.poses})
        symmetry = data.xray.part.symmetry
    else:
        root = data.root if isinstance(data, data_spec.StoredSpec) else None
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
    model = finder.model.model_copy(
        update={
            "tilts_deg": (max(given.poses.theta_deg, 1.0), max(given.poses.psi_deg, 1.0)),
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
        return loader.cache(some, chosen.preprocessing, spec=chosen.finder.loader)

    model = stages.fit_stage(
        chosen.network,
        cache(records),
        cache(tune) if tune else None,
        seed=chosen.seed,
        folder=folder.within(pose.FINDER),
    )
    return {pose.FINDER: model}


def judged(
    chosen: PosePlan, models: dict[str, keras.Model], records: Records
) -> list[evaluation.ImageResult]:
    """Judge images, as many at once as there are processors, and compare them with their labels.

    What is measured here is not measured again when the bundle is written: see `pose.measuring`.
    """
    task, point = pose.TASK, OperatingPoint(threshold=rules.AT_LIMIT)
    context = Context(
        records.classes, chosen.preprocessing, chosen.rules, point, assets=chosen.assets
    )
    networks = {name: _InTurn(KerasNetwork(model)) for name, model in models.items()}
    runner = Runner(task, networks, context)

    def judge(record: Record) -> evaluation.ImageResult:
        prepared = runner.prepare_decoded(*record.read_pair())
        return comparison.compare(record, runner.judge(prepared), context)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(judge, records))


class _InTurn(Network):
    """A network that several threads ask, one after the other."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._lock = threading.Lock()

    def run_all(
        self, batch: NDArray[np.uint8], template: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], ...]:
        with self._lock:
            return self.network.run_all(batch, template)


def calibrated(chosen: PosePlan, models: dict[str, keras.Model], tune: Records) -> pose.Settings:
    """Return rules whose stated deviations hold on tune.

    Each is multiplied by the root mean square of errors over deviations, of images whose pose is
    trusted; an error counts as three deviations at most, so that one alone does not decide. From
    few images that is known better than a quantile of them would be.

    Args:
        chosen: the plan of the run.
        models: the trained network.
        tune: images that it did not learn from.
    """
    if not chosen.rules.refine or not len(tune):
        return chosen.rules
    told = [
        row.result_as(measures.PoseResult)
        for row in judged(chosen, models, tune)
        if measures.is_told(row)
    ]
    errors_over = [np.abs(result.off) / np.array(result.stated) for result in told]
    if len(errors_over) < _FEWEST:
        _LOG.warning(
            "stated deviations are those of photons alone: %d images of tune have a pose, and "
            "scaling them takes %d",
            len(errors_over),
            _FEWEST,
        )
        return chosen.rules
    squares = np.minimum(np.array(errors_over), _MOST) ** 2
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
