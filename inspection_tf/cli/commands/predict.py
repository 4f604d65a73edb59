"""`inspection predict`: decide about images."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspection_tf import errors, files, images, process, runtime
from inspection_tf.cli import arguments, parts, paths
from inspection_tf.cli.arguments import Bundle, FurtherBundles, Metadata, Paths, Switch

if TYPE_CHECKING:
    import rich.table

    from inspection_tf import decision

Line = dict[str, Any]
"""The result of an image: its path, and a verdict or an error; ready for JSON."""


def _write_pictures(out: Path, stem: str, verdict: "decision.Verdict") -> None:
    pictures = {"mask": verdict.mask(), "overlay": verdict.overlay(), **verdict.pictures()}
    for name, picture in pictures.items():
        if picture is not None:
            images.write_png(out / f"{stem}.{name}.png", picture)


def _refused(path: Path, problem: Exception) -> tuple[Line, int]:
    """Report on stderr what is wrong with an image; returns its line and its exit code."""
    return {"path": str(path), "error": process.report(problem)}, process.exit_code_of(problem)


def _predict_one(
    inspector: runtime.Inspector,
    item: paths.Item,
    out: Path | None,
    templates: paths.Templates,
    metadata: dict[str, str],
) -> tuple[Line, int]:
    """Inspect a file; returns its line and its exit code, whatever happens."""
    if item.problem is not None:
        return _refused(item.path, item.problem)
    try:
        verdict = inspector.inspect(item.path, template=templates.of(item.path), metadata=metadata)
    except Exception as problem:  # of one image, whatever it is: the others have theirs
        return _refused(item.path, problem)
    code = errors.OK if verdict.outcome == "OK" else errors.NOT_OK
    line = {"path": str(item.path), **verdict.to_dict()}
    try:
        if out is not None:
            _write_pictures(out, item.stem, verdict)
    except Exception as problem:  # the verdict stands all the same
        code = errors.gravest((code, _refused(item.path, problem)[1]))
    return line, code


class _Verdicts:
    """Prints and writes the line of each image as soon as it is known.

    Attributes:
        code: the gravest exit code of all of them.
    """

    def __init__(
        self,
        out: Path | None,
        *,
        as_json: bool,
        table: "Callable[[list[Line]], rich.table.Table]",
    ) -> None:
        self._file = None if out is None else out / "verdicts.jsonl"
        self._as_json = as_json
        self._table = table
        self._rows: list[Line] = []
        self.code = errors.OK

    def add(self, line: Line, code: int) -> None:
        """Take a line and its exit code."""
        self.code = errors.gravest((self.code, code))
        text = process.json_line(line)
        if self._file is not None:  # first: who stops this process has it on disk
            self._append(self._file, text)
        if self._as_json:
            process.say(text)
        else:
            self._rows.append(line)

    def _append(self, path: Path, text: str) -> None:
        try:
            files.append_line(path, text)
        except errors.StorageError as problem:
            process.report(problem)
            self.code = errors.gravest((self.code, problem.exit_code))

    @property
    def are_lost(self) -> bool:
        """Whether nobody reads them and no file takes them."""
        return self._file is None and process.is_unheard()

    def show(self) -> None:
        """Print what is not printed yet: the table."""
        if not self._as_json:
            process.show_table(self._table(self._rows))


def _table(rows: list[Line]) -> "rich.table.Table":
    import rich.table

    table = rich.table.Table("image", "outcome", "score", "defects", "reasons", box=None)
    for line in rows:
        if "error" in line:
            cells = [line["path"], "error", "", "", line["error"]]
        else:
            score = "not finite" if line["score"] is None else f"{line['score']:.4f}"
            reasons = "; ".join(line["reasons"])
            cells = [line["path"], line["outcome"], score, str(line["defect_count"]), reasons]
        table.add_row(*map(process.cell, cells))
    return table


def predict(
    bundle: Bundle,
    words: Paths,
    /,
    *,
    out: Path | None = None,
    template: Path | None = None,
    engine: str = runtime.ONNX,
    metadata: Metadata = (),
    part: str | None = None,
    also: FurtherBundles = (),
    json: Switch = False,
) -> int:
    """Decide about images.

    Args:
        bundle: folder of the bundle.
        words: image files, or folders of them: no hidden files, no folders in these. One that
            cannot be used costs the others nothing.
        template: what the images should look like, for a bundle that compares: a file for all, or
            a folder with one of each name.
        out: new folder for verdicts.jsonl, which grows as images are decided, and pictures:
            NAME.mask.png, NAME.overlay.png and, by what is looked for, NAME.score.png (not of an
            image that a first stage stops), NAME.field.png (a field, seen from straight above) or
            NAME.difference.png (an X-ray, its model, and where they differ). Of several bundles the
            pictures of each lie in a folder of their own: bundle_1, bundle_2, as they are named.
        engine: of the bundle; onnx, its float32 networks; auto, the fastest of them here.
        metadata: passed through to every verdict, once for each name: camera=left.
        part: the images of one part give one verdict, the gravest, and none is OK of which an image
            cannot be read. A regular expression on the path whose first group is the part; or
            folder, where the images of each folder are a part. A later group called position, as
            in 'head(.)_(?P<position>.)', names the images, such as the inserts of a tool
            head; it passes through as metadata, and the worst of them comes first.
        also: another bundle that inspects the same images; all of them give one verdict, the
            gravest. Once for each.
        json: print a line of JSON for each image, or each part, instead of a table.
    """
    if not words:
        raise errors.ConfigError("predict needs at least one image. Got none. Name files.")
    passed_through = arguments.parse_metadata(metadata)
    is_composite = part is not None or bool(also)
    parts.compiled(part)  # refuses a pattern that is none before the work begins
    listed, templates = paths.listed(words), paths.Templates(template)
    inspectors = parts.load(
        (bundle, *also), lambda root: runtime.Inspector.load(root, engine=engine)
    )
    folder = paths.new_folder(out) if out is not None else None
    if listed.left_out:
        process.complain(listed.left_out_in_words())

    def write(number: int, stem: str, verdict: "decision.Verdict") -> None:
        if folder is not None:
            inside = files.make_folder(folder / f"bundle_{number + 1}") if also else folder
            _write_pictures(inside, stem, verdict)

    lines: Iterable[tuple[Line, int]]
    if is_composite:
        setup = parts.Setup(inspectors, templates.of, passed_through, write, process.report)
        lines = parts.composite_lines(listed.items, setup, part)
    else:
        inspector = inspectors[str(bundle)]
        lines = (
            _predict_one(inspector, item, folder, templates, passed_through)
            for item in listed.items
        )
    table = parts.table if is_composite else _table
    verdicts = _Verdicts(folder, as_json=json, table=table)
    try:
        for line, code in lines:
            verdicts.add(line, code)
            if verdicts.are_lost:
                return errors.SIGPIPE
    finally:  # also what was decided before the command is told to stop
        verdicts.show()
    return verdicts.code
