"""Replicas: one target scraped by several Prometheuses into one store. One of them counts, never the sum.

The first by name counts, with all series of the target. Where it has no good scrape for longer than
HORIZON, the next one's samples stand in, away from the first one's by more than their clocks can
differ: a counter must not seem to run backwards. This depends on the scrapes alone, not on windows, so
that hours still add up to days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ops_platform.slo.counting.range_query import Raw
from ops_platform.slo.counting.samples import Labels, Times
from ops_platform.slo.counting.scrapes import gaps

MARGIN = 60_000
"""Milliseconds; a fifth of HORIZON, so that a switch from one replica to another leaves no gap."""


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

    def counts(self, replica: Labels, time: int) -> bool:
        """Tell whether the samples of ``replica`` at ``time`` (ms) are the ones that count."""
        if replica == self.first:
            return True
        return any(low < time <= high for low, high in self.stand_ins.get(replica, ()))


def split_replica_labels(labels: Labels, names: frozenset[str]) -> tuple[Labels, Labels]:
    """Split labels into the series' own and those that name the replica."""
    own = tuple(pair for pair in labels if pair[0] not in names)
    return own, tuple(pair for pair in labels if pair[0] in names)


def merge_replicas(series: Raw, names: frozenset[str], turns: Mapping[Labels, ReplicaTurns]) -> Raw:
    """Join the replicas' series to one each, without their labels, of the samples that count.

    ``names``: the labels that name a replica. ``turns``: by target; a series of no known target keeps the
    first replica's samples.
    """
    if not names:
        return series
    merged: Raw = {}
    leading: dict[Labels, Labels] = {}
    for labels in sorted(series):
        own, replica = split_replica_labels(labels, names)
        target_turns = turns.get(tuple(pair for pair in own if pair[0] in ("job", "instance")))
        if target_turns is None:
            if leading.setdefault(own, replica) == replica:
                merged.setdefault(own, []).extend(series[labels])
            continue
        merged.setdefault(own, []).extend(
            sample for sample in series[labels] if target_turns.counts(replica, round(sample[0] * 1000))
        )
    return {own: sorted(samples) for own, samples in merged.items() if samples}
