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

from ops_platform.slo.counting.counter_starts import Family, elsewhere, missing_between
from ops_platform.slo.counting.samples import Labels, Mask, Series, Times, Values, none, show
from ops_platform.slo.counting.scrapes import (
    HORIZON,
    Scrapes,
    Unknown,
    around,
    failing,
    gaps,
    merged,
    touching,
)


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
    series: Sequence[Series],
    scrapes: Mapping[Labels, Scrapes],
    fell: Mapping[Labels, Times],
    pulse: Times,
    since: int,
    until: int,
) -> Timeline:
    """All events of ``series``: what there is of them in (``since``, ``until``], in milliseconds.

    It holds from VIEW behind ``since`` to VIEW before ``until``. ``scrapes``: of all targets that
    could have such series; ``fell``: when counters of a target began anew, these and others of the
    same indicator; ``pulse``: when anything at all was scraped, or tried.
    """
    families: dict[Labels, list[Series]] = defaultdict(list)
    alike: dict[Labels, list[Series]] = defaultdict(list)
    for one in series:
        families[one.target].append(one)
        alike[elsewhere(one)].append(one)
    counted = []
    for target, ours in families.items():
        seen = scrapes.get(target, Scrapes(none()))
        counted += _counted(Family.of(ours, seen, fell.get(target, none()), alike), ours, since)
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


def _counted(family: Family, ours: Sequence[Series], since: int) -> list[Timeline]:
    """Of the series of one target."""
    found = []
    for one in ours:
        times, values = one.times, one.values
        if not times.size:
            continue
        before = np.concatenate(([0], values[:-1]))
        alone = np.concatenate(([True], np.diff(times) > HORIZON))
        reset, doubtful = _began_anew(one, before, alone, family)
        counts = np.where(reset, values, values - before)
        unknown = merged(
            np.concatenate(([0], times[:-1]))[doubtful],
            times[doubtful],
            f"{show(one.labels)} goes on or begins anew: that cannot be told",
        )
        for at in np.flatnonzero(alone).tolist():
            time = int(times[at])
            reset[at] = False
            if at == 0 and time - since <= HORIZON:
                # The anchor: where what holds begins, it is over.
                counts[at] = 0
                continue
            doubt = family.doubt(one, at)
            counts[at] = 0 if doubt else values[at]
            if doubt:
                unknown.append(Unknown(time - HORIZON, time, f"{show(one.labels)} {doubt}"))
        untried = family.seen.untried(times)
        if untried.size:
            unknown += around(untried, f"there is no up of {show(one.target)}: who is missing cannot be told")
        found.append(Timeline(times, counts, times[reset], tuple(unknown)))
    return found


def _began_anew(one: Series, before: Values, alone: Mask, family: Family) -> tuple[Mask, Mask]:
    """Of samples with a predecessor within HORIZON: which count from zero, and of which that is in doubt.

    A counter that is lower began anew. One that is not may have, too: then its process says so, and
    another counter of it is lower. Either alone may mean something else: an exporter began anew and
    relays what goes on, or forgot one label.
    """
    times, values = one.times, one.values
    previous = np.concatenate(([0], times[:-1]))
    starts = family.seen.starts_told(times)
    began = (starts > previous) & (starts <= times)
    others = np.searchsorted(family.fell, times, "right") > np.searchsorted(family.fell, previous, "right")
    open_ = ~alone & (values >= before) & (before > 0)
    reset = (values < before) | (open_ & began & others)
    doubtful = open_ & (began != others)
    # Gone for some scrapes and back: meanwhile another name may have counted its events.
    missed = np.concatenate(([False], missing_between(times[:-1], times[1:], family.seen)))
    for at in np.flatnonzero(missed & ~alone & (values > before)).tolist():
        doubtful[at] |= family.renamed(int(times[at]), int(values[at]))
    return reset, doubtful
