"""The targets of some jobs and when each was scraped, whichever replica of Prometheus did it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo.counting import deduplication, range_query
from ops_platform.slo.counting.deduplication import ReplicaTurns
from ops_platform.slo.counting.range_query import Raw, Samples, milliseconds, times_of
from ops_platform.slo.counting.samples import Labels, Times, address_of, no_times
from ops_platform.slo.counting.scrapes import JITTER, Scrapes, Unknown
from ops_platform.slo.objectives import Matcher, Selector

LATEST = 2**40
"""Unix seconds; no process starts later. NaN is not below it either."""


@dataclass(frozen=True)
class Targets:
    """By target, named by all labels of its ``up``: its scrapes, and which replica counts when."""

    scrapes: Mapping[Labels, Scrapes]
    turns: Mapping[Labels, ReplicaTurns]
    differing: Mapping[Labels, Sequence[Unknown]]
    """Where what is called replicas reports different processes."""
    at: Mapping[Labels, Sequence[Labels]] = field(default_factory=dict)
    """The targets by job and instance, those with most labels first: the paths or ports of one address."""

    def target_of(self, labels: Labels) -> Labels:
        """Find the target that shows a series: the one whose labels are all among the series'.

        Where relabelling took labels from the series, it is the only target of this job and instance. When
        there are several, and none to be preferred, only job and instance are returned.
        """
        address = address_of(labels)
        candidates = self.at.get(address, ())
        within = [target for target in candidates if set(target) <= set(labels)]
        if within and (len(within) == 1 or len(within[0]) > len(within[1])):
            return within[0]
        return candidates[0] if len(candidates) == 1 else address

    def overridden(self, labels: Labels, former: Iterable[Labels] = ()) -> frozenset[str]:
        """Name the target's labels of which a series has another value, or none, as by ``honor_labels``.

        ``former``: targets that there were once. None where the series has all labels of one of them: a
        staging pod may have the address that one of production had.
        """
        address = address_of(labels)
        candidates = [
            *self.at.get(address, ()),
            *(target for target in former if address_of(target) == address),
        ]
        if any(set(target) <= set(labels) for target in candidates):
            return frozenset()
        return frozenset(name for target in candidates for name, _ in set(target) - set(labels))


def in_scope(selector: Selector, target: Labels, overridden: Collection[str] = ()) -> bool:
    """Tell whether the target may show such series: its labels fit all matchers on names that it has.

    ``overridden``: names of which series of its job have values of their own (``honor_labels``). The target's
    say nothing then.
    """
    attached = {name: value for name, value in target if name not in overridden}
    return all(
        matcher.fits(attached[matcher.name]) for matcher in selector.matchers if matcher.name in attached
    )


def read(source: Prometheus, jobs: Collection[str], since: datetime, until: datetime) -> Targets:
    """Read the scrapes of all targets of ``jobs`` between ``since`` and ``until``. Raises Unavailable."""
    names = frozenset(source.replica_labels)
    low, high = milliseconds(since), milliseconds(until)
    by_target: dict[Labels, Raw] = defaultdict(dict)
    for labels, samples in _of_jobs(source, "up", jobs, since, until).items():
        own, replica = deduplication.split_replica_labels(labels, names)
        by_target[tuple(pair for pair in own if pair[0] != "__name__")][replica] = samples
    turns = {
        target: ReplicaTurns.of({replica: _good(samples) for replica, samples in ups.items()}, low, high)
        for target, ups in by_target.items()
    }
    found = Targets({}, turns, {}, _by_address(by_target))
    raw = _of_jobs(source, "process_start_time_seconds", jobs, since, until)
    # A value that is not a time tells nothing, and must not stop the counting of everything else.
    raw = {labels: samples[np.abs(samples[:, 1]) <= LATEST] for labels, samples in raw.items()}
    started: dict[Labels, list[Samples]] = defaultdict(list)
    for labels, samples in deduplication.merge_replicas(raw, names, turns, found.target_of).items():
        started[found.target_of(labels)].append(samples)
    scrapes = {}
    for target, ups in by_target.items():
        reports = range_query.joined(started[target])
        bad = [times_of(samples[samples[:, 1] != 1]) for samples in ups.values()]
        scrapes[target] = Scrapes(
            turns[target].good,
            np.unique(np.concatenate([no_times(), *bad])),
            times_of(reports),
            np.rint(reports[:, 1] * 1000).astype(np.int64),
        )
    differing = deduplication.differences(raw, names, turns, found.target_of, JITTER / 1000)
    return replace(found, scrapes=scrapes, differing=differing)


def _by_address(targets: Iterable[Labels]) -> dict[Labels, list[Labels]]:
    at: dict[Labels, list[Labels]] = defaultdict(list)
    for target in sorted(targets, key=lambda labels: (-len(labels), labels)):
        at[address_of(target)].append(target)
    return at


def _good(samples: Samples) -> Times:
    return times_of(samples[samples[:, 1] == 1])


def _of_jobs(source: Prometheus, metric: str, jobs: Collection[str], since: datetime, until: datetime) -> Raw:
    if not jobs:
        return {}
    only = Matcher("job", "=~", "|".join(_literal(job) for job in sorted(jobs)))
    return range_query.read(source, f"{metric}{{{only}}}", since, until)


def _literal(text: str) -> str:
    """Escape text for PromQL's regular expressions (RE2)."""
    return "".join(char if char.isalnum() or char in "_-" else f"\\{char}" for char in text)
