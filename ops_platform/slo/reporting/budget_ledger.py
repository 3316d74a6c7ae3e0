"""The ledger of the error budgets: append-only; a correction is an entry with the difference."""

from __future__ import annotations

from datetime import datetime

from ops_platform.clients.postgres import Connection
from ops_platform.slo.objectives import Objective


def enter(ops: Connection, objective: Objective, start: datetime, end: datetime, run_id: str) -> int:
    """Bring the ledger up to the counts of the hours from ``start`` to ``end``; return the number of entries.

    Entries are of the objective as it is, and of each earlier version that has entries of such an hour; of
    either only for hours that its own indicator counted. The caller holds ``slo_store.lock_writers``.
    """
    return ops.execute(
        """
        INSERT INTO slo_budget_ledger (service, slo, version, window_start, window_seconds, total, debit,
                                       reason, run_id)
        SELECT c.service, c.slo, v.version, c.window_start, c.window_seconds,
               coalesce(c.adjusted_total, 0) - coalesce(l.total, 0),
               coalesce(c.adjusted_total - c.adjusted_good, 0) - coalesce(l.debit, 0),
               CASE WHEN l.window_start IS NULL THEN 'counted' ELSE 'corrected' END, %(run_id)s
        FROM slo_window_counts AS c
        JOIN slo_objectives AS v ON (v.service, v.slo, v.indicator) = (c.service, c.slo, c.indicator)
        LEFT JOIN LATERAL (
            SELECT min(e.window_start) AS window_start, sum(e.total) AS total, sum(e.debit) AS debit
            FROM slo_budget_ledger AS e
            WHERE (e.service, e.slo, e.version, e.window_start)
                  = (c.service, c.slo, v.version, c.window_start) AND e.window_seconds = c.window_seconds
        ) AS l ON true
        WHERE c.service = %(service)s AND c.slo = %(slo)s AND c.window_seconds = 3600
          AND c.window_start >= %(start)s AND c.window_start < %(end)s
          AND (v.version = %(version)s OR l.window_start IS NOT NULL)
          AND (coalesce(c.adjusted_total, 0) IS DISTINCT FROM coalesce(l.total, 0)
               OR coalesce(c.adjusted_total - c.adjusted_good, 0) IS DISTINCT FROM coalesce(l.debit, 0)
               OR (l.window_start IS NULL AND c.adjusted_total IS NOT NULL))
        ORDER BY c.window_start, v.first_seen, v.version
        """,
        {
            "service": objective.service,
            "slo": objective.name,
            "version": objective.version,
            "start": start,
            "end": end,
            "run_id": run_id,
        },
    ).rowcount
