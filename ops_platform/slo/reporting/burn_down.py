"""What was left of an objective's budget at earlier moments: its stored figures, over its own period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ops_platform.clients.postgres import Connection
from ops_platform.slo.objectives import Objective

DAY = timedelta(days=1)
_LEVELS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Remaining:
    """What was left at a moment, in percent of the budget: least and most; None where nothing bounds it."""

    measured_at: datetime
    least: Decimal | None
    most: Decimal | None
    verdict: str | None


def over(ops: Connection, objective: Objective, start: datetime, end: datetime) -> list[Remaining]:
    """Load what was left at each stored moment after ``start`` and up to ``end``, in order."""
    return _load(ops, objective, start, end, None)


def by_day(ops: Connection, objective: Objective, end: datetime) -> list[Remaining]:
    """Load what was left at ``end`` and whole days before it, back to the beginning of its period."""
    start = objective.period.start(end) - timedelta(microseconds=1)
    return _load(ops, objective, start, end, end)


def _load(
    ops: Connection, objective: Objective, start: datetime, end: datetime, every_day_to: datetime | None
) -> list[Remaining]:
    rows = ops.execute(
        """
        SELECT measured_at, error_budget_remaining_least AS least, error_budget_remaining_most AS most,
               verdict
        FROM slo_metrics
        WHERE service_name = %(service)s AND metric_name = %(slo)s AND slo_window = %(period)s
          AND measured_at > %(start)s AND measured_at <= %(end)s
          AND (%(days)s::timestamptz IS NULL
               OR mod(extract(epoch FROM %(days)s::timestamptz - measured_at)::bigint, 86400) = 0)
        ORDER BY measured_at
        """,
        {
            "service": objective.service,
            "slo": objective.name,
            "period": str(objective.period),
            "start": start,
            "end": end,
            "days": every_day_to,
        },
    ).fetchall()
    return [Remaining(row["measured_at"], row["least"], row["most"], row["verdict"]) for row in rows]


def drawn(points: Sequence[Remaining]) -> str:
    """Draw the least that was left as a line of blocks: ✗ overspent, ? where nothing bounds it."""
    return "".join(map(_block, points))


def _block(point: Remaining) -> str:
    if point.least is None:
        return "?"
    if point.least <= 0:
        return "✗"
    return _LEVELS[min(len(_LEVELS) - 1, int(point.least * len(_LEVELS) / 100))]
