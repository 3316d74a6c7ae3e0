"""What series counted before a reading begins, as far as Prometheus remembers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import deduplication as replicas
from ops_platform.slo.counting import range_query as ranges
from ops_platform.slo.counting.range_query import milliseconds, moment
from ops_platform.slo.counting.samples import Labels, Series, labels_of
from ops_platform.slo.objectives import Matcher, Selector, written

LOOK_BACK = timedelta(days=31)
"""How far back the last sample of a series that comes back is looked for."""
AT_ONCE = 40
"""Series that one question names: its text must fit into a URL."""


def canonical(labels: Labels) -> Labels:
    """With the bound of a bucket in one spelling: clients and versions of Prometheus have their own."""
    return tuple((name, written(float(value))) if name == "le" else (name, value) for name, value in labels)


def jobs(source: Prometheus, selector: Selector, until: datetime) -> frozenset[str]:
    """That had such series up to ``until``; also some that have them only since. Raises Unavailable."""
    found, warnings = source.label_values("job", selector.query, until=until)
    ranges.refuse_partial(selector.query, warnings)
    return frozenset(found)


def had(source: Prometheus, selector: Selector, job: str, until: datetime) -> bool:
    """Whether the job had such series up to ``until``. Raises Unavailable."""
    only = Selector(selector.metric, (*selector.matchers, Matcher("job", "=", job)), selector.bound)
    found, warnings = source.series([only.query], until=until)
    ranges.refuse_partial(selector.query, warnings)
    return bool(found)


def known(source: Prometheus, series: Sequence[Series], until: datetime) -> frozenset[Labels]:
    """The labels of those of ``series`` that had a sample up to ``until``. Raises Unavailable.

    Asks the index only, whose answer is exact here: a stretch of samples is within a time or begins in
    it. And only for these: all series that there ever were can be many.
    """
    names = frozenset(source.replica_labels)
    found: set[Labels] = set()
    for first in range(0, len(series), AT_ONCE):
        queries = [_exactly(one) for one in series[first : first + AT_ONCE]]
        there, warnings = source.series(queries, until=until)
        ranges.refuse_partial(queries[0], warnings)
        found |= {canonical(replicas.split(labels_of(labels), names)[0]) for labels in there}
    return frozenset(found)


def _exactly(one: Series) -> str:
    """A selector of it. Buckets may have been spelled otherwise."""
    metric = next(value for name, value in one.labels if name == "__name__")
    bound = float(one.label("le")) if metric.endswith("_bucket") else None
    names = ("__name__",) if bound is None else ("__name__", "le")
    matchers = tuple(Matcher(name, "=", value) for name, value in one.labels if name not in names)
    return Selector(metric, matchers, bound).query


def last_sample(source: Prometheus, one: Series, since: datetime) -> tuple[int, int]:
    """Time in milliseconds and value of the last sample up to ``since`` of a series that has one.

    Of one that is longer ago than LOOK_BACK only this is known, and that zero is not too much.
    Raises Unavailable.
    """
    oldest = moment(int(one.times[0])) - LOOK_BACK
    names = frozenset(source.replica_labels)
    for start, end in _backwards(since, oldest):
        every = [
            sample
            for labels, samples in ranges.read(source, _exactly(one), start, end).items()
            if canonical(replicas.split(labels, names)[0]) == one.labels
            for sample in samples
        ]
        if every:
            time, value = max(every)
            return round(time * 1000), int(value) if 0 <= value < math.inf else 0
    return milliseconds(oldest), 0


def _backwards(end: datetime, oldest: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Most series that come back were away for minutes; then day by day."""
    step = timedelta(hours=1)
    while end > oldest:
        start = max(end - step, oldest)
        yield start, end
        end, step = start, timedelta(days=1)
