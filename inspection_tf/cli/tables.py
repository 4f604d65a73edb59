"""The tables of `inspection bench`: what stands in each column."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from inspection_tf import errors, process

if TYPE_CHECKING:
    from inspection_tf import bench


class Row(Protocol):
    """What a table shows in a row."""

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        ...


RowT = TypeVar("RowT", bound=Row)
TIMINGS: "Mapping[str, Callable[[bench.Timing], str]]" = {
    "engine": lambda row: row.name.removesuffix("ExecutionProvider"),
    "batch": lambda row: str(row.batch_size),
    "threads": lambda row: str(row.threads or "all"),
    "p50 ms": lambda row: f"{row.p50_ms:.1f}",
    "p95": lambda row: f"{row.p95_ms:.1f}",
    "p99": lambda row: f"{row.p99_ms:.1f}",
    "pre": lambda row: f"{row.stages_ms['pre']:.1f}",
    "copy": lambda row: f"{row.copy_ms:.2f}",
    "model": lambda row: f"{row.stages_ms['model']:.1f}",
    "post": lambda row: f"{row.stages_ms['post']:.1f}",
    "images/s": lambda row: f"{row.images_per_s:.1f}",
    "segmented": lambda row: (
        f"{row.segmented_share:.0%}" if row.segmented_share < 1 or "both" in row.name else ""
    ),
    "file MB": lambda row: f"{row.file_bytes / 1e6:.1f}" if row.file_bytes else "",
    "peak MB": lambda row: f"{row.peak_bytes / 1e6:.0f}" if row.peak_bytes else "",
    "NG": lambda row: str(row.outcomes.count("NG")),
}
OPERATORS: "Mapping[str, Callable[[bench.Operator], str]]" = {
    "graph": lambda row: row.graph,
    "operator": lambda row: row.kind,
    "number": lambda row: str(row.count),
    "ms": lambda row: f"{row.ms:.2f}",
    "share": lambda row: f"{row.share:.1%}",
    "M MACs": lambda row: f"{row.macs / 1e6:.1f}",
    "MACs/us": lambda row: f"{row.macs_per_us:.0f}",
}


def show(
    rows: Sequence[RowT], columns: Mapping[str, Callable[[RowT], str]], *, as_json: bool
) -> int:
    """Print rows as JSON or as a table; returns the exit code of success.

    Args:
        rows: timings or operators.
        columns: heading to the text of a row under it; a column without any text is left out.
        as_json: one line of JSON instead.
    """
    if as_json:
        process.say(process.json_line([row.to_dict() for row in rows]))
        return errors.OK
    import rich.table

    texts = {heading: [text(row) for row in rows] for heading, text in columns.items()}
    filled = {heading: cells for heading, cells in texts.items() if any(cells)}
    table = rich.table.Table(box=None)
    for place, heading in enumerate(filled):
        table.add_column(process.cell(heading), no_wrap=not place)
    for cells in zip(*filled.values(), strict=True):
        table.add_row(*map(process.cell, cells))
    process.show_table(table)
    return errors.OK
