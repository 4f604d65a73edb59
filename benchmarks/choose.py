"""Which of several configurations does better on parts nobody has seen, beyond noise.

python -m benchmarks.choose RECIPE SIMPLEST OTHER ... --out DIR [--splits 15] [--variants FILE]
    [--share 0.3] [--set data.root DIR] [--set FIELD VALUE ...] [--metric ok_ng_accuracy]

Name the simplest configuration first. Variants of it may stand in one file, from the simplest on: a
name for each, and in what it differs, such as in `benchmarks/tiles.yaml`.

Each is trained on the same splits of the same images: split k seals a share of them, by groups and
classes, with `data.seed` k, and the whole recipe runs on the rest, up to its bundle and its
threshold. Then the bundle is measured on what was sealed, as `inspection unseal` does. A run that
is there already is not repeated; one that was cut off goes on.

A configuration takes the lead only where it is ahead of the leader so far beyond noise: the mean
of the paired differences over all splits, with an interval from resamples of whole groups, each
drawn in all splits at once, at 95 % for all comparisons together (Bonferroni). Else the simpler one
stays. What is chosen so was chosen on these images: what it reaches on others is for a sealed part
of its own, or for other images, to say.
"""

import dataclasses
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import rich.table
import tyro
import yaml

from inspection_tf import bundle, errors, evaluation, files, process
from inspection_tf.config import bases
from inspection_tf.editing import unseal

_ROWS = "rows.pickle"
_CONFIDENCE = 0.95
_SHOWN = ("ok_ng_accuracy", "image_auroc", "escape_rate", "overkill_rate", "review_rate",
          "iou_pooled", "iou_pooled_defective", "iou_class_mean")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compared, on what."""

    recipe: Annotated[str, tyro.conf.Positional]
    """Module of `pipelines`."""
    configurations: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """YAML files, the simplest first."""
    out: Path
    """Folder of all runs: `NAME/SPLIT`."""
    variants: Path | None = None
    """A YAML file of further ones: names, and in what each differs from the first."""
    splits: int = 15
    """How many; of them each seals other images."""
    share: float = 0.3
    """Of the images that are sealed in each."""
    set: Annotated[tuple[tuple[str, str], ...], tyro.conf.UseAppendAction] = ()
    """Fields of all configurations, such as `data.root DIR`."""
    metric: str = "ok_ng_accuracy"
    """What decides."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """A configuration on all splits.

    Attributes:
        name: of its file.
        rows: of each split, one for each sealed image.
        classes: of the bundle.
        minutes: that a run took, the mean.
    """

    name: str
    rows: Sequence[Sequence[evaluation.ImageResult]]
    classes: tuple[str, ...]
    minutes: float

    def means(self) -> dict[str, float]:
        """Return the mean of each metric over the splits in which it is defined."""
        found: dict[str, list[float]] = {}
        for rows in self.rows:
            metrics = evaluation.summarize(rows, classes=self.classes, resamples=2)
            for name, estimate in metrics.items():
                if estimate.value is not None:
                    found.setdefault(name, []).append(estimate.value)
        return {name: sum(values) / len(values) for name, values in found.items()}


def with_variants(options: Options) -> Options:
    """Return options that name a configuration for each variant, written below `out`.

    Raises:
        errors.ConfigError: the file is no mapping of names to differences.
    """
    if options.variants is None:
        return options
    simplest, *others = options.configurations
    found = bases.read(options.variants).values
    folder = options.out / "configurations"
    files.make_folder(folder)
    beside = list(simplest.parent.glob("*.yaml"))  # the bases of the simplest are among them
    for path in beside:
        files.write(folder / path.name, path.read_text(encoding="utf-8"))
    taken = {path.stem for path in beside}
    written = []
    for name, differences in found.items() if isinstance(found, dict) else ():
        if name in taken or not isinstance(differences, dict):
            raise errors.ConfigError(
                f"{options.variants}: a variant must be a name of its own and what differs. Got "
                f"{name!r}. Give it another name, or sections and fields."
            )
        written.append(folder / f"{name}.yaml")
        values = {bases.KEY: simplest.name, **differences}
        files.write(written[-1], yaml.safe_dump(values, sort_keys=False))
    return dataclasses.replace(options, configurations=(simplest, *others, *written))


def finish(options: Options, path: Path, split: int, folder: Path) -> None:
    """Run a configuration on a split to its bundle, unless that is there.

    Raises:
        errors.InspectionError: the run did not reach its end.
    """
    if (folder / bundle.IN_A_RUN / bundle.MANIFEST).is_file():
        return
    fields = {"data.sealed": str(options.share), "data.seed": str(split), "seed": str(split)}
    line = [sys.executable, "-m", f"pipelines.{options.recipe}", "--config", str(path)]
    line += ["--out", str(folder)]
    for field, value in {**fields, **dict(options.set)}.items():
        line += [f"--{field.replace('_', '-')}", value]
    log = folder.with_suffix(".log")
    files.make_folder(log.parent)
    with log.open("ab") as file:
        code = subprocess.run(line, stdout=file, stderr=file, check=False).returncode
    if code:
        raise errors.InspectionError(
            f"Each run must reach its end. Got exit code {code} of {path.stem} on split {split}. "
            f"See {log}."
        )


def run(options: Options, path: Path, split: int) -> dict[str, Any]:
    """Return rows, classes and minutes of a configuration on a split, from disk if they are."""
    folder = options.out / path.stem / str(split)
    kept = folder / _ROWS
    if not kept.is_file():
        began = time.monotonic()
        finish(options, path, split, folder)
        values = {
            "rows": list(unseal.unseal(folder).rows),
            "classes": bundle.read(folder / bundle.IN_A_RUN).classes,
            "minutes": (time.monotonic() - began) / 60,
        }
        files.write(kept, pickle.dumps(values))
    return dict(pickle.loads(kept.read_bytes()))  # its own, a line above


def measured(options: Options) -> list[Measured]:
    """Return all configurations on all splits, which are run split by split."""
    found: dict[str, list[dict[str, Any]]] = {path.stem: [] for path in options.configurations}
    for split in range(options.splits):
        for path in options.configurations:
            values = run(options, path, split)
            found[path.stem].append(values)
            process.say(f"split {split}, {path.stem}: {values['minutes']:.1f} min")
    return [
        Measured(
            name,
            [one["rows"] for one in values],
            values[0]["classes"],
            sum(one["minutes"] for one in values) / len(values),
        )
        for name, values in found.items()
    ]


def differences(
    leader: Measured, other: Measured, confidence: float
) -> Mapping[str, evaluation.Estimate]:
    """Return by how much another is ahead of the leader, metric by metric."""
    return evaluation.changes_over(
        list(zip(leader.rows, other.rows, strict=True)),
        classes=leader.classes,
        confidence=confidence,
    )


def is_ahead(
    metric: str, change: evaluation.Estimate, rows: Sequence[evaluation.ImageResult]
) -> bool:
    """Return whether a difference lies on the better side of 0 with its whole interval."""
    if change.low is None or change.high is None:
        return False
    worst = max(
        evaluation.worsening(metric, end, rows[0].measures) for end in (change.low, change.high)
    )
    return worst < 0


def compare(options: Options, every: Sequence[Measured]) -> str:
    """Print values and differences; return the name of the configuration that is chosen."""
    metrics = list(dict.fromkeys((options.metric, *_SHOWN)))
    values = rich.table.Table("configuration", "minutes", *metrics, box=None)
    for one in every:
        means = one.means()
        cells = [f"{means[metric]:.3f}" if metric in means else "-" for metric in metrics]
        values.add_row(one.name, f"{one.minutes:.1f}", *cells)
    process.show_table(values)
    leader = every[0]
    confidence = 1 - (1 - _CONFIDENCE) / max(len(every) - 1, 1)
    table = rich.table.Table("compared", *metrics, "takes the lead", box=None)
    for other in every[1:]:
        found = differences(leader, other, confidence)
        if options.metric not in found:
            raise errors.ConfigError(
                f"--metric must be one that all runs have. Got {options.metric!r}. Choose among "
                f"{', '.join(found)}."
            )
        is_better = is_ahead(options.metric, found[options.metric], other.rows[0])
        cells = [_shown(found.get(metric)) for metric in metrics]
        table.add_row(f"{other.name} - {leader.name}", *cells, "yes" if is_better else "no")
        leader = other if is_better else leader
    process.show_table(table)
    return leader.name


def _shown(change: evaluation.Estimate | None) -> str:
    if change is None or change.value is None:
        return "-"
    if change.low is None:
        return f"{change.value:+.3f}"
    return f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"


def main() -> int:
    """Run what is not there yet, and print what is chosen."""
    options = with_variants(tyro.cli(Options, description=__doc__))
    if len(options.configurations) < 2:
        raise errors.ConfigError(
            f"A comparison needs two configurations. Got {len(options.configurations)}. Name more."
        )
    for path in options.configurations:
        bases.read(path)  # what is no configuration is told before hours go into another
    process.say(f"chosen: {compare(options, measured(options))}")
    return errors.OK


if __name__ == "__main__":
    sys.exit(process.run(main))
