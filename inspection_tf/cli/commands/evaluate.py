"""`inspection evaluate`: measure a bundle on labelled images."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from inspection_tf import errors, process, runtime
from inspection_tf.cli import data, paths
from inspection_tf.cli.arguments import Bundle, Root, Switch
from inspection_tf.datasets.readers import formats
from inspection_tf.datasets.readers.located import corners

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspection_tf import evaluation
    from inspection_tf.datasets.records import Records

    FormatName = str
else:
    FormatName = Literal[tuple(formats.FORMATS)]


def evaluate(
    bundle: Bundle,
    root: Root = None,
    /,
    *,
    out: Path,
    format: FormatName | None = None,
    split: Literal["train", "tune", "test", "all"] | None = None,
    order: corners.Order | None = None,
    group_pattern: str | None = None,
    mask_values: dict[str, str] | None = None,
    mask_ignore: tuple[str, ...] | None = None,
    ok_class: str | None = None,
    engine: str = runtime.ONNX,
    robustness: Switch = False,
) -> int:
    """Measure a bundle on labelled images: metrics.json, per_image.csv, pictures.

    Args:
        bundle: folder of the bundle.
        root: labelled images; without it, the ones the bundle was made from.
        out: new folder for the results.
        format: layout of root; by default that of the bundle's own data.
        split: part of the bundle's own data, test by default; all images of a root.
        order: what p1, p2, p3 and p4 are in a corners.csv whose columns are called so.
        group_pattern: regular expression whose first group, or the one named group, is the part
            that an image of root shows, from its path under root without suffix; by default as
            groups.csv in root says, or that of the bundle's own data. Empty: no pattern.
        mask_values: what values in the masks of root mean, as data.mask_values of a training,
            in pairs: 1 scratch 2 dent; by default what they mean in the bundle's own data.
        mask_ignore: values in them whose pixels do not count.
        ok_class: folder of good images in a root with a folder for each class; by default as in the
            bundle's own data, or the one that is called ok, good, intact or the like. Empty: none.
        engine: of the bundle; onnx, its float32 networks; auto, the fastest of them here.
        robustness: also inspect each image perturbed in seven ways, at four strengths each:
            robustness.csv and robustness.png say how often it is then judged rightly.
    """
    from inspection_tf import evaluation, plots

    inspector = runtime.Inspector.load(bundle, engine=engine)
    manifest = inspector.manifest
    if root is None:
        if group_pattern is not None:
            raise errors.ConfigError(
                "--group-pattern is about the images of a ROOT. Got none. Leave it out: the "
                "bundle's own data has the groups that it was split by."
            )
        split = split or "test"
        records = data.from_provenance(manifest, split)
    else:
        labels = data.Labels(format, order, group_pattern, mask_values, mask_ignore, ok_class)
        records = data.from_root(manifest, root, labels, split)
    folder = paths.new_folder(out)
    with process.bar("inspecting") as progress:
        rows = evaluation.measure(inspector, records, progress=progress)
    report = evaluation.report(
        rows,
        split=split or "all",
        operating_point=manifest.operating_point,
        dataset_sha256=records.sha256(),
        classes=manifest.classes,
    )
    evaluation.write(folder, rows, report)
    by_id = {record.id: record for record in records}

    def show(name: str) -> evaluation.Look:
        return evaluation.look(inspector, by_id[name])

    task, threshold = inspector.task, manifest.operating_point.threshold
    plots.write_evaluation(folder, rows, task=task, threshold=threshold, show=show, report=report)
    process.show_table(evaluation.table(report, rows[0].measures))
    if robustness:
        _perturbed(inspector, records, rows, folder)
    return errors.OK


def _perturbed(
    inspector: runtime.Inspector,
    records: "Records",
    rows: "Sequence[evaluation.ImageResult]",
    folder: Path,
) -> None:
    """Inspect perturbed images, and write and show how verdicts fare on them."""
    from inspection_tf import plots
    from inspection_tf.evaluation import robustness

    with process.bar("perturbing") as progress:
        points = robustness.trial(inspector, records, rows, progress=progress)
    robustness.write(folder, points)
    plots.save(plots.robustness_curves(points), folder / "robustness.png")
    process.show_table(robustness.table(points))
