"""Raw samples of a stretch of time, as they were stored.

A range selector in an instant query returns them; ``rate`` and ``increase`` extrapolate, and lose what
happens between two windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import Unavailable
from ops_platform.slo.counting.samples import Labels, Times, labels_of

CHUNK = timedelta(days=1)
"""The longest span of one query: Prometheus loads all of its samples at once."""
SMALLEST = timedelta(minutes=1)
"""The shortest span that is asked for when Prometheus refuses to load so many samples at once."""
Samples = NDArray[np.float64]
"""Rows of Unix seconds and value, in order."""
Raw = dict[Labels, Samples]


def milliseconds(moment: datetime) -> int:
    """Convert to milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def moment(milliseconds_: int) -> datetime:
    """Convert from milliseconds since the epoch, to UTC."""
    return datetime.fromtimestamp(milliseconds_ / 1000, UTC)


def times_of(samples: Samples) -> Times:
    """Take the times of samples in milliseconds."""
    return np.rint(samples[:, 0] * 1000).astype(np.int64)


def joined(parts: Sequence[Samples]) -> Samples:
    """Put the samples of several parts in order; of those at one time all are kept, by value."""
    together = np.concatenate([np.empty((0, 2)), *parts])
    return together[np.lexsort((together[:, 1], together[:, 0]))]


def read(source: Prometheus, query: str, since: datetime, until: datetime) -> Raw:
    """Read all samples in (``since``, ``until``]. Raises Unavailable, also when they may be partial."""
    parts: dict[Labels, list[Samples]] = {}
    chunks = list(_chunks(since, until))[::-1]
    while chunks:
        start, end = chunks.pop()
        span = round((end - start).total_seconds() * 1000)
        try:
            answer = source.query(f"{query}[{span}ms]", at=end)
        except Unavailable as error:
            # --query.max-samples, as of many series over a day.
            if "too many samples" not in str(error) or end - start <= SMALLEST:
                raise
            middle = start + timedelta(milliseconds=span // 2)
            chunks += [(middle, end), (start, middle)]
            continue
        refuse_partial(query, answer.warnings)
        low, high = start.timestamp(), end.timestamp()
        for answered in answer.series:
            samples = np.asarray(answered.samples, np.float64).reshape(-1, 2)
            # Prometheus 2 includes the window's first moment, Prometheus 3 does not.
            inside = (low < samples[:, 0]) & (samples[:, 0] <= high)
            if not inside.all():
                samples = samples[1:] if inside[1:].all() else samples[inside]
            if samples.size:
                parts.setdefault(labels_of(answered.labels), []).append(samples)
    return {
        labels: pieces[0] if len(pieces) == 1 else np.concatenate(pieces) for labels, pieces in parts.items()
    }


def refuse_partial(query: str, warnings: tuple[str, ...]) -> None:
    """Raise Unavailable when Prometheus answered with warnings: its answer may be partial."""
    if warnings:
        raise Unavailable(
            f"Prometheus answered {query} with a warning ({warnings[0]}): its answer may be partial"
        )


def _chunks(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        end = min(since + CHUNK, until)
        yield since, end
        since = end
