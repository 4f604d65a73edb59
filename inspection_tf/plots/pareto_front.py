"""Error against cost of networks of several sizes: `plots.pareto`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from inspection_tf import errors
from inspection_tf.plots import curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SOLVED, _NOT, _LINE = "#009E73", "#D55E00", "0.5"
_COSTS = (
    ("parameters", "parameters", 1.0),
    ("file_bytes", "size of the ONNX file, kB", 1e-3),
    ("latency_ms", "one inference, ms", 1.0),
)


class Sized(Protocol):
    """A network that was trained and measured, such as `training.ladder.Step`."""

    @property
    def name(self) -> str:
        """Name of the network."""
        ...

    @property
    def kind(self) -> str:
        """What its learning curves say: `solved`, or why not."""
        ...

    @property
    def error(self) -> float:
        """Its error on the tune split."""
        ...

    @property
    def parameters(self) -> int:
        """Number of its parameters."""
        ...

    @property
    def file_bytes(self) -> int:
        """Size of its exported file, bytes."""
        ...

    @property
    def latency_ms(self) -> float:
        """Time of one inference, ms."""
        ...


def frontier(costs: Sequence[float], error: Sequence[float]) -> list[int]:
    """Return the indices of the networks that none beats in both cost and error, by rising cost."""
    by_cost = sorted(range(len(costs)), key=lambda place: (costs[place], error[place]))
    best: list[int] = []
    for place in by_cost:
        if not best or error[place] < error[best[-1]]:
            best.append(place)
    return best


def pareto(steps: Sequence[Sized], *, target: float | None = None) -> "Figure":
    """Return error against parameters, file size and latency, and a line through the best.

    Args:
        steps: at least one network.
        target: the error to reach, drawn as a line.

    Raises:
        errors.DataError: there is no network.
    """
    if not steps:
        raise errors.DataError("A comparison needs at least one network. Got none. Train some.")
    from matplotlib import ticker

    figure = curves.new(12, 3.9)
    panels = figure.subplots(1, len(_COSTS), sharey=True)
    network_errors = [step.error for step in steps]
    for axes, (name, label, scale) in zip(panels, _COSTS, strict=True):
        costs = [float(getattr(step, name)) * scale for step in steps]
        best = frontier(costs, network_errors)
        line = ([costs[place] for place in best], [network_errors[place] for place in best])
        axes.plot(*line, color=_LINE, linewidth=1, zorder=1)
        for step, cost in zip(steps, costs, strict=True):
            colour = _SOLVED if step.kind == "solved" else _NOT
            axes.scatter([cost], [step.error], color=colour, zorder=2)
            axes.annotate(
                curves.plain(f"{step.name}\n{step.kind}"),
                (cost, step.error),
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=8,
            )
        if target is not None:
            axes.axhline(target, color=_LINE, linestyle="--", linewidth=1)
        axes.set(xlabel=label, xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_formatter(ticker.NullFormatter())  # numbers between would overlap
        axes.margins(0.25)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("error on the tune split" + ("" if target is None else ", dashed: target"))
    return figure
