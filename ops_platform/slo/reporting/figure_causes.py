"""Where a budget went: the worst hours of an objective's own period, and the maintenance in a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ops_platform.clients.postgres import Connection
from ops_platform.slo.objectives import Objective

WORST = 3
"""Hours that are named."""


def worst_hours(ops: Connection, objective: Objective, end: datetime) -> list[dict[str, Any]]:
    """List the hours of the period up to ``end`` with most bad events, without excluded ones.

    Hours that are not known stand with the most that they may hold; those that nothing bounds come first.
    ``reason`` is None where the hour is known; ``period_total`` are all known events of the period.
    """
    return ops.execute(
        """
        WITH period AS (
            SELECT window_start, adjusted_total AS total, adjusted_total - adjusted_good AS bad,
                   adjusted_bad_least AS bad_least, adjusted_bad_most AS bad_most, resets,
                   CASE WHEN adjusted_total IS NULL THEN coalesce(reason, 'not known') END AS reason,
                   sum(adjusted_total) OVER ()::bigint AS period_total
            FROM slo_window_counts
            WHERE service = %s AND slo = %s AND window_seconds = 3600 AND indicator = %s
              AND window_start >= %s AND window_start < %s
        )
        SELECT * FROM period WHERE total IS NULL OR bad > 0
        ORDER BY coalesce(bad, bad_most) DESC NULLS FIRST, window_start
        LIMIT %s
        """,
        (
            objective.service,
            objective.name,
            objective.indicator.version,
            objective.period.start(end),
            end,
            WORST,
        ),
    ).fetchall()


def maintenance(ops: Connection, objective: Objective, end: datetime) -> list[dict[str, Any]]:
    """List the exclusions in force that touch the period up to ``end``, the earliest first."""
    return ops.execute(
        """
        SELECT id, service, slo, starts_at, ends_at, reason FROM slo_exclusions
        WHERE service = %s AND (slo IS NULL OR slo = %s) AND withdrawn_at IS NULL
          AND starts_at < %s AND ends_at > %s
        ORDER BY starts_at, id
        """,
        (objective.service, objective.name, end, objective.period.start(end)),
    ).fetchall()


def left_out(ops: Connection, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """List the exclusions in force of all services that touch the time from ``start`` to ``end``."""
    return ops.execute(
        """
        SELECT id, service, slo, starts_at, ends_at, reason FROM slo_exclusions
        WHERE withdrawn_at IS NULL AND starts_at < %s AND ends_at > %s ORDER BY starts_at, id
        """,
        (end, start),
    ).fetchall()
