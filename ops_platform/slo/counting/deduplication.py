"""Replicas: one target scraped by several Prometheuses into one store. One of them counts, never the sum.

The first by name does, with all series of the target. Where it has no good scrape for longer than
HORIZON, the next one's samples stand in, away from its own by more than their clocks can differ: a
counter must not seem to run backwards. This depends on the scrapes alone, and not on windows, so that
hours still add up to days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ops_platform.slo.counting.range_query import Raw
from ops_platform.slo.counting.samples import Labels, Times
from ops_platform.slo.counting.scrapes import gaps

MARGIN = 60_000
"""Milliseconds; a fifth of HORIZON, so that a switch from one to another leaves no gap."""


@dataclass(frozen=True)
class Turns:
    """When which replica counts: of the first, what no other has; of the others, each (low, high]."""

    first: Labels
    good: Times
    stand_ins: Mapping[Labels, Sequence[tuple[int, int]]]

    @classmethod
    def of(cls, good: Mapping[Labels, Times], since: int, until: int) -> Turns:
        """``good``: each replica's good scrapes of one target."""
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

    def has(self, replica: Labels, time: int) -> bool:
        if replica == self.first:
            return True
        return any(low < time <= high for low, high in self.stand_ins.get(replica, ()))


def split(labels: Labels, names: frozenset[str]) -> tuple[Labels, Labels]:
    """The series' own labels, and those that name the replica."""
    own = tuple(pair for pair in labels if pair[0] not in names)
    return own, tuple(pair for pair in labels if pair[0] in names)


def chosen(found: Raw, names: frozenset[str], turns: Mapping[Labels, Turns]) -> Raw:
    """The series without the replicas' labels, with the samples of whoever's turn it was.

    ``turns``: by the target's labels. What no target is known of keeps the first replica's samples.
    """
    if not names:
        return found
    result: Raw = {}
    leading: dict[Labels, Labels] = {}
    for labels in sorted(found):
        own, replica = split(labels, names)
        ours = turns.get(tuple(pair for pair in own if pair[0] in ("job", "instance")))
        if ours is None:
            if leading.setdefault(own, replica) == replica:
                result.setdefault(own, []).extend(found[labels])
            continue
        result.setdefault(own, []).extend(
            sample for sample in found[labels] if ours.has(replica, round(sample[0] * 1000))
        )
    return {own: sorted(samples) for own, samples in result.items() if samples}
