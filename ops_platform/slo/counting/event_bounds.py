"""The least and the most good and bad events of a window whose counts cannot be known.

Samples bound most of it: a counter that goes on after a gap in the same process has counted the difference,
one that may have begun anew at most what it shows. What happened unseen, in a process that was not scraped
until it ended, is bounded by capacity: no more, each five minutes, than in the busiest five of the same
target in the window; of one without samples there, of any target of its job. All of that may have been good,
or bad. Where no five minutes were seen there is no bound. Nothing here depends on what lies further than
VIEW from the window: a backfill gives what the hourly run gave.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting.counter_deltas import Line, Step, Timeline
from ops_platform.slo.counting.samples import Labels, Times, no_times
from ops_platform.slo.counting.scrapes import HORIZON, NEVER, VIEW, Scrapes, Unknown
from ops_platform.slo.objectives import Indicator, Selector

SLACK = 60_000
"""Milliseconds added to an unseen time: events are seen by the next scrape, and clocks differ."""
FEW = 100
"""Events of one step that are believed, however little capacity was seen."""

Spread = tuple[int, int]
"""Least and most events."""
Capacities = Mapping[Labels, int]
"""The most events in HORIZON, by target, and of any target by its job."""


def bound(
    indicator: Indicator,
    lines: Mapping[Selector, Timeline],
    unknown: Sequence[Unknown],
    scrapes: Mapping[Labels, Scrapes],
    start: int,
    end: int,
) -> Bounds | None:
    """Bound the events in (``start``, ``end``], in milliseconds; None where nothing bounds them."""
    touching = [stretch for stretch in unknown if stretch.after < end and stretch.until > start]
    if any(stretch.kind == "unbounded" for stretch in touching):
        return None
    total = lines[indicator.total]
    unscraped = [stretch for stretch in unknown if stretch.kind in ("unseen", "absent")]
    capacities = _capacities(total.lines, unscraped, start, end)
    unseen = _unseen(touching, scrapes, capacities, start, end)
    if unseen is None:
        return None
    window = start, end
    part = indicator.bad if indicator.bad is not None else indicator.good
    assert part is not None  # noqa: S101 - one of the two is given
    named = {line.labels for line in lines[part].lines}
    if named <= {line.labels for line in total.lines}:
        among = _spread([line for line in total.lines if line.labels in named], capacities, window)
        others = _spread([line for line in total.lines if line.labels not in named], capacities, window)
    else:
        among = _spread(lines[part].lines, capacities, window)
        least, most = _spread(total.lines, capacities, window)
        hidden = any(stretch.kind == "bucket" for stretch in touching)
        others = 0 if hidden else max(0, least - among[1]), most - among[0]
        if hidden:
            among = among[0], most
    if among[0] > among[1] or others[0] > others[1]:
        return None
    good, bad = (others, among) if indicator.bad is not None else (among, others)
    return Bounds(good[0], good[1] + unseen, bad[0], bad[1] + unseen)


def _capacities(lines: Sequence[Line], unknown: Sequence[Unknown], start: int, end: int) -> Capacities:
    """Find the most events that each target, and any of a job, had within HORIZON in the window.

    Of a target of which something is unknown in any such time, as in a crash loop: the most that its steps
    allow.
    """
    by_target: dict[Labels, list[Line]] = {}
    for line in lines:
        by_target.setdefault(line.target, []).append(line)
    capacities: dict[Labels, int] = {}
    for target, of_target in by_target.items():
        steps = [step for line in of_target for step in line.steps if start < step.until <= end]
        times = np.concatenate([no_times(), *(line.times for line in of_target)])
        counts = np.concatenate([no_times(), *(line.counts for line in of_target)])
        doubts = [stretch for stretch in unknown if stretch.target in ((), target)]
        doubts += [doubt for line in of_target for doubt in line.unknown]
        capacity = _busiest(times, counts, doubts, start, end)
        if capacity is None:
            most = np.array([step.most for step in steps], np.int64)
            until = np.array([step.until for step in steps], np.int64)
            capacity = _busiest(
                np.concatenate([times, until]), np.concatenate([counts, most]), (), start, end
            )
        if capacity is not None:
            capacities[target] = capacity
            capacities[_job(target)] = max(capacities.get(_job(target), 0), capacity)
    return capacities


def _busiest(times: Times, counts: Times, doubts: Iterable[Unknown], start: int, end: int) -> int | None:
    """Find the most events within HORIZON, in times that nothing is unknown of; None when there are none."""
    order = np.argsort(times, kind="stable")
    times, sums = times[order], np.concatenate(([0], np.cumsum(counts[order])))
    low, high = np.searchsorted(times, [start + HORIZON, end], side="right")
    ends = times[low:high]
    known = np.ones(ends.size, np.bool_)
    stretches = np.array(sorted((stretch.after, stretch.until) for stretch in doubts), np.int64).reshape(
        -1, 2
    )
    if stretches.size:
        # Of those that begin before a time, the one that reaches furthest.
        reached = np.concatenate(([NEVER], np.maximum.accumulate(stretches[:, 1])))
        known = reached[np.searchsorted(stretches[:, 0], ends, side="left")] <= ends - HORIZON
    if not known.any():
        return None
    first = np.searchsorted(times, ends - HORIZON, side="right")
    return int((sums[low + 1 : high + 1] - sums[first])[known].max())


def _job(target: Labels) -> Labels:
    return tuple(pair for pair in target if pair[0] == "job")


def _capacity(capacities: Capacities, target: Labels) -> int | None:
    """Look up the capacity of a target, or of the busiest one of its job; None: none was seen."""
    capacity = capacities.get(target)
    return capacities.get(_job(target)) if capacity is None else capacity


def _most(capacity: int, duration: int) -> int:
    """Compute the most events in ``duration`` milliseconds; at least one, for none is no capacity."""
    return -(-max(HORIZON, duration + SLACK) * max(1, capacity) // HORIZON)


def _unseen(
    touching: Iterable[Unknown],
    scrapes: Mapping[Labels, Scrapes],
    capacities: Capacities,
    start: int,
    end: int,
) -> int | None:
    """Compute the most events in processes that nobody scraped; None where no capacity was seen."""
    times: dict[Labels, list[tuple[int, int]]] = {}
    for stretch in touching:
        if stretch.kind not in ("unseen", "absent"):
            continue
        for target in [stretch.target] if stretch.target else scrapes:
            seen = scrapes[target]
            near = seen.good[(seen.good > start - VIEW) & (seen.good <= end + VIEW)]
            for after, until in _between_scrapes(seen, near, stretch):
                if max(after, start) < min(until, end):
                    times.setdefault(target, []).append((max(after, start), min(until, end)))
    if not scrapes:
        return None
    events = 0
    for target, spans in times.items():
        capacity = _capacity(capacities, target)
        if capacity is None:
            return None
        events += _most(capacity, _length(spans))
    return events


def _between_scrapes(scrapes: Scrapes, good: Times, stretch: Unknown) -> list[tuple[int, int]]:
    """List the parts of a stretch, by its ``good`` scrapes, in which a process may have ended unseen."""
    low = int(np.searchsorted(good, stretch.after, side="right")) - 1
    high = int(np.searchsorted(good, stretch.until, side="left"))
    edges = [
        *([stretch.after] if low < 0 else []),
        *good[max(low, 0) : high + 1].tolist(),
        *([stretch.until] if high >= good.size else []),
    ]
    # What good scrapes do not show may count on in the same process; no later sample need show it.
    hidden = stretch.kind == "absent" and bool(((good > stretch.after) & (good < stretch.until)).any())
    parts = []
    for after, until in itertools.pairwise(edges):
        if after in good and until in good and not hidden:
            if scrapes.same_process(after, until):
                continue
            if stretch.kind == "unseen" and until - after <= HORIZON:
                continue
        started = scrapes.process_start(until) if until in good else None
        shown = not hidden or until >= stretch.until
        if shown and started is not None and started < until:
            # What the process that is there has counted, it shows.
            until = min(until, started + SLACK)
        parts.append((max(after, stretch.after), min(until, stretch.until)))
    return parts


def _length(spans: Collection[tuple[int, int]]) -> int:
    """Add up spans of time, without counting twice where they overlap."""
    length, reached = 0, -(2**62)
    for after, until in sorted(spans):
        length += max(0, until - max(after, reached))
        reached = max(reached, until)
    return length


def _spread(lines: Iterable[Line], capacities: Capacities, window: tuple[int, int]) -> Spread:
    """Add up the known events of these series in the window, and the bounds of the others.

    What a counter shows is believed however much it is; capacity limits only what nobody saw. Of a step that
    reaches beyond the window all of it may have happened inside, or nothing.
    """
    start, end = window
    least = most = 0
    for line in lines:
        low, high = np.searchsorted(line.times, [start, end], side="right")
        known = int(line.counts[low:high].sum())
        least, most = least + known, most + known
        capacity = capacities.get(line.target)
        for wide in line.steps:
            if wide.until > end + VIEW:
                continue
            step = wide.alone if wide.alone is not None and wide.after <= start - VIEW else wide
            if step.after >= end or step.until <= start:
                continue
            inside = start <= step.after and step.until <= end
            least += step.least if inside else 0
            for part in [step] if inside or not step.parts else step.parts:
                most += _at_most(part, capacity, window)
    return least, most


def _at_most(step: Step, capacity: int | None, window: tuple[int, int]) -> int:
    overlap = min(step.until, window[1]) - max(step.after, window[0])
    if overlap <= 0:
        return 0
    if capacity is None:
        return step.most
    return min(step.most, max(step.least, step.seen, FEW, _most(capacity, overlap)))
