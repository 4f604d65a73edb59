"""Results of images -> metrics with intervals: what is reported is what is shipped."""

from inspection_tf.tasks.segmentation.regions import (
    score_regions,
    without_ignored,
)
from inspection_tf.evaluation.intervals import (
    Estimate,
)
from inspection_tf.evaluation.measurement import (
    Audit,
    ImageResult,
    Inspector,
    Look,
    inspect_records,
    look,
    measure,
    read_ignored,
    read_truth,
    report,
    table,
    write,
)
from inspection_tf.evaluation.metric_changes import (
    changes,
    worsening,
)
from inspection_tf.evaluation.summary import (
    MEANING,
    meaning,
    summarize,
)

__all__ = [
    "MEANING",
    "Audit",
    "Estimate",
    "ImageResult",
    "Inspector",
    "Look",
    "changes",
    "inspect_records",
    "look",
    "meaning",
    "measure",
    "read_ignored",
    "read_truth",
    "report",
    "score_regions",
    "summarize",
    "table",
    "without_ignored",
    "worsening",
    "write",
]
