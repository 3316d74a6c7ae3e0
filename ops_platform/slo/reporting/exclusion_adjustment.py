"""Adjusted counts against the exclusions as they stand, whatever they were when the hours were counted.

What an hour's adjusted counts leave out is said by its row (``excluded``), what they should by the
view ``slo_excluded_hours``. No clock is asked: an exclusion that came or went while its hours were
counted leaves them different.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting.slo_store import REVISION


def apply(ops: Connection, objectives: Sequence[Objective], run_id: str) -> int:
    """Bring up to the exclusions, as they stand, the hours that need no samples for it; how many changed.

    Of an hour that is left out whole nothing is left, and of one that no exclusion touches any more all
    is. The caller is ``records.alone``.
    """
    done = one_row(
        ops,
        _APPLY,
        {
            "services": [one.service for one in objectives],
            "slos": [one.name for one in objectives],
            "run_id": run_id,
        },
    )
    return int(done["changed"])


# A row that says the same without what is excluded, because nothing happened then, is no revision.
_APPLY = """
WITH due AS MATERIALIZED (
    SELECT service, slo, window_start, wanted, NOT isempty(wanted) AS nothing
    FROM slo_excluded_hours JOIN unnest(%(services)s::text[], %(slos)s::text[]) AS o (service, slo)
                                 USING (service, slo)
    WHERE excluded IS DISTINCT FROM wanted AND (isempty(wanted) OR wanted @> whole)
), old AS (
    SELECT c.*, d.wanted,
           CASE WHEN d.nothing THEN 0 ELSE c.good END AS now_good,
           CASE WHEN d.nothing THEN 0 ELSE c.total END AS now_total
    FROM slo_window_counts AS c JOIN due AS d USING (service, slo, window_start)
    WHERE c.window_seconds = 3600
    FOR UPDATE OF c
), compared AS (
    SELECT *, (adjusted_good, adjusted_total) IS DISTINCT FROM (now_good, now_total) AS differs FROM old
), kept AS (
    INSERT INTO slo_window_revisions (REVISION) SELECT REVISION FROM compared WHERE differs
    ON CONFLICT DO NOTHING
), written AS (
    UPDATE slo_window_counts AS c SET
        adjusted_good = n.now_good, adjusted_total = n.now_total, excluded = n.wanted, unapplied = NULL,
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
    """``service``, ``slo`` and ``window_start`` of the hours that are not (yet) as the exclusions say."""
    return ops.execute(
        """
        SELECT service, slo, window_start
        FROM slo_excluded_hours JOIN unnest(%s::text[], %s::text[]) AS o (service, slo) USING (service, slo)
        WHERE excluded IS DISTINCT FROM wanted ORDER BY window_start, service, slo
        """,
        ([one.service for one in objectives], [one.name for one in objectives]),
    ).fetchall()
