import dataclasses

import pytest

from inspection_tf import errors, plots
from inspection_tf.plots import pareto_front


@dataclasses.dataclass(frozen=True)
class Network:
    name: str
    kind: str
    error: float
    parameters: int
    file_bytes: int
    latency_ms: float


NETWORKS = [
    Network("a", "underfitting", 0.05, 1000, 5000, 0.2),
    Network("b", "solved", 0.01, 9000, 40000, 0.9),
    Network("c", "overfitting", 0.02, 20000, 90000, 1.5),
]


def test_the_frontier_leaves_out_what_another_beats_in_both():
    # The third costs more than the second and errs more.
    assert pareto_front.frontier([1, 2, 3], [0.5, 0.1, 0.2]) == [0, 1]
    assert pareto_front.frontier([3, 1, 2], [0.2, 0.5, 0.1]) == [1, 2]
    assert pareto_front.frontier([1, 1], [0.3, 0.2]) == [1]


def test_a_picture_has_a_panel_for_each_cost():
    figure = plots.pareto(NETWORKS, target=0.015)
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["parameters", "size of the ONNX file, kB", "one inference, ms"]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["a\nunderfitting", "b\nsolved", "c\noverfitting"]


def test_a_picture_needs_a_network():
    with pytest.raises(errors.DataError, match="at least one network"):
        plots.pareto([])
