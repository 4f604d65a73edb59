"""Results of images -> metrics with intervals: what is reported is what is shipped."""

from inspection_tf.evaluation.image_results import (
    Bound,
    Cell,
    Column,
    Compared,
    ImageResult,
    Measures,
)
from inspection_tf.evaluation.intervals import Estimate
from inspection_tf.evaluation.measurement import (
    Inspector,
    Labels,
    Look,
    Task,
    inspect_records,
    look,
    measure,
)
from inspection_tf.evaluation.metric_changes import changes, changes_over, worsening
from inspection_tf.evaluation.outcomes import OUTCOMES, groups
from inspection_tf.evaluation.report_files import Report, report, table, write
from inspection_tf.evaluation.summary import meanings, measures_of, ranking, summarize

__all__ = [
    "OUTCOMES",
    "Bound",
    "Cell",
    "Column",
    "Compared",
    "Estimate",
    "ImageResult",
    "Inspector",
    "Labels",
    "Look",
    "Measures",
    "Report",
    "Task",
    "changes",
    "changes_over",
    "groups",
    "inspect_records",
    "look",
    "meanings",
    "measure",
    "measures_of",
    "ranking",
    "report",
    "summarize",
    "table",
    "worsening",
    "write",
]
