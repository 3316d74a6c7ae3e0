"""The targets of some jobs and when each was scraped, whichever replica of Prometheus did it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import deduplication, range_query
from ops_platform.slo.counting.deduplication import ReplicaTurns
from ops_platform.slo.counting.range_query import Raw, milliseconds, times_of
from ops_platform.slo.counting.samples import Labels, Times, no_times, show, target_of
from ops_platform.slo.counting.scrapes import Scrapes, Unknown, overlapping
from ops_platform.slo.objectives import Matcher

LATEST = 2**40
"""Unix seconds; no process starts later. NaN is not below it either."""


@dataclass(frozen=True)
class Targets:
    """By target: its scrapes, which replica counts when, and where it is stored more than once."""

    scrapes: Mapping[Labels, Scrapes]
    turns: Mapping[Labels, ReplicaTurns]
    duplicates: Mapping[Labels, tuple[Unknown, ...]]


def read(source: Prometheus, jobs: Collection[str], since: datetime, until: datetime) -> Targets:
    """Read the scrapes of all targets of ``jobs`` between ``since`` and ``until``. Raises Unavailable."""
    names = frozenset(source.replica_labels)
    low, high = milliseconds(since), milliseconds(until)
    by_target: dict[Labels, dict[Labels, Raw]] = defaultdict(lambda: defaultdict(dict))
    for labels, samples in _of_jobs(source, "up", jobs, since, until).items():
        own, replica = deduplication.split_replica_labels(labels, names)
        by_target[target_of(own)][replica][own] = samples
    turns = {
        target: ReplicaTurns.of({replica: _good(ups) for replica, ups in by_replica.items()}, low, high)
        for target, by_replica in by_target.items()
    }
    started = _started(source, jobs, since, until, turns)
    scrapes = {}
    for target, by_replica in by_target.items():
        reports = started.get(target, [])
        bad = [
            times_of(sample for sample in samples if sample[1] != 1)
            for ups in by_replica.values()
            for samples in ups.values()
        ]
        scrapes[target] = Scrapes(
            turns[target].good,
            np.unique(np.concatenate([no_times(), *bad])),
            times_of(reports),
            np.array([round(value * 1000) for _, value in reports], np.int64),
        )
    duplicates = {target: _duplicates(by_replica) for target, by_replica in by_target.items()}
    return Targets(
        scrapes, turns, {target: stretches for target, stretches in duplicates.items() if stretches}
    )


def _good(ups: Raw) -> Times:
    return np.unique(
        np.concatenate(
            [
                no_times(),
                *(times_of(sample for sample in samples if sample[1] == 1) for samples in ups.values()),
            ]
        )
    )


def _started(
    source: Prometheus,
    jobs: Collection[str],
    since: datetime,
    until: datetime,
    turns: Mapping[Labels, ReplicaTurns],
) -> dict[Labels, list[tuple[float, float]]]:
    """Read since when each target's process runs: (scraped at, started at) in Unix seconds, in order."""
    reported: dict[Labels, list[tuple[float, float]]] = {}
    raw = _of_jobs(source, "process_start_time_seconds", jobs, since, until)
    for labels, samples in deduplication.merge_replicas(raw, frozenset(source.replica_labels), turns).items():
        # A value that is not a time tells nothing, and must not stop the counting of everything else.
        plausible = [sample for sample in samples if abs(sample[1]) <= LATEST]
        reported.setdefault(target_of(labels), []).extend(plausible)
    return {target: sorted(samples) for target, samples in reported.items()}


def _of_jobs(source: Prometheus, metric: str, jobs: Collection[str], since: datetime, until: datetime) -> Raw:
    if not jobs:
        return {}
    only = Matcher("job", "=~", "|".join(_literal(job) for job in sorted(jobs)))
    return range_query.read(source, f"{metric}{{{only}}}", since, until)


def _literal(text: str) -> str:
    """Escape text for PromQL's regular expressions (RE2)."""
    return "".join(char if char.isalnum() or char in "_-" else f"\\{char}" for char in text)


def _duplicates(ups: Mapping[Labels, Raw]) -> tuple[Unknown, ...]:
    """Declare unknown where one replica, by its labels, has the target under several sets of labels."""
    stretches: list[Unknown] = []
    for ups_of_replica in ups.values():
        earlier: list[tuple[Labels, Times]] = []
        for labels, samples in ups_of_replica.items():
            times = times_of(samples)
            for other, other_times in earlier:
                differing = ", ".join(sorted({name for name, _ in set(labels) ^ set(other)}))
                stretches += overlapping(
                    other_times,
                    times,
                    f"{show(labels)} is stored more than once; if replicas of Prometheus write it, "
                    f"name their label ({differing}) in OPS_PROMETHEUS_REPLICA_LABELS",
                )
            earlier.append((labels, times))
    return tuple(stretches)
