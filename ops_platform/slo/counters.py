"""Counting events exactly: from the samples of counters to whole numbers per window.

What happened between two samples of a series is the difference of their values, or the second one
where the counter began anew; it is booked at the second one's time. So sums over adjacent windows
``(start, end]`` telescope: any cut of time adds up to the whole, to the last event.

Whether that can be known is decided at each moment by what lies within VIEW of it, and never by
where a window begins, or the parts would not add up. Unknown is

- the HORIZON before a sample that has no predecessor within it, unless what it shows is provably
  new (``births``);
- a time without good scrape of a target for longer than HORIZON, around the scrapes that failed
  (``scrapes``). A target that nobody tries to scrape is none: it was taken away;
- a time without any scrape, good or bad, for longer than HORIZON: Prometheus was away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ops_platform.slo.births import Family
from ops_platform.slo.samples import Labels, Series, Times, Values, none, show
from ops_platform.slo.scrapes import HORIZON, Scrapes, Unknown, failing, gaps, touching


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


def timeline(
    series: Sequence[Series], scrapes: Mapping[Labels, Scrapes], pulse: Times, since: int, until: int
) -> Timeline:
    """All events of ``series``: what there is of them in (``since``, ``until``], in milliseconds.

    It holds from VIEW behind ``since`` to VIEW before ``until``. ``scrapes``: of all targets that
    could have such series; ``pulse``: when anything at all was scraped, or tried.
    """
    families: dict[Labels, list[Series]] = defaultdict(list)
    for one in series:
        families[one.target].append(one)
    counted = [
        part
        for target, ours in families.items()
        for part in _counted(ours, scrapes.get(target, Scrapes(none())), since)
    ]
    unknown = [lost for target, seen in scrapes.items() for lost in failing(target, seen)]
    unknown += [lost for part in counted for lost in part.unknown]
    unknown += [Unknown(after, before, "nothing was scraped") for after, before in gaps(pulse, since, until)]
    times = np.concatenate([none(), *(part.times for part in counted)])
    order = np.argsort(times, kind="stable")
    return Timeline(
        times[order],
        np.concatenate([none(), *(part.counts for part in counted)])[order],
        np.sort(np.concatenate([none(), *(part.resets for part in counted)])),
        tuple(unknown),
    )


def _counted(ours: Sequence[Series], seen: Scrapes, since: int) -> list[Timeline]:
    """Of the series of one target."""
    family = None
    found = []
    for one in ours:
        times, values = one.times, one.values
        if not times.size:
            continue
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
                continue
            family = family or Family.of(ours, seen)
            doubt = family.doubt(one, at)
            counts[at] = 0 if doubt else values[at]
            if doubt:
                unknown.append(Unknown(time - HORIZON, time, f"{show(one.labels)} {doubt}"))
        found.append(Timeline(times, counts, times[reset], tuple(unknown)))
    return found
