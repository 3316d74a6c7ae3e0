"""The scrapes of targets, and the times that cannot be known because scrapes are missing.

Whether a moment is known depends on what lies within VIEW of it, never on where a window or reading begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ops_platform.slo.counting.samples import Labels, Mask, Times, no_times, show

HORIZON = 300_000
"""Milliseconds; Prometheus itself looks back as far. Scrapes must come at least twice within it."""
VIEW = 2 * HORIZON
"""Milliseconds that must be read before and after a moment to tell whether it is known."""
JITTER = 2_000
"""Milliseconds by which one process reports its start differently: the kernel rounds the time of its boot."""
NEVER, FOREVER = -(2**60), 2**60


Kind = Literal["unbounded", "shown", "unseen", "absent", "bucket"]
"""What is known of the events of an unknown stretch of time.

- ``shown``: samples bound them (``counter_deltas.Step``);
- ``unseen``: a target was not scraped; no more than at its busiest nearby (``event_bounds``);
- ``absent``: targets were scraped, and showed no series; as ``unseen``;
- ``bucket``: all events were seen, and which of them are good was not;
- ``unbounded``: nothing.
"""


@dataclass(frozen=True)
class Scrapes:
    """The times (ms), in order, at which a target was scraped well and in vain, and its process's starts."""

    good: Times
    bad: Times = field(default_factory=no_times)
    reported_at: Times = field(default_factory=no_times)
    """When the target reported since when its process runs."""
    reported_starts: Times = field(default_factory=no_times)

    def process_start(self, time: int) -> int | None:
        """Look up since when (ms) the process runs, as the scrape at ``time`` reported; None: it did not."""
        start = int(self.process_starts(np.array([time], np.int64))[0])
        return None if start == NEVER else start

    def process_starts(self, times: Times) -> Times:
        """Look up ``process_start`` of many scrapes; NEVER where nothing was reported."""
        if not self.reported_at.size:
            return np.full(times.size, NEVER, np.int64)
        index = np.minimum(np.searchsorted(self.reported_at, times, side="left"), self.reported_at.size - 1)
        return np.where(self.reported_at[index] == times, self.reported_starts[index], NEVER)

    def same_process(self, time: int, later: int) -> bool:
        """Tell whether one process, by the start that it reported at both scrapes, ran all the while."""
        then, now = self.process_start(time), self.process_start(later)
        return then is not None and now is not None and abs(now - then) <= JITTER

    def unattempted(self, times: Times) -> Times:
        """Select the ``times`` before which nobody tried to scrape the target for HORIZON."""
        tried = np.concatenate(([NEVER], np.sort(np.concatenate((self.good, self.bad)))))
        return times[times - tried[np.searchsorted(tried, times, side="right") - 1] > HORIZON]


@dataclass(frozen=True)
class Unknown:
    """A stretch of time (``after``, ``until``], in milliseconds, whose events cannot be known."""

    after: int
    until: int
    reason: str
    kind: Kind = "unbounded"
    target: Labels = ()
    """Of what is UNSEEN: the target, or all of them when it is empty."""


def of_kind(stretches: Iterable[Unknown], kind: Kind, target: Labels = ()) -> list[Unknown]:
    """Say of stretches what bounds their events."""
    return [replace(stretch, kind=kind, target=target) for stretch in stretches]


def touching(unknown: Iterable[Unknown], start: int, end: int) -> Unknown | None:
    """Find the first stretch that (``start``, ``end``] touches."""
    return next((stretch for stretch in unknown if stretch.after < end and stretch.until > start), None)


def gaps(times: Times, since: int, until: int) -> list[tuple[int, int]]:
    """List the (after, before] longer than HORIZON between ``times``, ``since`` and ``until``."""
    edges = np.concatenate(([since], times, [until]))
    long = np.flatnonzero(np.diff(edges) > HORIZON)
    return [(int(edges[index]), int(edges[index + 1])) for index in long.tolist()]


def around(times: Times, reason: str) -> list[Unknown]:
    """Declare HORIZON on both sides of each of ``times`` unknown."""
    return merged(times - HORIZON, times + HORIZON, reason)


def failing(target: Labels, scrapes: Scrapes) -> list[Unknown]:
    """Declare the time around failed scrapes unknown where no good one comes for longer than HORIZON.

    Excused are those of a target that has just appeared or is about to go, and is scraped well within
    HORIZON on the other side: a process that starts up or shuts down answers late, or no more.
    """
    good, bad = scrapes.good, scrapes.bad
    if not bad.size:
        return []
    position = np.searchsorted(good, bad)
    before = np.concatenate(([NEVER], good))[position]
    after = np.concatenate((good, [FOREVER]))[position]
    tried = np.sort(np.concatenate((good, bad)))

    def untried(low: Times, high: Times) -> Mask:
        """Tell whether nobody tried from ``low`` to ``high``."""
        first, last = np.searchsorted(tried, low, "left"), np.searchsorted(tried, high, "right")
        return np.asarray(first == last)

    covered = after - before <= HORIZON
    appearing = (after - bad <= HORIZON) & untried(after - VIEW, after - HORIZON)
    leaving = (bad - before <= HORIZON) & untried(before + HORIZON, before + VIEW)
    unexcused = ~(covered | appearing | leaving)
    low, high = np.maximum(before, bad - HORIZON)[unexcused], np.minimum(after, bad + HORIZON)[unexcused]
    return of_kind(merged(low, high, f"{show(target)} cannot be scraped"), "unseen", target)


def forgotten(target: Labels, scrapes: Scrapes, shown: Times, what: str) -> list[Unknown]:
    """Declare unknown where good scrapes of one process do not show what it did, at ``shown``, for HORIZON.

    For VIEW: afterwards nobody sees any more that it did.
    """
    following = np.concatenate((shown[1:], [FOREVER]))
    stretches = []
    for index in np.flatnonzero(following - shown > HORIZON).tolist():
        after, before = int(shown[index]), min(int(following[index]), int(shown[index]) + VIEW + 1)
        low, high = np.searchsorted(scrapes.good, [after + 1, before], side="left")
        without = [at for at in scrapes.good[low:high].tolist() if scrapes.same_process(after, at)]
        if without:
            reason = f"{show(target)} no longer shows {what}, and its process goes on"
            stretches.append(Unknown(after, max(without), reason, "absent", target))
    return stretches


def overlapping(times: Times, other: Times, reason: str) -> list[Unknown]:
    """Declare unknown where one counter is stored twice: ``other`` has samples between ``times``."""
    before = np.concatenate(([NEVER], times))[np.searchsorted(times, other, side="right")]
    after = np.concatenate((times, [FOREVER]))[np.searchsorted(times, other, side="left")]
    both = after - before <= HORIZON
    return merged(np.minimum(before, other - 1)[both], after[both], reason)


def merged(low: Times, high: Times, reason: str) -> list[Unknown]:
    """Join overlapping (low, high], both in order, to one Unknown for each stretch."""
    if not low.size:
        return []
    cuts = np.flatnonzero(low[1:] > high[:-1])
    firsts, lasts = np.concatenate(([0], cuts + 1)), np.concatenate((cuts, [low.size - 1]))
    return [
        Unknown(int(low[first]), int(high[last]), reason) for first, last in zip(firsts, lasts, strict=True)
    ]
