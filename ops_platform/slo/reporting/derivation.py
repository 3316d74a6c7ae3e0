"""What follows from counts: ledger, figures and stored days, each by the hours that have changed.

A row of counts says itself whether that has been done (``slo_window_counts.derived``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

from ops_platform.clients.postgres import Connection
from ops_platform.slo import counting
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import MONTH, Objective, Period
from ops_platform.slo.reporting import budget_ledger as ledger
from ops_platform.slo.reporting import daily_rollup as days
from ops_platform.slo.reporting import figures
from ops_platform.slo.reporting import slo_store as records
from ops_platform.slo.reporting.figures import Figure

Span = tuple[datetime, datetime]


def follow(ops: Connection, objective: Objective, run_id: str) -> int:
    """Make what follows from all hours of which it has not been made; how many those were.

    The caller is ``alone``, and commits all of it or nothing.
    """
    hours = records.underived(ops, objective)
    if not hours:
        return 0
    for start, end in records.spans(hours):
        ledger.enter(ops, objective, start, end, run_id)
    for first, last in _depending(hours, figures.newest(ops, objective), reach(ops, objective)):
        make_figures(ops, objective, counting.hours(first - HOUR, last)[1:], run_id)
    for day in days.stored(ops, objective, hours):
        days.store(ops, objective, day, day + days.DAY, run_id)
    records.mark_derived(ops, objective)
    return len(hours)


def replay_figures(
    ops: Connection, objective: Objective, start: datetime, end: datetime, run_id: str
) -> list[Figure]:
    """At the end of each hour from ``start`` to ``end``, of the objective as it is, whatever they were of.

    Those behind them that were stored and depend on these hours are made anew, of the version that
    they were made of. The caller is ``alone``.
    """
    asked = counting.hours(start, end)[1:]
    found = make_figures(ops, objective, asked, run_id, replayed=True)
    newest = figures.newest(ops, objective)
    last = end if newest is None else min(end - HOUR + reach(ops, objective), newest)
    if last > end:
        found += make_figures(ops, objective, counting.hours(end, last)[1:], run_id)
    return found


def make_figures(
    ops: Connection, objective: Objective, moments: Sequence[datetime], run_id: str, *, replayed: bool = False
) -> list[Figure]:
    """The figures at successive ``moments``, stored.

    What was reported keeps its target and period: those of the version that a figure was made of,
    unless it is ``replayed``. A figure of another indicator stays as it is, for its counts are gone.
    """
    hours = figures.load_hours(ops, objective, moments[0] - reach(ops, objective), moments[-1])
    made_of = {} if replayed else _made_of(ops, objective, moments)
    by: dict[Objective, list[datetime]] = defaultdict(list)
    for moment in moments:
        version = made_of.get(moment, objective)
        if version is not None:
            by[version].append(moment)
    found = []
    for version, its in by.items():
        made = figures.figures(version, hours, its)
        figures.store(ops, version, made, run_id)
        found += made
    return found


def _made_of(
    ops: Connection, objective: Objective, moments: Sequence[datetime]
) -> dict[datetime, Objective | None]:
    """By moment that has figures, the version that they are of; None: its indicator is another one."""
    rows = ops.execute(
        """
        SELECT m.measured_at, m.version, o.target, o.period
        FROM slo_metrics AS m
        LEFT JOIN slo_objectives AS o
          ON (o.service, o.slo, o.version) = (m.service_name, m.metric_name, m.version) AND o.indicator = %s
        WHERE m.service_name = %s AND m.metric_name = %s AND m.slo_window = '1d'
          AND m.measured_at >= %s AND m.measured_at <= %s AND m.version IS DISTINCT FROM %s
        """,
        (
            objective.indicator.version,
            objective.service,
            objective.name,
            moments[0],
            moments[-1],
            objective.version,
        ),
    ).fetchall()
    known: dict[str, Objective | None] = {}
    for row in rows:
        if row["version"] not in known:
            known[row["version"]] = _as_it_was(objective, row)
    return {row["measured_at"]: known[row["version"]] for row in rows}


def _as_it_was(objective: Objective, row: records.Row) -> Objective | None:
    if row["target"] is None:
        return None
    was = replace(objective, target=Fraction(row["target"]), period=_period(row["period"]))
    # The version is of the exact target, and the table's number may be rounded.
    return was if was.version == row["version"] else None


def _period(text: str) -> Period:
    """What ``str`` of a period says."""
    return MONTH if text == str(MONTH) else Period("rolling", int(text.removesuffix("d")))


def reach(ops: Connection, objective: Objective) -> timedelta:
    """How far back the figures of any version of it look."""
    rows = ops.execute(
        "SELECT DISTINCT period FROM slo_objectives WHERE (service, slo) = (%s, %s)",
        (objective.service, objective.name),
    ).fetchall()
    versions = [replace(objective, period=_period(row["period"])) for row in rows]
    return figures.reach([objective, *versions])


def _depending(hours: Sequence[datetime], newest: datetime | None, back: timedelta) -> list[Span]:
    """First and last moments of the spans in which figures depend on ``hours``, which are in order."""
    found: list[Span] = []
    for hour in hours:
        first = hour + HOUR
        last = first if newest is None else max(first, min(hour + back, newest))
        if found and first <= found[-1][1] + HOUR:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found
