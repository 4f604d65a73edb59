"""How a network learns where a field lies: its corners, and whether there is one."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inspection_tf import metrics, plots
from inspection_tf.datasets.loading import loader
from inspection_tf.images import geometry
from inspection_tf.tasks.fields.learning import batches, losses
from inspection_tf.tasks.learning import Learning, Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _pictured(cached: loader.Cache, count: int) -> Rows:
    """Return places of photos that show a field."""
    return np.flatnonzero(cached.label == 0)[:count]


def _figure(cached: loader.Cache, rows: Rows, output: NDArray[np.float32], title: str) -> "Figure":
    shown = [
        plots.Located(
            image=cached.image[row].squeeze(),
            found_xy=geometry.from_shares(output[place, :-1].reshape(-1, 2), cached.size),
            true_xy=None if cached.corners_xy is None else cached.corners_xy[row],
            caption=f"{cached.ids[row]}, {output[place, -1]:.2f}",
        )
        for place, row in enumerate(rows)
    ]
    return plots.located(shown, title=title)


LEARNING = Learning(
    output=batches.OUTPUT,
    losses=losses.LOCATION,
    beside=losses.BESIDE,
    for_training=batches.for_training,
    for_evaluation=batches.for_evaluation,
    monitor=lambda classes: "val_corner_error",
    is_lower_better=True,
    metrics=lambda fitted: [
        metrics.CornerError(aspect=fitted.aspect),
        metrics.PresenceAccuracy(),
    ],
    pictured=_pictured,
    figure=_figure,
)
