"""Objectives' versions and counts, with the counts' revisions, in the ops database.

Everything is recomputable and every write can be repeated: an unchanged row is not written. What a worker
killed between two transactions leaves, and which run finishes it, is said in ``refresh``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from ops_platform.clients.postgres import Connection, lock_key, one_row
from ops_platform.slo.counting import HOUR, Exclusion, exclusions
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import bound_columns, figures

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount

Row = dict[str, Any]
SETTLED = timedelta(hours=2)
"""The age from which an hour is final: later samples come by no ordinary way (remote write takes minutes)."""
REVISION = """
    service, slo, window_start, window_seconds, good, total, state, reason, computed_at, indicator,
    fingerprint, adjusted_good, adjusted_total, scrapes_expected, scrapes_seen, resets, settled, revision,
    run_id, checked_at, excluded, good_least, good_most, bad_least, bad_most, adjusted_good_least,
    adjusted_good_most, adjusted_bad_least, adjusted_bad_most"""
"""The columns of a row of counts that are kept as a revision when it changes."""


def lock_writers(ops: Connection) -> None:
    """Lock out all others that write counts or what derives from them, until the transaction ends.

    Without it, two runs that both found an hour without its debit would both enter it; one that read the
    hours before another changed them would write its figures over the other's; and two that both counted
    an hour for the first time would keep only one of the counts.
    """
    ops.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key("slo_derived"),))


def register(ops: Connection, objectives: Iterable[Objective]) -> None:
    """Store the definition of every version that figures are made with."""
    for objective in objectives:
        definition = {
            "title": objective.title,
            "description": objective.description,
            **objective.indicator.definition,
        }
        ops.execute(
            """
            INSERT INTO slo_objectives (service, slo, version, indicator, target, period, definition)
            VALUES (%s, %s, %s, %s, %s::numeric / %s, %s, %s) ON CONFLICT DO NOTHING
            """,
            (
                objective.service,
                objective.name,
                objective.version,
                objective.indicator.version,
                objective.target.numerator,
                objective.target.denominator,
                str(objective.period),
                Jsonb(definition),
            ),
        )


def store(
    ops: Connection,
    objective: Objective,
    counts: Sequence[WindowCount],
    run_id: str,
    now: datetime,
    excluded: Sequence[Exclusion] = (),
) -> int:
    """Insert or replace the windows, keeping earlier rows as revisions; return how many are new or changed.

    ``excluded`` are the exclusions they were counted with. Prometheus forgets, and the counts must not: a
    known count stays when there are fewer samples of it, and a final unknown one becomes known only by
    samples that it was not counted from. The caller holds ``lock_writers``.
    """
    rows = [
        {
            "window_start": count.start.isoformat(),
            "window_seconds": count.seconds,
            "good": count.good,
            "total": count.total,
            "adjusted_good": count.adjusted_good,
            "adjusted_total": count.adjusted_total,
            "reason": count.reason,
            "fingerprint": count.fingerprint,
            "scrapes_expected": count.scrapes_expected,
            "scrapes_seen": count.scrapes_seen,
            "resets": count.resets,
            "settled": end + SETTLED <= now,
            "excluded": exclusions.as_multirange(excluded, objective, count.start, end),
            **bound_columns.columns(count.bounds),
            **bound_columns.columns(count.adjusted_bounds, "adjusted_"),
        }
        for count in counts
        for end in [count.start + timedelta(seconds=count.seconds)]
    ]
    changed = one_row(
        ops,
        _STORE,
        {
            "rows": json.dumps(rows),
            "service": objective.service,
            "slo": objective.name,
            "indicator": objective.indicator.version,
            "run_id": run_id,
        },
    )
    return int(changed["changed"])


# Neither ``settled`` alone makes a revision, which says that the row is final, nor another exclusion in a
# time in which nothing happened.
_STORE = """
WITH given AS (
    SELECT *, CASE WHEN total IS NULL THEN 'source_missing' ELSE 'measured' END AS state
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
        window_start timestamptz, window_seconds integer, good bigint, total bigint, adjusted_good bigint,
        adjusted_total bigint, reason text, fingerprint text, scrapes_expected integer,
        scrapes_seen integer, resets integer, settled boolean, excluded tstzmultirange,
        good_least bigint, good_most bigint, bad_least bigint, bad_most bigint, adjusted_good_least bigint,
        adjusted_good_most bigint, adjusted_bad_least bigint, adjusted_bad_most bigint)
), old AS (
    SELECT c.* FROM slo_window_counts AS c JOIN given AS g USING (window_start, window_seconds)
    WHERE c.service = %(service)s AND c.slo = %(slo)s
    FOR UPDATE OF c
), compared AS (
    SELECT g.*,
           coalesce(o.indicator = %(indicator)s AND CASE
               -- So are the bounds of what was never known.
               WHEN g.total IS NULL AND o.total IS NULL
               THEN o.bad_most IS NOT NULL
                    AND (g.scrapes_seen < o.scrapes_seen OR o.settled AND g.bad_most IS NULL)
               WHEN g.total IS NULL
               THEN o.total IS NOT NULL AND (o.settled OR g.scrapes_seen < o.scrapes_seen)
               -- The same samples, and less doubt: what was there before them is no longer known.
               ELSE o.total IS NULL AND o.settled AND o.fingerprint = g.fingerprint END, false) AS forgotten,
           o.service IS NULL
           OR (o.good, o.total, o.adjusted_good, o.adjusted_total, o.reason, o.fingerprint, o.indicator,
               o.good_least, o.good_most, o.bad_least, o.bad_most, o.adjusted_good_least,
               o.adjusted_good_most, o.adjusted_bad_least, o.adjusted_bad_most)
              IS DISTINCT FROM
              (g.good, g.total, g.adjusted_good, g.adjusted_total, g.reason, g.fingerprint, %(indicator)s,
               g.good_least, g.good_most, g.bad_least, g.bad_most, g.adjusted_good_least,
               g.adjusted_good_most, g.adjusted_bad_least, g.adjusted_bad_most)
              AS differs
    FROM given AS g LEFT JOIN old AS o USING (window_start, window_seconds)
), fresh AS (
    SELECT * FROM compared WHERE differs AND NOT forgotten
), kept AS (
    INSERT INTO slo_window_revisions (REVISION)
    SELECT REVISION FROM old JOIN (SELECT window_start, window_seconds FROM fresh) AS f
                                  USING (window_start, window_seconds)
    ON CONFLICT DO NOTHING
), settling AS (
    UPDATE slo_window_counts AS c SET
        settled = c.settled OR g.settled, checked_at = clock_timestamp(),
        excluded = CASE WHEN g.forgotten THEN c.excluded ELSE g.excluded END,
        unapplied = CASE WHEN g.forgotten AND g.excluded IS DISTINCT FROM c.excluded THEN g.excluded END
    FROM compared AS g
    WHERE c.service = %(service)s AND c.slo = %(slo)s
      AND (c.window_start, c.window_seconds) = (g.window_start, g.window_seconds)
      AND (g.forgotten OR NOT g.differs)
), written AS (
    INSERT INTO slo_window_counts AS c (
        service, slo, window_start, window_seconds, good, total, adjusted_good, adjusted_total, state, reason,
        computed_at, indicator, fingerprint, scrapes_expected, scrapes_seen, resets, settled, run_id,
        excluded, derived, good_least, good_most, bad_least, bad_most, adjusted_good_least,
        adjusted_good_most, adjusted_bad_least, adjusted_bad_most)
    SELECT %(service)s, %(slo)s, window_start, window_seconds, good, total, adjusted_good, adjusted_total,
           state, reason, clock_timestamp(), %(indicator)s, fingerprint, scrapes_expected, scrapes_seen,
           resets, settled, %(run_id)s, excluded, window_seconds <> 3600, good_least, good_most, bad_least,
           bad_most, adjusted_good_least, adjusted_good_most, adjusted_bad_least, adjusted_bad_most
    FROM fresh
    ON CONFLICT (service, slo, window_start, window_seconds) DO UPDATE SET
        (good, total, adjusted_good, adjusted_total, state, reason, computed_at, indicator, fingerprint,
         scrapes_expected, scrapes_seen, resets, settled, run_id, excluded, derived, good_least, good_most,
         bad_least, bad_most, adjusted_good_least, adjusted_good_most, adjusted_bad_least, adjusted_bad_most,
         unapplied, checked_at, revision)
      = (excluded.good, excluded.total, excluded.adjusted_good, excluded.adjusted_total, excluded.state,
         excluded.reason, excluded.computed_at, excluded.indicator, excluded.fingerprint,
         excluded.scrapes_expected, excluded.scrapes_seen, excluded.resets, excluded.settled, excluded.run_id,
         excluded.excluded, excluded.derived, excluded.good_least, excluded.good_most, excluded.bad_least,
         excluded.bad_most, excluded.adjusted_good_least, excluded.adjusted_good_most,
         excluded.adjusted_bad_least, excluded.adjusted_bad_most, NULL, clock_timestamp(), c.revision + 1)
    RETURNING 1
)
SELECT count(*) AS changed FROM written
""".replace("REVISION", REVISION)


def unsettled(ops: Connection, objectives: Sequence[Objective], before: datetime) -> list[datetime]:
    """List the hours before ``before`` that must be counted again, or for the first time.

    These are

    - of the hours that figures depend on, those that are provisional or counted by another indicator;
    - of these also unknown hours, whenever they are twice as old as at their last count: a source that was
      away may be back, and a lost one is asked ever more rarely;
    - of these also hours that no run has counted (the schedule was off) after the first one counted;
    - hours, however old, whose adjusted counts do not follow the exclusions, unless Prometheus had no
      samples of them any more when it was tried.
    """
    # From midnight: a day must not hold hours that another indicator counted.
    since = (before - figures.reach(objectives)).astimezone(UTC).replace(hour=0, minute=0)
    rows = ops.execute(
        """
        SELECT DISTINCT c.window_start AS at
        FROM slo_window_counts AS c
        JOIN unnest(%s::text[], %s::text[], %s::text[]) AS o (service, slo, indicator)
          ON (o.service, o.slo) = (c.service, c.slo)
        WHERE c.window_start >= %s AND c.window_start < %s AND c.window_seconds = 3600
          AND (NOT c.settled OR c.indicator IS DISTINCT FROM o.indicator
               OR c.total IS NULL
                  AND clock_timestamp() - c.window_start >= 2 * (c.checked_at - c.window_start))
        UNION
        SELECT h.window_start
        FROM slo_excluded_hours AS h
        JOIN unnest(%s::text[], %s::text[], %s::text[]) AS o (service, slo, indicator)
          ON (o.service, o.slo, o.indicator) = (h.service, h.slo, h.indicator)
        WHERE h.excluded IS DISTINCT FROM h.wanted AND h.unapplied IS DISTINCT FROM h.wanted
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
            [objective.service for objective in objectives],
            [objective.name for objective in objectives],
            [objective.indicator.version for objective in objectives],
            since,
            before,
            [objective.service for objective in objectives],
            [objective.name for objective in objectives],
            [objective.indicator.version for objective in objectives],
            [objective.service for objective in objectives],
            [objective.name for objective in objectives],
            since,
            before,
        ),
    ).fetchall()
    return [row["at"].astimezone(UTC) for row in rows]


def spans(hours: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Join hours, given by their beginnings in order, to the (start, end) of stretches without a gap."""
    joined: list[tuple[datetime, datetime]] = []
    for hour in hours:
        if joined and joined[-1][1] == hour:
            joined[-1] = (joined[-1][0], hour + HOUR)
        else:
            joined.append((hour, hour + HOUR))
    return joined


def underived(ops: Connection, objective: Objective) -> list[datetime]:
    """List the hours, in order, from whose counts ledger, figures and days have yet to be derived."""
    rows = ops.execute(
        """
        SELECT window_start FROM slo_window_counts
        WHERE service = %s AND slo = %s AND window_seconds = 3600 AND NOT derived ORDER BY window_start
        """,
        (objective.service, objective.name),
    ).fetchall()
    return [row["window_start"].astimezone(UTC) for row in rows]


def mark_derived(ops: Connection, objective: Objective) -> None:
    """Record that all hours are derived from. The caller has held ``lock_writers`` since it asked which."""
    ops.execute(
        "UPDATE slo_window_counts SET derived = true WHERE service = %s AND slo = %s AND NOT derived",
        (objective.service, objective.name),
    )


def unknown(
    ops: Connection, objectives: Sequence[Objective], within: Sequence[tuple[datetime, datetime]]
) -> list[Row]:
    """List the stored hours in these spans whose counts, or adjusted counts, are not known."""
    return ops.execute(
        """
        SELECT c.service, c.slo, c.window_start, c.reason
        FROM slo_window_counts AS c
        JOIN unnest(%s::text[], %s::text[]) AS o (service, slo) ON (o.service, o.slo) = (c.service, c.slo)
        WHERE c.window_seconds = 3600 AND (c.total IS NULL OR c.adjusted_total IS NULL)
          AND EXISTS (SELECT FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS s (since, until)
                      WHERE c.window_start >= s.since AND c.window_start < s.until)
        ORDER BY c.window_start, c.service, c.slo
        """,
        (
            [objective.service for objective in objectives],
            [objective.name for objective in objectives],
            [since for since, _ in within],
            [until for _, until in within],
        ),
    ).fetchall()


def hours_of(ops: Connection, objective: Objective, start: datetime, end: datetime) -> list[Row]:
    """Load the stored hours from ``start`` to ``end``, in order."""
    return ops.execute(
        """
        SELECT window_start, good, total, adjusted_good, adjusted_total, state, reason, settled, revision,
               fingerprint, indicator, scrapes_expected, scrapes_seen, resets, good_least, good_most,
               bad_least, bad_most, adjusted_good_least, adjusted_good_most, adjusted_bad_least,
               adjusted_bad_most
        FROM slo_window_counts
        WHERE service = %s AND slo = %s AND window_seconds = 3600 AND window_start >= %s AND window_start < %s
        ORDER BY window_start
        """,
        (objective.service, objective.name, start, end),
    ).fetchall()
