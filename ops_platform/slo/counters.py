"""Counting events exactly: from the samples of counters to whole numbers per window.

What happened between two samples of a series is the difference of their values, or the second one
where the counter began anew; it is booked at the second one's time. So sums over adjacent windows
``(start, end]`` telescope: any cut of time adds up to the whole, to the last event.

Whether that can be known is decided at each moment by what lies within HORIZON of it, and never by
where a window begins, or the parts would not add up. Unknown is

- the HORIZON before a sample that has no predecessor within it, unless the series is provably new:
  its target was scraped meanwhile without it, or the process that counts had just started. What a
  new series shows first has all been counted since;
- a time without good scrape of a target for longer than HORIZON, around the scrapes that failed. A
  target that nobody tries to scrape is none: it was taken away;
- a time without any scrape, good or bad, for longer than HORIZON: Prometheus was away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ops_platform.slo.samples import Labels, Series, Times, Values, show

HORIZON = 300_000
"""Milliseconds; Prometheus itself looks back as far. Scrapes must come at least twice within it."""


def _none() -> Times:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Scrapes:
    """When a target was scraped well, and when in vain, in order."""

    good: Times
    bad: Times = field(default_factory=_none)
    told: Times = field(default_factory=_none)
    """When it said since when its process runs, and what it said: ``started``."""
    started: Times = field(default_factory=_none)


@dataclass(frozen=True)
class Unknown:
    """What happened in (``after``, ``until``] cannot be known."""

    after: int
    until: int
    reason: str


@dataclass(frozen=True)
class Timeline:
    """Events at the times when they were seen, in order; when a counter began anew; what is unknown."""

    times: Times
    counts: Values
    resets: Times
    unknown: tuple[Unknown, ...]

    def events(self, bounds: Times) -> Values:
        """How many were seen in each (bounds[i], bounds[i + 1]]."""
        sums = np.concatenate(([0], np.cumsum(self.counts)))
        found: Values = np.diff(sums[np.searchsorted(self.times, bounds, side="right")])
        return found

    def resets_in(self, bounds: Times) -> Values:
        found: Values = np.diff(np.searchsorted(self.resets, bounds, side="right"))
        return found

    def missing(self, start: int, end: int) -> Unknown | None:
        """The first unknown time that (``start``, ``end``] touches."""
        return touching(self.unknown, start, end)


def touching(unknown: Iterable[Unknown], start: int, end: int) -> Unknown | None:
    """The first of them that (``start``, ``end``] touches."""
    return next((one for one in unknown if one.after < end and one.until > start), None)


def timeline(
    series: Sequence[Series], scrapes: Mapping[Labels, Scrapes], pulse: Times, since: int, until: int
) -> Timeline:
    """All events of ``series``: what there is of them in (``since``, ``until``], in milliseconds.

    It holds from HORIZON behind ``since`` to HORIZON before ``until``. ``scrapes``: of all targets
    that could have such series; ``pulse``: when anything at all was scraped, or tried.
    """
    counted = [_counted(one, scrapes.get(one.target), since) for one in series]
    unknown = [lost for target, seen in scrapes.items() for lost in _failing(target, seen, since, until)]
    unknown += [lost for part in counted for lost in part.unknown]
    unknown += [Unknown(after, before, "nothing was scraped") for after, before in gaps(pulse, since, until)]
    times = np.concatenate([_none(), *(part.times for part in counted)])
    order = np.argsort(times, kind="stable")
    return Timeline(
        times[order],
        np.concatenate([_none(), *(part.counts for part in counted)])[order],
        np.sort(np.concatenate([_none(), *(part.resets for part in counted)])),
        tuple(unknown),
    )


def _counted(one: Series, seen: Scrapes | None, since: int) -> Timeline:
    times, values = one.times, one.values
    if not times.size:
        return Timeline(times, values, times, ())
    before = np.concatenate(([0], values[:-1]))
    reset = values < before
    counts = np.where(reset, values, values - before)
    alone = np.concatenate(([True], np.diff(times) > HORIZON))
    unknown = []
    for at in np.flatnonzero(alone).tolist():
        time = int(times[at])
        reset[at] = False
        if at == 0 and time - since <= HORIZON:
            # The anchor: where what holds begins, it is over.
            counts[at] = 0
        elif seen is not None and is_new(seen, time):
            counts[at] = values[at]
        else:
            counts[at] = 0
            unknown.append(
                Unknown(time - HORIZON, time, f"{show(one.labels)} appears: new, or unseen before?")
            )
    return Timeline(times, counts, times[reset], tuple(unknown))


def is_new(seen: Scrapes, time: int) -> bool:
    """Whether a series whose first sample for HORIZON is at ``time`` provably began to count within it."""
    low, high = np.searchsorted(seen.good, [time - HORIZON, time], side="left")
    if high > low:
        # Scraped, and it was not there.
        return True
    at = int(np.searchsorted(seen.told, time, side="right")) - 1
    return at >= 0 and int(seen.told[at]) == time and time - HORIZON <= int(seen.started[at]) <= time


def _failing(target: Labels, seen: Scrapes, since: int, until: int) -> list[Unknown]:
    """Where scrapes fail for longer than HORIZON."""
    found = []
    for after, before in gaps(seen.good, since, until):
        low, high = np.searchsorted(seen.bad, [after, before], side="right")
        for start, end in runs(seen.bad[low:high]):
            found.append(
                Unknown(
                    max(after, start - HORIZON),
                    min(before, end + HORIZON),
                    f"{show(target)} cannot be scraped",
                )
            )
    return found


def gaps(times: Times, since: int, until: int) -> list[tuple[int, int]]:
    """The (after, before] of more than HORIZON between ``times``; at the edges, as far as is seen."""
    edges = np.concatenate(([since], times, [until]))
    long = np.flatnonzero(np.diff(edges) > HORIZON)
    return [(int(edges[at]), int(edges[at + 1])) for at in long.tolist()]


def runs(times: Times) -> list[tuple[int, int]]:
    """First and last of those ``times`` that follow each other within twice HORIZON."""
    if not times.size:
        return []
    cuts = np.flatnonzero(np.diff(times) > 2 * HORIZON)
    firsts = np.concatenate(([0], cuts + 1))
    lasts = np.concatenate((cuts, [times.size - 1]))
    return [(int(times[a]), int(times[b])) for a, b in zip(firsts, lasts, strict=True)]
