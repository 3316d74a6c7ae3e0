"""An objective as the UI shows it: its budget over time, hours that burned it, what was left out, links."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg

from ops_platform import markdown
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.clients.safe_errors import describe
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource
from ops_platform.errors import OpsError
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import Objective, Selector
from ops_platform.slo.reporting import burn_down, figure_causes, figures, graph_url
from ops_platform.slo.reporting import error_budget as budget

if TYPE_CHECKING:
    from ops_platform.clients.prometheus import Prometheus

COMPLIANCE = dg.AssetKey(["slo", "compliance"])
_OF_TARGETS = ("job", "instance", "namespace", "cluster")
MOST_ROWS = 50
"""Rows of a table, and objectives whose budgets plot over the partitions: events stay small."""
Row = dict[str, Any]


def check_names(objectives: Sequence[Objective]) -> dict[str, Objective]:
    """Name the check of each objective: ``objective_`` and its id, in letters that Dagster takes."""
    names: dict[str, Objective] = {}
    for objective in sorted(objectives, key=lambda unsorted: unsorted.id):
        name = "objective_" + "".join(char if char.isalnum() else "_" for char in objective.id)
        while name in names:
            name += "_"
        names[name] = objective
    return names


def objective_checks(objectives: Sequence[Objective]) -> list[dg.AssetChecksDefinition]:
    """Build a check of each objective; any of them can be run by itself."""
    names = check_names(objectives)
    if not names:
        return []
    specs = [
        dg.AssetCheckSpec(
            name,
            asset=COMPLIANCE,
            description=f"{objective.title}: it is met over {objective.period}, whatever unknown hours held.",
        )
        for name, objective in names.items()
    ]

    @dg.multi_asset_check(name="slo_objectives", specs=specs, can_subset=True)
    def slo_objectives(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.AssetCheckResult]:
        """Judge the selected objectives by their newest stored figures."""
        selected = sorted(key.name for key in context.selected_asset_check_keys)
        with reported_failures():
            results = _results(platform, {name: names[name].id for name in selected})
        yield from results

    return [slo_objectives]


def _results(platform: PlatformResource, ids: Mapping[str, str]) -> list[dg.AssetCheckResult]:
    try:
        prometheus = linked(platform)
        current = {objective.id: objective for objective in platform.objectives()}
        with postgres.session(platform.settings().require("database_url")) as ops:
            return [_checked(ops, name, current.get(id_), prometheus) for name, id_ in ids.items()]
    except (OpsError, psycopg.Error) as error:
        return [_not_passed(name, f"could not be checked: {describe(error)}") for name in ids]


def _checked(
    ops: Connection, name: str, objective: Objective | None, prometheus: "Prometheus | None"
) -> dg.AssetCheckResult:
    if objective is None:
        return _not_passed(name, "it is no longer among the objectives: reload the code location")
    row = next(
        (
            row
            for row in figures.latest_with_freshness(ops, [objective], datetime.now(UTC))
            if row["slo_window"] == str(objective.period)
        ),
        None,
    )
    if row is None or row["freshness"] == "missing":
        return _not_passed(name, "it has no figure yet: materialise slo/hourly_counts")
    end: datetime = row["measured_at"].astimezone(UTC)
    if row["version"] != objective.version:
        return _not_passed(
            name,
            f"it has no figure yet: the newest, of {end:%Y-%m-%d %H:%M} UTC, is of its former target, period "
            "or indicator; materialise slo/hourly_counts",
        )
    if row["freshness"] != "current":
        return _not_passed(name, f"its newest figure is of {end:%Y-%m-%d %H:%M} UTC, which is too old")
    verdict = row["verdict"] or "undecided"
    known = f"{row['windows_known']} of {row['windows_expected']} hours known"
    metadata = {
        "verdict": dg.MetadataValue.text(verdict),
        "hours known": dg.MetadataValue.text(known),
        "target %": _percent(row["target_percentage"], 3),
        "good %": _between(row["actual_percentage_least"], row["actual_percentage_most"], 3),
        "budget left %": _between(row["error_budget_remaining_least"], row["error_budget_remaining_most"], 1),
        "bad events": _between(row["violation_count_least"], row["violation_count_most"], 0),
        "budget left by day": dg.MetadataValue.text(burn_down.drawn(burn_down.by_day(ops, objective, end))),
        "worst hours": dg.MetadataValue.md(worst_hours(ops, [objective], end, prometheus)),
        "left out": dg.MetadataValue.md(left_out(figure_causes.maintenance(ops, objective, end))),
    }
    server = server_url(prometheus, objective)
    if server is not None:
        metadata["graph"] = dg.MetadataValue.url(
            graph_url(
                server,
                f'slo:sli_error:ratio_rate1h{{sloth_id="{objective.id}"}}',
                end,
                end - objective.period.start(end),
            )
        )
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=COMPLIANCE,
        passed=verdict == "met",
        severity=dg.AssetCheckSeverity.ERROR if verdict == "breached" else dg.AssetCheckSeverity.WARN,
        description=f"{verdict} at {end:%Y-%m-%d %H:%M} UTC, {known}",
        metadata=metadata,
    )


def burn_downs(ops: Connection, objectives: Sequence[Objective], end: datetime) -> str:
    """Draw what was left of each budget, a block for each day of its period, as a table."""
    rows = []
    for objective in objectives[:MOST_ROWS]:
        points = burn_down.by_day(ops, objective, end)
        newest = points[-1] if points else None
        left = "-" if newest is None else _text(newest.least, newest.most, 1)
        left = "no budget" if objective.target == 1 else left
        rows.append((objective.id, objective.period, burn_down.drawn(points) or "-", left))
    drawn = markdown.table(("objective", "period", "budget left by day", "left %"), rows)
    left_away = len(objectives) - MOST_ROWS
    return drawn if left_away <= 0 else f"{drawn}\n\nand {left_away} more: the check of each shows its own"


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


def worst_hours(
    ops: Connection, objectives: Sequence[Objective], end: datetime, prometheus: "Prometheus | None"
) -> str:
    """Name the hours in which most of each budget went, as a table: those that nothing bounds come first."""
    rows = []
    for objective in objectives:
        server = server_url(prometheus, objective)
        maintenance = figure_causes.maintenance(ops, objective, end)
        for hour in figure_causes.worst_hours(ops, objective, end):
            start = hour["window_start"].astimezone(UTC)
            at, restarts = f"{start:%Y-%m-%d %H:%M}", str(hour["resets"] or 0)
            if server is not None:
                total = objective.indicator.total
                at = f"[{at}]({graph_url(server, total.query, start + HOUR, HOUR)})"
                restarts = f"[{restarts}]({graph_url(server, process_starts(total), start + HOUR, HOUR)})"
            touching = ", ".join(
                str(row["id"])
                for row in maintenance
                if row["starts_at"] < start + HOUR and row["ends_at"] > start
            )
            bad = _text(hour["bad_least"], hour["bad_most"], 0) if hour["bad"] is None else hour["bad"]
            most = hour["bad"] if hour["bad"] is not None else hour["bad_most"]
            cells = (objective.id, at, bad, hour["total"], restarts, touching, hour["reason"] or "counted")
            rows.append((math.inf if most is None else most, cells))
    rows.sort(key=lambda row: row[0], reverse=True)
    if not rows:
        return "no bad events"
    columns = ("objective", "hour, UTC", "bad", "all", "restarts", "exclusion", "reason")
    return markdown.table(columns, [cells for _, cells in rows[:MOST_ROWS]])


def linked(platform: PlatformResource) -> "Prometheus | None":
    """Open the Prometheus that links lead to; None without a usable one: no figure needs it."""
    try:
        return platform.prometheus()
    except OpsError:
        return None


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
        ("exclusion", "from, UTC", "to, UTC", "reason"),
        [(row["id"], _moment(row["starts_at"]), _moment(row["ends_at"]), row["reason"]) for row in rows],
    )


def percent(share: Fraction, digits: int = 3) -> dg.MetadataValue:
    """Show a share in percent, rounded down as everywhere: 99.95, not fifteen digits."""
    return dg.MetadataValue.float(float(budget.percent(share, digits)))


def _percent(value: Any, digits: int) -> dg.MetadataValue:
    return percent(Fraction(value) / 100, digits)


def _between(least: Any, most: Any, digits: int) -> dg.MetadataValue:
    """Show a number that plots where it is exact, else what it lies between."""
    if least is not None and least == most:
        return dg.MetadataValue.int(int(least)) if digits == 0 else _percent(least, digits)
    return dg.MetadataValue.text(_text(least, most, digits))


def _text(least: Any, most: Any, digits: int) -> str:
    if least is None or most is None:
        return "unknown"
    if digits == 0:
        return f"{least} to {most}" if least != most else str(least)
    return budget.percent_between((Fraction(least) / 100, Fraction(most) / 100), digits)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _not_passed(name: str, why: str) -> dg.AssetCheckResult:
    """Fail a check of what is not known: nothing unknown has passed."""
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=COMPLIANCE,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=why,
    )
