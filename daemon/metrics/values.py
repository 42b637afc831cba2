"""The values of the catalogue, and how Prometheus reads them.

Changes happen inside `with values:`, under one lock, so a scrape sees all of a window or nothing
of it. The names and labels are those of the catalogue, or KeyError: a series that nobody
documented cannot come into being.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from daemon.metrics.catalogue import BUCKETS, Series

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]  # values, in the order of the catalogue


class Values(Collector):
    """What stands in each series now. Written by one thread, read by another."""

    def __init__(self, catalogue: Sequence[Series]) -> None:
        self._lock = threading.Lock()
        self._series = {series.name: series for series in catalogue}
        self._values: dict[str, dict[Labels, float]] = {name: {} for name in self._series}
        self._buckets = {s.name: [0] * (len(BUCKETS) + 1) for s in catalogue
                         if s.type == "histogram"}  # fmt: skip
        for series in catalogue:
            if series.starts_at_zero:
                labels: list[Labels] = [()]
                for label in series.labels:
                    labels = [(*some, value) for some in labels for value in label.values]
                self._values[series.name] = dict.fromkeys(labels, 0.0)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)  # process_*: CPU, memory, descriptors

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def add(self, name: str, amount: float, *labels: str) -> None:
        """A counter grows by `amount` >= 0."""
        held = self._values[name]
        held[self._checked(name, labels)] = held.get(labels, 0.0) + amount

    def put(self, name: str, values: Mapping[Labels, float] | float | None) -> None:
        """All values that a gauge has from now on: one, some by labels, or None for absent."""
        if not isinstance(values, Mapping):
            values = {} if values is None else {(): values}
        self._values[name] = {self._checked(name, k): float(v) for k, v in values.items()}

    def observe(self, name: str, value: float) -> None:
        """One more value of a histogram."""
        self._buckets[name][bisect.bisect_left(BUCKETS, value)] += 1
        self._values[name][()] += value

    def _checked(self, name: str, labels: Labels) -> Labels:
        """The labels, if they are ones that the catalogue allows."""
        known = self._series[name].labels
        for label, value in zip(known, labels, strict=True):
            if label.values and value not in label.values:
                raise KeyError(f"{name}: no such value of label {label.name}")
        return labels

    def exposition(self) -> bytes:
        """The text format of Prometheus, version 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Families with a value, in the order of the catalogue."""
        with self._lock:
            values = {name: dict(held) for name, held in self._values.items()}
            buckets = {name: list(counts) for name, counts in self._buckets.items()}
        for series in self._series.values():
            held = values[series.name]
            if series.type == "histogram":
                yield _histogram(series, buckets[series.name], held[()])
            elif held:
                kind = CounterMetricFamily if series.type == "counter" else GaugeMetricFamily
                family = kind(series.name, series.help, labels=[n for n, *_ in series.labels])
                for labels, value in sorted(held.items()):
                    family.add_metric(labels, value)
                yield family


def _histogram(series: Series, counts: Sequence[int], total: float) -> Metric:
    """Buckets are cumulative, the last one is +Inf."""
    family = HistogramMetricFamily(series.name, series.help)
    ends = [*(str(end) for end in BUCKETS), "+Inf"]
    cumulative = [(end, float(sum(counts[: i + 1]))) for i, end in enumerate(ends)]
    family.add_metric((), cumulative, total)
    return family
