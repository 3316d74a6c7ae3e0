"""The refresh of the ops database from Prometheus: counts, then the ledger, figures and days they yield.

Counts are stored a day at a time, each in a transaction that also marks every row that is new or has
changed as not derived from. Then one transaction derives everything and removes the marks. So a run that
is killed

- before a day is stored leaves nothing of it. The next hourly run counts the missing hours that figures
  depend on, after the first hour that was ever counted; older ones are counted by the replay only;
- after a day is stored leaves its counts without ledger, figures and days. The next run of any partition
  makes them, before it asks Prometheus anything, and however old the hours are;
- while it derives leaves the same: everything is derived or nothing.

``enter_ledger`` and ``store_figures`` are for the operator who replays history with a changed target; each
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
from ops_platform.slo.reporting import (
    budget_ledger,
    daily_rollup,
    derivation,
    exclusion_adjustment,
    figures,
    slo_store,
)
from ops_platform.slo.reporting.derivation import Span

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount


@dataclass(frozen=True)
class StoredCounts:
    """The windows that a run counted and stored, and how many rows were new or changed."""

    counts: dict[Objective, list[WindowCount]]
    changed: int

    def added_to(self, other: StoredCounts | None) -> StoredCounts:
        """Put together what was counted of other objectives in the same windows."""
        if other is None:
            return self
        return StoredCounts({**other.counts, **self.counts}, other.changed + self.changed)


@dataclass(frozen=True)
class Recount:
    """Hours counted again, by span of at most a day; and why others could not be."""

    stored: dict[Span, StoredCounts]
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
) -> StoredCounts:
    """Count and store the hours from ``start`` to ``end``, and derive ledger, figures and days from them.

    A Prometheus that cannot be asked keeps no objective of another one from being counted. Raises what
    ``counting.count`` raises, after all that could be counted has been stored and derived from.
    """
    bounds = counting.hours(start, end)
    counts: dict[Objective, list[WindowCount]] = {objective: [] for objective in objectives}
    changed = 0
    groups, failed = counting.by_source(objectives), list[OpsError]()
    with postgres.session(ops_url) as ops:
        for part in _parts(bounds):
            for group in tuple(groups):
                try:
                    stored = _count(ops, prometheus, group, part, run_id, now)
                except OpsError as error:
                    ops.rollback()
                    failed.append(error)
                    groups.remove(group)
                    continue
                changed += stored.changed
                for objective, windows in stored.counts.items():
                    counts[objective] += windows
            progress((bounds.index(part[-1])) / (len(bounds) - 1))
        _derive(ops, objectives, run_id)
    if failed:
        raise _together(failed)
    return StoredCounts(counts, changed)


def _together(failed: Sequence[OpsError]) -> OpsError:
    """Make one error of several: whether a retry may help is what the first one says."""
    told = list(dict.fromkeys(map(str, failed)))
    return failed[0] if len(told) == 1 else type(failed[0])("; ".join(told))


def recount_late(
    ops_url: str,
    prometheus: Prometheus,
    objectives: Sequence[Objective],
    start: datetime,
    run_id: str,
    now: datetime,
) -> Recount:
    """Finish what a killed run left, and count the hours before ``start`` again that need it.

    A span or a Prometheus that cannot be counted stops no other.
    """
    recount = Recount({}, [])
    with postgres.session(ops_url) as ops:
        _derive(ops, objectives, run_id)
        ops.commit()
        hours = slo_store.unsettled(ops, objectives, start)
        ops.commit()
        for since, until in slo_store.spans(hours):
            for part in _parts(counting.hours(since, until)):
                for group in counting.by_source(objectives):
                    try:
                        stored = _count(ops, prometheus, group, part, run_id, now)
                    except OpsError as error:
                        ops.rollback()
                        recount.failed.append(
                            f"{part[0]:%Y-%m-%d %H:%M} to {part[-1]:%Y-%m-%d %H:%M} UTC: {error}"
                        )
                        continue
                    span = part[0], part[-1]
                    recount.stored[span] = stored.added_to(recount.stored.get(span))
        _derive(ops, objectives, run_id)
    return recount


def unknown(ops_url: str, objectives: Sequence[Objective], within: Sequence[Span]) -> list[str]:
    """Say which stored hours in these spans are not known, and why."""
    with postgres.session(ops_url) as ops:
        rows = slo_store.unknown(ops, objectives, within)
    return [
        f"{row['service']}-{row['slo']}, {start:%Y-%m-%d %H:%M} UTC: {row['reason']}"
        for row in rows
        for start in [row["window_start"].astimezone(UTC)]
    ]


def enter_ledger(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> int:
    """Debit the bad events of the hours from ``start`` to ``end``; return the number of entries."""
    with postgres.session(ops_url) as ops:
        slo_store.lock_writers(ops)
        slo_store.register(ops, objectives)
        return sum(budget_ledger.enter(ops, objective, start, end, run_id) for objective in objectives)


def store_figures(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> dict[Objective, list[figures.Figure]]:
    """Make and store the figures of the objectives as they are at the end of each hour of the span.

    Later figures that are stored and depend on these hours are made anew, with the target that they were
    made with.
    """
    with postgres.session(ops_url) as ops:
        slo_store.lock_writers(ops)
        slo_store.register(ops, objectives)
        return {
            objective: derivation.replay_figures(ops, objective, start, end, run_id)
            for objective in objectives
        }


def store_days(
    ops_url: str, objectives: Sequence[Objective], start: datetime, end: datetime, run_id: str
) -> int:
    """Add up and store the days from ``start`` to ``end``; return how many rows are new or changed."""
    with postgres.session(ops_url) as ops:
        slo_store.lock_writers(ops)
        return sum(daily_rollup.store(ops, objective, start, end, run_id) for objective in objectives)


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
) -> StoredCounts:
    """Count the hours between ``bounds`` and store them, in one transaction."""
    while True:
        excluded = exclusions.load(ops, bounds[0], bounds[-1])
        ops.commit()
        counts = counting.count(prometheus, objectives, bounds, now, excluded)
        slo_store.lock_writers(ops)
        # An exclusion may have come or gone while Prometheus answered, and another run may have counted with
        # it already. One that comes from here on leaves the rows different from what it wants.
        if exclusions.load(ops, bounds[0], bounds[-1]) == excluded:
            break
        ops.rollback()
    changed = sum(
        slo_store.store(ops, objective, windows, run_id, now, excluded)
        for objective, windows in counts.items()
    )
    ops.commit()
    return StoredCounts(counts, changed)


def _derive(ops: Connection, objectives: Sequence[Objective], run_id: str) -> None:
    """Derive all that has not been derived yet, from whatever run's counts. The caller commits."""
    slo_store.lock_writers(ops)
    slo_store.register(ops, objectives)
    exclusion_adjustment.apply(ops, objectives, run_id)
    for objective in objectives:
        derivation.derive(ops, objective, run_id)
