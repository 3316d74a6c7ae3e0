"""Everything derived from counts: ledger, figures and stored days, each by the hours that have changed.

Each row of counts records whether that has been done (``slo_window_counts.derived``).
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
from ops_platform.slo.objectives import Objective, Period
from ops_platform.slo.reporting import budget_ledger, daily_rollup, figures, slo_store
from ops_platform.slo.reporting.figures import Figure

Span = tuple[datetime, datetime]


def derive(ops: Connection, objective: Objective, run_id: str) -> int:
    """Derive ledger, figures and days from all hours not derived from yet; return how many those were.

    The caller holds ``slo_store.lock_writers``, and commits all of it or nothing.
    """
    hours = slo_store.underived(ops, objective)
    if not hours:
        return 0
    for start, end in slo_store.spans(hours):
        budget_ledger.enter(ops, objective, start, end, run_id)
    for first, last in _depending(hours, figures.newest(ops, objective), reach(ops, objective)):
        make_figures(ops, objective, counting.hours(first - HOUR, last)[1:], run_id)
    for day in daily_rollup.stored_days(ops, objective, hours):
        daily_rollup.store(ops, objective, day, day + daily_rollup.DAY, run_id)
    slo_store.mark_derived(ops, objective)
    return len(hours)


def replay_figures(
    ops: Connection, objective: Objective, start: datetime, end: datetime, run_id: str
) -> list[Figure]:
    """Make and store the figures of the objective as it is at the end of each hour of the span.

    They replace figures of any version. Later stored figures that depend on these hours are made anew, of
    the version that they were made of. The caller holds ``slo_store.lock_writers``.
    """
    moments = counting.hours(start, end)[1:]
    replayed_figures = make_figures(ops, objective, moments, run_id, replayed=True)
    newest = figures.newest(ops, objective)
    last = end if newest is None else min(end - HOUR + reach(ops, objective), newest)
    if last > end:
        replayed_figures += make_figures(ops, objective, counting.hours(end, last)[1:], run_id)
    return replayed_figures


def make_figures(
    ops: Connection, objective: Objective, moments: Sequence[datetime], run_id: str, *, replayed: bool = False
) -> list[Figure]:
    """Make and store the figures at successive ``moments``.

    Reported figures keep their target and period, those of the version that they were made of, unless
    they are ``replayed``. A figure of another indicator stays as it is, for its counts are gone.
    """
    hours = figures.load_hours(ops, objective, moments[0] - reach(ops, objective), moments[-1])
    made_of = {} if replayed else _made_of(ops, objective, moments)
    moments_of: dict[Objective, list[datetime]] = defaultdict(list)
    for moment in moments:
        version = made_of.get(moment, objective)
        if version is not None:
            moments_of[version].append(moment)
    stored = []
    for version, moments_of_version in moments_of.items():
        computed = figures.figures(version, hours, moments_of_version)
        figures.store(ops, version, computed, run_id)
        stored += computed
    return stored


def _made_of(
    ops: Connection, objective: Objective, moments: Sequence[datetime]
) -> dict[datetime, Objective | None]:
    """Find the version of the figures at each moment that has any; None: its indicator is another one."""
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
    versions: dict[str, Objective | None] = {}
    for row in rows:
        if row["version"] not in versions:
            versions[row["version"]] = _as_it_was(objective, row)
    return {row["measured_at"]: versions[row["version"]] for row in rows}


def _as_it_was(objective: Objective, row: slo_store.Row) -> Objective | None:
    if row["target"] is None:
        return None
    earlier = replace(objective, target=Fraction(row["target"]), period=Period.parse(row["period"]))
    # The version is a hash of the exact target, and the table's number may be rounded.
    return earlier if earlier.version == row["version"] else None


def reach(ops: Connection, objective: Objective) -> timedelta:
    """Compute how far back the figures of any version of the objective look."""
    rows = ops.execute(
        "SELECT DISTINCT period FROM slo_objectives WHERE (service, slo) = (%s, %s)",
        (objective.service, objective.name),
    ).fetchall()
    versions = [replace(objective, period=Period.parse(row["period"])) for row in rows]
    return figures.reach([objective, *versions])


def _depending(hours: Sequence[datetime], newest: datetime | None, back: timedelta) -> list[Span]:
    """List first and last moments of the spans in which figures depend on ``hours``, which are in order."""
    spans: list[Span] = []
    for hour in hours:
        first = hour + HOUR
        last = first if newest is None else max(first, min(hour + back, newest))
        if spans and first <= spans[-1][1] + HOUR:
            spans[-1] = (spans[-1][0], max(spans[-1][1], last))
        else:
            spans.append((first, last))
    return spans
