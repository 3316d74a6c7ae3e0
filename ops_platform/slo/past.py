"""What series counted before a reading begins, as far as Prometheus remembers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo import ranges, replicas
from ops_platform.slo.ranges import milliseconds, moment
from ops_platform.slo.samples import Labels, Series, labels_of
from ops_platform.slo.selector import Matcher, Selector

LOOK_BACK = timedelta(days=31)
"""How far back the last sample of a series that comes back is looked for."""


def label_sets(source: Prometheus, selector: Selector, until: datetime) -> frozenset[Labels]:
    """Of all series that had a sample up to ``until``, without the replicas' labels. Raises Unavailable.

    Asks the index only, whose answer is exact here: a stretch of samples is within a time or begins in it.
    """
    found, warnings = source.series(selector.query, until=until)
    ranges.refuse_partial(selector.query, warnings)
    names = frozenset(source.replica_labels)
    return frozenset(replicas.split(labels_of(labels), names)[0] for labels in found)


def last_sample(source: Prometheus, one: Series, since: datetime) -> tuple[int, int]:
    """Time in milliseconds and value of the last sample up to ``since`` of a series that has one.

    Of one that is longer ago than LOOK_BACK only this is known, and that zero is not too much.
    Raises Unavailable.
    """
    oldest = moment(int(one.times[0])) - LOOK_BACK
    metric = next(value for name, value in one.labels if name == "__name__")
    inside = ",".join(str(Matcher(name, "=", value)) for name, value in one.labels if name != "__name__")
    for start, end in _backwards(since, oldest):
        every = [
            sample
            for labels, samples in ranges.read(source, f"{metric}{{{inside}}}", start, end).items()
            if replicas.split(labels, frozenset(source.replica_labels))[0] == one.labels
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
