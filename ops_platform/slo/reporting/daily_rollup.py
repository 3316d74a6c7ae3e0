"""Days as the sums of their stored hours, in the same table; with an unknown hour, sums of bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.slo.bounds import Bounds
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import bound_columns, slo_store

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount

DAY = timedelta(days=1)
HOURS = 24


def store(ops: Connection, objective: Objective, start: datetime, end: datetime, run_id: str) -> int:
    """Add up and store the days from ``start`` to ``end``; return how many rows are new or changed.

    Raises ConfigurationError unless both are midnights in UTC. The caller holds ``slo_store.lock_writers``.
    """
    if (start.hour, end.hour, start.utcoffset()) != (0, 0, timedelta(0)):
        raise ConfigurationError("days begin at midnight in UTC")
    rows = slo_store.hours_of(ops, objective, start, end)
    days = []
    while start < end:
        hours = [row for row in rows if start <= row["window_start"] < start + DAY]
        days.append(_day(start, hours, objective.indicator.version))
        start += DAY
    return slo_store.store(ops, objective, days, run_id, datetime.now(UTC))


def stored_days(ops: Connection, objective: Objective, hours: Sequence[datetime]) -> list[datetime]:
    """List the beginnings of the days that are stored and hold some of ``hours``."""
    rows = ops.execute(
        """
        SELECT window_start FROM slo_window_counts
        WHERE service = %s AND slo = %s AND window_seconds = 86400 AND window_start = ANY (%s)
        ORDER BY window_start
        """,
        (objective.service, objective.name, sorted({hour.astimezone(UTC).replace(hour=0) for hour in hours})),
    ).fetchall()
    return [row["window_start"].astimezone(UTC) for row in rows]


def _day(start: datetime, hours: list[slo_store.Row], indicator: str) -> WindowCount:
    from ops_platform.slo.counting.window import WindowCount  # loads numpy: only where something is counted

    hours_of_indicator = [row for row in hours if row["indicator"] == indicator]
    known = [row for row in hours_of_indicator if row["total"] is not None]
    digest = hashlib.sha256("\n".join(str(row["fingerprint"]) for row in hours).encode()).hexdigest()[:32]
    whole = len(known) == HOURS

    def summed(column: str) -> int | None:
        """Add up a column; None when one of the hours is not known, or its adjusted counts are not."""
        values = [row[column] for row in hours_of_indicator if row[column] is not None]
        return sum(int(value) for value in values) if len(values) == HOURS else None

    def bounded(prefix: str) -> Bounds | None:
        """Add up the bounds of the hours; None when one of them has none."""
        bounds = [bound_columns.bounds_of(row, prefix) for row in hours_of_indicator]
        known = [hour for hour in bounds if hour is not None]
        return sum(known, Bounds.exactly(0, 0)) if len(known) == HOURS else None

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
        bounds=None if summed("total") is not None else bounded(""),
        adjusted_bounds=None if summed("adjusted_total") is not None else bounded("adjusted_"),
    )
