"""Exact event counts: from the samples of counters to whole numbers per window.

The events between two samples of a series are the difference of their values, or the second value
where the counter was provably reset (``counter_falls``); they are booked at the time of the second
sample. So sums over adjacent windows ``(start, end]`` telescope: however time is cut, the parts add up to
the whole, to the last event.

Whether the events at a moment are known depends on what lies within VIEW of it, and never on where a
window begins; otherwise the parts would not add up. Unknown are

- the HORIZON before a sample without a predecessor within it, unless its value is provably new
  (``counter_starts``);
- a time longer than HORIZON without a good scrape of a target, around the scrapes that failed
  (``scrapes``). A target that nobody tries to scrape does not count: it was taken away;
- a time longer than HORIZON without any scrape, good or bad: Prometheus was away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ops_platform.slo.counting.counter_falls import Falls, swaps
from ops_platform.slo.counting.counter_starts import Family, labels_but_target, missing_between
from ops_platform.slo.counting.samples import Labels, Mask, Series, Times, Values, no_times, show
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
    """Events at the times when they were seen, in order; the resets of counters; the times that are unknown.

    ``times`` and ``resets`` are in milliseconds; ``counts[i]`` events were seen at ``times[i]``.
    """

    times: Times
    counts: Values
    resets: Times
    unknown: tuple[Unknown, ...]

    def events(self, bounds: Times) -> Values:
        """Count the events seen in each (bounds[i], bounds[i + 1]]."""
        sums = np.concatenate(([0], np.cumsum(self.counts)))
        per_window: Values = np.diff(sums[np.searchsorted(self.times, bounds, side="right")])
        return per_window

    def resets_in(self, bounds: Times) -> Values:
        """Count the counter resets in each (bounds[i], bounds[i + 1]]."""
        per_window: Values = np.diff(np.searchsorted(self.resets, bounds, side="right"))
        return per_window

    def missing(self, start: int, end: int) -> Unknown | None:
        """Find the first unknown time that (``start``, ``end``] touches."""
        return touching(self.unknown, start, end)


def timeline(
    series: Sequence[Series],
    scrapes: Mapping[Labels, Scrapes],
    resets: Mapping[Labels, Times],
    scrape_times: Times,
    since: int,
    until: int,
) -> Timeline:
    """Join all events of ``series`` in (``since``, ``until``], in milliseconds, into one timeline.

    It holds from VIEW after ``since`` to VIEW before ``until``. ``scrapes``: those of all targets that
    could have such series; ``resets``: by target, when its counters were reset, these and others of the
    same indicator; ``scrape_times``: when any target was scraped, well or in vain.
    """
    families: dict[Labels, list[Series]] = defaultdict(list)
    siblings: dict[Labels, list[Series]] = defaultdict(list)
    for counter in series:
        families[counter.target].append(counter)
        siblings[labels_but_target(counter)].append(counter)
    lines = []
    for target, family in families.items():
        target_scrapes = scrapes.get(target, Scrapes(no_times()))
        lines += _counted(
            Family.of(family, target_scrapes, resets.get(target, no_times()), siblings), family, since
        )
    unknown = [gap for target, target_scrapes in scrapes.items() for gap in failing(target, target_scrapes)]
    unknown += [gap for line in lines for gap in line.unknown]
    unknown += [
        Unknown(after, before, "nothing was scraped") for after, before in gaps(scrape_times, since, until)
    ]
    times = np.concatenate([no_times(), *(line.times for line in lines)])
    order = np.argsort(times, kind="stable")
    return Timeline(
        times[order],
        np.concatenate([no_times(), *(line.counts for line in lines)])[order],
        np.sort(np.concatenate([no_times(), *(line.resets for line in lines)])),
        tuple(unknown),
    )


def _counted(family: Family, counters: Sequence[Series], since: int) -> list[Timeline]:
    """Count the events of each series of one target."""
    lines = []
    for counter in counters:
        times, values = counter.times, counter.values
        if not times.size:
            continue
        falls = Falls.of(counter, family.scrapes)
        before = np.concatenate(([0], values[:-1]))
        alone = np.concatenate(([True], np.diff(times) > HORIZON))
        reset, doubtful = _began_anew(counter, before, alone, falls, family)
        counts = np.where(reset, values, np.maximum(values - before, 0))
        unknown = merged(
            np.concatenate(([0], times[:-1]))[doubtful],
            times[doubtful],
            f"{show(counter.labels)} goes on or begins anew: that cannot be told",
        )
        unknown += falls.unproven
        for index in np.flatnonzero(alone).tolist():
            time = int(times[index])
            reset[index] = False
            if index == 0 and time - since <= HORIZON:
                # The first sample of the reading is the anchor: it is over before the result begins to hold.
                counts[index] = 0
                continue
            doubt = None if falls.created[index] else family.doubt(counter, index)
            counts[index] = 0 if doubt else values[index]
            if doubt:
                unknown.append(Unknown(time - HORIZON, time, f"{show(counter.labels)} {doubt}"))
        unattempted = family.scrapes.unattempted(times[~falls.created])
        if unattempted.size:
            unknown += around(
                unattempted, f"there is no up of {show(counter.target)}: who is missing cannot be told"
            )
        unknown += around(
            np.intersect1d(swaps(family.scrapes), times),
            f"{show(counter.target)} answers as a process that began before the last scrape, and was another "
            "one then: several behind one address?",
        )
        lines.append(Timeline(times, counts, times[reset], tuple(unknown)))
    return lines


def _began_anew(
    counter: Series, before: Values, alone: Mask, falls: Falls, family: Family
) -> tuple[Mask, Mask]:
    """Mark the samples that count from zero, and those of which that is in doubt though they did not fall.

    Only samples with a predecessor within HORIZON are marked. A counter whose value did not fall may have
    been reset too: then its process reports a later start, and another counter of the process was reset.
    Either sign alone may mean something else: an exporter restarted and relays a counter that goes on, or
    it forgot one label.
    """
    times, values = counter.times, counter.values
    previous = np.concatenate(([0], times[:-1]))
    others = np.searchsorted(family.resets, times, "right") > np.searchsorted(
        family.resets, previous, "right"
    )
    open_ = ~alone & (values >= before) & (before > 0)
    reset = falls.reset | (open_ & falls.process_began & others)
    doubtful = open_ & (falls.process_began != others)
    # Gone for some scrapes and back: meanwhile another name may have counted its events.
    missed = np.concatenate(([False], missing_between(times[:-1], times[1:], family.scrapes)))
    created_before = np.concatenate(([False], falls.created[:-1]))
    for index in np.flatnonzero(missed & ~alone & (values > before) & ~created_before).tolist():
        doubtful[index] |= family.may_continue(int(times[index]), int(values[index]))
    return reset, doubtful
