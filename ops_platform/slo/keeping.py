"""Bringing the ops database up to what Prometheus says: counts, then ledger and figures that follow.

Each step is a transaction of its own and finds by itself what is to be done, so that a run killed
between any two is finished by the next, or by its own replay, to the same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops_platform.clients import postgres
from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo import counting, days, exclusions, figures, records
from ops_platform.slo.counting import HOUR, TOGETHER
from ops_platform.slo.figures import LONGEST
from ops_platform.slo.objective import Objective
from ops_platform.slo.window import WindowCount

LATE = timedelta(days=1)
"""Provisional hours no older than this are counted again by every run."""


@dataclass(frozen=True)
class Kept:
    """What a run brought: the windows counted, and how many rows were new or changed."""

    counts: dict[Objective, list[WindowCount]]
    changed: int


def count_hours(
    ops_url: str,
    prometheus: Prometheus,
    objectives: Sequence[Objective],
    start: datetime,
    end: datetime,
    run_id: str,
    now: datetime,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Kept:
    """Count and store the hours from ``start`` to ``end``, a day at a time, each in one transaction."""
    bounds = counting.hours(start, end)
    counts: dict[Objective, list[WindowCount]] = {one: [] for one in objectives}
    changed = 0
    with postgres.session(ops_url) as ops:
        records.register(ops, objectives)
        ops.commit()
        for first in range(0, len(bounds) - 1, TOGETHER):
            part = bounds[first : first + TOGETHER + 1]
            excluded = exclusions.load(ops, part[0], part[-1])
            ops.commit()
            found = counting.count(prometheus, objectives, part, now, excluded)
            for one, windows in found.items():
                changed += records.store(ops, one, windows, run_id, now)
                counts[one] += windows
            ops.commit()
            progress(min(1.0, (first + TOGETHER) / (len(bounds) - 1)))
    return Kept(counts, changed)


def late_hours(
    ops_url: str, objectives: Sequence[Objective], start: datetime
) -> list[tuple[datetime, datetime]]:
    """Spans of the hours before ``start`` that must be counted again, or were never counted.

    Provisional ones of the day before, those that an exclusion touches which came or went since, and
    those that no run has counted although runs counted earlier ones.
    """
    with postgres.session(ops_url) as ops:
        found = records.unsettled(ops, objectives, start - LATE, start)
    spans: list[tuple[datetime, datetime]] = []
    for hour in found:
        if spans and spans[-1][1] == hour:
            spans[-1] = (spans[-1][0], hour + HOUR)
        else:
            spans.append((hour, hour + HOUR))
    return spans


def follow_days(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> int:
    """Add up anew the stored days that hold hours from ``start`` to ``end``; how many have changed."""
    with postgres.session(ops_url) as ops:
        return sum(
            days.store(ops, one, day, day + days.DAY, run_id)
            for one in objectives
            for day in days.stored(ops, one, start, end)
        )


def enter_ledger(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> int:
    """Debit what the hours from ``start`` to ``end`` cost; how many entries it took."""
    with postgres.session(ops_url) as ops:
        records.register(ops, objectives)
        return sum(records.enter(ops, one, start, end, run_id) for one in objectives)


def keep_figures(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> dict[Objective, list[figures.Figure]]:
    """Figures at the end of each hour from ``start`` to ``end``, and stored.

    Behind them, those that were stored earlier and depend on these hours are made anew.
    """
    found = {}
    with postgres.session(ops_url) as ops:
        for one in objectives:
            last = max(end, min(end + LONGEST, figures.newest(ops, one) or end))
            moments = counting.hours(start, last)[1:]
            hours = figures.load_hours(ops, one, start - LONGEST, last)
            found[one] = figures.figures(one, hours, moments)
            figures.store(ops, one, found[one], run_id)
    return found
