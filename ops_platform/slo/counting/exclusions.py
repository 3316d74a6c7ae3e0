"""Times that an agreement leaves out of an objective, such as announced maintenance.

The counts stay whole; beside them stand those without what was seen in an excluded time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed
from ops_platform.slo.objectives import Objective

if TYPE_CHECKING:
    from ops_platform.slo.counting.reader import Reading
    from ops_platform.slo.counting.window import WindowCount


@dataclass(frozen=True)
class Exclusion:
    """Of one objective, or with ``slo`` None of all of a service: what is seen in (``start``, ``end``]."""

    service: str
    slo: str | None
    start: datetime
    end: datetime

    def touches(self, objective: Objective, start: datetime, end: datetime) -> bool:
        return self.of(objective) and self.start < end and self.end > start

    def holds(self, start: datetime) -> bool:
        """Whether what is counted from ``start`` on lies in it: to the millisecond, as samples do."""
        from ops_platform.slo.counting.range_query import milliseconds

        return milliseconds(self.start) <= milliseconds(start) < milliseconds(self.end)

    def of(self, objective: Objective) -> bool:
        return self.service == objective.service and self.slo in (None, objective.name)


def load(ops: Connection, start: datetime, end: datetime) -> list[Exclusion]:
    """All that touch the time from ``start`` to ``end``."""
    rows = ops.execute(
        """
        SELECT service, slo, starts_at, ends_at FROM slo_exclusions
        WHERE starts_at < %s AND ends_at > %s AND withdrawn_at IS NULL ORDER BY starts_at, id
        """,
        (end, start),
    ).fetchall()
    return [Exclusion(row["service"], row["slo"], row["starts_at"], row["ends_at"]) for row in rows]


def add(ops: Connection, wanted: Exclusion, reason: str, by: str) -> int:
    """Keep it; its id. The next run counts its hours again. Raises CheckFailed when it is no span of time."""
    if wanted.start >= wanted.end:
        raise CheckFailed("an exclusion must end after it begins")
    row = one_row(
        ops,
        """
        INSERT INTO slo_exclusions (service, slo, starts_at, ends_at, reason, created_by, created_at)
        VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp()) RETURNING id
        """,
        (wanted.service, wanted.slo, wanted.start, wanted.end, reason, by),
    )
    return int(row["id"])


def withdraw(ops: Connection, number: int, by: str) -> None:
    """From now on it excludes nothing. Raises CheckFailed when there is none, or none any more."""
    done = ops.execute(
        """
        UPDATE slo_exclusions SET withdrawn_at = clock_timestamp(), withdrawn_by = %s
        WHERE id = %s AND withdrawn_at IS NULL
        """,
        (by, number),
    )
    if done.rowcount == 0:
        raise CheckFailed(f"there is no exclusion {number} that stands: 'ops-platform slo exclusion list'")


def every(ops: Connection) -> list[dict[str, Any]]:
    """All that were ever made, the newest first.

    ``not_applied``: the hours that hold it and do not leave it out, or that leave it out although it
    was withdrawn.
    """
    return ops.execute(
        """
        WITH differing AS MATERIALIZED (
            SELECT * FROM slo_excluded_hours WHERE excluded IS DISTINCT FROM wanted)
        SELECT e.*, ARRAY(
            SELECT DISTINCT h.window_start
            FROM differing AS h CROSS JOIN LATERAL (
                SELECT tstzrange(e.starts_at, e.ends_at, '(]') * h.whole AS part) AS p
            WHERE h.service = e.service AND (e.slo IS NULL OR h.slo = e.slo) AND NOT isempty(p.part)
              AND CASE WHEN e.withdrawn_at IS NULL THEN NOT coalesce(h.excluded @> p.part, false)
                       ELSE coalesce((h.excluded - h.wanted) && p.part, true) END
            ORDER BY 1) AS not_applied
        FROM slo_exclusions AS e ORDER BY e.starts_at DESC, e.id DESC
        """
    ).fetchall()


def within(exclusions: Sequence[Exclusion], objective: Objective, start: datetime, end: datetime) -> str:
    """What they leave out of the objective between ``start`` and ``end``, as a ``tstzmultirange``."""
    ours = [one for one in exclusions if one.touches(objective, start, end)]
    ranges = [f"({max(one.start, start).isoformat()},{min(one.end, end).isoformat()}]" for one in ours]
    return f"{{{','.join(ranges)}}}"


def count(
    objective: Objective, reading: Reading, bounds: Sequence[datetime], exclusions: Sequence[Exclusion]
) -> list[WindowCount]:
    """The windows, whole and without what is excluded: to the event, wherever in a window it begins.

    What is not known is no harm to the adjusted counts where it is excluded.
    """
    from ops_platform.slo.counting import window  # numpy: see ``counting``

    ours = [one for one in exclusions if one.touches(objective, bounds[0], bounds[-1])]
    whole = window.count(objective.indicator, reading, bounds)
    if not ours:
        return [replace(one, adjusted_good=one.good, adjusted_total=one.total) for one in whole]
    edges = {edge for one in ours for edge in (one.start, one.end) if bounds[0] < edge < bounds[-1]}
    parts = window.count(objective.indicator, reading, sorted({*bounds, *edges}))
    return [_adjusted(one, parts, ours) for one in whole]


def _adjusted(whole: WindowCount, parts: Sequence[WindowCount], ours: Sequence[Exclusion]) -> WindowCount:
    from ops_platform.slo.counting.window import REASON_LENGTH

    end = whole.start + timedelta(seconds=whole.seconds)
    good = total = 0
    for part in parts:
        inside = whole.start <= part.start < end
        if not inside or any(one.holds(part.start) for one in ours):
            continue
        if part.good is None or part.total is None:
            # Of the whole it may be known all the same: what cancels out over an hour need not in a part.
            reason = whole.reason or f"without what is excluded: {part.reason}"[:REASON_LENGTH]
            return replace(whole, adjusted_good=None, adjusted_total=None, reason=reason)
        good, total = good + part.good, total + part.total
    return replace(whole, adjusted_good=good, adjusted_total=total)
