"""Where a budget went, as the UI shows it: by day and by hour, what was left out, links to the samples.

Tables come as Dagster's own where nothing in them is a link: those are seen without a click.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops_platform import markdown
from ops_platform.clients.postgres import Connection
from ops_platform.errors import OpsError
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import Objective, Selector
from ops_platform.slo.reporting import burn_down, figure_causes, graph_url
from ops_platform.slo.reporting import error_budget as budget

if TYPE_CHECKING:
    from ops_platform.clients.prometheus import Prometheus

_OF_TARGETS = ("job", "instance", "namespace", "cluster")
_BEFORE = (timedelta(days=1), timedelta(days=7))
MOST_ROWS = 50
"""Rows of a table, and objectives whose budgets plot over the partitions: events stay small."""
Row = dict[str, Any]


@dataclass(frozen=True)
class WorstHour:
    """An hour that burned a budget; ``bad`` and ``share`` (of the budget, in percent) are words."""

    objective: Objective
    start: datetime
    bad: str
    total: int | None
    share: str
    restarts: int
    maintenance: str
    reason: str
    most: float
    """The most bad events that it may hold."""


def burn_downs(ops: Connection, objectives: Sequence[Objective], end: datetime) -> str:
    """Tell what is left of each budget, now and before, and draw it by day of its period, as a table."""
    rows = []
    for objective in objectives[:MOST_ROWS]:
        points = burn_down.by_day(ops, objective, end)
        at = {point.measured_at: point for point in points}
        now, *before = (at.get(end - ago) for ago in (timedelta(0), *_BEFORE))
        verdict = "no figure" if now is None else now.verdict or "undecided"
        left = [_left(point) for point in (now, *before)] if objective.target < 1 else ["no budget", "", ""]
        rows.append((objective.id, objective.period, verdict, *left, burn_down.drawn(points) or "-"))
    columns = ("objective", "period", "verdict", "left %", "a day before", "7 days before", "by day")
    drawn = markdown.table(columns, rows)
    left_away = len(objectives) - MOST_ROWS
    return drawn if left_away <= 0 else f"{drawn}\n\nand {left_away} more: the check of each shows its own"


def _left(point: burn_down.Remaining | None) -> str:
    return "-" if point is None else text(point.least, point.most, 1)


def budgets_left(
    ops: Connection, objectives: Sequence[Objective], start: datetime, end: datetime
) -> dict[datetime, dict[str, dg.MetadataValue]]:
    """Collect by moment what was left of the first MOST_ROWS budgets: numbers that plot over partitions."""
    by_moment: dict[datetime, dict[str, dg.MetadataValue]] = defaultdict(dict)
    for objective in objectives[:MOST_ROWS]:
        for point in burn_down.over(ops, objective, start, end):
            plotted = by_moment[point.measured_at.astimezone(UTC)]
            if point.least is not None and point.most is not None:
                least, most = (percent(Fraction(value) / 100, 1) for value in (point.least, point.most))
                if point.least == point.most:
                    plotted[f"{objective.id}: budget left %"] = least
                else:
                    plotted[f"{objective.id}: budget left %, at least"] = least
                    plotted[f"{objective.id}: budget left %, at most"] = most
            plotted[f"{objective.id}: verdict"] = dg.MetadataValue.text(point.verdict or "undecided")
    return by_moment


def worst_hours(ops: Connection, objectives: Sequence[Objective], end: datetime) -> list[WorstHour]:
    """List the hours in which most of each budget went, at most MOST_ROWS: what nothing bounds first."""
    found = []
    for objective in objectives:
        maintenance = figure_causes.maintenance(ops, objective, end)
        for hour in figure_causes.worst_hours(ops, objective, end):
            start = hour["window_start"].astimezone(UTC)
            touching = [
                f"{row['id']}: {row['reason']}"
                for row in maintenance
                if row["starts_at"] < start + HOUR and row["ends_at"] > start
            ]
            known = hour["bad"] is not None
            least, most = (hour["bad"],) * 2 if known else (hour["bad_least"], hour["bad_most"])
            found.append(
                WorstHour(
                    objective,
                    start,
                    text(least, most, 0),
                    hour["total"],
                    _share(objective, hour["period_total"], least, most),
                    int(hour["resets"] or 0),
                    "; ".join(touching) or "no",
                    hour["reason"] or "counted",
                    math.inf if most is None else float(most),
                )
            )
    return sorted(found, key=lambda hour: hour.most, reverse=True)[:MOST_ROWS]


def _share(objective: Objective, period_total: int | None, least: int | None, most: int | None) -> str:
    """Word how many percent of the period's budget bad events are: of what the period holds so far."""
    if objective.target == 1:
        return "no budget"
    if not period_total or least is None or most is None:
        return "unknown"
    allowed = objective.budget * period_total
    return budget.percent_between((Fraction(least) / allowed, Fraction(most) / allowed), 1)


def hours_table(hours: Sequence[WorstHour]) -> dg.MetadataValue:
    """Lay out the worst hours as a table that is seen at once."""
    if not hours:
        return dg.MetadataValue.text("no bad events")
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "objective": hour.objective.id,
                    "hour, UTC": f"{hour.start:%Y-%m-%d %H:%M}",
                    "bad": hour.bad,
                    "all": "unknown" if hour.total is None else str(hour.total),
                    "% of the budget": hour.share,
                    "maintenance": hour.maintenance,
                    "restarts": str(hour.restarts),
                    "known": hour.reason,
                }
            )
            for hour in hours
        ]
    )


def hours_links(hours: Sequence[WorstHour], prometheus: "Prometheus | None") -> str:
    """Link the worst hours to the graph of their events, and to the starts of the processes behind them."""
    rows = []
    for hour in hours:
        server = server_url(prometheus, hour.objective)
        if server is not None:
            total, end = hour.objective.indicator.total, hour.start + HOUR
            rows.append(
                (
                    hour.objective.id,
                    f"{hour.start:%Y-%m-%d %H:%M}",
                    f"[events]({graph_url(server, total.query, end, HOUR)})",
                    f"[starts of processes]({graph_url(server, process_starts(total), end, HOUR)})",
                )
            )
    return markdown.table(("objective", "hour, UTC", "graph", "deployments"), rows) if rows else "none"


def server_url(prometheus: "Prometheus | None", objective: Objective) -> str | None:
    """Find the URL of the server that the objective is counted from."""
    try:
        return None if prometheus is None else prometheus.source(objective.indicator.source).url
    except OpsError:
        return None


def process_starts(selector: Selector) -> str:
    """Write the query of the process starts behind a selector: deployments and crashes show as steps."""
    matchers = [str(matcher) for matcher in selector.matchers if matcher.name in _OF_TARGETS]
    return f"process_start_time_seconds{{{','.join(matchers)}}}" if matchers else "process_start_time_seconds"


def left_out(rows: Sequence[Row]) -> str:
    """List exclusions as a table, by the number that ``ops-platform slo exclusion list`` shows."""
    if not rows:
        return "nothing"
    return markdown.table(
        ("exclusion", "of", "from, UTC", "to, UTC", "reason"),
        [
            (
                row["id"],
                row["service"] if row["slo"] is None else f"{row['service']}-{row['slo']}",
                _moment(row["starts_at"]),
                _moment(row["ends_at"]),
                row["reason"],
            )
            for row in rows[-MOST_ROWS:]
        ],
    )


def percent(share: Fraction, digits: int = 3) -> dg.MetadataValue:
    """Show a share in percent, rounded down as everywhere: 99.95, not fifteen digits."""
    return dg.MetadataValue.float(float(budget.percent(share, digits)))


def in_percent(value: Any, digits: int) -> dg.MetadataValue:
    """Show a stored percentage, rounded down."""
    return percent(Fraction(value) / 100, digits)


def between(least: Any, most: Any, digits: int) -> dg.MetadataValue:
    """Show a number that plots where it is exact, else what it lies between."""
    if least is not None and least == most:
        return dg.MetadataValue.int(int(least)) if digits == 0 else in_percent(least, digits)
    return dg.MetadataValue.text(text(least, most, digits))


def text(least: Any, most: Any, digits: int) -> str:
    """Word a percentage that is bounded, or a number of events where ``digits`` is 0."""
    if least is None or most is None:
        return "unknown"
    if digits == 0:
        return f"{least} to {most}" if least != most else str(least)
    return budget.percent_between((Fraction(least) / 100, Fraction(most) / 100), digits)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
