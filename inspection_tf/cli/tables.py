"""The tables of `inspection bench`."""

from collections.abc import Callable
from typing import Any

from inspection_tf import errors, process

TIMINGS: dict[str, Callable[[dict[str, Any]], str]] = {
    "engine": lambda row: row["name"].removesuffix("ExecutionProvider"),
    "batch": lambda row: str(row["batch_size"]),
    "threads": lambda row: str(row["threads"] or "all"),
    "p50 ms": lambda row: f"{row['p50_ms']:.1f}",
    "p95": lambda row: f"{row['p95_ms']:.1f}",
    "p99": lambda row: f"{row['p99_ms']:.1f}",
    "pre": lambda row: f"{row['stages_ms']['pre']:.1f}",
    "copy": lambda row: f"{row['copy_ms']:.2f}",
    "model": lambda row: f"{row['stages_ms']['model']:.1f}",
    "post": lambda row: f"{row['stages_ms']['post']:.1f}",
    "images/s": lambda row: f"{row['images_per_s']:.1f}",
    "segmented": lambda row: (
        f"{row['segmented_share']:.0%}"
        if row["segmented_share"] < 1 or "both" in row["name"]
        else ""
    ),
    "file MB": lambda row: f"{row['file_bytes'] / 1e6:.1f}" if row["file_bytes"] else "",
    "peak MB": lambda row: f"{row['peak_bytes'] / 1e6:.0f}" if row["peak_bytes"] else "",
    "NG": lambda row: str(row["outcomes"].count("NG")),
}
OPERATORS: dict[str, Callable[[dict[str, Any]], str]] = {
    "graph": lambda row: row["graph"],
    "operator": lambda row: row["kind"],
    "number": lambda row: str(row["count"]),
    "ms": lambda row: f"{row['ms']:.2f}",
    "share": lambda row: f"{row['share']:.1%}",
    "M MACs": lambda row: f"{row['macs'] / 1e6:.1f}",
    "MACs/us": lambda row: f"{row['macs_per_us']:.0f}",
}


def show(
    rows: list[dict[str, Any]],
    columns: dict[str, Callable[[dict[str, Any]], str]],
    *,
    as_json: bool,
) -> int:
    """Print rows as JSON or as a table; returns the exit code of success.

    Args:
        rows: plain values.
        columns: heading to what a row shows under it.
        as_json: one line of JSON instead.
    """
    if as_json:
        process.say(process.json_line(rows))
        return errors.OK
    import rich.table

    cells = {name: [value(row) for row in rows] for name, value in columns.items()}
    shown = {name: values for name, values in cells.items() if any(values)}
    table = rich.table.Table(box=None)
    for place, name in enumerate(shown):
        table.add_column(process.cell(name), no_wrap=not place)
    for row in zip(*shown.values(), strict=True):
        table.add_row(*map(process.cell, row))
    process.show_table(table)
    return errors.OK
