"""What was scraped and when: the targets of some jobs, whichever replica of Prometheus did it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import deduplication as replicas
from ops_platform.slo.counting import range_query as ranges
from ops_platform.slo.counting.deduplication import Turns
from ops_platform.slo.counting.range_query import Raw, milliseconds, times_of
from ops_platform.slo.counting.samples import Labels, Times, none, show, target_of
from ops_platform.slo.counting.scrapes import Scrapes, Unknown, overlapping
from ops_platform.slo.objectives import Matcher

LATEST = 2**40
"""Seconds; no process begins later. Not a number is not below it either."""


@dataclass(frozen=True)
class Targets:
    """By target: its scrapes, who made them, and where it is stored more than once."""

    scrapes: Mapping[Labels, Scrapes]
    turns: Mapping[Labels, Turns]
    doubled: Mapping[Labels, tuple[Unknown, ...]]


def read(source: Prometheus, jobs: Collection[str], since: datetime, until: datetime) -> Targets:
    """Raises Unavailable."""
    names = frozenset(source.replica_labels)
    low, high = milliseconds(since), milliseconds(until)
    by_target: dict[Labels, dict[Labels, Raw]] = defaultdict(lambda: defaultdict(dict))
    for labels, samples in _of_jobs(source, "up", jobs, since, until).items():
        own, replica = replicas.split(labels, names)
        by_target[target_of(own)][replica][own] = samples
    turns = {
        target: Turns.of({name: _good(ups) for name, ups in each.items()}, low, high)
        for target, each in by_target.items()
    }
    started = _started(source, jobs, since, until, turns)
    scrapes = {}
    for target, each in by_target.items():
        told = started.get(target, [])
        bad = [
            times_of(sample for sample in samples if sample[1] != 1)
            for ups in each.values()
            for samples in ups.values()
        ]
        scrapes[target] = Scrapes(
            turns[target].good,
            np.unique(np.concatenate([none(), *bad])),
            times_of(told),
            np.array([round(value * 1000) for _, value in told], np.int64),
        )
    doubled = {target: _doubled(each) for target, each in by_target.items()}
    return Targets(scrapes, turns, {target: found for target, found in doubled.items() if found})


def _good(ups: Raw) -> Times:
    return np.unique(
        np.concatenate([none(), *(times_of(s for s in each if s[1] == 1) for each in ups.values())])
    )


def _started(
    source: Prometheus,
    jobs: Collection[str],
    since: datetime,
    until: datetime,
    turns: Mapping[Labels, Turns],
) -> dict[Labels, list[tuple[float, float]]]:
    """Since when each target's process runs, whenever it says so."""
    found: dict[Labels, list[tuple[float, float]]] = {}
    raw = _of_jobs(source, "process_start_time_seconds", jobs, since, until)
    for labels, samples in replicas.chosen(raw, frozenset(source.replica_labels), turns).items():
        # What is no time says nothing, and must not stop the counting of everything else.
        said = [sample for sample in samples if abs(sample[1]) <= LATEST]
        found.setdefault(target_of(labels), []).extend(said)
    return {target: sorted(samples) for target, samples in found.items()}


def _of_jobs(source: Prometheus, metric: str, jobs: Collection[str], since: datetime, until: datetime) -> Raw:
    if not jobs:
        return {}
    only = Matcher("job", "=~", "|".join(_literal(job) for job in sorted(jobs)))
    return ranges.read(source, f"{metric}{{{only}}}", since, until)


def _literal(text: str) -> str:
    """For PromQL's regular expressions (RE2)."""
    return "".join(char if char.isalnum() or char in "_-" else f"\\{char}" for char in text)


def _doubled(ups: Mapping[Labels, Raw]) -> tuple[Unknown, ...]:
    """Where one replica, as far as its labels say, has the target under several sets of labels."""
    found: list[Unknown] = []
    for of_replica in ups.values():
        earlier: list[tuple[Labels, Times]] = []
        for labels, samples in of_replica.items():
            times = times_of(samples)
            for other, others in earlier:
                differing = ", ".join(sorted({name for name, _ in set(labels) ^ set(other)}))
                found += overlapping(
                    others,
                    times,
                    f"{show(labels)} is stored more than once; if replicas of Prometheus write it, "
                    f"name their label ({differing}) in OPS_PROMETHEUS_REPLICA_LABELS",
                )
            earlier.append((labels, times))
    return tuple(found)
