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
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ops_platform.slo.counting.counter_falls import Falls, swaps
from ops_platform.slo.counting.counter_starts import Family, labels_but_target, missing_between
from ops_platform.slo.counting.samples import Labels, Mask, Series, Times, Values, no_times, show
from ops_platform.slo.counting.scrapes import (
    HORIZON,
    NEVER,
    Scrapes,
    Unknown,
    around,
    failing,
    gaps,
    merged,
    of_kind,
    touching,
)


@dataclass(frozen=True)
class Step:
    """From ``least`` to ``most`` events of a series in (``after``, ``until``], in milliseconds."""

    after: int
    until: int
    least: int
    most: int
    alone: Step | None = None
    """What it is for who does not see ``after``."""
    seen: int = 0
    """How many of the most the counter itself shows: these are no matter of what is likely."""
    parts: tuple[Step, ...] = ()
    """What it is for a window that holds only a part of it."""


TOGETHER = 256
"""Series whose events are added up at once."""


@dataclass(frozen=True)
class Line:
    """The events of one series: those that are known, by sample, and the steps of which bounds are known."""

    labels: Labels
    target: Labels
    times: Times
    counts: Values
    resets: Times
    steps: tuple[Step, ...]
    unknown: tuple[Unknown, ...]


@dataclass(frozen=True)
class Timeline:
    """Events at the times when they were seen, in order; the resets of counters; the times that are unknown.

    ``times`` and ``resets`` are in milliseconds; ``counts[i]`` events were seen at ``times[i]``.
    """

    times: Times
    counts: Values
    resets: Times
    unknown: tuple[Unknown, ...]
    lines: tuple[Line, ...] = ()
    """The series it is made of."""

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
    doubted: Mapping[Labels, Times] = MappingProxyType({}),
) -> Timeline:
    """Join all events of ``series`` in (``since``, ``until``], in milliseconds, into one timeline.

    It holds from VIEW after ``since`` to VIEW before ``until``. ``scrapes``: those of all targets that
    could have such series; ``resets``: by target, when its counters were reset, these and others of the
    same indicator; ``scrape_times``: when any target was scraped, well or in vain; ``doubted``: by target,
    when one of its counters may have been reset.
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
            Family.of(
                family,
                target_scrapes,
                resets.get(target, no_times()),
                doubted.get(target, no_times()),
                siblings,
            ),
            family,
            since,
        )
    unknown = [gap for target, target_scrapes in scrapes.items() for gap in failing(target, target_scrapes)]
    unknown += [gap for line in lines for gap in line.unknown]
    unknown += [
        Unknown(after, before, "nothing was scraped", "unseen")
        for after, before in gaps(scrape_times, since, until)
    ]
    times, counts = _added(lines)
    return Timeline(
        times,
        counts,
        np.sort(np.concatenate([no_times(), *(line.resets for line in lines)])),
        tuple(unknown),
        tuple(lines),
    )


def _added(lines: Sequence[Line]) -> tuple[Times, Values]:
    """Add up the events of all series by the time at which they were seen, in order."""
    times, counts = no_times(), no_times()
    # Many series are scraped at the same times: added up a few at once, they never stand side by side.
    for first in range(0, len(lines), TOGETHER):
        part = lines[first : first + TOGETHER]
        seen = np.concatenate([times, *(line.times for line in part)])
        times, place = np.unique(seen, return_inverse=True)
        added = np.zeros(times.size, np.int64)
        np.add.at(added, place, np.concatenate([counts, *(line.counts for line in part)]))
        counts = added
    return times, counts


def _counted(family: Family, counters: Sequence[Series], since: int) -> list[Line]:
    """Count the events of each series of one target."""
    lines = []
    swapped = swaps(family.scrapes)
    for counter in counters:
        times, values = counter.times, counter.values
        if not times.size:
            continue
        falls = Falls.of(counter, family.scrapes, family.doubted)
        before = np.concatenate(([0], values[:-1]))
        alone = np.concatenate(([True], np.diff(times) > HORIZON))
        reset, doubtful, missed = _began_anew(counter, before, alone, falls, family)
        counts = np.where(reset, values, np.maximum(values - before, 0))
        unknown = of_kind(
            merged(
                np.concatenate(([0], times[:-1]))[doubtful],
                times[doubtful],
                f"{show(counter.labels)} goes on or begins anew: that cannot be told",
            ),
            "shown",
        )
        unknown += falls.unproven
        steps = [
            Step(int(times[index - 1]), int(times[index]), least, int(values[index]), seen=least)
            for index in np.flatnonzero(doubtful).tolist()
            for least in [0 if missed[index] else int(counts[index])]
        ]
        lower = [(stretch.after, stretch.until, True) for stretch in falls.unproven]
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
                until = family.doubted_until(counter, index)
                unknown.append(Unknown(time - HORIZON, until, f"{show(counter.labels)} {doubt}", "shown"))
                step = _after_gap(family, counter, index)
                steps.append(step if until == time else replace(step, least=0))
                if until > time:
                    lower.append((time, until, False))
        doubtful[alone] = False
        counts[doubtful] = 0
        across = _across_falls(lower, falls.reset, doubtful, counter, counts)
        # What comes after a dip may be compared with a value that had dipped.
        steps = [*_beside(steps, across), *across]
        unattempted = family.scrapes.unattempted(times[~falls.created])
        if unattempted.size:
            unknown += around(
                unattempted, f"there is no up of {show(counter.target)}: who is missing cannot be told"
            )
        unknown += around(
            np.intersect1d(swapped, times) if swapped.size else swapped,
            f"{show(counter.target)} answers as a process that began before the last scrape, and was another "
            "one then: several behind one address?",
        )
        lines.append(
            Line(counter.labels, counter.target, times, counts, times[reset], tuple(steps), tuple(unknown))
        )
    return lines


def _beside(steps: Sequence[Step], across: Sequence[Step]) -> list[Step]:
    """Select the steps outside of those ``across`` falls, which are in order and do not overlap.

    What begins after a dip may be compared with a value that had dipped.
    """
    starts = np.array([fall.after for fall in across], np.int64)
    ends = np.array([NEVER, *(fall.until for fall in across)], np.int64)
    afters = np.array([step.after for step in steps], np.int64)
    begun, before = ends[np.searchsorted(starts, afters, "right")], ends[np.searchsorted(starts, afters)]
    return [
        replace(step, least=0) if step.after <= fallen else step
        for step, inside, fallen in zip(steps, begun.tolist(), before.tolist(), strict=True)
        if step.until > inside
    ]


def _after_gap(family: Family, counter: Series, index: int) -> Step:
    """Bound the events up to the first sample of a series for HORIZON, which may be old or new.

    In a process that has run all the while, and was not scraped in between, the difference is what it
    counted; otherwise it counted at least that, and at most all that it shows.
    """
    after, before = family.since(counter, index)
    alone = _since(family, counter, index, NEVER, 0)
    return alone if after == NEVER else replace(_since(family, counter, index, after, before), alone=alone)


def _since(family: Family, counter: Series, index: int, after: int, before: int) -> Step:
    time, value = int(counter.times[index]), int(counter.values[index])
    started = family.scrapes.process_start(time)
    began = started is not None and after < started <= time
    if value < before:
        least = value if began or (started is None and 2 * value <= before) else 0
        return Step(after, time, least, value, seen=value)
    if before and family.scrapes.same_process(after, time):
        return Step(after, time, value - before, value - before, seen=value - before)
    seen, most = family.shown(counter, index)
    if began and not before and started is not None:
        return Step(started, time, 0, most, seen=seen)
    least = value - before if before else 0
    return Step(after, time, least, most, seen=max(least, seen))


def _across_falls(
    stretches: Sequence[tuple[int, int, bool]], reset: Mask, doubtful: Mask, counter: Series, counts: Values
) -> list[Step]:
    """Bound the events around falls that may be dips or restarts, and take them out of ``counts``.

    A dip: the difference between the samples before and after. A restart: everything since. A stretch
    (after, until, False) begins with a value that may have dipped already: it may have been nothing.
    """
    joined: list[tuple[int, int, bool]] = []
    for after, until, from_known in sorted(stretches):
        if joined and after < joined[-1][1]:
            joined[-1] = joined[-1][0], max(until, joined[-1][1]), False
        else:
            joined.append((after, until, from_known))
    steps = []
    times, values = counter.times, counter.values
    for after, until, whole in joined:
        low, high = np.searchsorted(times, [after, until], side="right")
        inside = np.arange(low, high)
        earlier = counter.earlier[1] if counter.earlier else 0
        before = np.concatenate(([earlier], values[:-1]))[inside]
        anew = (values[inside] < before) | doubtful[inside]
        most = np.where(anew, values[inside], values[inside] - before)
        counts[inside] = 0
        if not inside.size:
            continue
        # A little lower is likely a dip; much lower may be a restart, and all of it new.
        seen = np.where(
            anew & (10 * values[inside] > 9 * before), np.maximum(values[inside] - before, 0), most
        )
        # Each sample by itself: a chain of falls, as in a crash loop, may have no end.
        starts = np.concatenate(([after], times[inside[:-1]]))
        parts = tuple(
            # In a dip the value that fell shows late what was counted up to it.
            Step(int(start), int(times[index]), 0, int(events) + int(hidden), seen=int(shown))
            for start, index, events, shown, hidden in zip(
                starts, inside, most, seen, np.where(anew, before, 0), strict=True
            )
        )
        if whole:
            least = 0 if reset[inside].any() else max(0, int(values[high - 1]) - int(before[0]))
            shown = least if (10 * values[inside] > 9 * before)[anew].all() else int(seen.sum())
            steps.append(Step(after, int(times[high - 1]), least, int(most.sum()), seen=shown, parts=parts))
        else:
            steps += parts
    return steps


def _began_anew(
    counter: Series, before: Values, alone: Mask, falls: Falls, family: Family
) -> tuple[Mask, Mask, Mask]:
    """Mark the samples that count from zero, and those of which that is in doubt though they did not fall.

    Of the latter also those that another name may have counted.

    Only samples with a predecessor within HORIZON are marked. A counter whose value did not fall may have
    been reset too: then its process reports a later start, and another counter of the process was reset.
    Either sign alone may mean something else: an exporter restarted and relays a counter that goes on, or
    it forgot one label.
    """
    times, values = counter.times, counter.values
    previous = np.concatenate(([0], times[:-1]))

    def between(moments: Times) -> Mask:
        """Mark the samples before which, after the one before, is one of ``moments``."""
        last, first = (np.searchsorted(moments, at, "right") for at in (times, previous))
        return np.asarray(last > first)

    others = between(family.resets)
    open_ = ~alone & (values >= before) & (before > 0)
    reset = falls.reset | (open_ & falls.process_began & others)
    doubtful = open_ & ((falls.process_began != others) | (between(family.doubted) & ~reset))
    # Gone for some scrapes and back: meanwhile another name may have counted its events.
    missed = np.concatenate(([False], missing_between(times[:-1], times[1:], family.scrapes)))
    created_before = np.concatenate(([False], falls.created[:-1]))
    renamed = np.zeros(times.size, np.bool_)
    for index in np.flatnonzero(missed & ~alone & (values > before) & ~created_before).tolist():
        renamed[index] = family.may_continue(int(times[index]), int(values[index]))
    return reset, doubtful | renamed, renamed
