"""The last samples of series before a reading begins, as far as Prometheus remembers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import deduplication, range_query
from ops_platform.slo.counting.range_query import milliseconds, moment
from ops_platform.slo.counting.samples import Labels, Series, address_of, labels_of
from ops_platform.slo.counting.scrapes import HORIZON, NEVER
from ops_platform.slo.objectives import Matcher, Selector, format_bound

LOOK_BACK = timedelta(days=31)
"""The time in which the last sample of a returning series is looked for."""
AT_ONCE = 40
"""Series that one query names: its text must fit into a URL."""


@dataclass(frozen=True)
class LastShown:
    """When a target last showed series of a selector (ms), and how many they were then."""

    at: int
    series: int

    @classmethod
    def of(cls, newest: Collection[int]) -> LastShown:
        """Make one of the times of each series' newest sample; those long before the last are over."""
        at = max(newest)
        return cls(at, sum(time > at - HORIZON for time in newest))


def canonical(labels: Labels) -> Labels:
    """Write the bound of a bucket in one spelling: clients and versions of Prometheus have their own."""
    return tuple(
        (name, format_bound(float(value))) if name == "le" else (name, value) for name, value in labels
    )


def jobs_with(source: Prometheus, selector: Selector, until: datetime) -> frozenset[str]:
    """List the jobs with such series up to ``until``; some may have them only since. Raises Unavailable."""
    names, warnings = source.label_values("job", selector.query, until=until)
    range_query.refuse_partial(selector.query, warnings)
    return frozenset(names)


def series_of(source: Prometheus, selector: Selector, job: str, until: datetime) -> list[Labels]:
    """List the labels of all such series that the job had up to ``until``. Raises Unavailable."""
    only = Selector(selector.metric, (*selector.matchers, Matcher("job", "=", job)), selector.bound)
    series, warnings = source.series([only.query], until=until)
    range_query.refuse_partial(selector.query, warnings)
    names = frozenset(source.replica_labels)
    return [deduplication.split_replica_labels(labels_of(labels), names)[0] for labels in series]


def targets_of(source: Prometheus, job: str, until: datetime) -> list[Labels]:
    """List the targets that the job had up to ``until``, by the labels of ``up``. Raises Unavailable."""
    ups = series_of(source, Selector("up", ()), job, until)
    return [tuple(pair for pair in labels if pair[0] != "__name__") for labels in ups]


def known_before(source: Prometheus, series: Sequence[Series], until: datetime) -> frozenset[Labels]:
    """Select the labels of those ``series`` that had a sample up to ``until``. Raises Unavailable.

    Asks the index only, whose answer is exact here: a stretch of samples lies within a time or begins in
    it. And asks for these series only: all that there ever were can be many.
    """
    names = frozenset(source.replica_labels)
    known_labels: set[Labels] = set()
    for first in range(0, len(series), AT_ONCE):
        queries = [_selector_of(counter) for counter in series[first : first + AT_ONCE]]
        answered, warnings = source.series(queries, until=until)
        range_query.refuse_partial(queries[0], warnings)
        known_labels |= {
            canonical(deduplication.split_replica_labels(labels_of(labels), names)[0]) for labels in answered
        }
    return frozenset(known_labels)


def _selector_of(counter: Series) -> str:
    """Write the query that selects this series only, whatever the spelling of its bucket was."""
    metric = next(value for name, value in counter.labels if name == "__name__")
    bound = float(counter.label("le")) if metric.endswith("_bucket") else None
    names = ("__name__",) if bound is None else ("__name__", "le")
    matchers = tuple(Matcher(name, "=", value) for name, value in counter.labels if name not in names)
    return Selector(metric, matchers, bound).query


def last_sample(source: Prometheus, counter: Series, since: datetime) -> tuple[int, int]:
    """Read time (ms) and value of the last sample up to ``since`` of a series that has one.

    When that sample is older than LOOK_BACK, the answer is LOOK_BACK ago and 0, the least that it can be.
    Raises Unavailable.
    """
    oldest = moment(int(counter.times[0])) - LOOK_BACK
    names = frozenset(source.replica_labels)
    for start, end in _backwards(since, oldest):
        last_samples = [
            (float(samples[-1, 0]), float(samples[-1, 1]))
            for labels, samples in range_query.read(source, _selector_of(counter), start, end).items()
            if canonical(deduplication.split_replica_labels(labels, names)[0]) == counter.labels
        ]
        if last_samples:
            time, value = max(last_samples)
            return round(time * 1000), int(value) if 0 <= value < math.inf else 0
    return milliseconds(oldest), 0


def last_shown(
    source: Prometheus, selector: Selector, target: Labels, series: Collection[Labels], since: datetime
) -> LastShown | None:
    """Read when a target last showed any of these ``series``, up to ``since``, and how many it showed then.

    None: not within LOOK_BACK. Raises Unavailable.
    """
    address = tuple(Matcher(name, "=", value) for name, value in address_of(target))
    kept = tuple(matcher for matcher in selector.matchers if matcher.name not in ("job", "instance"))
    query = Selector(selector.metric, (*kept, *address), selector.bound).query
    names = frozenset(source.replica_labels)
    for start, end in _backwards(since, since - LOOK_BACK):
        newest: dict[Labels, int] = {}
        for labels, samples in range_query.read(source, query, start, end).items():
            own = deduplication.split_replica_labels(labels, names)[0]
            if own in series:
                newest[own] = max(newest.get(own, NEVER), int(range_query.times_of(samples[-1:])[0]))
        if newest:
            return LastShown.of(newest.values())
    return None


def _backwards(end: datetime, oldest: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Step back by an hour, for most series were away for minutes, and then day by day."""
    step = timedelta(hours=1)
    while end > oldest:
        start = max(end - step, oldest)
        yield start, end
        end, step = start, timedelta(days=1)
