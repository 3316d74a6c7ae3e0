"""Checks that nothing is missing: the newest hour's counts, and every bucket on every instance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.clients.prometheus import Prometheus
from ops_platform.errors import OpsError, Unavailable
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import Objective, format_bound

PATIENCE = timedelta(minutes=30)
"""An hour is counted twelve minutes after its end; after this time its counts must be there."""


def newest_due(now: datetime) -> datetime:
    """Compute the start of the newest hour whose counts must be there by ``now``."""
    return (now.astimezone(UTC) - PATIENCE).replace(minute=0, second=0, microsecond=0) - HOUR


def missing_newest_hour(ops: Connection, objectives: Sequence[Objective], now: datetime) -> list[str]:
    """List the ids of the objectives without counts of the newest hour due."""
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
            [objective.id for objective in objectives],
            [objective.service for objective in objectives],
            [objective.name for objective in objectives],
            newest_due(now),
        ),
    ).fetchall()
    return [row["id"] for row in rows]


def counted_until(ops: Connection, objectives: Sequence[Objective]) -> datetime | None:
    """Find the end of the newest hour that is counted for all of them; None when one has no counts at all."""
    row = one_row(
        ops,
        """
        SELECT min(newest.start) AS start, count(newest.start) AS counted
        FROM unnest(%s::text[], %s::text[]) AS o (service, slo)
        CROSS JOIN LATERAL (
            SELECT max(window_start) AS start FROM slo_window_counts AS c
            WHERE c.service = o.service AND c.slo = o.slo AND c.window_seconds = 3600) AS newest
        """,
        ([objective.service for objective in objectives], [objective.name for objective in objectives]),
    )
    if row["counted"] < len(objectives):
        return None
    start: datetime = row["start"]
    return start.astimezone(UTC) + HOUR


def missing_buckets(prometheus: Prometheus, objectives: Sequence[Objective], at: datetime) -> list[str]:
    """Name each instance that counted events of an objective in the hour before ``at``, but lacks a bucket.

    Objectives of which no instance was seen are named too, and those whose Prometheus cannot be asked.
    """
    faults: list[str] = []
    for objective in objectives:
        buckets = [
            (selector, format_bound(selector.bound))
            for selector in objective.indicator.selectors
            if selector.bound is not None
        ]
        if not buckets:
            continue
        try:
            source = prometheus.source(objective.indicator.source)
            counting_instances = _instances(source, objective.indicator.total.query, at)
            if not counting_instances:
                faults.append(f"{objective.id}: no instance shows {objective.indicator.total}")
            for selector, bound in buckets:
                instances = counting_instances - _instances(source, selector.query, at)
                faults += [
                    f"{objective.id}: {instance} has no bucket le={bound}" for instance in sorted(instances)
                ]
        except OpsError as error:
            faults.append(f"{objective.id}: could not be looked at: {error}")
    return faults


def _instances(prometheus: Prometheus, query: str, at: datetime) -> set[str]:
    answer = prometheus.query(f"group by (job, instance) (last_over_time({query}[1h]))", at=at)
    if answer.warnings:
        raise Unavailable(f"Prometheus answers in part: {answer.warnings[0]}")
    return {f"{series.labels.get('job', '')} {series.labels.get('instance', '')}" for series in answer.series}
