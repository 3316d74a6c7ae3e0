"""An objective as the UI shows it: a check of its own, with its budget over time and what burned it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg
import psycopg

from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.clients.safe_errors import describe
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource
from ops_platform.defs.slo.budget_view import (
    between,
    hours_links,
    hours_table,
    in_percent,
    left_out,
    server_url,
    worst_hours,
)
from ops_platform.errors import OpsError
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import burn_down, figure_causes, figures, graph_url

if TYPE_CHECKING:
    from ops_platform.clients.prometheus import Prometheus

COMPLIANCE = dg.AssetKey(["slo", "compliance"])


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
    hours = worst_hours(ops, [objective], end)
    metadata = {
        "verdict": dg.MetadataValue.text(verdict),
        "hours known": dg.MetadataValue.text(known),
        "target %": in_percent(row["target_percentage"], 3),
        "good %": between(row["actual_percentage_least"], row["actual_percentage_most"], 3),
        "budget left %": between(row["error_budget_remaining_least"], row["error_budget_remaining_most"], 1),
        "bad events": between(row["violation_count_least"], row["violation_count_most"], 0),
        "budget left by day": dg.MetadataValue.text(burn_down.drawn(burn_down.by_day(ops, objective, end))),
        "worst hours": hours_table(hours),
        "links": dg.MetadataValue.md(hours_links(hours, prometheus)),
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


def linked(platform: PlatformResource) -> "Prometheus | None":
    """Open the Prometheus that links lead to; None without a usable one: no figure needs it."""
    try:
        return platform.prometheus()
    except OpsError:
        return None


def _not_passed(name: str, why: str) -> dg.AssetCheckResult:
    """Fail a check of what is not known: nothing unknown has passed."""
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=COMPLIANCE,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=why,
    )
