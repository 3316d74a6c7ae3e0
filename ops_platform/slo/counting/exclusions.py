"""Times that an agreement leaves out of an objective, such as announced maintenance.

The counts stay whole; beside them stand the adjusted ones, without the events of excluded times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed
from ops_platform.slo.bounds import Bounds
from ops_platform.slo.objectives import Objective

if TYPE_CHECKING:
    from ops_platform.slo.counting.reader import Reading
    from ops_platform.slo.counting.window import WindowCount


@dataclass(frozen=True)
class Exclusion:
    """An excluded time (``start``, ``end``] of one objective; of all of a service when ``slo`` is None."""

    service: str
    slo: str | None
    start: datetime
    end: datetime

    def overlaps(self, objective: Objective, start: datetime, end: datetime) -> bool:
        """Tell whether it leaves out some of the objective's time from ``start`` to ``end``."""
        return self.applies_to(objective) and self.start < end and self.end > start

    def covers(self, start: datetime) -> bool:
        """Tell whether a part that begins at ``start`` lies in it: to the millisecond, as samples do."""
        from ops_platform.slo.counting.range_query import milliseconds

        return milliseconds(self.start) <= milliseconds(start) < milliseconds(self.end)

    def applies_to(self, objective: Objective) -> bool:
        """Tell whether it is of this objective, or of its whole service."""
        return self.service == objective.service and self.slo in (None, objective.name)


def load(ops: Connection, start: datetime, end: datetime) -> list[Exclusion]:
    """Load the exclusions in force that touch the time from ``start`` to ``end``, the earliest first."""
    rows = ops.execute(
        """
        SELECT service, slo, starts_at, ends_at FROM slo_exclusions
        WHERE starts_at < %s AND ends_at > %s AND withdrawn_at IS NULL ORDER BY starts_at, id
        """,
        (end, start),
    ).fetchall()
    return [Exclusion(row["service"], row["slo"], row["starts_at"], row["ends_at"]) for row in rows]


def add(ops: Connection, exclusion: Exclusion, reason: str, author: str) -> int:
    """Store an exclusion and return its id; the next run counts its hours again.

    Raises CheckFailed when it does not end after it begins.
    """
    if exclusion.start >= exclusion.end:
        raise CheckFailed("an exclusion must end after it begins")
    row = one_row(
        ops,
        """
        INSERT INTO slo_exclusions (service, slo, starts_at, ends_at, reason, created_by, created_at)
        VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp()) RETURNING id
        """,
        (exclusion.service, exclusion.slo, exclusion.start, exclusion.end, reason, author),
    )
    return int(row["id"])


def withdraw(ops: Connection, exclusion_id: int, author: str) -> None:
    """Withdraw an exclusion. Raises CheckFailed when none of this number is in force."""
    updated = ops.execute(
        """
        UPDATE slo_exclusions SET withdrawn_at = clock_timestamp(), withdrawn_by = %s
        WHERE id = %s AND withdrawn_at IS NULL
        """,
        (author, exclusion_id),
    )
    if updated.rowcount == 0:
        raise CheckFailed(f"there is no exclusion {exclusion_id} in force: 'ops-platform slo exclusion list'")


def history(ops: Connection) -> list[dict[str, Any]]:
    """List all exclusions that were ever made, the newest first.

    ``not_applied``: the hours within it whose adjusted counts do not leave it out, or still leave it out
    although it was withdrawn.
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


def as_multirange(
    exclusions: Sequence[Exclusion], objective: Objective, start: datetime, end: datetime
) -> str:
    """Write what they leave out of the objective from ``start`` to ``end`` as a ``tstzmultirange``."""
    relevant = [exclusion for exclusion in exclusions if exclusion.overlaps(objective, start, end)]
    ranges = [
        f"({max(exclusion.start, start).isoformat()},{min(exclusion.end, end).isoformat()}]"
        for exclusion in relevant
    ]
    return f"{{{','.join(ranges)}}}"


def count(
    objective: Objective, reading: Reading, bounds: Sequence[datetime], exclusions: Sequence[Exclusion]
) -> list[WindowCount]:
    """Count the windows, whole and without excluded times: to the event, wherever these begin in a window.

    An unknown stretch leaves the adjusted counts known where it is excluded.
    """
    from ops_platform.slo.counting.kinds import measure  # loads numpy: only where something is counted

    relevant = [exclusion for exclusion in exclusions if exclusion.overlaps(objective, bounds[0], bounds[-1])]
    whole = measure.count(objective.indicator, reading, bounds)
    if not relevant:
        return [
            replace(
                uncut,
                adjusted_good=uncut.good,
                adjusted_total=uncut.total,
                adjusted_bounds=uncut.bounds,
            )
            for uncut in whole
        ]
    edges = {
        edge
        for exclusion in relevant
        for edge in (exclusion.start, exclusion.end)
        if bounds[0] < edge < bounds[-1]
    }
    parts = measure.count(objective.indicator, reading, sorted({*bounds, *edges}), bounds)
    return [_adjusted(uncut, parts, relevant) for uncut in whole]


def _adjusted(
    whole: WindowCount, parts: Sequence[WindowCount], exclusions: Sequence[Exclusion]
) -> WindowCount:
    from ops_platform.slo.counting.window import REASON_LENGTH

    end = whole.start + timedelta(seconds=whole.seconds)
    bounds: Bounds | None = Bounds.exactly(0, 0)
    doubt: str | None = None
    for part in parts:
        inside = whole.start <= part.start < end
        if not inside or any(exclusion.covers(part.start) for exclusion in exclusions):
            continue
        known = None if part.good is None or part.bad is None else Bounds.exactly(part.good, part.bad)
        if known is None:
            # The whole may be known all the same: what cancels out over an hour need not in a part of it.
            doubt = doubt or f"without what is excluded: {part.reason}"[:REASON_LENGTH]
        of_part = known or part.bounds
        bounds = None if bounds is None or of_part is None else bounds + of_part
    if doubt is not None or bounds is None:
        reason = whole.reason or doubt
        return replace(whole, adjusted_good=None, adjusted_total=None, adjusted_bounds=bounds, reason=reason)
    good, bad = bounds.good_least, bounds.bad_least
    return replace(whole, adjusted_good=good, adjusted_total=good + bad)
