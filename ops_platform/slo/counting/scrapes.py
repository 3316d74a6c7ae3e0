"""When targets were scraped, and which times cannot be known because they were not.

Each moment is decided by what lies within VIEW of it, and never by where a window or a reading begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ops_platform.slo.counting.samples import Labels, Mask, Times, none, show

HORIZON = 300_000
"""Milliseconds; Prometheus itself looks back as far. Scrapes must come at least twice within it."""
VIEW = 2 * HORIZON
"""What must be read before and behind a moment to tell what is known of it."""
NEVER, FOREVER = -(2**60), 2**60


@dataclass(frozen=True)
class Scrapes:
    """When a target was scraped well, and when in vain, in order."""

    good: Times
    bad: Times = field(default_factory=none)
    told: Times = field(default_factory=none)
    """When it said since when its process runs, and what it said: ``started``."""
    started: Times = field(default_factory=none)

    def start_told(self, time: int) -> int | None:
        """Since when the process runs, as the scrape at ``time`` says."""
        found = int(self.starts_told(np.array([time], np.int64))[0])
        return None if found == NEVER else found

    def starts_told(self, times: Times) -> Times:
        """The same of many; NEVER where nothing was said."""
        if not self.told.size:
            return np.full(times.size, NEVER, np.int64)
        at = np.minimum(np.searchsorted(self.told, times, side="left"), self.told.size - 1)
        return np.where(self.told[at] == times, self.started[at], NEVER)

    def untried(self, times: Times) -> Times:
        """Those of ``times`` that nobody scraped the target for HORIZON before, well or in vain."""
        tried = np.concatenate(([NEVER], np.sort(np.concatenate((self.good, self.bad)))))
        return times[times - tried[np.searchsorted(tried, times, side="right") - 1] > HORIZON]


@dataclass(frozen=True)
class Unknown:
    """What happened in (``after``, ``until``] cannot be known."""

    after: int
    until: int
    reason: str


def touching(unknown: Iterable[Unknown], start: int, end: int) -> Unknown | None:
    """The first of them that (``start``, ``end``] touches."""
    return next((one for one in unknown if one.after < end and one.until > start), None)


def gaps(times: Times, since: int, until: int) -> list[tuple[int, int]]:
    """The (after, before] of more than HORIZON between ``times``; at the edges, as far as is seen."""
    edges = np.concatenate(([since], times, [until]))
    long = np.flatnonzero(np.diff(edges) > HORIZON)
    return [(int(edges[at]), int(edges[at + 1])) for at in long.tolist()]


def around(times: Times, reason: str) -> list[Unknown]:
    """HORIZON on both sides of each of ``times``."""
    return merged(times - HORIZON, times + HORIZON, reason)


def failing(target: Labels, seen: Scrapes) -> list[Unknown]:
    """Around the scrapes that fail while there is no good one for longer than HORIZON.

    Excused are those of a target that has just appeared or is about to go, and is scraped well within
    HORIZON on the other side: who starts up or shuts down answers late, or no more.
    """
    good, bad = seen.good, seen.bad
    if not bad.size:
        return []
    place = np.searchsorted(good, bad)
    before = np.concatenate(([NEVER], good))[place]
    after = np.concatenate((good, [FOREVER]))[place]
    tried = np.sort(np.concatenate((good, bad)))

    def untried(low: Times, high: Times) -> Mask:
        """Whether nobody tried from ``low`` to ``high``."""
        first, last = np.searchsorted(tried, low, "left"), np.searchsorted(tried, high, "right")
        return np.asarray(first == last)

    covered = after - before <= HORIZON
    appearing = (after - bad <= HORIZON) & untried(after - VIEW, after - HORIZON)
    going = (bad - before <= HORIZON) & untried(before + HORIZON, before + VIEW)
    lost = ~(covered | appearing | going)
    low, high = np.maximum(before, bad - HORIZON)[lost], np.minimum(after, bad + HORIZON)[lost]
    return merged(low, high, f"{show(target)} cannot be scraped")


def overlapping(one: Times, other: Times, reason: str) -> list[Unknown]:
    """Where both are stored, which are one and the same: ``other`` between samples of ``one``."""
    before = np.concatenate(([NEVER], one))[np.searchsorted(one, other, side="right")]
    after = np.concatenate((one, [FOREVER]))[np.searchsorted(one, other, side="left")]
    both = after - before <= HORIZON
    return merged(np.minimum(before, other - 1)[both], after[both], reason)


def merged(low: Times, high: Times, reason: str) -> list[Unknown]:
    """One for each stretch that overlapping (low, high] make together; both in order."""
    if not low.size:
        return []
    cuts = np.flatnonzero(low[1:] > high[:-1])
    firsts, lasts = np.concatenate(([0], cuts + 1)), np.concatenate((cuts, [low.size - 1]))
    return [Unknown(int(low[a]), int(high[b]), reason) for a, b in zip(firsts, lasts, strict=True)]
