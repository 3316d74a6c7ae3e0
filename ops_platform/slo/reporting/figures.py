"""What is reported of an objective: rolling and calendar windows over the stored hours, by the hour.

Written to ``slo_metrics``. Every figure is derived from sums of counts; one hour that is not known
makes every window with it unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import BURN_ALERTS, MONTH, Objective, Period
from ops_platform.slo.reporting import error_budget as budget
from ops_platform.slo.reporting.error_budget import Severity, Tally

PERIODS: Mapping[str, Period] = {
    **{f"{days}d": Period("rolling", days) for days in (1, 7, 30)},
    "month": MONTH,
}
"""What is reported of every objective, whatever its own period is."""


def periods(objective: Objective) -> dict[str, Period]:
    """By the name of the window: those of every objective, and the one that this one is judged over."""
    return {**PERIODS, str(objective.period): objective.period}


def reach(objectives: Iterable[Objective]) -> timedelta:
    """How far before a moment the hours lie that its figures depend on."""
    return max(one.longest for one in (*PERIODS.values(), *(each.period for each in objectives)))


NEWEST = timedelta(minutes=75)
"""How long a figure is the newest: an hour, and until the next one, which waits for its samples, is made."""
OLD = timedelta(hours=2, minutes=30)
"""Figures come every hour, seven minutes after it; an hour more may be a run that was retried. The alert
SloFiguresStale has the same limit."""


@dataclass(frozen=True)
class Hour:
    """A stored hour's adjusted counts; None: unknown."""

    start: datetime
    good: int | None
    total: int | None


@dataclass(frozen=True)
class Figure:
    """Of one window that ends at ``measured_at``."""

    window: str
    measured_at: datetime
    seconds: int
    tally: Tally
    severity: Severity | None


def figures(objective: Objective, hours: Sequence[Hour], moments: Sequence[datetime]) -> list[Figure]:
    """Of each period, up to each moment; ``hours`` must go back by ``reach`` before the first."""
    known = [one for one in hours if one.good is not None and one.total is not None]
    at = {one.start: number for number, one in enumerate(known)}
    good = [0, *accumulate(one.good or 0 for one in known)]
    total = [0, *accumulate(one.total or 0 for one in known)]
    # How many known hours began before each hour of the whole span.
    back = reach([objective])
    begin = min([one.start for one in hours] + [each - back for each in moments])
    span = (max(moments) - begin) // HOUR
    before = [0, *accumulate(1 if begin + HOUR * number in at else 0 for number in range(span))]
    found = []
    for moment in moments:
        for name, period in periods(objective).items():
            start = period.begins(moment)
            low, high = before[(start - begin) // HOUR], before[(moment - begin) // HOUR]
            wanted = (moment - start) // HOUR
            whole = high - low == wanted
            tally = Tally(
                good[high] - good[low] if whole else None,
                total[high] - total[low] if whole else None,
                wanted,
                wanted - (high - low),
            )
            seconds = int((moment - start).total_seconds())
            found.append(Figure(name, moment, seconds, tally, budget.breach(tally, objective)))
    return found


def load_hours(ops: Connection, objective: Objective, start: datetime, end: datetime) -> list[Hour]:
    """The stored hours from ``start`` to ``end`` that this objective's indicator counted, in order."""
    rows = ops.execute(
        """
        SELECT window_start, adjusted_good, adjusted_total FROM slo_window_counts
        WHERE service = %s AND slo = %s AND window_seconds = 3600 AND indicator = %s
          AND window_start >= %s AND window_start < %s
        ORDER BY window_start
        """,
        (objective.service, objective.name, objective.indicator.version, start, end),
    ).fetchall()
    return [Hour(row["window_start"], row["adjusted_good"], row["adjusted_total"]) for row in rows]


def newest(ops: Connection, objective: Objective) -> datetime | None:
    """The moment of the newest stored figure."""
    row = one_row(
        ops,
        """
        SELECT max(measured_at) AS at FROM slo_metrics
        WHERE service_name = %s AND metric_name = %s AND slo_window = '1d'
        """,
        (objective.service, objective.name),
    )
    found: datetime | None = row["at"]
    return found


def latest(ops: Connection, objectives: Sequence[Objective]) -> list[dict[str, Any]]:
    """The newest stored figure of each objective and window, in this order; where there is none, no row."""
    wanted = [(one, window) for one in objectives for window in periods(one)]
    return ops.execute(
        """
        SELECT m.* FROM unnest(%s::text[], %s::text[], %s::text[])
                        WITH ORDINALITY AS o (service, slo, slo_window, place)
        CROSS JOIN LATERAL (
            SELECT service_name, metric_name, slo_window, measured_at, state, success_count, sample_count,
                   violation_count, actual_percentage, error_budget_remaining, burn_rate, target_percentage,
                   breach_severity, alert_fired
            FROM slo_metrics
            WHERE service_name = o.service AND metric_name = o.slo AND slo_window = o.slo_window
            ORDER BY measured_at DESC LIMIT 1) AS m
        ORDER BY o.place
        """,
        (
            [one.service for one, _ in wanted],
            [one.name for one, _ in wanted],
            [window for _, window in wanted],
        ),
    ).fetchall()


def standing(ops: Connection, objectives: Sequence[Objective], now: datetime) -> list[dict[str, Any]]:
    """The newest stored figure of each objective and window, and what there should be.

    ``freshness`` is ``current``, ``old`` (more than OLD behind ``now``) or ``missing``; then the row has
    nothing else but which figure it would be.
    """
    stored = latest(ops, objectives)
    found = {(row["service_name"], row["metric_name"], row["slo_window"]): row for row in stored}
    rows: list[dict[str, Any]] = []
    for one in objectives:
        for window in periods(one):
            key = (one.service, one.name, window)
            if key in found:
                old = now - found[key]["measured_at"] > OLD
                rows.append(found[key] | {"freshness": "old" if old else "current"})
            else:
                named = dict(zip(("service_name", "metric_name", "slo_window"), key, strict=True))
                rows.append({**named, "freshness": "missing"})
    return rows


def mark_fired(ops: Connection, service: str, slo: str) -> int:
    """Set ``alert_fired`` of the newest figures, now that a burn alert came; to how many it was new."""
    return ops.execute(
        """
        UPDATE slo_metrics SET alert_fired = true
        WHERE service_name = %s AND metric_name = %s AND slo_window IS NOT NULL AND NOT alert_fired
          AND measured_at > clock_timestamp() - %s
        """,
        (service, slo, NEWEST),
    ).rowcount


def store(ops: Connection, objective: Objective, found: Sequence[Figure], run_id: str) -> int:
    """Insert or replace the figures; how many are new or changed."""
    rows = [
        {
            "slo_window": one.window,
            "measured_at": one.measured_at.isoformat(),
            "seconds": one.seconds,
            "good": one.tally.good,
            "total": one.tally.total,
            "state": one.tally.state,
            "severity": one.severity,
        }
        for one in found
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


# alert_fired: Alertmanager reported a burn alert, within the window or while the figure was the newest; the
# receiver says so at once, and this when the figure is made later than that.
_STORE = """
INSERT INTO slo_metrics AS m (
    metric_name, service_name, measured_at, time_window_seconds, target_percentage, actual_percentage,
    error_budget_remaining, burn_rate, sample_count, success_count, violation_count, breach_detected,
    breach_severity, alert_fired, run_id, slo_window, version, state)
SELECT %(slo)s, %(service)s, g.measured_at, g.seconds, t.target * 100,
       100 * g.good::numeric / nullif(g.total, 0),
       CASE WHEN g.total = 0 AND t.target < 1 THEN 100
            ELSE 100 - 100 * (g.total - g.good)::numeric / nullif((1 - t.target) * g.total, 0) END,
       (g.total - g.good)::numeric / nullif((1 - t.target) * g.total, 0),
       g.total, g.good, g.total - g.good, g.severity IS NOT NULL, g.severity,
       EXISTS (SELECT FROM alert_deliveries AS d
               WHERE d.service = %(service)s AND d.slo = %(slo)s AND d.status = 'firing'
                 AND d.alertname = ANY (%(burn_alerts)s) AND d.labels ->> 'sloth_id' = %(sloth_id)s
                 AND d.received_at > g.measured_at - make_interval(secs => g.seconds)
                 AND d.received_at <= g.measured_at + %(newest)s::interval),
       %(run_id)s, g.slo_window, %(version)s, g.state
FROM jsonb_to_recordset(%(rows)s::jsonb) AS g (
         slo_window text, measured_at timestamptz, seconds integer, good bigint, total bigint, state text,
         severity text)
CROSS JOIN (SELECT %(numerator)s::numeric / %(denominator)s AS target) AS t
ON CONFLICT (service_name, metric_name, slo_window, measured_at) WHERE slo_window IS NOT NULL DO UPDATE SET
    (time_window_seconds, target_percentage, actual_percentage, error_budget_remaining, burn_rate,
     sample_count, success_count, violation_count, breach_detected, breach_severity, alert_fired, run_id,
     version, state)
  = (excluded.time_window_seconds, excluded.target_percentage, excluded.actual_percentage,
     excluded.error_budget_remaining, excluded.burn_rate, excluded.sample_count, excluded.success_count,
     excluded.violation_count, excluded.breach_detected, excluded.breach_severity,
     m.alert_fired OR excluded.alert_fired, excluded.run_id, excluded.version, excluded.state)
WHERE (m.sample_count, m.success_count, m.state, m.version, m.breach_severity, m.alert_fired)
      IS DISTINCT FROM
      (excluded.sample_count, excluded.success_count, excluded.state, excluded.version,
       excluded.breach_severity, m.alert_fired OR excluded.alert_fired)
"""
