"""A Prometheus of given samples, in memory: what the reader asks of it, and no more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import numpy as np

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import reader
from ops_platform.slo.counting.range_query import moment
from ops_platform.slo.counting.samples import Times, Values
from ops_platform.slo.counting.scrapes import VIEW
from ops_platform.slo.counting.window import WindowCount, count
from ops_platform.slo.objectives.model import Indicator
from ops_platform.slo.objectives.selector import Matcher

HOUR = 3_600_000
STEP = 15_000
BASE = 10 * HOUR
EDGES = [BASE + VIEW + number * HOUR for number in range(4)]
TIMES: Times = np.arange(BASE + STEP, EDGES[-1] + VIEW + 1, STEP, dtype=np.int64)
SECONDS: Values = (TIMES - BASE) // 1000
"""A counter of one event a second."""


@dataclass(frozen=True)
class Stored:
    """One series: its labels and samples of (Unix seconds, value)."""

    labels: dict[str, str]
    samples: list[tuple[float, float]]


@dataclass(frozen=True)
class Answer:
    series: list[Stored]
    warnings: tuple[str, ...] = ()


def stored(name: str, values: Values | int, times: Times = TIMES, **labels: str) -> Stored:
    at, shown = (times / 1000).tolist(), np.broadcast_to(values, times.shape).astype(float).tolist()
    return Stored({"__name__": name, **labels}, list(zip(at, shown, strict=True)))


@dataclass(frozen=True)
class Memory:
    data: Sequence[Stored]
    replica_labels: Sequence[str] = ()

    def _selected(self, query: str) -> list[Stored]:
        name, _, inside = query.removesuffix("}").partition("{")
        matchers = [
            Matcher(label, operator, text.replace("\\\\", "\\"))
            for label, operator, text in re.findall(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"', inside)
        ]
        return [
            series
            for series in self.data
            if series.labels["__name__"] == name
            and all(matcher.fits(series.labels.get(matcher.name, "")) for matcher in matchers)
        ]

    def _until(self, query: str, until: datetime) -> list[Stored]:
        return [one for one in self._selected(query) if one.samples[0][0] <= until.timestamp()]

    def query(self, query: str, at: datetime) -> Answer:
        selector, _, span = query.rpartition("[")
        high = at.timestamp()
        low = high - int(span.removesuffix("ms]")) / 1000
        return Answer(
            [
                Stored(one.labels, [sample for sample in one.samples if low <= sample[0] <= high])
                for one in self._selected(selector)
            ]
        )

    def label_values(self, name: str, query: str, *, until: datetime) -> tuple[list[str], tuple[str, ...]]:
        return sorted({one.labels.get(name, "") for one in self._until(query, until)}), ()

    def series(
        self, queries: Sequence[str], *, until: datetime
    ) -> tuple[list[dict[str, str]], tuple[str, ...]]:
        return [one.labels for query in queries for one in self._until(query, until)], ()

    def metric_types(self, name: str) -> list[str]:
        return ["counter"] if name.endswith("_total") else []


def counted(
    indicator: Indicator, *data: Stored, replica_labels: Sequence[str] = (), edges: Sequence[int] = EDGES
) -> list[WindowCount]:
    """Count the windows between ``edges`` (ms) from what is stored."""
    reading = reader.read(
        cast(Prometheus, Memory(data, replica_labels)),
        indicator.selectors,
        moment(edges[0] - VIEW),
        moment(edges[-1] + VIEW),
    )
    return count(indicator, reading, [moment(edge) for edge in edges])
