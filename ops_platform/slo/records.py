"""The ops database's memory of objectives: counts with their revisions, the ledger, the figures.

Everything is recomputable and every write can be repeated: what has not changed is not written. What a
worker killed between two transactions leaves, and who finishes it, is said in ``keeping``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from ops_platform.clients.postgres import Connection, lock_key
from ops_platform.slo import figures
from ops_platform.slo.objective import Objective
from ops_platform.slo.window import WindowCount

Row = dict[str, Any]
SETTLED = timedelta(hours=2)
"""Samples that have not come by then come by no ordinary way (remote write catches up in minutes)."""


def alone(ops: Connection) -> None:
    """Of all that derive from counts, until the transaction ends.

    Two runs that both found an hour without its debit would both enter it; and one that read the hours
    before another changed them would write its figures over the other's.
    """
    ops.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key("slo_derived"),))


def register(ops: Connection, objectives: Iterable[Objective]) -> None:
    """Keep the definition of every version that figures are made with."""
    for one in objectives:
        definition = {
            "title": one.title,
            "description": one.description,
            "good": None if one.indicator.good is None else str(one.indicator.good),
            "bad": None if one.indicator.bad is None else str(one.indicator.bad),
            "total": str(one.indicator.total),
        }
        ops.execute(
            """
            INSERT INTO slo_objectives (service, slo, version, indicator, target, period, definition)
            VALUES (%s, %s, %s, %s, %s::numeric / %s, %s, %s) ON CONFLICT DO NOTHING
            """,
            (
                one.service,
                one.name,
                one.version,
                one.indicator.version,
                one.target.numerator,
                one.target.denominator,
                str(one.period),
                Jsonb(definition),
            ),
        )


def store(
    ops: Connection, objective: Objective, counts: Sequence[WindowCount], run_id: str, now: datetime
) -> int:
    """Insert or replace the windows; what they said before is kept. How many are new or changed.

    What is final and known does not become unknown: Prometheus forgets, and the counts must not.
    """
    rows = [
        {
            "window_start": one.start.isoformat(),
            "window_seconds": one.seconds,
            "good": one.good,
            "total": one.total,
            "adjusted_good": one.good if one.adjusted_good is None else one.adjusted_good,
            "adjusted_total": one.total if one.adjusted_total is None else one.adjusted_total,
            "reason": one.reason,
            "fingerprint": one.fingerprint,
            "scrapes_expected": one.scrapes_expected,
            "scrapes_seen": one.scrapes_seen,
            "resets": one.resets,
            "settled": one.start + timedelta(seconds=one.seconds) + SETTLED <= now,
        }
        for one in counts
    ]
    changed = ops.execute(
        _STORE,
        {
            "rows": json.dumps(rows),
            "service": objective.service,
            "slo": objective.name,
            "indicator": objective.indicator.version,
            "run_id": run_id,
        },
    ).fetchone()
    return int(changed["changed"]) if changed else 0


# ``settled`` alone is no revision: it says that the row stands.
_STORE = """
WITH given AS (
    SELECT *, CASE WHEN total IS NULL THEN 'source_missing' ELSE 'measured' END AS state
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
        window_start timestamptz, window_seconds integer, good bigint, total bigint, adjusted_good bigint,
        adjusted_total bigint, reason text, fingerprint text, scrapes_expected integer,
        scrapes_seen integer, resets integer, settled boolean)
), old AS (
    SELECT c.* FROM slo_window_counts AS c JOIN given AS g USING (window_start, window_seconds)
    WHERE c.service = %(service)s AND c.slo = %(slo)s
    FOR UPDATE OF c
), fresh AS (
    SELECT g.* FROM given AS g LEFT JOIN old AS o USING (window_start, window_seconds)
    WHERE o.service IS NULL
       OR NOT (o.settled AND o.total IS NOT NULL AND g.total IS NULL AND o.indicator = %(indicator)s)
      AND (o.good, o.total, o.adjusted_good, o.adjusted_total, o.reason, o.fingerprint, o.indicator)
          IS DISTINCT FROM
          (g.good, g.total, g.adjusted_good, g.adjusted_total, g.reason, g.fingerprint, %(indicator)s)
), kept AS (
    INSERT INTO slo_window_revisions
    SELECT o.* FROM old AS o JOIN fresh USING (window_start, window_seconds)
    ON CONFLICT DO NOTHING
), settling AS (
    UPDATE slo_window_counts AS c SET settled = c.settled OR g.settled, checked_at = clock_timestamp()
    FROM given AS g
    WHERE c.service = %(service)s AND c.slo = %(slo)s
      AND (c.window_start, c.window_seconds) = (g.window_start, g.window_seconds)
      AND NOT EXISTS (SELECT FROM fresh AS f
                      WHERE (f.window_start, f.window_seconds) = (g.window_start, g.window_seconds))
), written AS (
    INSERT INTO slo_window_counts AS c (
        service, slo, window_start, window_seconds, good, total, adjusted_good, adjusted_total, state, reason,
        computed_at, indicator, fingerprint, scrapes_expected, scrapes_seen, resets, settled, run_id)
    SELECT %(service)s, %(slo)s, window_start, window_seconds, good, total, adjusted_good, adjusted_total,
           state, reason, clock_timestamp(), %(indicator)s, fingerprint, scrapes_expected, scrapes_seen,
           resets, settled, %(run_id)s
    FROM fresh
    ON CONFLICT (service, slo, window_start, window_seconds) DO UPDATE SET
        (good, total, adjusted_good, adjusted_total, state, reason, computed_at, indicator, fingerprint,
         scrapes_expected, scrapes_seen, resets, settled, run_id, checked_at, revision)
      = (excluded.good, excluded.total, excluded.adjusted_good, excluded.adjusted_total, excluded.state,
         excluded.reason, excluded.computed_at, excluded.indicator, excluded.fingerprint,
         excluded.scrapes_expected, excluded.scrapes_seen, excluded.resets, excluded.settled, excluded.run_id,
         clock_timestamp(), c.revision + 1)
    RETURNING 1
)
SELECT count(*) AS changed FROM written
"""


def unsettled(ops: Connection, objectives: Sequence[Objective], before: datetime) -> list[datetime]:
    """The hours that figures depend on and that are provisional or counted by another indicator.

    And those, however old, that an exclusion touches which came or went after they were counted last;
    and those that figures depend on and no run has counted (nobody ran the schedule), though it did
    earlier ones.
    """
    since = before - figures.reach(objectives)
    rows = ops.execute(
        """
        SELECT DISTINCT c.window_start AS at
        FROM slo_window_counts AS c
        JOIN unnest(%s::text[], %s::text[], %s::text[]) AS o (service, slo, indicator)
          ON (o.service, o.slo) = (c.service, c.slo)
        WHERE c.window_start >= %s AND c.window_start < %s AND c.window_seconds = 3600
          AND (NOT c.settled OR c.indicator IS DISTINCT FROM o.indicator)
        UNION
        SELECT c.window_start
        FROM slo_exclusions AS e
        JOIN slo_window_counts AS c
          ON c.service = e.service AND c.slo = coalesce(e.slo, c.slo) AND c.window_seconds = 3600
         AND c.window_start < e.ends_at AND c.window_start > e.starts_at - interval '1 hour'
        WHERE greatest(e.created_at, e.withdrawn_at) > c.checked_at
        UNION
        SELECT hour
        FROM unnest(%s::text[], %s::text[]) AS o (service, slo)
        CROSS JOIN LATERAL (
            SELECT min(c.window_start) AS start FROM slo_window_counts AS c
            WHERE (c.service, c.slo) = (o.service, o.slo) AND c.window_seconds = 3600) AS first
        CROSS JOIN LATERAL generate_series(
            greatest(first.start, %s::timestamptz), %s::timestamptz - interval '1 hour', '1 hour') AS hour
        WHERE first.start IS NOT NULL AND NOT EXISTS (
            SELECT FROM slo_window_counts AS c
            WHERE (c.service, c.slo) = (o.service, o.slo) AND c.window_seconds = 3600
              AND c.window_start = hour)
        ORDER BY 1
        """,
        (
            [one.service for one in objectives],
            [one.name for one in objectives],
            [one.indicator.version for one in objectives],
            since,
            before,
            [one.service for one in objectives],
            [one.name for one in objectives],
            since,
            before,
        ),
    ).fetchall()
    return [row["at"] for row in rows]


def enter(ops: Connection, objective: Objective, start: datetime, end: datetime, run_id: str) -> int:
    """Bring the ledger up to the counts of the hours from ``start`` to ``end``; how many entries it took.

    The caller is ``alone``.
    """
    return ops.execute(
        """
        INSERT INTO slo_budget_ledger (service, slo, version, window_start, window_seconds, total, debit,
                                       reason, run_id)
        SELECT c.service, c.slo, %(version)s, c.window_start, c.window_seconds,
               coalesce(c.adjusted_total, 0) - coalesce(l.total, 0),
               coalesce(c.adjusted_total - c.adjusted_good, 0) - coalesce(l.debit, 0),
               CASE WHEN l.window_start IS NULL THEN 'counted' ELSE 'corrected' END, %(run_id)s
        FROM slo_window_counts AS c
        LEFT JOIN LATERAL (
            SELECT min(e.window_start) AS window_start, sum(e.total) AS total, sum(e.debit) AS debit
            FROM slo_budget_ledger AS e
            WHERE (e.service, e.slo, e.version, e.window_start)
                  = (c.service, c.slo, %(version)s, c.window_start) AND e.window_seconds = c.window_seconds
        ) AS l ON true
        WHERE c.service = %(service)s AND c.slo = %(slo)s AND c.window_seconds = 3600
          AND c.window_start >= %(start)s AND c.window_start < %(end)s
          AND (coalesce(c.adjusted_total, 0) IS DISTINCT FROM coalesce(l.total, 0)
               OR coalesce(c.adjusted_total - c.adjusted_good, 0) IS DISTINCT FROM coalesce(l.debit, 0)
               OR (l.window_start IS NULL AND c.total IS NOT NULL))
        ORDER BY c.window_start
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


def hours_of(ops: Connection, objective: Objective, start: datetime, end: datetime) -> list[Row]:
    """The stored hours, in order."""
    return ops.execute(
        """
        SELECT window_start, good, total, adjusted_good, adjusted_total, state, reason, settled, revision,
               fingerprint, indicator, scrapes_expected, scrapes_seen, resets
        FROM slo_window_counts
        WHERE service = %s AND slo = %s AND window_seconds = 3600 AND window_start >= %s AND window_start < %s
        ORDER BY window_start
        """,
        (objective.service, objective.name, start, end),
    ).fetchall()
