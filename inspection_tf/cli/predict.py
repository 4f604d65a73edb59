"""`inspection predict`: decide about images."""

import json as json_module
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from inspection_tf import errors, files, images, runtime
from inspection_tf.cli import data

if TYPE_CHECKING:
    from inspection_tf import decision

Bundle = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="BUNDLE")]
Paths = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH...")]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")


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
    stem = unicodedata.normalize("NFC", path.stem)
    for found in sorted(template.iterdir()):
        is_same = unicodedata.normalize("NFC", found.stem) == stem
        if is_same and found.suffix.lower() in images.IMAGE_SUFFIXES:
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
    folder = data.new_folder(out) if out is not None else None
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
