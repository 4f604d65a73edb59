"""The smallest network that solves a task: sizes from small to large, until one reaches the target.

Each size is trained alike and judged by its curves (see `doctor`): what underfits or overfits is
left for the next, and the climb ends on the first that solves it. A tuner would draw sizes at
random; this goes up, because the smallest one is wanted and each step says why the one before
failed.

Source: the talk on field location: "start small, enlarge until it overfits, keep the smallest".
"""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

import keras
import pydantic

from inspection_tf import config, errors, files, plots, process
from inspection_tf.models import complexity
from inspection_tf.training import doctor
from inspection_tf.training.runs.run_folder import History, RunFolder

_LOG = logging.getLogger("inspection_tf")


class Rung(config.Section):
    """One size of a network."""

    name: str
    """What it is called, also its folder."""
    settings: dict[str, Any]
    """What it changes, by dotted names, such as `model.filters: [8, 16, 32]`, and `size`."""


class LadderSpec(config.Section):
    """Sizes to try, from small to large, and what must be reached."""

    rungs: tuple[Rung, ...] = ()
    """In order."""
    target: float = pydantic.Field(default=0.01, gt=0)
    """Of the measurement on the tune split that the task is watched by, such as `corner_error`."""
    climb_on: bool = False
    """Also trains the sizes after the first that solves the task, for the picture."""

    @pydantic.model_validator(mode="after")
    def _names_differ(self) -> "LadderSpec":
        names = [rung.name for rung in self.rungs]
        if len(set(names)) < len(names):
            raise ValueError(f"the names of rungs must differ, got {names}")
        return self


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """What came of one size.

    Attributes:
        name: of the rung.
        kind: what its curves say; `solved`, or why not.
        diagnosis: the whole sentence.
        error: the last measurement on the tune split.
        parameters: of the network.
        macs: multiply-adds for one image.
        file_bytes: of the exported network.
        latency_ms: median time of one inference of it, one image.
    """

    name: str
    kind: str
    diagnosis: str
    error: float
    parameters: int
    macs: int
    file_bytes: int
    latency_ms: float


Train = Callable[[Rung, RunFolder], tuple[keras.Model, RunFolder]]
"""Trains a size and returns what is deployed, and the folder that has its history."""
Measure = Callable[[keras.Model], tuple[int, float]]
"""Exports a network: bytes of the file, median ms of an inference."""


def climb(
    spec: LadderSpec, *, run: RunFolder, train: Train, measure: Measure, metric: str
) -> list[Step]:
    """Train one size after the other until one reaches the target.

    Writes `search.json` and `search.png` into the folder after each.

    Args:
        spec: the sizes and the target.
        run: each size has a folder inside.
        train: trains a size.
        measure: exports it.
        metric: column of the history, an error.

    Returns:
        A step for each size that was trained.

    Raises:
        errors.ConfigError: there is no rung.
        errors.DataError: the history does not hold the metric.
    """
    if not spec.rungs:
        raise errors.ConfigError(
            "A search needs sizes to try. Got no rung. List some under ladder.rungs."
        )
    target = doctor.Target(metric, spec.target)
    steps: list[Step] = []
    for number, rung in enumerate(spec.rungs, start=1):
        model, folder = train(rung, run.within(f"{number}_{rung.name}"))
        rows = History(folder.path / "history.csv").rows
        diagnosis = doctor.diagnose(rows, target=target)
        file_bytes, latency_ms = measure(model)
        work = complexity.count(model)
        error = next(row[metric] for row in reversed(rows) if metric in row)
        steps.append(
            Step(
                name=rung.name,
                kind=diagnosis.kind,
                diagnosis=str(diagnosis),
                error=error,
                parameters=work.parameters,
                macs=work.macs,
                file_bytes=file_bytes,
                latency_ms=latency_ms,
            )
        )
        _LOG.info(
            "rung %d of %d, %s (%d parameters): %s",
            number,
            len(spec.rungs),
            rung.name,
            work.parameters,
            diagnosis,
        )
        files.write_json(run.path / "search.json", [dataclasses.asdict(step) for step in steps])
        plots.save(plots.pareto(steps, target=spec.target), run.path / "search.png")
        if diagnosis.kind == "solved" and not spec.climb_on:
            break
    return steps


def report(steps: Sequence[Step]) -> dict[str, Any]:
    """Print a table of a search, and return it: the smallest size that solves, and all steps."""
    import rich.table

    table = rich.table.Table(box=None, pad_edge=False)
    for name in ("rung", "parameters", "MACs", "ONNX kB", "ms", "error", "diagnosis"):
        table.add_column(name, no_wrap=name != "diagnosis")
    for step in steps:
        cells = (
            step.name,
            f"{step.parameters:,}",
            f"{step.macs / 1e6:.1f} M",
            f"{step.file_bytes / 1e3:.0f}",
            f"{step.latency_ms:.2f}",
            f"{step.error:.4f}",
            step.diagnosis,
        )
        table.add_row(*map(process.cell, cells))
    process.show_table(table)
    first = smallest(steps)
    return {
        "smallest": None if first is None else first.name,
        "steps": [dataclasses.asdict(step) for step in steps],
    }


def smallest(steps: Sequence[Step]) -> Step | None:
    """Return the first size that solved the task, None where none did."""
    return next((step for step in steps if step.kind == "solved"), None)
