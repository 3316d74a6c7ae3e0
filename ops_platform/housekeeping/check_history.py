"""The history of checks, thinned: runs that only said again what was known go, what changed stays.

``wal_checks`` runs every quarter of an hour for each stanza, and its runs are most of what Dagster's database
grows by. Of old ones stay, with all their events: those in which a check changed its answer, the first of
each day, the newest, and every run that did not succeed. Runs that made anything stay, of whatever job.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ops_platform.clients.postgres import Connection

JOBS = ("wal_checks",)
_BATCH = 500
# An answer is a change in view of the one before it; once those between two equal ones are gone, it still is.
_IDLE_RUNS = """
    WITH answers AS (
        SELECT run_id, execution_status,
               lag(execution_status) OVER (PARTITION BY asset_key, check_name ORDER BY at, id) AS before,
               row_number() OVER (PARTITION BY asset_key, check_name, at::date ORDER BY at, id) AS of_day,
               row_number() OVER (PARTITION BY asset_key, check_name ORDER BY at DESC, id DESC) AS from_end
        FROM (SELECT *, evaluation_event_timestamp AS at FROM asset_check_executions) AS e
    ), runs_of_answers AS (
        SELECT run_id,
               bool_or(before IS DISTINCT FROM execution_status OR of_day = 1 OR from_end = 1) AS tells
        FROM answers GROUP BY run_id
    )
    SELECT r.run_id FROM runs AS r JOIN runs_of_answers AS a USING (run_id)
    WHERE r.pipeline_name = ANY(%(jobs)s) AND r.status = 'SUCCESS' AND NOT a.tells
      AND r.create_timestamp < %(cutoff)s
      AND NOT EXISTS (
          SELECT FROM event_logs AS l WHERE l.run_id = r.run_id
            AND l.dagster_event_type IN ('ASSET_MATERIALIZATION', 'ASSET_OBSERVATION'))
    ORDER BY r.id
"""
_DELETE = (
    "DELETE FROM asset_check_executions WHERE run_id = ANY(%(runs)s)",
    "DELETE FROM event_logs WHERE run_id = ANY(%(runs)s)",
    "DELETE FROM run_tags WHERE run_id = ANY(%(runs)s)",
    "DELETE FROM runs WHERE run_id = ANY(%(runs)s)",
)


def thin(dagster: Connection, keep: timedelta, now: datetime, log: Callable[[str], None]) -> int:
    """Delete runs of checks older than ``keep`` that tell nothing new; return how many.

    ``dagster`` is in autocommit mode. Each batch is one transaction: a crash between two leaves the rest for
    the next time.
    """
    # Dagster stores naive UTC.
    cutoff = (now - keep).astimezone(UTC).replace(tzinfo=None)
    rows = dagster.execute(_IDLE_RUNS, {"jobs": list(JOBS), "cutoff": cutoff}).fetchall()
    run_ids = [row["run_id"] for row in rows]
    for start in range(0, len(run_ids), _BATCH):
        batch = {"runs": run_ids[start : start + _BATCH]}
        with dagster.transaction():
            for statement in _DELETE:
                dagster.execute(statement, batch)
    log(f"history of checks: {len(run_ids)} runs deleted that told nothing new")
    return len(run_ids)
