"""Bringing the ops database up to what Prometheus says: counts, then ledger, figures and days that follow.

Counts are stored a day at a time, each in a transaction that also says of every row that is new or has
changed that nothing has followed yet. Then one transaction makes all that follows and takes that back. So
a run that is killed

- before a day is stored leaves nothing of it. The next hourly run counts what is missing of the last
  ``records.GAP`` behind the first hour that was ever counted; what is older only the replay does;
- after one is stored leaves its counts without ledger, figures and days. The next run of any partition
  makes them, before it asks Prometheus anything, and however old the hours are;
- in what follows leaves the same: all of it is made or nothing.

``enter_ledger`` and ``keep_figures`` are for the operator who replays history with a changed target; each
is one transaction too, and repeated it changes nothing. A replay that is killed between the two is finished
by launching it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import OpsError
from ops_platform.slo import counting
from ops_platform.slo.counting import TOGETHER, exclusions
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import budget_ledger as ledger
from ops_platform.slo.reporting import daily_rollup as days
from ops_platform.slo.reporting import derivation as derived
from ops_platform.slo.reporting import exclusion_adjustment as adjustment
from ops_platform.slo.reporting import figures
from ops_platform.slo.reporting import slo_store as records
from ops_platform.slo.reporting.derivation import Span

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount


@dataclass(frozen=True)
class Kept:
    """What a run brought: the windows counted, and how many rows were new or changed."""

    counts: dict[Objective, list[WindowCount]]
    changed: int


@dataclass(frozen=True)
class Late:
    """Hours counted again: by span of at most a day, what it brought; and of what could not be, why."""

    kept: dict[Span, Kept]
    failed: list[str]


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
    """Count and store the hours from ``start`` to ``end``, and make what follows from them.

    Raises what ``counting.count`` raises; what was stored before has been followed up then.
    """
    bounds = counting.hours(start, end)
    counts: dict[Objective, list[WindowCount]] = {one: [] for one in objectives}
    changed = 0
    with postgres.session(ops_url) as ops:
        try:
            for part in _parts(bounds):
                kept = _count(ops, prometheus, objectives, part, run_id, now)
                changed += kept.changed
                for one, windows in kept.counts.items():
                    counts[one] += windows
                progress((bounds.index(part[-1])) / (len(bounds) - 1))
        except OpsError:
            ops.rollback()
            _follow(ops, objectives, run_id)
            ops.commit()
            raise
        _follow(ops, objectives, run_id)
    return Kept(counts, changed)


def recount_late(
    ops_url: str,
    prometheus: Prometheus,
    objectives: Sequence[Objective],
    start: datetime,
    run_id: str,
    now: datetime,
) -> Late:
    """Finish what a killed run left, and count the late hours before ``start`` anew.

    A span that cannot be counted stops no other.
    """
    late = Late({}, [])
    with postgres.session(ops_url) as ops:
        _follow(ops, objectives, run_id)
        ops.commit()
        hours = records.unsettled(ops, objectives, start)
        ops.commit()
        for since, until in records.spans(hours):
            for part in _parts(counting.hours(since, until)):
                try:
                    late.kept[part[0], part[-1]] = _count(ops, prometheus, objectives, part, run_id, now)
                except OpsError as error:
                    ops.rollback()
                    late.failed.append(f"{part[0]:%Y-%m-%d %H:%M} to {part[-1]:%Y-%m-%d %H:%M} UTC: {error}")
        _follow(ops, objectives, run_id)
    return late


def unknown(ops_url: str, objectives: Sequence[Objective], within: Sequence[Span]) -> list[str]:
    """Of the hours in these spans, as they are stored now: which are not known, and why."""
    with postgres.session(ops_url) as ops:
        rows = records.unknown(ops, objectives, within)
    return [
        f"{row['service']}-{row['slo']}, {start:%Y-%m-%d %H:%M} UTC: {row['reason']}"
        for row in rows
        for start in [row["window_start"].astimezone(UTC)]
    ]


def enter_ledger(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> int:
    """Debit what the hours from ``start`` to ``end`` cost; how many entries it took."""
    with postgres.session(ops_url) as ops:
        records.alone(ops)
        records.register(ops, objectives)
        return sum(ledger.enter(ops, one, start, end, run_id) for one in objectives)


def keep_figures(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> dict[Objective, list[figures.Figure]]:
    """Figures at the end of each hour from ``start`` to ``end``, of the objectives as they are, and stored.

    Behind them, those that were stored earlier and depend on these hours are made anew, with the
    target that they were made with.
    """
    with postgres.session(ops_url) as ops:
        records.alone(ops)
        records.register(ops, objectives)
        return {one: derived.replay_figures(ops, one, start, end, run_id) for one in objectives}


def add_days(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> int:
    """Add up the hours of the days from ``start`` to ``end``; how many rows are new or changed."""
    with postgres.session(ops_url) as ops:
        records.alone(ops)
        return sum(days.store(ops, one, start, end, run_id) for one in objectives)


def _parts(bounds: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    for first in range(0, len(bounds) - 1, TOGETHER):
        yield bounds[first : first + TOGETHER + 1]


def _count(
    ops: Connection,
    prometheus: Prometheus,
    objectives: Sequence[Objective],
    bounds: Sequence[datetime],
    run_id: str,
    now: datetime,
) -> Kept:
    """Count the hours between ``bounds`` and store them, in one transaction."""
    while True:
        excluded = exclusions.load(ops, bounds[0], bounds[-1])
        ops.commit()
        found = counting.count(prometheus, objectives, bounds, now, excluded)
        records.alone(ops)
        # One may have come or gone while Prometheus answered, and another run may have counted with it
        # already. One that comes from here on leaves the rows different from what it says.
        if exclusions.load(ops, bounds[0], bounds[-1]) == excluded:
            break
        ops.rollback()
    changed = sum(records.store(ops, one, windows, run_id, now, excluded) for one, windows in found.items())
    ops.commit()
    return Kept(found, changed)


def _follow(ops: Connection, objectives: Sequence[Objective], run_id: str) -> None:
    """All that has not followed yet, from whatever run's counts. The caller commits."""
    records.alone(ops)
    records.register(ops, objectives)
    adjustment.apply(ops, objectives, run_id)
    for one in objectives:
        derived.follow(ops, one, run_id)
