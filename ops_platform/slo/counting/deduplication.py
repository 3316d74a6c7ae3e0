"""Replicas: one target scraped by several Prometheuses into one store. One of them counts, never the sum.

Those that are called replicas are compared before one is dropped: where they differ by more than the times
of their scrapes explain they are none, and nothing is known.

The first by name counts, with all series of the target. Where it has no good scrape for longer than
HORIZON, the next one's samples stand in, away from the first one's by more than their clocks can
differ: a counter must not seem to run backwards. This depends on the scrapes alone, not on windows, so
that hours still add up to days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ops_platform.slo.counting.range_query import Raw, Samples, joined, times_of
from ops_platform.slo.counting.samples import Labels, Mask, Series, Times, address_of, show
from ops_platform.slo.counting.scrapes import HORIZON, Unknown, around, gaps, merged

Floats = NDArray[np.float64]
MARGIN = 60_000
"""Milliseconds; a fifth of HORIZON, so that a switch from one replica to another leaves no gap."""
NEAR = 3 * MARGIN
"""Milliseconds within which there must be samples on both sides of one to compare it with them."""


@dataclass(frozen=True)
class ReplicaTurns:
    """The turns of a target's replicas: in each (low, high] (ms) a stand-in counts, else the first."""

    first: Labels
    good: Times
    """The good scrapes of whichever replica counts."""
    stand_ins: Mapping[Labels, Sequence[tuple[int, int]]]

    @classmethod
    def of(cls, good: Mapping[Labels, Times], since: int, until: int) -> ReplicaTurns:
        """Share out the time from ``since`` to ``until``, by the replicas' ``good`` scrapes of one target."""
        first, *others = sorted(good)
        used = good[first]
        stand_ins = {}
        for other in others:
            times = good[other]
            spans = []
            for after, before in gaps(used, since, until):
                low = after + (MARGIN if after != since else 0)
                high = before - (MARGIN if before != until else 0)
                if low < high:
                    spans.append((low, high))
            chosen = [times[(low < times) & (times <= high)] for low, high in spans]
            used = np.sort(np.concatenate((used, *chosen)))
            stand_ins[other] = spans
        return cls(first, used, stand_ins)

    @property
    def replicas(self) -> frozenset[Labels]:
        """All that have an ``up`` of the target."""
        return frozenset((self.first, *self.stand_ins))

    def counting(self, replica: Labels, times: Times) -> Mask:
        """Tell which samples of ``replica`` at ``times`` (ms) are the ones that count."""
        counts = np.full(times.size, replica == self.first)
        for low, high in self.stand_ins.get(replica, ()):
            counts |= (low < times) & (times <= high)
        return counts


def split_replica_labels(labels: Labels, names: frozenset[str]) -> tuple[Labels, Labels]:
    """Split labels into the series' own and those that name the replica."""
    own = tuple(pair for pair in labels if pair[0] not in names)
    return own, tuple(pair for pair in labels if pair[0] in names)


def merge_replicas(
    series: Raw,
    names: frozenset[str],
    turns: Mapping[Labels, ReplicaTurns],
    target_of: Callable[[Labels], Labels] = address_of,
) -> Raw:
    """Join the replicas' series to one each, without their labels, of the samples that count.

    ``names``: the labels that name a replica. ``turns``: by target, which ``target_of`` finds for a series'
    own labels; a series of no known target keeps the first replica's samples.
    """
    if not names:
        return series
    parts: dict[Labels, list[Samples]] = defaultdict(list)
    leading: dict[Labels, Labels] = {}
    for labels in sorted(series):
        own, replica = split_replica_labels(labels, names)
        target_turns = turns.get(target_of(own))
        if target_turns is None:
            if leading.setdefault(own, replica) == replica:
                parts[own].append(series[labels])
            continue
        samples = series[labels]
        parts[own].append(samples[target_turns.counting(replica, times_of(samples))])
    merged = {own: joined(each) for own, each in parts.items()}
    return {own: samples for own, samples in merged.items() if samples.size}


def strangers(
    series: Raw,
    names: frozenset[str],
    turns: Mapping[Labels, ReplicaTurns],
    target_of: Callable[[Labels], Labels] = address_of,
) -> dict[Labels, list[Unknown]]:
    """Find by target where a series has the label of a replica that no Prometheus has.

    The application has a label of its own that is called so.
    """
    by_target: dict[Labels, list[Unknown]] = defaultdict(list)
    for labels, samples in series.items() if names else ():
        own, replica = split_replica_labels(labels, names)
        target_turns = turns.get(target := target_of(own))
        if target_turns is not None and replica not in target_turns.replicas:
            by_target[target] += around(
                times_of(samples),
                f"{show(own)} has {show(replica)} of OPS_PROMETHEUS_REPLICA_LABELS, and up of its target has "
                "not: those are different series",
            )
    return by_target


def differences(
    series: Raw,
    names: frozenset[str],
    turns: Mapping[Labels, ReplicaTurns],
    target_of: Callable[[Labels], Labels] = address_of,
    slack: float = 0,
) -> dict[Labels, list[Unknown]]:
    """Find by target where what is called a replica shows other values than the one that counts.

    Also where one takes another's place and was not seen to show the same shortly before or after. Values
    that are no more than ``slack`` apart are the same.
    """
    if not names:
        return {}
    by_own: dict[Labels, Raw] = defaultdict(dict)
    for labels, samples in series.items():
        own, replica = split_replica_labels(labels, names)
        by_own[own][replica] = samples
    by_target = strangers(series, names, turns, target_of)
    for own, by_replica in by_own.items():
        target = target_of(own)
        target_turns = turns.get(target)
        if target_turns is None:
            continue
        if len(by_replica) > 1 or target_turns.stand_ins:
            by_target[target] += _differences(own, by_replica, target_turns, names, slack)
    return by_target


def _differences(
    own: Labels,
    by_replica: Raw,
    turns: ReplicaTurns,
    names: frozenset[str],
    slack: float,
) -> list[Unknown]:
    counting: list[Samples] = []
    dropped: list[Samples] = []
    for number, replica in enumerate(sorted(by_replica)):
        samples = np.column_stack((by_replica[replica], np.full(len(by_replica[replica]), number)))
        counts = turns.counting(replica, times_of(samples))
        counting.append(samples[counts])
        dropped.append(samples[~counts])
    times, values, replicas = _in_order(counting)
    at, others, dropped_of = _in_order(dropped)
    same, other = np.zeros(at.size, np.bool_), np.zeros(at.size, np.bool_)
    for number in range(len(by_replica)):
        of_others, mine = replicas != number, dropped_of == number
        same[mine], other[mine] = compared(times[of_others], values[of_others], at[mine], others[mine], slack)
    # The one that counts scraped well all around and never showed the series.
    low, high = np.searchsorted(times, [at - HORIZON, at + HORIZON], side="left")
    before = np.searchsorted(turns.good, [at - HORIZON, at - MARGIN], side="right")
    after = np.searchsorted(turns.good, [at + MARGIN, at + HORIZON], side="left")
    lacking = (low == high) & (before[0] < before[1]) & (after[0] < after[1])
    labels = ", ".join(sorted(names))
    stretches = around(
        at[other | lacking],
        f"{show(own)} differs between what OPS_PROMETHEUS_REPLICA_LABELS ({labels}) calls replicas: "
        "those are different counters",
    )
    for index in np.flatnonzero((np.diff(replicas) != 0) & (np.diff(times) <= HORIZON)).tolist():
        left, right = int(times[index]), int(times[index + 1])
        if not ((at[same] > left - 2 * MARGIN) & (at[same] < right + 2 * MARGIN)).any():
            stretches.append(
                Unknown(left, right, f"{show(own)} goes on in a replica that was not seen to show the same")
            )
    return stretches


def _in_order(parts: Sequence[Samples]) -> tuple[Times, Floats, Times]:
    """Put rows of (Unix seconds, value, number) in order: times in milliseconds, values and numbers."""
    together = np.concatenate(parts)
    together = together[np.lexsort((together[:, 2], together[:, 1], together[:, 0]))]
    return times_of(together), together[:, 1], together[:, 2].astype(np.int64)


def compared(times: Times, values: Floats, at: Times, others: Floats, slack: float = 0) -> tuple[Mask, Mask]:
    """Compare ``others``, samples of a counter at ``at``, with its values at ``times``, both in order.

    Returns which are the same as far as the times of scrapes can tell, and which differ; neither where
    there are no samples close enough on both sides, or the counter fell between them.
    """
    if not times.size or not at.size:
        return np.zeros(at.size, np.bool_), np.zeros(at.size, np.bool_)
    low = np.searchsorted(times, at - MARGIN, side="right") - 1
    high = np.searchsorted(times, at + MARGIN, side="left")
    falls = np.concatenate(([0], np.cumsum(np.diff(values) < -slack)))
    inside = (low >= 0) & (high < times.size)
    low, high = np.maximum(low, 0), np.minimum(high, times.size - 1)
    comparable = inside & (at - times[low] < NEAR) & (times[high] - at < NEAR) & (falls[low] == falls[high])
    within = (values[low] - slack <= others) & (others <= values[high] + slack)
    return comparable & within, comparable & ~within


def doubled(series: Sequence[Series]) -> list[Unknown]:
    """Declare unknown where one counter seems to be stored twice: every event would count twice.

    Series that differ only by labels of their targets, at one instance, are compared. Those that show the
    same are one counter, scraped by two jobs, at two endpoints, or by replicas of Prometheus that nobody
    named; those that show different values are two processes behind one name.
    """
    stretches: list[Unknown] = []
    same_name: dict[Labels, list[Series]] = defaultdict(list)
    for counter in series:
        if not counter.times.size:
            continue
        others = same_name[(*counter.own_labels, ("instance", counter.label("instance")))]
        for other in others:
            stretches += _twice(other, counter)
        others.append(counter)
    return stretches


def _twice(other: Series, counter: Series) -> list[Unknown]:
    at = counter.times
    before = np.searchsorted(other.times, at, side="right") - 1
    after = np.searchsorted(other.times, at, side="left")
    inside = (before >= 0) & (after < other.times.size)
    low, high = np.maximum(before, 0), np.minimum(after, other.times.size - 1)
    both = inside & (other.times[high] - other.times[low] <= HORIZON)
    _, different = compared(
        other.times, other.values.astype(np.float64), at, counter.values.astype(np.float64)
    )
    # Counters that only cross differ again soon: one sample that is the same proves nothing.
    apart = np.searchsorted(at[different], [at - NEAR, at + NEAR], side="left")
    # Where neither changes nothing is counted, neither once nor twice.
    first = np.concatenate(([True], np.diff(at) > HORIZON))
    since = np.where(first, low, np.concatenate((low[:1], low[:-1])))
    changed = first | np.concatenate(([True], np.diff(counter.values) != 0))
    changed |= other.values[high] != other.values[since]
    some = (counter.values > 0) | (other.values[high] > 0)
    doubt = both & changed & some & (apart[0] == apart[1])
    differing = tuple(pair for pair in other.labels if pair not in counter.labels)
    names = ", ".join(name for name, _ in differing)
    return merged(
        np.where(
            first, np.where(after > 0, other.times[np.maximum(after - 1, 0)], at - 1), other.times[since]
        )[doubt],
        other.times[high][doubt],
        f"every event would count twice: name one {names} in the selector or, of replicas of Prometheus, "
        "their label in OPS_PROMETHEUS_REPLICA_LABELS; the same counter are "
        f"{show(differing)} and {show(counter.labels)}",
    )
