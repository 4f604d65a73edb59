"""The tables of `inspection bench`."""

import json
import sys
from collections.abc import Callable
from typing import Any

from inspection_tf import errors

TIMINGS: dict[str, Callable[[dict[str, Any]], str]] = {
    "engine": lambda row: row["name"],
    "p50 ms": lambda row: f"{row['p50_ms']:.1f}",
    "p95 ms": lambda row: f"{row['p95_ms']:.1f}",
    "pre": lambda row: f"{row['stages_ms']['pre']:.1f}",
    "model": lambda row: f"{row['stages_ms']['model']:.1f}",
    "post": lambda row: f"{row['stages_ms']['post']:.1f}",
    "images/s": lambda row: f"{row['images_per_s']:.1f}",
    "segmented": lambda row: f"{row['segmented_share']:.0%}",
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
        sys.stdout.write(json.dumps(rows) + "\n")
        return errors.OK
    import rich.console
    import rich.table

    table = rich.table.Table(*columns, box=None)
    for row in rows:
        table.add_row(*(value(row) for value in columns.values()))
    rich.console.Console(width=100).print(table)
    return errors.OK
