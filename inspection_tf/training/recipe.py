"""What every recipe does around its straight line: command line, provenance, the last lines."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from inspection_tf import bundle, config, decision, evaluation, plots, process
from inspection_tf.datasets import sources
from inspection_tf.datasets.records import Records, split_ids
from inspection_tf.training.run_folder import RunFolder, versions

SectionT = TypeVar("SectionT", bound=config.Section)


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

    def show(self, name: str) -> tuple[Any, Any, decision.Verdict]:
        """Return image, true mask and verdict of a measured image."""
        ...


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
    data: sources.DataSpec,
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
    import rich.console

    folder = run.path / "evaluation"
    evaluation.write(folder, shipped.rows, shipped.report)
    point = shipped.manifest.operating_point
    plots.write_evaluation(folder, shipped.rows, threshold=point.threshold, show=shipped.show)
    # Wide enough for the table on anything; a log file has no width of its own.
    rich.console.Console(width=100).print(evaluation.table(shipped.report))
    splits = shipped.manifest.provenance.data.splits
    for line in (point.note, *_next_commands(run.path / "bundle", has_test="test" in splits)):
        if line:
            print(line)  # noqa: T201
    return shipped.report


def _next_commands(path: Path, *, has_test: bool) -> tuple[str, ...]:
    # Cross-validation ships a network that has seen every image: only others can measure it.
    images = "--split test" if has_test else "ROOT"
    return (
        f"\nThe bundle is in {path}. Next:",
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
        settings, out = config.from_command_line(
            section,
            default_path=path.with_suffix(".yaml"),
            program=f"python -m pipelines.{path.stem}",
            description=(sys.modules["__main__"].__doc__ or "").split("\n")[0],
        )
        body(settings, out)
        return 0

    return process.run(command)
