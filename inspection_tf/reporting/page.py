"""The report as HTML: one file, written whole or not at all."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import inspection_tf
from inspection_tf import (
    bundle,
    decision,
    errors,
    evaluation,
    files,
    plots,
    tasks,
)
from inspection_tf.bundle import looks
from inspection_tf.engines import installed
from inspection_tf.export import card
from inspection_tf.reporting import pictures, rows
from inspection_tf.reporting.material import Material, manifest_sha256
from inspection_tf.runtime import golden

FILE = "report.html"
"""How a report is called where nobody says otherwise."""
GENERATOR = "inspection_tf report"
"""By this a report is known, which another one may replace."""
MODULE = "threshold_panel.mjs"
_LONGEST_RULES = 300  # letters
_LONGEST_PATH = 100  # letters, in a message
_HEAD = 4096  # bytes, in which the generator stands
_SECTIONS = {
    "what": "What it is",
    "metrics": "How it did",
    "threshold": "The threshold",
    "errors": "Where it fails",
    "curves": "Curves and pictures",
    "data": "Data",
    "origin": "Where it comes from",
}


def write(material: Material, out: str | Path) -> Path:
    """Write a report.

    Args:
        material: what it is made of.
        out: the file; an earlier report may lie there, and nothing else.

    Returns:
        The file.

    Raises:
        errors.ConfigError: something else lies there.
        errors.BundleError: jinja2 is not installed.
        errors.StorageError: the file cannot be written.
    """
    out = Path(out)
    _require_free(out)
    text = render(material)
    files.make_folder(out.parent)
    files.write(out, text)
    return out


def require_library() -> None:
    """Refuse to begin a report that could not be written.

    Raises:
        errors.BundleError: jinja2 is not installed.
    """
    if not installed.versions("jinja2"):
        raise installed.missing("jinja2", "report", "A report")


def _require_free(out: Path) -> None:
    """Refuse to go over what is no report, and into a bundle."""
    try:
        is_taken = out.is_dir() or (out.exists() and not _is_report(out))
        inside = [folder for folder in out.resolve().parents if (folder / bundle.MANIFEST).exists()]
    except OSError as problem:
        raise errors.ConfigError(
            f"A report must go to a file. Got {str(out)[:_LONGEST_PATH]!r} ({problem.strerror}). "
            "Give another --out."
        ) from problem
    if is_taken:
        raise errors.ConfigError(
            f"A report must go to a new file, or over an earlier report. Got {str(out)!r}, which "
            "holds something else. Give another --out."
        )
    if inside:
        raise errors.ConfigError(
            f"A report must lie outside of bundles, which hold their own files alone. Got "
            f"{str(out)!r}, inside {inside[0]}. Give another --out."
        )


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return f'content="{GENERATOR}"'.encode() in file.read(_HEAD)
    except OSError:
        return False


def render(material: Material) -> str:
    """Return a report as HTML.

    Raises:
        errors.BundleError: jinja2 is not installed.
    """
    require_library()
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    template = environment.from_string(_text("report.html.j2"))
    contents = {**_head(material), **_results(material), **_origin(material)}
    shown = [
        ("errors", bool(material.rows)),
        ("curves", bool(contents["figures"] or contents["curves"])),
    ]
    absent = {name for name, is_there in shown if not is_there}
    sections = [(name, words) for name, words in _SECTIONS.items() if name not in absent]
    return template.render(sections=sections, generator=GENERATOR, **contents)


def _text(name: str) -> str:
    return (resources.files("inspection_tf.reporting") / name).read_text(encoding="utf-8")


def _json(values: object) -> str:
    """Return JSON that can stand in HTML."""
    return re.sub("[<>&]", lambda one: f"\\u{ord(one[0]):04x}", json.dumps(values))


def _head(material: Material) -> dict[str, Any]:
    """Return what a bundle is for, and what it promises."""
    manifest, point = material.manifest, material.chosen.operating_point
    papers = tasks.get(manifest.task).papers(manifest.context)
    spec = manifest.inputs[0].preprocessing
    promise = f"{manifest.promise[:1].upper()}{manifest.promise[1:]}. {point.note}".strip()
    needs = ""
    if point.promise_needs is not None:
        needs = f"One would need {point.promise_needs} {manifest.unit_of_promise}. "
    rules = ", ".join(f"{name} {value}" for name, value in papers.rules.items())
    return {
        "title": f"{manifest.provenance.recipe}: a bundle for {manifest.task.replace('_', ' ')}",
        "purpose": _purpose(material),
        "promise": promise if manifest.promise else "",
        "no_promise": f"{needs}{point.note}".strip() or "No method was asked for one.",
        "facts": {
            "Model": manifest.model_id,
            "Task": manifest.task,
            "Classes": ", ".join(manifest.classes),
            "Image": f"{spec.size[0]} x {spec.size[1]} px, {spec.channels}, fit: {spec.fit}",
            "Decision": papers.decision + point.review_after("; "),
            "Rules": (rules if len(rules) <= _LONGEST_RULES else "see the configuration") or "none",
        },
        "threshold": f"NG from {point.threshold:.6g}{point.review_after(', ')}, by {point.method}",
        "golden": list(_golden(material)),
        "style": _text("report.css") + plots.panel_file("threshold_panel.css"),
        "script": plots.panel_file(MODULE),
    }


def _purpose(material: Material) -> str:
    """Return the paragraph of the model card that says what the bundle does."""
    _, *paragraphs = _card(material).split("\n\n")
    return " ".join(paragraphs[0].split()).replace("`", "") if paragraphs else ""


def _card(material: Material) -> str:
    path = material.root / bundle.CARD
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _golden(material: Material) -> Iterator[dict[str, str]]:
    """Yield the golden samples of a bundle, with what is found on them."""
    samples = golden.read(material.root)
    for sample, (image, template) in zip(samples, golden.frames(material.root), strict=True):
        verdict = material.inspector.inspect(image, template=template)
        picture = pictures.overlay(verdict)
        if picture is not None:
            yield {
                "name": sample["id"],
                "outcome": verdict.outcome,
                "score": _number(verdict.score),
                "picture": picture,
            }


def _results(material: Material) -> dict[str, Any]:
    """Return how a bundle did, and where it fails."""
    found, panel = material.rows, plots.panel_contents(material.chosen)
    lacking = f"The images themselves are not shown: {material.lacking}"
    return {
        "measured": _measured(material),
        "edited": [
            f"Edited on {edit['at']}, after this was measured: {card.edit_in_words(edit)}. "
            "inspection evaluate "
            "measures it anew."
            for edit in material.manifest.audit
            if edit["what"] != looks.UNSEAL
        ],
        "looks": [
            {
                "heading": look.heading(),
                "warning": look.warning,
                "metrics": list(_metrics(material, look.metrics)),
            }
            for look in looks.looks(material.manifest)
        ],
        "metrics": list(_metrics(material, material.manifest.metrics["metrics"])),
        "outcomes": decision.OUTCOMES,
        "confusion": rows.confusion(found) if found else {},
        "rows": bool(found),
        "failures": list(_failures(material)),
        "lacking": lacking if material.lacking else "",
        "panel": "" if panel is None else _json(panel),
        "thumbs": _json(pictures.thumbs(material)),
        "figures": pictures.figures(material.pictures()),
        "curves": pictures.curves(material.histories()),
    }


def _measured(material: Material) -> str:
    """Say on which images a bundle was measured."""
    report = material.manifest.metrics
    counts = report["counts"]
    parts = f"; {counts['groups']} parts" if "groups" in counts else ""
    of = f"{counts['images']}, of which {counts['defective']} are defective{parts}."
    if report["split"] == "test":
        return (
            f"Measured through the bundle on the test images: {of} None of them chose the "
            "threshold."
        )
    return f"Measured on images that the networks of their folds had not seen: {of}"


def _metrics(
    material: Material, metrics: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, str]]:
    """Yield metrics of a bundle with their intervals and meanings."""
    manifest = material.manifest
    meanings = evaluation.meanings(tasks.get(manifest.task).measures, manifest.classes)
    for name, one in metrics.items():
        has_interval = one["low"] is not None
        between = f"{_number(one['low'])} to {_number(one['high'])}" if has_interval else "none"
        yield {
            "name": name,
            "value": _number(one["value"]),
            "interval": between,
            "meaning": meanings.get(name, ""),
        }


def _failures(material: Material) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yield heading, what to say where there is none, and images."""
    found = material.rows
    if not found:
        return
    escapes, overkills = rows.escapes(found), rows.overkills(found)
    defective = sum(row.is_defect for row in found)
    none = "None among {} measured images that are {}."
    for heading, chosen, words in (
        ("Escapes: defective and judged OK", escapes, none.format(defective, "defective")),
        ("Overkills: good and judged NG", overkills, none.format(len(found) - defective, "good")),
    ):
        if len(chosen) > rows.MOST:
            heading += f" ({rows.MOST} of {len(chosen)}, the worst)"
        yield heading, words, list(pictures.examples(material, chosen[: rows.MOST]))
    if not escapes or not overkills:
        close = list(pictures.examples(material, rows.close_calls(found)))
        yield "Closest calls", "No score is finite.", close


def _origin(material: Material) -> dict[str, Any]:
    """Return what a bundle was made from."""
    manifest = material.manifest
    provenance, data, parity = manifest.provenance, manifest.provenance.data, manifest.parity
    counts = material.chosen.operating_point.counts
    versions = ", ".join(f"{name} {version}" for name, version in provenance.versions.items())
    gate = "not recorded"
    if parity:
        gate = (
            f"{parity['images']} images, {len(parity['changed_verdicts'])} changed verdicts, "
            f"scores within {parity['max_score_difference']:.2g} of the trained model"
        )
    return {
        "data": {
            "Format": data.format,
            "Folder": data.root or "none: drawn",
            "SHA-256": data.sha256,
            **{f"Images of {name}": len(ids) for name, ids in data.splits.items()},
            "Tune images that are defective": counts.get("defective", "not counted"),
        },
        "origin": {
            "Recipe": provenance.recipe,
            "Seed": provenance.seed,
            "Commit": provenance.commit or "none",
            "Versions": versions,
            "Gate of the export": gate,
            "Manifest": manifest_sha256(material.root),
            "Report by": f"inspection-tf {inspection_tf.__version__}",
        },
        "edits": [
            {"at": one["at"], "what": card.edit_in_words(one), "reason": one.get("reason", "")}
            for one in manifest.audit
        ],
        "engines": [
            {"name": name, "precision": entry.precision, "state": entry.state}
            for name, entry in manifest.engines.items()
        ],
        "configuration": _yaml(provenance.config),
        "card": _card(material),
    }


def _yaml(values: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
