"""Time slices in place of the events in them: a slice is good, bad or unknown, or counts as its share.

Slices begin at multiples of their length in UTC; one belongs to the window in which it ends. A slice in
which nothing happened, and that is known, counts neither way. One that is not known may be good or bad, even
where nothing bounds its events: it is one slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting import window
from ops_platform.slo.counting.kinds.scores import Scores
from ops_platform.slo.counting.range_query import milliseconds, moment
from ops_platform.slo.counting.reader import Reading
from ops_platform.slo.counting.window import REASON_LENGTH, WindowCount
from ops_platform.slo.objectives import PARTS, Indicator, Slicing

HOLD = 90_000
"""Milliseconds for which a sample stands for the slices after it that have none of their own."""
NOTHING = Bounds.exactly(0, 0)


def count_events(
    indicator: Indicator, slicing: Slicing, reading: Reading, windows: Sequence[WindowCount]
) -> list[WindowCount]:
    """Count the slices of ``windows``, of which a counter's events are known."""
    edges = sorted(
        {edge for each in windows for edge in (each.start, _end(each), *_ends(each, slicing.seconds))}
    )
    unsliced = replace(indicator, slicing=None)
    parts = {_end(part): part for part in window.count(unsliced, reading, edges, with_evidence=False)}

    def judge(start: int, end: int) -> tuple[Bounds, str | None]:
        part = parts[moment(end)]
        known = None if part.good is None or part.bad is None else Bounds.exactly(part.good, part.bad)
        return slice_bounds(known or part.bounds, slicing), part.reason

    return [_counted(each, slicing, judge) for each in windows]


def count_scores(scores: Scores, slicing: Slicing, counted: WindowCount) -> WindowCount:
    """Count the slices of a window, of which a gauge's samples are scored."""

    def judge(start: int, end: int) -> tuple[Bounds, str | None]:
        within = scores.bounds(start, end)
        if within == NOTHING:
            start = min(start, end - HOLD)
            within = scores.bounds(start, end)
        if within == NOTHING:
            within = None
        reason = scores.reason(start, end) or (
            f"{moment(end):%H:%M:%S} UTC: no sample: slices must be as long as the time between scrapes"
        )
        return slice_bounds(within, slicing), reason

    return _counted(counted, slicing, judge)


def slice_bounds(events: Bounds | None, slicing: Slicing) -> Bounds:
    """Bound what a slice counts, from the bounds of its events; None: nothing bounds them."""
    whole = 1 if slicing.target is not None else PARTS
    if events is None:
        return Bounds(0, whole, 0, whole)
    if events == NOTHING:
        return NOTHING
    least = _share(events.good_least, events.bad_most, none=1)
    most = _share(events.good_most, events.bad_least, none=0)
    # It may be that nothing happened in it: then it counts neither way.
    sure = events.good_least + events.bad_least > 0
    if slicing.target is None:
        good_least, good_most = int(least * PARTS), int(most * PARTS)
    else:
        good_least, good_most = int(least >= slicing.target), int(most >= slicing.target)
    return Bounds(good_least if sure else 0, good_most, whole - good_most if sure else 0, whole - good_least)


def _share(good: int, bad: int, none: int) -> Fraction:
    """Compute the share of good events; ``none`` where there are none."""
    return Fraction(good, good + bad) if good + bad else Fraction(none)


def _counted(
    counted: WindowCount, slicing: Slicing, judge: Callable[[int, int], tuple[Bounds, str | None]]
) -> WindowCount:
    start = milliseconds(counted.start)
    sums, reason = NOTHING, None
    for end in _ends(counted, slicing.seconds):
        edge = milliseconds(end)
        bounds, doubt = judge(max(start, edge - slicing.seconds * 1000), edge)
        sums += bounds
        if reason is None and (bounds.good_least, bounds.bad_least) != (bounds.good_most, bounds.bad_most):
            reason = doubt or "a slice is not known"
    if reason is not None:
        return replace(counted, good=None, total=None, reason=reason[:REASON_LENGTH], bounds=sums)
    good = sums.good_least
    return replace(counted, good=good, total=good + sums.bad_least, reason=None, bounds=None)


def _end(counted: WindowCount) -> datetime:
    return counted.start + timedelta(seconds=counted.seconds)


def _ends(counted: WindowCount, seconds: int) -> list[datetime]:
    """List when the slices end that belong to a window."""
    length = seconds * 1000
    start = milliseconds(counted.start)
    end = start + counted.seconds * 1000
    return [moment(edge) for edge in range((start // length + 1) * length, end + 1, length)]
