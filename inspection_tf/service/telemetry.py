"""What a service counts and times, in the text format of Prometheus."""

import collections
import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import prometheus_client

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

    from inspection_tf import decision

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_LATEST = 500  # images whose times are told as quantiles
_SCORES = tuple(edge / 20 for edge in range(1, 21))
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Telemetry:
    """Counters, gauges and histograms of one service."""

    def __init__(self) -> None:
        """Begin to count, from 0."""
        registry = self._registry = prometheus_client.CollectorRegistry()
        counter = functools.partial(prometheus_client.Counter, registry=registry)
        gauge = functools.partial(prometheus_client.Gauge, registry=registry)
        histogram = functools.partial(prometheus_client.Histogram, registry=registry)
        self._inspected = counter("inspection_inspected", "Images decided.", ["model", "outcome"])
        self._latest_ms = collections.deque[float](maxlen=_LATEST)
        self._refused = counter(
            "inspection_refused",
            "Requests, and images of parts and batches, that were not decided.",
            ["reason"],
        )
        self._swaps = counter(
            "inspection_swaps", "Bundles that took over, or were refused.", ["model", "result"]
        )
        self._seconds = histogram(
            "inspection_seconds",
            "Seconds of an image: waiting for the networks, and by stage.",
            ["stage"],
            buckets=_SECONDS,
        )
        self._scores = histogram("inspection_score", "Scores.", ["model"], buckets=_SCORES)
        self._model = gauge(
            "inspection_model",
            "1 for the version and engine that serves.",
            ["model", "version", "engine"],
        )
        self._source = gauge(
            "inspection_source", "1 for the state of a source.", ["source", "state"]
        )
        self._dropped = gauge(
            "inspection_source_dropped", "Images that a newer one replaced.", ["source"]
        )
        self._waiting = gauge("inspection_sink_waiting", "Verdicts that wait for a sink.", ["sink"])
        self._failures = gauge(
            "inspection_sink_failures", "Times that a sink did not take a verdict.", ["sink"]
        )
        self._lost = gauge(
            "inspection_sink_lost",
            "Verdicts that were dropped, since too many waited or the disk took none.",
        )
        self._history_lost = gauge(
            "inspection_history_lost",
            "Results that are not in the history, since too many waited or the disk took none.",
        )
        self._drift = gauge(
            "inspection_score_drift",
            "Population stability index of the latest scores against those of the tune images.",
            ["model"],
        )
        self.requests = gauge("inspection_requests", "Requests that are being answered.")
        self.queue = gauge("inspection_queue", "Images that wait for the networks.")
        self.is_ready = gauge("inspection_ready", "1 where requests are taken.")

    def follow_source(
        self, source: str, states: Mapping[str, Callable[[], bool]], dropped: Callable[[], int]
    ) -> None:
        """Tell the state of a source from now on.

        Args:
            source: as it is called.
            states: names to whether it is in that state.
            dropped: images that a newer one has replaced.
        """
        for state, is_in in states.items():
            self._source.labels(source, state).set_function(is_in)
        self._dropped.labels(source).set_function(dropped)

    def follow_sink(
        self, sink: str, waiting: Callable[[], int], failures: Callable[[], int]
    ) -> None:
        """Tell what waits for a sink from now on, and how often it took nothing."""
        self._waiting.labels(sink).set_function(waiting)
        self._failures.labels(sink).set_function(failures)

    def follow_lost(self, count: Callable[[], int]) -> None:
        """Tell how many verdicts no sink will be told of."""
        self._lost.set_function(count)

    def follow_history(self, count: Callable[[], int]) -> None:
        """Tell how many results the history has lost."""
        self._history_lost.set_function(count)

    def inspected(self, model: str, verdict: "decision.Verdict", queue_ms: float) -> None:
        """Count a verdict, its score and its times."""
        self._inspected.labels(model, verdict.outcome).inc()
        if math.isfinite(verdict.score):
            self._scores.labels(model).observe(verdict.score)
        self._latest_ms.append(queue_ms + sum(verdict.ms.values()))
        self._seconds.labels("queue").observe(queue_ms / 1e3)
        for stage, spent_ms in verdict.ms.items():
            self._seconds.labels(stage).observe(spent_ms / 1e3)

    def refused(self, reason: str) -> None:
        """Count what was not decided."""
        self._refused.labels(reason).inc()

    def serves(self, model: str, version: str, engine: str) -> None:
        """Say which version of a model serves from now on."""
        for labels in [one for one in self._model_labels() if one[0] == model]:
            self._model.remove(*labels)
        self._model.labels(model, version, engine).set(1)

    def follow_drift(self, model: str, index: Callable[[], float | None]) -> None:
        """Tell from now on how far the scores of a model have moved; nan: it is not known."""

        def known() -> float:
            found = index()
            return math.nan if found is None else found

        self._drift.labels(model).set_function(known)

    def swapped(self, model: str, *, is_taken: bool) -> None:
        """Count a bundle that took over, or was refused."""
        self._swaps.labels(model, "taken" if is_taken else "refused").inc()

    def outcomes(self, model: str) -> dict[str, int]:
        """Return how often a model decided what."""
        return {
            sample.labels["outcome"]: int(sample.value)
            for sample in _totals(self._inspected)
            if sample.labels["model"] == model
        }

    def latencies_ms(self) -> dict[str, float]:
        """Return quantiles of the latest images: from ready for the networks to decided, ms."""
        latest = sorted(self._latest_ms.copy())
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99} if latest else {}
        return {name: latest[int(share * (len(latest) - 1))] for name, share in shares.items()}

    def refusals(self) -> dict[str, int]:
        """Return how often nothing was decided, by reason."""
        return {sample.labels["reason"]: int(sample.value) for sample in _totals(self._refused)}

    def text(self) -> bytes:
        """Return all of it."""
        return prometheus_client.generate_latest(self._registry)

    def _model_labels(self) -> list[tuple[str, str, str]]:
        return [
            (sample.labels["model"], sample.labels["version"], sample.labels["engine"])
            for metric in self._model.collect()
            for sample in metric.samples
        ]


def _totals(counter: prometheus_client.Counter) -> "list[Sample]":
    return [
        sample
        for metric in counter.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    ]
