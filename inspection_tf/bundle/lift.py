"""Manifests of earlier schemas, brought to today's before they are checked."""

from collections.abc import Mapping

_SECTIONS = {
    "segmentation": {"rules": "rules", "tiles": "tiles"},
    "two_stage_segmentation": {"rules": "rules"},
    "corners": {"field_rules": "rules", "closeups": "closeups"},
}
"""Task to the fields of a manifest of schema 1 to 4 that became its settings, and their names."""
_NEWEST = 4  # of the schemas that are lifted
_MOVED = {name for sections in _SECTIONS.values() for name in sections}


def lifted(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values of a manifest in the layout of schema 5, whatever schema they came in.

    Until schema 4 each manifest had the rules of all tasks; now it has the settings of its own.
    The number of the schema stays as it was.
    """
    version = values.get("schema_version")
    if "settings" in values or (isinstance(version, int) and version > _NEWEST):
        return dict(values)
    outputs = values.get("outputs")
    if isinstance(outputs, list):  # schema 1 had one graph, and did not say whose its output was
        outputs = [
            {"graph": "segmenter", **output} if isinstance(output, dict) else output
            for output in outputs
        ]
        values = {**values, "outputs": outputs}
    names = _SECTIONS.get(str(values.get("task")), {})
    settings = {new: values[old] for old, new in names.items() if old in values}
    rest = {name: value for name, value in values.items() if name not in _MOVED}
    return {**rest, "settings": settings}
