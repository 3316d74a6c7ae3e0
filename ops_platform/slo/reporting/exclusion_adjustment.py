"""Adjusted counts brought up to the exclusions in force, whatever these were when the hours were counted.

An hour's row records what its adjusted counts leave out (``excluded``), the view ``slo_excluded_hours``
what they should leave out. The two are compared, without any clock: an exclusion that came or went while
its hours were counted leaves them different.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting.slo_store import REVISION


def apply(ops: Connection, objectives: Sequence[Objective], run_id: str) -> int:
    """Adjust the hours that need no samples for it to the exclusions in force; return how many changed.

    An hour that is excluded as a whole counts nothing, one that no exclusion touches any more counts
    everything. The caller holds ``slo_store.lock_writers``.
    """
    row = one_row(
        ops,
        _APPLY,
        {
            "services": [objective.service for objective in objectives],
            "slos": [objective.name for objective in objectives],
            "run_id": run_id,
        },
    )
    return int(row["changed"])


# A row whose adjusted counts stay the same, because nothing happened in the excluded time, is not revised.
_APPLY = """
WITH due AS MATERIALIZED (
    SELECT service, slo, window_start, wanted, NOT isempty(wanted) AS nothing
    FROM slo_excluded_hours JOIN unnest(%(services)s::text[], %(slos)s::text[]) AS o (service, slo)
                                 USING (service, slo)
    WHERE excluded IS DISTINCT FROM wanted AND (isempty(wanted) OR wanted @> whole)
), old AS (
    SELECT c.*, d.wanted,
           CASE WHEN d.nothing THEN 0 ELSE c.good END AS now_good,
           CASE WHEN d.nothing THEN 0 ELSE c.total END AS now_total,
           CASE WHEN NOT d.nothing THEN c.good_least END AS now_good_least,
           CASE WHEN NOT d.nothing THEN c.good_most END AS now_good_most,
           CASE WHEN NOT d.nothing THEN c.bad_least END AS now_bad_least,
           CASE WHEN NOT d.nothing THEN c.bad_most END AS now_bad_most
    FROM slo_window_counts AS c JOIN due AS d USING (service, slo, window_start)
    WHERE c.window_seconds = 3600
    FOR UPDATE OF c
), compared AS (
    SELECT *, (adjusted_good, adjusted_total, adjusted_good_least, adjusted_good_most, adjusted_bad_least,
               adjusted_bad_most)
              IS DISTINCT FROM
              (now_good, now_total, now_good_least, now_good_most, now_bad_least, now_bad_most) AS differs
    FROM old
), kept AS (
    INSERT INTO slo_window_revisions (REVISION) SELECT REVISION FROM compared WHERE differs
    ON CONFLICT DO NOTHING
), written AS (
    UPDATE slo_window_counts AS c SET
        adjusted_good = n.now_good, adjusted_total = n.now_total, adjusted_good_least = n.now_good_least,
        adjusted_good_most = n.now_good_most, adjusted_bad_least = n.now_bad_least,
        adjusted_bad_most = n.now_bad_most, excluded = n.wanted, unapplied = NULL,
        reason = CASE WHEN c.total IS NULL THEN c.reason END,
        derived = c.derived AND NOT n.differs, revision = c.revision + n.differs::integer,
        computed_at = CASE WHEN n.differs THEN clock_timestamp() ELSE c.computed_at END,
        run_id = CASE WHEN n.differs THEN %(run_id)s ELSE c.run_id END
    FROM compared AS n
    WHERE (c.service, c.slo, c.window_start, c.window_seconds)
          = (n.service, n.slo, n.window_start, n.window_seconds)
    RETURNING n.differs
)
SELECT count(*) FILTER (WHERE differs) AS changed FROM written
""".replace("REVISION", REVISION)


def unapplied(ops: Connection, objectives: Sequence[Objective]) -> list[dict[str, Any]]:
    """List service, slo and window_start of the hours whose counts do not (yet) follow the exclusions."""
    return ops.execute(
        """
        SELECT service, slo, window_start
        FROM slo_excluded_hours JOIN unnest(%s::text[], %s::text[]) AS o (service, slo) USING (service, slo)
        WHERE excluded IS DISTINCT FROM wanted ORDER BY window_start, service, slo
        """,
        ([objective.service for objective in objectives], [objective.name for objective in objectives]),
    ).fetchall()
