"""What must be there: the newest hour's counts, and every bucket on every instance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import Unavailable
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import Objective, written

PATIENCE = timedelta(minutes=30)
"""An hour is counted twelve minutes after its end; so long it may take."""


def newest_due(now: datetime) -> datetime:
    """Start of the newest hour whose counts must be there."""
    return (now.astimezone(UTC) - PATIENCE).replace(minute=0, second=0, microsecond=0) - HOUR


def without_newest(ops: Connection, objectives: Sequence[Objective], now: datetime) -> list[str]:
    """The objectives whose counts of the newest hour due are not there."""
    rows = ops.execute(
        """
        SELECT o.id
        FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS o (id, service, slo, place)
        WHERE NOT EXISTS (
            SELECT FROM slo_window_counts AS c
            WHERE c.service = o.service AND c.slo = o.slo AND c.window_seconds = 3600
              AND c.window_start >= %s)
        ORDER BY o.place
        """,
        (
            [one.id for one in objectives],
            [one.service for one in objectives],
            [one.name for one in objectives],
            newest_due(now),
        ),
    ).fetchall()
    return [row["id"] for row in rows]


def counted_until(ops: Connection, objectives: Sequence[Objective]) -> datetime | None:
    """End of the newest hour that is counted for all of them; None when one has no counts at all."""
    row = one_row(
        ops,
        """
        SELECT min(newest.start) AS start, count(newest.start) AS counted
        FROM unnest(%s::text[], %s::text[]) AS o (service, slo)
        CROSS JOIN LATERAL (
            SELECT max(window_start) AS start FROM slo_window_counts AS c
            WHERE c.service = o.service AND c.slo = o.slo AND c.window_seconds = 3600) AS newest
        """,
        ([one.service for one in objectives], [one.name for one in objectives]),
    )
    if row["counted"] < len(objectives):
        return None
    start: datetime = row["start"]
    return start.astimezone(UTC) + HOUR


def without_bucket(prometheus: Prometheus, objectives: Sequence[Objective], at: datetime) -> list[str]:
    """Each instance that counted events of an objective in the hour before ``at``, and lacks a bucket of it.

    Objectives that nothing was seen of are named too. Raises Unavailable.
    """
    found = []
    for one in objectives:
        buckets = [
            (selector, written(selector.bound))
            for selector in one.indicator.selectors
            if selector.bound is not None
        ]
        if not buckets:
            continue
        everywhere = _instances(prometheus, one.indicator.total.query, at)
        if not everywhere:
            found.append(f"{one.id}: no instance shows {one.indicator.total}")
        for selector, bound in buckets:
            lacking = everywhere - _instances(prometheus, selector.query, at)
            found += [f"{one.id}: {where} has no bucket le={bound}" for where in sorted(lacking)]
    return found


def _instances(prometheus: Prometheus, query: str, at: datetime) -> set[str]:
    answer = prometheus.query(f"group by (job, instance) (last_over_time({query}[1h]))", at=at)
    if answer.warnings:
        raise Unavailable(f"Prometheus answers in part: {answer.warnings[0]}")
    return {f"{one.labels.get('job', '')} {one.labels.get('instance', '')}" for one in answer.series}
