"""Bringing the ops database up to what Prometheus says: counts, then ledger and figures that follow.

The steps of a partition are transactions of their own, each to the same tables when it is repeated: a
run killed between two is finished by its replay. ``recount`` leaves nothing between: counts, ledger,
figures and days are one transaction. It sees every hour that was counted within two hours of its end
once more, so that of those the next run finishes what a killed one left. Older hours, of a backfill,
are final at once: there only the replay does, and the stored days must be added up again by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.clients.prometheus import Prometheus
from ops_platform.slo import counting, days, exclusions, figures, records
from ops_platform.slo.counting import HOUR, TOGETHER
from ops_platform.slo.objective import Objective
from ops_platform.slo.window import WindowCount


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

    Provisional ones, those that an exclusion touches which came or went since, and
    those that no run has counted although runs counted earlier ones.
    """
    with postgres.session(ops_url) as ops:
        found = records.unsettled(ops, objectives, start)
    spans: list[tuple[datetime, datetime]] = []
    for hour in found:
        if spans and spans[-1][1] == hour:
            spans[-1] = (spans[-1][0], hour + HOUR)
        else:
            spans.append((hour, hour + HOUR))
    return spans


def recount(
    ops_url: str,
    prometheus: Prometheus,
    objectives: Sequence[Objective],
    start: datetime,
    end: datetime,
    run_id: str,
    now: datetime,
) -> Kept:
    """Count the hours from ``start`` to ``end`` anew, and make all that depends on them."""
    bounds = counting.hours(start, end)
    with postgres.session(ops_url) as ops:
        excluded = exclusions.load(ops, start, end)
        ops.commit()
        found = counting.count(prometheus, objectives, bounds, now, excluded)
        records.alone(ops)
        records.register(ops, objectives)
        changed = sum(records.store(ops, one, windows, run_id, now) for one, windows in found.items())
        for one in objectives:
            records.enter(ops, one, start, end, run_id)
            _figures(ops, one, start, end, run_id)
            _days(ops, one, start, end, run_id)
    return Kept(found, changed)


def follow_days(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> int:
    """Add up anew the stored days that hold hours from ``start`` to ``end``; how many have changed."""
    with postgres.session(ops_url) as ops:
        records.alone(ops)
        return sum(_days(ops, one, start, end, run_id) for one in objectives)


def enter_ledger(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> int:
    """Debit what the hours from ``start`` to ``end`` cost; how many entries it took."""
    with postgres.session(ops_url) as ops:
        records.alone(ops)
        records.register(ops, objectives)
        return sum(records.enter(ops, one, start, end, run_id) for one in objectives)


def keep_figures(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> dict[Objective, list[figures.Figure]]:
    """Figures at the end of each hour from ``start`` to ``end``, and stored.

    Behind them, those that were stored earlier and depend on these hours are made anew.
    """
    with postgres.session(ops_url) as ops:
        records.alone(ops)
        return {one: _figures(ops, one, start, end, run_id) for one in objectives}


def _figures(
    ops: Connection, one: Objective, start: datetime, end: datetime, run_id: str
) -> list[figures.Figure]:
    reach = figures.reach([one])
    last = max(end, min(end + reach, figures.newest(ops, one) or end))
    hours = figures.load_hours(ops, one, start - reach, last)
    found = figures.figures(one, hours, counting.hours(start, last)[1:])
    figures.store(ops, one, found, run_id)
    return found


def _days(ops: Connection, one: Objective, start: datetime, end: datetime, run_id: str) -> int:
    stored = days.stored(ops, one, start, end)
    return sum(days.store(ops, one, day, day + days.DAY, run_id) for day in stored)
