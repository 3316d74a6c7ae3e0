"""Replicas: one target scraped by several Prometheuses into one store. One of them counts, never the sum.

The first by name does. Where it has nothing for longer than HORIZON, the next one's samples stand in,
away from its own by more than their clocks can differ: a counter must not seem to run backwards.
This depends on the samples alone, and not on windows, so that hours still add up to days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ops_platform.errors import CheckFailed
from ops_platform.slo.counters import gaps
from ops_platform.slo.samples import Labels, show

MARGIN = 60_000
"""Milliseconds; a fifth of HORIZON, so that a switch from one to another leaves no gap."""


def merge(
    found: Mapping[Labels, Sequence[tuple[float, float]]],
    replica_labels: Iterable[str],
    since: int,
    until: int,
) -> dict[Labels, list[tuple[float, float]]]:
    """Series without the replicas' labels, each spliced together; (Unix seconds, value) as given."""
    labels = frozenset(replica_labels)
    groups: dict[Labels, dict[Labels, Sequence[tuple[float, float]]]] = {}
    for series, samples in found.items():
        rest = tuple(pair for pair in series if pair[0] not in labels)
        groups.setdefault(rest, {})[tuple(pair for pair in series if pair[0] in labels)] = samples
    return {
        rest: _spliced([each[name] for name in sorted(each)], since, until) for rest, each in groups.items()
    }


def _spliced(
    replicas: Sequence[Sequence[tuple[float, float]]], since: int, until: int
) -> list[tuple[float, float]]:
    first, *others = replicas
    used = sorted(first)
    for other in others:
        times = np.array([round(time * 1000) for time, _ in used], np.int64)
        for after, before in gaps(times, since, until):
            low = after + (MARGIN if after != since else 0)
            high = before - (MARGIN if before != until else 0)
            used += [sample for sample in other if low < round(sample[0] * 1000) <= high]
        used.sort()
    return used


def refuse_unnamed(scraped: Iterable[Labels]) -> None:
    """Given the labels of ``up``. Raises CheckFailed when one target is stored twice."""
    seen: dict[tuple[str, ...], Labels] = {}
    for labels in scraped:
        values = dict(labels)
        other = seen.setdefault((values.get("job", ""), values.get("instance", "")), labels)
        if other is not labels:
            differing = sorted({name for name, _ in set(labels) ^ set(other)})
            raise CheckFailed(
                f"{show(labels)} is stored more than once: every event would count twice. If replicas of "
                f"Prometheus write it, name their label ({', '.join(differing)}) in "
                "OPS_PROMETHEUS_REPLICA_LABELS"
            )
