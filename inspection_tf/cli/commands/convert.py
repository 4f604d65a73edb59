"""`inspection convert`: from a bundle to the engine that a box runs."""

import contextlib
from pathlib import Path
from typing import Annotated, Any

import tyro

from inspection_tf import errors, files, process
from inspection_tf.cli.arguments import Bundle
from inspection_tf.conversion import targets
from inspection_tf.conversion.request import ConvertSpec
from inspection_tf.engines.entry import EngineEntry

_LISTED = 20  # changed verdicts, at most


def _lines(name: str, entry: EngineEntry) -> list[str]:
    lines = [f"engines/{name}: {entry.kind}, {entry.precision}, {entry.state}"]
    parity = entry.parity
    if parity:
        lines.append(
            f"gate: {parity['images']} images at batch {', '.join(map(str, parity['batch_sizes']))}"
            f", {len(parity['changed_verdicts'])} changed verdicts, largest score difference "
            f"{parity['max_score_difference']:.2g}, mean output difference "
            f"{parity['mean_output_difference']:.2g}"
        )
    for size, engine_ms in entry.speed.get("engine_ms", {}).items():
        onnx_ms = entry.speed["onnx_ms"][size]
        lines.append(f"batch {size}: {engine_ms:.2f} ms an image, onnx {onnx_ms:.2f}")
    if entry.state != "passed":
        where = entry.options.get("script") or f"engines/{name}"
        lines.append(f"next: the machine it is for; see {where}")
    return lines


def _flips(report: dict[str, Any]) -> list[str]:
    """Return a line for each verdict that the engine changes, as the gate reports them."""

    def number(value: float | None) -> str:
        return "none" if value is None else f"{value:.4f}"

    changed = report["changed_verdicts"]
    lines = [
        f"{flip['id']}, batch {flip['batch_size']}: {flip['outcome_before']} "
        f"{number(flip['score_before'])} -> {flip['outcome_after']} {number(flip['score_after'])}"
        f"{', ' + flip['stage'] if flip['stage'] else ''}, margin {number(flip['margin'])}"
        for flip in changed[:_LISTED]
    ]
    if len(changed) > _LISTED:
        lines.append(f"and {len(changed) - _LISTED} more changed verdicts: --report FILE")
    return lines


def _require_place(report: Path | None, bundle: Path) -> None:
    """Refuse a report that could not be written, or would spoil the bundle, before any work."""
    if report is None:
        return
    folder = report.resolve().parent
    if not folder.is_dir() or folder.is_relative_to(bundle.resolve()):
        raise errors.ConfigError(
            "--report must name a file in a folder that exists, outside the bundle. "
            f"Got {str(report)!r}. Choose another place."
        )


def convert(
    bundle: Bundle,
    /,
    *,
    to: Annotated[str, tyro.conf.arg(help=targets.in_words())],
    settings: Annotated[ConvertSpec, tyro.conf.arg(name="")] = ConvertSpec(),  # noqa: B008
    name: str = "",
    data: Path | None = None,
    report: Path | None = None,
) -> int:
    """Add an engine to a bundle once it is proved to decide alike; else the bundle is as it was.

    Args:
        bundle: folder of the bundle.
        to: what to convert to.
        settings: how.
        name: of the engine in the bundle; by default that of --to.
        data: folder of the images the bundle was made from; by default where they lay.
        report: file for what the gate found, also where it refuses.
    """
    from inspection_tf.conversion import convert as converter

    _require_place(report, bundle)
    try:
        conversion = converter.convert(bundle, to, name=name, data=data, spec=settings)
    except errors.GateError as problem:
        if report is not None and problem.report is not None:
            with contextlib.suppress(errors.StorageError):  # that it was refused weighs more
                files.write_json(report, problem.report)
        elif problem.report is not None:
            for line in _flips(problem.report):
                process.complain(line)
        raise
    if report is not None:
        files.write_json(report, conversion.entry.parity)
    for line in _lines(conversion.name, conversion.entry):
        process.say(line)
    return errors.OK
