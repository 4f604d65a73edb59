"""Columns of `per_image.csv` that the rows of every task have."""

from collections.abc import Mapping

from inspection_tf.evaluation.image_results import Column

OUTCOME: Mapping[str, Column] = {
    "id": lambda row: row.id,
    "group": lambda row: row.group,
    "is_defect": lambda row: int(row.is_ng),
    "outcome": lambda row: row.outcome,
    "error": lambda row: row.error,
    "score": lambda row: row.score,
    "threshold": lambda row: row.threshold,
}
"""What an image is, and what was decided about it."""

REASON: Mapping[str, Column] = {
    "reasons": lambda row: "; ".join(row.reasons),
    "true_class": lambda row: row.true_class,
    "decided_by": lambda row: row.decided_by,
}
"""Why, and what is truly wrong with it."""
