"""The console script `inspection`: what a deployment team does with a bundle, and synthetic sets.

stdout carries results only; everything else goes to stderr. Exit codes: see `errors`.
"""

import glob
import json as json_module
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from inspection_tf import (
    _cli_bench,
    _cli_data,
    _cli_deploy,
    _cli_synthesis,
    _cli_threshold,
    _cli_tiles,
    config,
    errors,
    files,
    images,
    process,
    runtime,
)

if TYPE_CHECKING:
    from inspection_tf import decision

Bundle = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BUNDLE")]
Paths = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH...")]
Root = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[ROOT]")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
Corner = Literal["tl", "tr", "br", "bl"]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")


def _new_folder(path: Path) -> Path:
    """Make an output folder; one that holds something is refused, so nothing is overwritten."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise errors.ConfigError(
            f"--out must be a new or empty folder. Got {str(path)!r}, which holds something. "
            "Choose another folder."
        )
    return files.make_folder(path)


def _listed(paths: Iterable[Path]) -> list[Path]:
    """Replace each folder by the images in it."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [p for p in sorted(path.iterdir()) if p.suffix.lower() in images.IMAGE_SUFFIXES]
        if not inside:
            raise errors.DataError(
                f"A folder to predict must hold images. Got none in {path}. Check the path."
            )
        found += inside
    return found


def _stems(paths: list[Path]) -> list[str]:
    """Return a name for each image's outputs; equal stems are numbered."""
    taken: set[str] = set()
    names = []
    for path in paths:
        name, number = path.stem, 1
        while name in taken:
            number += 1
            name = f"{path.stem}_{number}"
        taken.add(name)
        names.append(name)
    return names


def _write_pictures(out: Path, stem: str, verdict: "decision.Verdict") -> None:
    import numpy as np

    if verdict.probability is not None:
        # A value that is not finite shows as certain: it must catch the eye.
        finite = np.nan_to_num(verdict.probability, nan=1.0, posinf=1.0, neginf=0.0)
        score = np.rint(255 * np.clip(finite, 0, 1)).astype(np.uint8)
        images.write_png(out / f"{stem}.score.png", score)
    images.write_png(out / f"{stem}.mask.png", verdict.mask())
    overlay = verdict.overlay()
    if overlay is not None:
        images.write_png(out / f"{stem}.overlay.png", overlay)
    field = verdict.crop()
    if field is not None:
        images.write_png(out / f"{stem}.field.png", field)


def _template_of(path: Path, template: Path | None) -> Path | None:
    """Return the template of an image: the file given, or the one of its name in a folder."""
    if template is None or not template.is_dir():
        return template
    for found in sorted(template.glob(f"{glob.escape(path.stem)}.*")):
        if found.suffix.lower() in images.IMAGE_SUFFIXES:
            return found
    raise errors.ImageError(
        f"{path}: each image must have a template. Got none named {path.stem} in {template}. "
        "Add it, or give one file for all."
    )


def _predict_one(
    inspector: runtime.Inspector, path: Path, stem: str, out: Path | None, template: Path | None
) -> tuple[dict[str, Any], int]:
    """Inspect a file; returns its line and its exit code."""
    try:
        verdict = inspector.inspect(path, template=_template_of(path, template))
        if out is not None:
            _write_pictures(out, stem, verdict)
    except errors.InspectionError as problem:
        _complain(f"error: {problem}")
        return {"path": str(path), "error": str(problem)}, problem.exit_code
    code = errors.OK if verdict.outcome == "OK" else errors.NOT_OK
    return {"path": str(path), **verdict.to_dict()}, code


def _verdict_table(lines: list[dict[str, Any]]) -> None:
    import rich.console
    import rich.table

    table = rich.table.Table("image", "outcome", "score", "regions", "reasons", box=None)
    for line in lines:
        if "error" in line:
            table.add_row(line["path"], "error", "", "", line["error"])
            continue
        score = "not finite" if line["score"] is None else f"{line['score']:.4f}"
        table.add_row(
            line["path"],
            line["outcome"],
            score,
            str(line["defect_count"]),
            "; ".join(line["reasons"]),
        )
    console = rich.console.Console()
    console.print(table)


def predict(
    bundle: Bundle,
    paths: Paths,
    /,
    *,
    out: Path | None = None,
    template: Path | None = None,
    engine: str = runtime.ONNX,
    json: Switch = False,
) -> int:
    """Decide about images.

    Args:
        bundle: folder of the bundle.
        paths: image files, or folders of them.
        template: what the images should look like, for a bundle that compares: a file for all, or
            a folder with one of each name.
        out: new folder for NAME.score.png, NAME.mask.png, NAME.overlay.png and verdicts.jsonl; an
            image that a first stage stops has no score picture. Of a field NAME.field.png, seen
            from straight above, and no score picture.
        engine: of the bundle; onnx, its float32 networks; auto, the fastest of them here.
        json: print a line of JSON for each image instead of a table.
    """
    if not paths:
        raise errors.ConfigError("predict needs at least one image. Got none. Name files.")
    listed = _listed(paths)
    inspector = runtime.Inspector.load(bundle, engine=engine)
    folder = _new_folder(out) if out is not None else None
    lines, codes = [], []
    for path, stem in zip(listed, _stems(listed), strict=True):
        line, code = _predict_one(inspector, path, stem, folder, template)
        lines.append(line)
        codes.append(code)
        if json:
            _say(json_module.dumps(line))
    if not json:
        _verdict_table(lines)
    if folder is not None:
        files.write(folder / "verdicts.jsonl", "".join(json_module.dumps(v) + "\n" for v in lines))
    return errors.gravest(codes)


def evaluate(
    bundle: Bundle,
    root: Root = None,
    /,
    *,
    out: Path,
    format: (
        Literal["dagm", "folder", "magnetic_tile", "deeppcb", "corners", "smartdoc"] | None
    ) = None,
    split: Literal["train", "tune", "test", "all"] | None = None,
    order: tuple[Corner, Corner, Corner, Corner] | None = None,
    engine: str = runtime.ONNX,
) -> int:
    """Measure a bundle on labelled images: metrics.json, per_image.csv, pictures.

    Args:
        bundle: folder of the bundle.
        root: labelled images; without it, the ones the bundle was made from.
        out: new folder for the results.
        format: layout of root; by default that of the bundle's own data.
        split: part of the bundle's own data, test by default; all images of a root.
        order: what p1, p2, p3 and p4 are in a corners.csv whose columns are called so.
        engine: of the bundle; onnx, its float32 networks; auto, the fastest of them here.
    """
    import rich.console

    from inspection_tf import evaluation, plots

    inspector = runtime.Inspector.load(bundle, engine=engine)
    manifest = inspector.manifest
    if root is None:
        split = split or "test"
        chosen = _cli_data.from_provenance(manifest, split)
    else:
        chosen = _cli_data.from_root(manifest, root, format, split, order)
    folder = _new_folder(out)
    rows = evaluation.measure(inspector, chosen)
    report = evaluation.report(
        rows,
        split=split or "all",
        operating_point=manifest.operating_point,
        dataset_sha256=chosen.sha256(),
        classes=manifest.classes,
    )
    evaluation.write(folder, rows, report)
    by_id = {record.id: record for record in chosen}

    def show(name: str) -> Any:
        return evaluation.look(inspector, by_id[name])

    threshold = manifest.operating_point.threshold
    plots.write_evaluation(folder, rows, threshold=threshold, show=show, report=report)
    rich.console.Console(width=100).print(evaluation.table(report))
    return errors.OK


def verify(bundle: Bundle, /, *, engine: str = runtime.ONNX) -> int:
    """Check a bundle: schema, paths, hashes, golden samples.

    Args:
        bundle: folder of the bundle.
        engine: of the bundle, whose golden samples are run; onnx, its float32 networks.
    """
    inspector = runtime.Inspector.load(bundle, engine=engine, check_golden=False)
    samples = inspector.check_golden(bundle)
    manifest = inspector.manifest
    _say(
        f"{manifest.model_id}: schema {manifest.schema_version}, {len(manifest.files)} files as "
        f"written, {samples} golden samples as recorded"
        f"{'' if engine == runtime.ONNX else f' on {inspector.engine_name}'}"
    )
    return errors.OK


def synthesize(kind: Annotated[_cli_synthesis.Kind, tyro.conf.arg(name="")]) -> int:
    """Write synthetic images with exact labels.

    Args:
        kind: what to draw.
    """
    _say(str(kind.write()))
    return errors.OK


def markers(root: Folder, /, *, out: Path, unmarked: Switch = False) -> int:
    """Turn images with painted corners into a data set: clean images and corners.csv.

    Args:
        root: folder of the painted images, which are left as they are.
        out: new folder.
        unmarked: keep images without paint, as photos that do not show the field.
    """
    from inspection_tf.datasets import markers as painted

    _say(str(painted.convert(root, out, unmarked=unmarked)))
    return errors.OK


COMMANDS: dict[str, Callable[..., int]] = {
    "predict": predict,
    "evaluate": evaluate,
    "verify": verify,
    "bench": _cli_bench.bench,
    "convert": _cli_deploy.convert,
    "threshold": _cli_threshold.threshold,
    "tiles": _cli_tiles.tiles,
    "synthesize": synthesize,
    "markers": markers,
}


def main(arguments: list[str] | None = None) -> int:
    """Run `inspection`; returns the exit code.

    Args:
        arguments: words after the program's name; `sys.argv` by default.
    """

    def body() -> int:
        import pydantic

        try:
            return int(
                tyro.extras.subcommand_cli_from_dict(
                    COMMANDS,
                    prog="inspection",
                    description="Inspect images with a bundle.",
                    args=arguments,
                )
            )
        except pydantic.ValidationError as problem:  # sections check their own fields
            raise errors.ConfigError(config.in_a_sentence(problem)) from None

    return process.run(body)


if __name__ == "__main__":
    sys.exit(main())
