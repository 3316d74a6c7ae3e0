"""The reported figures of an objective: rolling and calendar windows over the stored hours, hour by hour.

Written to ``slo_metrics``. Every figure is derived from sums of counts. With an hour that is not known, but
bounded, it has a least and a most; with one that nothing bounds it is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.slo.bounds import Bounds
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import BURN_ALERTS, MONTH, Objective, Period
from ops_platform.slo.reporting import bound_columns, error_budget
from ops_platform.slo.reporting.error_budget import Severity, Tally, Verdict

PERIODS: Mapping[str, Period] = {
    **{f"{days}d": Period("rolling", days) for days in (1, 7, 30)},
    "month": MONTH,
}
"""The windows reported of every objective, whatever its own period is."""


def periods(objective: Objective) -> dict[str, Period]:
    """List the periods by the name of their window: those of every objective, and its own."""
    return {**PERIODS, str(objective.period): objective.period}


def reach(objectives: Iterable[Objective]) -> timedelta:
    """Compute how far before a moment the hours lie that its figures depend on."""
    return max(
        period.max_length for period in (*PERIODS.values(), *(objective.period for objective in objectives))
    )


NEWEST = timedelta(minutes=75)
"""The time for which a figure is the newest: an hour, and until the next one has its samples and is made."""
OLD = timedelta(hours=2, minutes=30)
"""The age from which a figure is old: figures come every hour, and one retried run may cost an hour more.

The alert SloFiguresStale has the same limit.
"""


@dataclass(frozen=True)
class Hour:
    """A stored hour's adjusted counts; None: unknown, and between ``bounds`` if there are any."""

    start: datetime
    good: int | None
    total: int | None
    bounds: Bounds | None = None


@dataclass(frozen=True)
class Figure:
    """The reported tally of one window that ends at ``measured_at``."""

    window: str
    measured_at: datetime
    seconds: int
    tally: Tally
    severity: Severity | None
    verdict: Verdict | None = None


def figures(objective: Objective, hours: Sequence[Hour], moments: Sequence[datetime]) -> list[Figure]:
    """Make the figures of each period up to each moment, a full hour in UTC.

    ``hours`` must go back by ``reach`` before the first moment.
    """
    known = {hour.start for hour in hours if hour.good is not None and hour.total is not None}
    bounded = [(hour.start, bounds) for hour in hours if (bounds := _bounds(hour)) is not None]
    sums = list(accumulate((bounds for _, bounds in bounded), initial=Bounds.exactly(0, 0)))
    # How many known hours, and bounded ones, began before each hour of the whole span.
    back = reach([objective])
    begin = min([hour.start for hour in hours] + [moment - back for moment in moments])
    starts = [begin + HOUR * number for number in range((max(moments) - begin) // HOUR)]
    known_before = [0, *accumulate(int(start in known) for start in starts)]
    bounded_starts = {start for start, _ in bounded}
    before = [0, *accumulate(int(start in bounded_starts) for start in starts)]
    computed = []
    for moment in moments:
        for name, period in periods(objective).items():
            start = period.start(moment)
            first, last = (start - begin) // HOUR, (moment - begin) // HOUR
            low, high = before[first], before[last]
            expected = (moment - start) // HOUR
            tally = Tally.within(
                sums[high] - sums[low] if high - low == expected else None,
                expected,
                expected - (known_before[last] - known_before[first]),
            )
            seconds = int((moment - start).total_seconds())
            severity = error_budget.breach(tally, objective)
            judged = error_budget.verdict(tally, objective)
            computed.append(Figure(name, moment, seconds, tally, severity, judged))
    return computed


def _bounds(hour: Hour) -> Bounds | None:
    if hour.good is None or hour.total is None:
        return hour.bounds
    return Bounds.exactly(hour.good, hour.total - hour.good)


def load_hours(ops: Connection, objective: Objective, start: datetime, end: datetime) -> list[Hour]:
    """Load the stored hours from ``start`` to ``end`` that this objective's indicator counted, in order."""
    rows = ops.execute(
        """
        SELECT window_start, adjusted_good, adjusted_total, adjusted_good_least, adjusted_good_most,
               adjusted_bad_least, adjusted_bad_most
        FROM slo_window_counts
        WHERE service = %s AND slo = %s AND window_seconds = 3600 AND indicator = %s
          AND window_start >= %s AND window_start < %s
        ORDER BY window_start
        """,
        (objective.service, objective.name, objective.indicator.version, start, end),
    ).fetchall()
    return [
        Hour(
            row["window_start"],
            row["adjusted_good"],
            row["adjusted_total"],
            None if row["adjusted_total"] is not None else bound_columns.bounds_of(row, "adjusted_"),
        )
        for row in rows
    ]


def newest(ops: Connection, objective: Objective) -> datetime | None:
    """Find the moment of the newest stored figure; None: there is none."""
    row = one_row(
        ops,
        """
        SELECT max(measured_at) AS at FROM slo_metrics
        WHERE service_name = %s AND metric_name = %s AND slo_window = '1d'
        """,
        (objective.service, objective.name),
    )
    moment: datetime | None = row["at"]
    return moment


def latest(ops: Connection, objectives: Sequence[Objective]) -> list[dict[str, Any]]:
    """Load the newest stored figure of each objective and window, in this order; no row where none is.

    Whether the objective's present version is met cannot be told from a figure of a ``former`` one, whose
    indicator, target or period was another: such a row is ``undecided``, without numbers.
    """
    windows = [(objective, window) for objective in objectives for window in periods(objective)]
    versions = {(objective.service, objective.name): objective.version for objective in objectives}
    rows = ops.execute(
        """
        SELECT m.* FROM unnest(%s::text[], %s::text[], %s::text[])
                        WITH ORDINALITY AS o (service, slo, slo_window, place)
        CROSS JOIN LATERAL (
            SELECT service_name, metric_name, slo_window, measured_at, state, success_count, sample_count,
                   violation_count, actual_percentage, error_budget_remaining, burn_rate, target_percentage,
                   breach_severity, alert_fired, verdict, windows_expected, windows_known, version,
                   violation_count_least, violation_count_most, actual_percentage_least,
                   actual_percentage_most, error_budget_remaining_least, error_budget_remaining_most
            FROM slo_metrics
            WHERE service_name = o.service AND metric_name = o.slo AND slo_window = o.slo_window
            ORDER BY measured_at DESC LIMIT 1) AS m
        ORDER BY o.place
        """,
        (
            [objective.service for objective, _ in windows],
            [objective.name for objective, _ in windows],
            [window for _, window in windows],
        ),
    ).fetchall()
    return [_as_promised(row, versions[row["service_name"], row["metric_name"]]) for row in rows]


def _as_promised(row: dict[str, Any], version: str) -> dict[str, Any]:
    if row["version"] == version:
        return row | {"former": False}
    kept = {
        name: row[name] for name in ("service_name", "metric_name", "slo_window", "measured_at", "version")
    }
    unknown: dict[str, Any] = dict.fromkeys(row)
    judged = {"state": "source_missing", "verdict": "undecided", "alert_fired": row["alert_fired"]}
    return {**unknown, **kept, **judged, "former": True}


def latest_with_freshness(
    ops: Connection, objectives: Sequence[Objective], now: datetime
) -> list[dict[str, Any]]:
    """Load the newest stored figure of each objective and window, also of those that have none.

    ``freshness`` is ``current``, ``old`` (more than OLD behind ``now``), ``former`` (of another version of
    the objective, so without numbers) or ``missing``; a missing figure's row has nothing else but service,
    objective and window.
    """
    stored = latest(ops, objectives)
    by_key = {(row["service_name"], row["metric_name"], row["slo_window"]): row for row in stored}
    rows: list[dict[str, Any]] = []
    for objective in objectives:
        for window in periods(objective):
            key = (objective.service, objective.name, window)
            if key in by_key:
                row = by_key[key]
                old = "old" if now - row["measured_at"] > OLD else "current"
                rows.append(row | {"freshness": "former" if row["former"] else old})
            else:
                key_columns = dict(zip(("service_name", "metric_name", "slo_window"), key, strict=True))
                rows.append({**key_columns, "freshness": "missing"})
    return rows


def mark_fired(ops: Connection, service: str, slo: str) -> int:
    """Set ``alert_fired`` of the newest figures, now that a burn alert came; return how many changed."""
    return ops.execute(
        """
        UPDATE slo_metrics SET alert_fired = true
        WHERE service_name = %s AND metric_name = %s AND slo_window IS NOT NULL AND NOT alert_fired
          AND measured_at > clock_timestamp() - %s
        """,
        (service, slo, NEWEST),
    ).rowcount


def store(ops: Connection, objective: Objective, figures_to_store: Sequence[Figure], run_id: str) -> int:
    """Insert or replace the figures; return how many are new or changed."""
    rows = [
        {
            "slo_window": figure.window,
            "measured_at": figure.measured_at.isoformat(),
            "seconds": figure.seconds,
            "good": figure.tally.good,
            "total": figure.tally.total,
            "state": figure.tally.state,
            "severity": figure.severity,
            "verdict": figure.verdict,
            "expected": figure.tally.windows,
            "known": figure.tally.windows - figure.tally.missing,
            **bound_columns.columns(figure.tally.known),
        }
        for figure in figures_to_store
    ]
    return ops.execute(
        _STORE,
        {
            "rows": json.dumps(rows),
            "service": objective.service,
            "slo": objective.name,
            "sloth_id": objective.id,
            "burn_alerts": list(BURN_ALERTS),
            "newest": NEWEST,
            "version": objective.version,
            "numerator": objective.target.numerator,
            "denominator": objective.target.denominator,
            "run_id": run_id,
        },
    ).rowcount


# alert_fired: Alertmanager reported a burn alert, within the window or while the figure was the newest. The
# receiver sets it at once; this statement sets it where the figure is made after the alert.
_STORE = """
INSERT INTO slo_metrics AS m (
    metric_name, service_name, measured_at, time_window_seconds, target_percentage, actual_percentage,
    error_budget_remaining, burn_rate, sample_count, success_count, violation_count, breach_detected,
    breach_severity, alert_fired, run_id, slo_window, version, state, verdict, windows_expected,
    windows_known, violation_count_least, violation_count_most, actual_percentage_least,
    actual_percentage_most, error_budget_remaining_least, error_budget_remaining_most)
SELECT %(slo)s, %(service)s, g.measured_at, g.seconds, t.target * 100,
       100 * g.good::numeric / nullif(g.total, 0),
       CASE WHEN g.total = 0 AND t.target < 1 THEN 100
            ELSE 100 - 100 * (g.total - g.good)::numeric / nullif((1 - t.target) * g.total, 0) END,
       (g.total - g.good)::numeric / nullif((1 - t.target) * g.total, 0),
       g.total, g.good, g.total - g.good, g.severity IS NOT NULL, g.severity,
       EXISTS (SELECT FROM alert_deliveries AS d
               WHERE d.service = %(service)s AND d.slo = %(slo)s AND d.status = 'firing'
                 AND (d.alertname = ANY (%(burn_alerts)s) OR d.labels ->> 'sloth_severity' IS NOT NULL)
                 AND d.labels ->> 'sloth_id' = %(sloth_id)s
                 AND d.received_at > g.measured_at - make_interval(secs => g.seconds)
                 AND d.received_at <= g.measured_at + %(newest)s::interval),
       %(run_id)s, g.slo_window, %(version)s, g.state, g.verdict, g.expected, g.known, g.bad_least,
       g.bad_most,
       100 * g.good_least::numeric / nullif(g.good_least + g.bad_most, 0),
       100 * g.good_most::numeric / nullif(g.good_most + g.bad_least, 0),
       CASE WHEN g.good_least + g.bad_most = 0 AND t.target < 1 THEN 100 ELSE
           100 - 100 * g.bad_most::numeric / nullif((1 - t.target) * (g.good_least + g.bad_most), 0) END,
       CASE WHEN g.good_most + g.bad_least = 0 AND t.target < 1 THEN 100 ELSE
           100 - 100 * g.bad_least::numeric / nullif((1 - t.target) * (g.good_most + g.bad_least), 0) END
FROM jsonb_to_recordset(%(rows)s::jsonb) AS g (
         slo_window text, measured_at timestamptz, seconds integer, good bigint, total bigint, state text,
         severity text, verdict text, expected integer, known integer, good_least bigint, good_most bigint,
         bad_least bigint, bad_most bigint)
CROSS JOIN (SELECT %(numerator)s::numeric / %(denominator)s AS target) AS t
ON CONFLICT (service_name, metric_name, slo_window, measured_at) WHERE slo_window IS NOT NULL DO UPDATE SET
    (time_window_seconds, target_percentage, actual_percentage, error_budget_remaining, burn_rate,
     sample_count, success_count, violation_count, breach_detected, breach_severity, alert_fired, run_id,
     version, state, verdict, windows_expected, windows_known, violation_count_least, violation_count_most,
     actual_percentage_least, actual_percentage_most, error_budget_remaining_least,
     error_budget_remaining_most)
  = (excluded.time_window_seconds, excluded.target_percentage, excluded.actual_percentage,
     excluded.error_budget_remaining, excluded.burn_rate, excluded.sample_count, excluded.success_count,
     excluded.violation_count, excluded.breach_detected, excluded.breach_severity,
     m.alert_fired OR excluded.alert_fired, excluded.run_id, excluded.version, excluded.state,
     excluded.verdict, excluded.windows_expected, excluded.windows_known, excluded.violation_count_least,
     excluded.violation_count_most, excluded.actual_percentage_least, excluded.actual_percentage_most,
     excluded.error_budget_remaining_least, excluded.error_budget_remaining_most)
WHERE (m.sample_count, m.success_count, m.state, m.version, m.breach_severity, m.alert_fired, m.verdict,
       m.windows_known, m.violation_count_least, m.violation_count_most, m.actual_percentage_least,
       m.actual_percentage_most)
      IS DISTINCT FROM
      (excluded.sample_count, excluded.success_count, excluded.state, excluded.version,
       excluded.breach_severity, m.alert_fired OR excluded.alert_fired, excluded.verdict,
       excluded.windows_known, excluded.violation_count_least, excluded.violation_count_most,
       excluded.actual_percentage_least, excluded.actual_percentage_most)
"""
