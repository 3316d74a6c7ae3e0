"""Days as the sums of their stored hours, in the same table. One unknown hour makes the day unknown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import slo_store as records

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount

DAY = timedelta(days=1)
HOURS = 24


def store(ops: Connection, objective: Objective, start: datetime, end: datetime, run_id: str) -> int:
    """The days from ``start`` to ``end``, midnights in UTC; how many are new or changed.

    The caller is ``records.alone``.
    """
    if (start.hour, end.hour, start.utcoffset()) != (0, 0, timedelta(0)):
        raise ConfigurationError("days begin at midnight in UTC")
    rows = records.hours_of(ops, objective, start, end)
    found = []
    while start < end:
        hours = [row for row in rows if start <= row["window_start"] < start + DAY]
        found.append(_day(start, hours, objective.indicator.version))
        start += DAY
    return records.store(ops, objective, found, run_id, datetime.now(UTC))


def stored(ops: Connection, objective: Objective, hours: Sequence[datetime]) -> list[datetime]:
    """Beginnings of the days that are stored and hold some of ``hours``."""
    rows = ops.execute(
        """
        SELECT window_start FROM slo_window_counts
        WHERE service = %s AND slo = %s AND window_seconds = 86400 AND window_start = ANY (%s)
        ORDER BY window_start
        """,
        (objective.service, objective.name, sorted({hour.astimezone(UTC).replace(hour=0) for hour in hours})),
    ).fetchall()
    return [row["window_start"].astimezone(UTC) for row in rows]


def _day(start: datetime, hours: list[records.Row], indicator: str) -> WindowCount:
    from ops_platform.slo.counting.window import WindowCount  # numpy: see ``counting``

    ours = [row for row in hours if row["indicator"] == indicator]
    known = [row for row in ours if row["total"] is not None]
    digest = hashlib.sha256("\n".join(str(row["fingerprint"]) for row in hours).encode()).hexdigest()[:32]
    whole = len(known) == HOURS

    def summed(column: str) -> int | None:
        """None when one of the hours is not known, or not without what is excluded."""
        every = [row[column] for row in ours if row[column] is not None]
        return sum(int(one) for one in every) if len(every) == HOURS else None

    return WindowCount(
        start=start,
        seconds=HOURS * 3600,
        good=summed("good"),
        total=summed("total"),
        reason=None if whole else f"{HOURS - len(known)} of its {HOURS} hours are not known",
        fingerprint=digest,
        scrapes_expected=sum(int(row["scrapes_expected"] or 0) for row in hours),
        scrapes_seen=sum(int(row["scrapes_seen"] or 0) for row in hours),
        resets=sum(int(row["resets"] or 0) for row in hours),
        adjusted_good=summed("adjusted_good"),
        adjusted_total=summed("adjusted_total"),
    )
