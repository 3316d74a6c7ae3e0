"""Reading Prometheus: raw samples of the counters, and when their targets were scraped.

A range selector in an instant query gives the samples as they were stored; ``rate`` and
``increase`` extrapolate, and lose what happens between two windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.slo import replicas
from ops_platform.slo.counters import Scrapes
from ops_platform.slo.samples import Labels, Series, Times, labels_of, show, target_of
from ops_platform.slo.selector import Matcher, Selector

CHUNK = timedelta(days=1)
"""What one query spans at most: the answer is held as text and as Python objects for a moment."""
REMEMBERED = timedelta(days=1)
COUNTERS = ("counter", "histogram", "summary")


@dataclass(frozen=True)
class Reading:
    """What there is in (``since``, ``until``], in milliseconds, of each selector; scrapes by target."""

    since: int
    until: int
    series: Mapping[Selector, tuple[Series, ...]]
    jobs: Mapping[Selector, frozenset[str]]
    """Who has such series, or had some within REMEMBERED."""
    scrapes: Mapping[Labels, Scrapes]
    """Of all targets of these jobs."""
    pulse: Times
    """When anything at all was scraped, or tried."""


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def moment(milliseconds_: int) -> datetime:
    return datetime.fromtimestamp(milliseconds_ / 1000, UTC)


def read(source: Prometheus, selectors: Iterable[Selector], since: datetime, until: datetime) -> Reading:
    """Raises Unavailable when Prometheus is away or its answer is partial, CheckFailed for no counters."""
    found: dict[Selector, tuple[Series, ...]] = {}
    for selector in dict.fromkeys(selectors):
        raw = _merged(source, selector.query, since, until)
        series = [Series.parse(labels, samples) for labels, samples in raw.items()]
        found[selector] = tuple(sorted(series, key=lambda one: one.labels))
    _refuse_doubled(found)
    jobs = {
        selector: _remembered(source, selector, until) | {one.label("job") for one in series}
        for selector, series in found.items()
    }
    scrapes, pulse = _scrapes(source, sorted(frozenset().union(*jobs.values())), since, until)
    return Reading(milliseconds(since), milliseconds(until), found, jobs, scrapes, pulse)


def refuse_gauges(source: Prometheus, selectors: Iterable[Selector]) -> None:
    """Raises CheckFailed when Prometheus knows that a metric is no counter; often it knows nothing."""
    for selector in dict.fromkeys(selectors):
        # Of a histogram and of OpenMetrics counters the family is known, not each of its series.
        family = selector.metric.rpartition("_")[0]
        for name in (selector.metric, family):
            kinds = set(source.metric_types(name)) - {"unknown", "untyped"}
            if kinds and not kinds & set(COUNTERS):
                raise CheckFailed(
                    f"{selector.metric} is a {', '.join(sorted(kinds))}: "
                    "an objective needs a counter of events"
                )


def _remembered(source: Prometheus, selector: Selector, until: datetime) -> frozenset[str]:
    """A job that cannot be scraped for hours has no series in them, and is missing all the same."""
    span = round(REMEMBERED.total_seconds())
    answer = source.query(f"group by (job) (last_over_time({selector.query}[{span}s]))", at=until)
    return frozenset(one.labels.get("job", "") for one in answer.series)


def _merged(
    source: Prometheus, query: str, since: datetime, until: datetime
) -> dict[Labels, list[tuple[float, float]]]:
    found = _samples(source, query, since, until)
    return replicas.merge(found, source.replica_labels, milliseconds(since), milliseconds(until))


def _samples(
    source: Prometheus, query: str, since: datetime, until: datetime
) -> dict[Labels, list[tuple[float, float]]]:
    """Everything in (``since``, ``until``], by series."""
    found: dict[Labels, list[tuple[float, float]]] = {}
    for start, end in _chunks(since, until):
        span = round((end - start).total_seconds() * 1000)
        answer = source.query(f"{query}[{span}ms]", at=end)
        if answer.warnings:
            raise Unavailable(
                f"Prometheus answered {query} with a warning ({answer.warnings[0]}): "
                "its answer may be partial"
            )
        low, high = start.timestamp(), end.timestamp()
        for one in answer.series:
            # Prometheus 2 has the window's first moment in it, Prometheus 3 has not.
            samples = [sample for sample in one.samples if low < sample[0] <= high]
            if samples:
                found.setdefault(labels_of(one.labels), []).extend(samples)
    return found


def _chunks(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        end = min(since + CHUNK, until)
        yield since, end
        since = end


def _scrapes(
    source: Prometheus, jobs: Sequence[str], since: datetime, until: datetime
) -> tuple[dict[Labels, Scrapes], Times]:
    every: list[Times] = [np.empty(0, np.int64)]
    tried: dict[Labels, list[tuple[float, float]]] = {}
    ups = _samples(source, "up", since, until)
    every += [_times(time for time, _ in samples) for samples in ups.values()]
    ours = {labels: samples for labels, samples in ups.items() if dict(labels).get("job") in jobs}
    merged = replicas.merge(ours, source.replica_labels, milliseconds(since), milliseconds(until))
    replicas.refuse_unnamed(merged)
    for labels, samples in merged.items():
        tried.setdefault(target_of(labels), []).extend(samples)
    started: dict[Labels, list[tuple[float, float]]] = {}
    if jobs:
        only = Matcher("job", "=~", "|".join(_literal(job) for job in jobs))
        query = f"process_start_time_seconds{{{only}}}"
        for labels, samples in _merged(source, query, since, until).items():
            started.setdefault(target_of(labels), []).extend(samples)
    found = {}
    for target, samples in tried.items():
        told = started.get(target, [])
        found[target] = Scrapes(
            _times(time for time, value in samples if value == 1),
            _times(time for time, value in samples if value != 1),
            _times(time for time, _ in told),
            np.array([round(value * 1000) for _, value in told], np.int64),
        )
    return found, np.unique(np.concatenate(every))


def _literal(text: str) -> str:
    """For PromQL's regular expressions (RE2)."""
    return "".join(char if char.isalnum() or char in "_-" else f"\\{char}" for char in text)


def _times(seconds: Iterable[float]) -> Times:
    return np.array([round(one * 1000) for one in seconds], np.int64)


def _refuse_doubled(found: Mapping[Selector, Sequence[Series]]) -> None:
    """One counter that is stored twice would count every event twice."""
    for selector, series in found.items():
        seen: dict[Labels, Series] = {}
        for one in series:
            # Of a bucket, every spelling of its bound.
            left_out = ("job", "le") if selector.bound is not None else ("job",)
            other = seen.setdefault(tuple(pair for pair in one.labels if pair[0] not in left_out), one)
            if other is not one:
                raise CheckFailed(
                    f"{show(other.labels)} and {show(one.labels)} are the same counter: "
                    "every event would count twice; name one job in the selector"
                )
