"""Times of the engines of a bundle side by side: `plots.engine_times`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from inspection_tf import errors
from inspection_tf.plots import curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STAGES = {"pre": "#56B4E9", "model": "#0072B2", "post": "#E69F00"}


class Timed(Protocol):
    """A way to run a bundle that was timed, such as `bench.Timing`."""

    @property
    def name(self) -> str:
        """Name of the engine or provider."""
        ...

    @property
    def batch_size(self) -> int:
        """Images a call."""
        ...

    @property
    def stages_ms(self) -> Mapping[str, float]:
        """Means of pre, model and post, an image."""
        ...

    @property
    def images_per_s(self) -> float:
        """Images a second."""
        ...


def engine_times(timings: Sequence[Timed]) -> "Figure":
    """Return a bar for each way, the fastest at the top: where the time of an image goes.

    Args:
        timings: of `bench.run` or `bench.best`.

    Raises:
        errors.DataError: there is none.
    """
    if not timings:
        raise errors.DataError(
            "A picture of engines needs at least one. Got none. Give what bench.run returned."
        )
    ordered = sorted(timings, key=lambda timing: timing.images_per_s)
    figure = curves.new(8.0, 1.4 + 0.42 * len(ordered))
    axes = figure.add_subplot()
    curves.tidy(axes)
    left = np.zeros(len(ordered))
    for stage, colour in _STAGES.items():
        spent = np.array([timing.stages_ms[stage] for timing in ordered])
        axes.barh(range(len(ordered)), spent, left=left, color=colour, label=stage)
        left += spent
    for place, timing in enumerate(ordered):
        text = f" {timing.images_per_s:.1f}/s"
        axes.text(left[place], place, text, va="center", fontsize=9, color=curves.LINE)
    names = [curves.plain(timing.name.removesuffix("ExecutionProvider")) for timing in ordered]
    labels = [f"{name}, batch {t.batch_size}" for name, t in zip(names, ordered, strict=True)]
    axes.set_yticks(range(len(ordered)), labels)
    axes.set_xlabel("ms an image, decoded frame to verdict (mean)")
    axes.set_xlim(0, 1.15 * left.max())
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure
