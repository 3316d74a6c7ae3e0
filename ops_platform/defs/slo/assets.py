"""The assets that analysts browse: exact counts by hour and day, the figures over them, the budget's ledger.

One run does all objectives, and one run a whole backfill. The work itself is in ``slo.reporting``.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from ops_platform import markdown
from ops_platform.clients import postgres
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.resources import PlatformResource
from ops_platform.defs.slo import event_metadata
from ops_platform.defs.slo.budget_view import (
    budgets_left,
    burn_downs,
    hours_links,
    hours_table,
    left_out,
    percent,
    worst_hours,
)
from ops_platform.defs.slo.objective_view import linked
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import Figure, Tally, figure_causes, graph_url, refresh
from ops_platform.slo.reporting import error_budget as budget

if TYPE_CHECKING:
    from ops_platform.clients.prometheus import Prometheus
    from ops_platform.slo.counting.window import WindowCount

GROUP = "slo"
SINCE = "2026-01-01"
HOURLY = dg.HourlyPartitionsDefinition(f"{SINCE}-00:00", timezone="UTC")
DAILY = dg.DailyPartitionsDefinition(SINCE, timezone="UTC")
ONE_RUN = dg.BackfillPolicy.single_run()
COUNTS = dg.AssetKey(["slo", "hourly_counts"])
OBJECTIVES = dg.AssetSpec(
    ["slo", "objectives"],
    group_name=GROUP,
    tags=duty_tag(GROUP),
    owners=owners(GROUP),
    kinds={"yaml"},
    description="The OpenSLO documents of `objectives/`: what counts as good, and how much is promised.",
)
LEDGER = dg.AssetKey(["slo", "error_budget"])


@dg.asset(
    key=COUNTS,
    deps=[OBJECTIVES],
    group_name=GROUP,
    tags=duty_tag(GROUP),
    owners=owners(GROUP),
    kinds={"prometheus", "postgres"},
    partitions_def=HOURLY,
    backfill_policy=ONE_RUN,
    description="Good and all events of every objective in each hour, from raw samples, to the last event; "
    "ledger, figures and days follow. Provisional hours are counted again, hours that an exclusion touches "
    "which came or went, and hours that no run has counted.",
    check_specs=[
        dg.AssetCheckSpec(
            "source_complete",
            asset=COUNTS,
            description="The events of every hour that the run counted, late ones too, are known.",
        )
    ],
)
def hourly_counts(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Count the hours again that need it, then the run's own; check that the events of all are known."""
    start, end = _span(context)
    now = datetime.now(UTC)
    with reported_failures(allow_retries=True):
        url, objectives, source = _url(platform), platform.objectives(), platform.prometheus()
        recount = refresh.recount_late(url, source, objectives, start, context.run.run_id, now)
        for (since, until), stored in recount.stored.items():
            hours = f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
            if stored.changed:
                context.log.info(f"{hours}: {stored.changed} counts are new or have changed")
        for fault in recount.failed:
            context.log.error(f"not counted again: {fault}")
        counted = refresh.count_hours(url, source, objectives, start, end, context.run.run_id, now)
        missing = refresh.unknown(url, objectives, [*recount.stored, (start, end)])
        with postgres.session(url) as ops:
            excluded = figure_causes.left_out(ops, start, end)
    for hour, window_of in _by_hour(counted.counts).items():
        context.add_asset_metadata(
            event_metadata.of_hour(window_of)
            if len(window_of) > event_metadata.PLOTTED
            else _metadata(window_of, hour + HOUR, source, excluded),
            asset_key=COUNTS,
            partition_key=hour.strftime(HOURLY.fmt),
        )
    yield dg.MaterializeResult(
        asset_key=COUNTS,
        metadata={"rows_new_or_changed": counted.changed},
        check_results=[
            dg.AssetCheckResult(
                check_name="source_complete",
                passed=not missing,
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(missing[:5]) or "every hour is known",
                metadata={"unknown": len(missing)},
            )
        ],
    )
    if recount.failed:
        raise dg.Failure(
            description=f"this run's hours are counted, earlier ones are not: {'; '.join(recount.failed[:5])}"
        )


@dg.asset(
    key=LEDGER,
    deps=[COUNTS],
    group_name=GROUP,
    tags=duty_tag(GROUP),
    owners=owners(GROUP),
    kinds={"postgres"},
    partitions_def=HOURLY,
    backfill_policy=ONE_RUN,
    description="The ledger of the error budgets: appended only, each debit names its hour and the "
    "objective's version; a correction is an entry with the difference.",
)
def error_budget(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """Enter the debits of the partitions' hours into the ledger."""
    start, end = _span(context)
    with reported_failures(allow_retries=True):
        entries = refresh.enter_ledger(_url(platform), platform.objectives(), start, end, context.run.run_id)
        prometheus = linked(platform)
        with postgres.session(_url(platform)) as ops:
            objectives = platform.objectives()
            hours = worst_hours(ops, objectives, end)
            begin = min((objective.period.start(end) for objective in objectives), default=start)
            shown: dict[datetime, dict[str, dg.MetadataValue]] = defaultdict(dict)
            # Once in a backfill too, and above the numbers that plot.
            shown[end] = {
                "budgets": dg.MetadataValue.md(burn_downs(ops, objectives, end)),
                "worst_hours": hours_table(hours),
                "links": dg.MetadataValue.md(hours_links(hours, prometheus)),
                "left_out": dg.MetadataValue.md(left_out(figure_causes.left_out(ops, begin, end))),
            }
            for moment, budgets in budgets_left(ops, objectives, start, end).items():
                shown[moment] |= budgets
            for moment, metadata in shown.items():
                context.add_asset_metadata(
                    metadata, asset_key=LEDGER, partition_key=(moment - HOUR).strftime(HOURLY.fmt)
                )
    return dg.MaterializeResult(metadata={"entries": entries})


def compliance(reach: timedelta) -> dg.AssetsDefinition:
    """Build the asset of the figures; those of a moment depend on the hours within ``reach`` before it."""
    key = dg.AssetKey(["slo", "compliance"])
    hours = dg.TimeWindowPartitionMapping(
        start_offset=1 - reach // HOUR, allow_nonexistent_upstream_partitions=True
    )
    return dg.asset(
        key=key,
        deps=[dg.AssetDep(COUNTS, partition_mapping=hours)],
        group_name=GROUP,
        tags=duty_tag(GROUP),
        owners=owners(GROUP),
        kinds={"postgres"},
        partitions_def=HOURLY,
        backfill_policy=ONE_RUN,
        description="Achievement, error budget and burn of every objective over 1, 7 and 30 days, the "
        "calendar month and its own period, at the end of each hour. An hour that is unknown leaves a least "
        "and a most, and a verdict that holds for both, or is undecided.",
        check_specs=[
            dg.AssetCheckSpec(
                "budget_within_bounds",
                asset=key,
                description="Every objective is met over its own period, whatever its unknown hours held.",
            )
        ],
    )(_compliance)


def _compliance(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> Iterator[dg.MaterializeResult[None]]:
    start, end = _span(context)
    with reported_failures(allow_retries=True):
        figures_of = refresh.store_figures(
            _url(platform), platform.objectives(), start, end, context.run.run_id
        )
    last = {
        objective: [figure for figure in figures if figure.measured_at == end]
        for objective, figures in figures_of.items()
    }
    for moment, figures in _by_moment(figures_of).items():
        if start < moment <= end:
            context.add_asset_metadata(
                event_metadata.of_figures(figures)
                if len(figures) > event_metadata.PLOTTED
                else _figures_metadata(figures),
                asset_key=dg.AssetKey(["slo", "compliance"]),
                partition_key=(moment - HOUR).strftime(HOURLY.fmt),
            )
    yield dg.MaterializeResult(
        metadata=event_metadata.of_figures(last)
        if len(last) > event_metadata.PLOTTED
        else {"table": dg.MetadataValue.md(_table(last))},
        check_results=[_bounds(last)],
    )


@dg.asset(
    key=["slo", "daily_counts"],
    deps=[COUNTS],
    group_name=GROUP,
    tags=duty_tag(GROUP),
    owners=owners(GROUP),
    kinds={"postgres"},
    partitions_def=DAILY,
    backfill_policy=ONE_RUN,
    description="The hours of each day added up, per objective.",
)
def daily_counts(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """Add up the stored hours of the partitions' days."""
    start, end = _span(context)
    with reported_failures(allow_retries=True):
        rows = refresh.store_days(_url(platform), platform.objectives(), start, end, context.run.run_id)
    return dg.MaterializeResult(metadata={"rows_new_or_changed": rows})


def _span(context: dg.AssetExecutionContext) -> tuple[datetime, datetime]:
    window = context.partition_time_window
    return window.start.astimezone(UTC), window.end.astimezone(UTC)


def _url(platform: PlatformResource) -> str:
    return platform.settings().require("database_url")


def _by_hour(
    counts: "dict[Objective, list[WindowCount]]",
) -> "dict[datetime, dict[Objective, WindowCount]]":
    by_hour: dict[datetime, dict[Objective, WindowCount]] = defaultdict(dict)
    for objective, windows in counts.items():
        for window in windows:
            by_hour[window.start][objective] = window
    return by_hour


def _metadata(
    windows: "dict[Objective, WindowCount]",
    end: datetime,
    prometheus: "Prometheus",
    excluded: list[dict[str, Any]],
) -> dict[str, dg.MetadataValue]:
    """Collect numbers that plot over the partitions, by objective, and links to the samples."""
    plotted: dict[str, dg.MetadataValue] = {}
    for objective, window in windows.items():
        plotted[f"{objective.id}: samples"] = dg.MetadataValue.url(
            graph_url(
                prometheus.source(objective.indicator.source).url,
                objective.indicator.total.query,
                end,
                HOUR,
            )
        )
        maintenance = [
            row
            for row in excluded
            if (row["service"], row["slo"])
            in ((objective.service, None), (objective.service, objective.name))
            and row["starts_at"] < end
            and row["ends_at"] > end - HOUR
        ]
        if maintenance:
            plotted[f"{objective.id}: left out"] = dg.MetadataValue.md(left_out(maintenance))
            if window.adjusted_good is not None and window.adjusted_total is not None:
                bad = window.adjusted_total - window.adjusted_good
                plotted[f"{objective.id}: bad, without that"] = dg.MetadataValue.int(bad)
        tally = Tally.of([window])
        plotted[f"{objective.id}: verdict"] = dg.MetadataValue.text(budget.verdict(tally, objective))
        if window.total is None or window.bad is None:
            plotted[f"{objective.id}: unknown"] = dg.MetadataValue.text(window.reason or "")
            if window.bounds is not None:
                least, most = window.bounds.bad_least, window.bounds.bad_most
                plotted[f"{objective.id}: bad, at least"] = dg.MetadataValue.int(least)
                plotted[f"{objective.id}: bad, at most"] = dg.MetadataValue.int(most)
            continue
        plotted[f"{objective.id}: events"] = dg.MetadataValue.int(window.total)
        plotted[f"{objective.id}: bad"] = dg.MetadataValue.int(window.bad)
        share = budget.achievement(tally)
        if share is not None:
            plotted[f"{objective.id}: good %"] = percent(share)
    seen = sum(window.scrapes_seen for window in windows.values())
    expected = sum(window.scrapes_expected for window in windows.values())
    plotted["scrapes seen"] = dg.MetadataValue.int(seen)
    plotted["scrapes expected"] = dg.MetadataValue.int(expected)
    return plotted


def _by_moment(figures_of: dict[Objective, list[Figure]]) -> dict[datetime, dict[Objective, list[Figure]]]:
    by_moment: dict[datetime, dict[Objective, list[Figure]]] = defaultdict(lambda: defaultdict(list))
    for objective, figures in figures_of.items():
        for figure in figures:
            by_moment[figure.measured_at][objective].append(figure)
    return by_moment


def _figures_metadata(figures_of: dict[Objective, list[Figure]]) -> dict[str, dg.MetadataValue]:
    plotted: dict[str, dg.MetadataValue] = {}
    for objective, figures in figures_of.items():
        for figure in figures:
            share = budget.achievement(figure.tally)
            left = budget.remaining(figure.tally, objective.target)
            if share is not None:
                plotted[f"{objective.id} {figure.window}: good %"] = percent(share)
            if left is not None:
                plotted[f"{objective.id} {figure.window}: budget left %"] = percent(left, 1)
            plotted[f"{objective.id} {figure.window}: verdict"] = dg.MetadataValue.text(
                figure.verdict or "undecided"
            )
    return plotted


def _table(figures_of: dict[Objective, list[Figure]]) -> str:
    columns = (
        "objective", "window", "verdict", "state", "good", "all", "good %", "target %", "budget left %",
        "hours known",
    )  # fmt: skip
    rows = []
    for objective, figures in figures_of.items():
        for figure in figures:
            tally = figure.tally
            left = (
                "no budget"
                if objective.target == 1
                else budget.percent_between(budget.remaining_bounds(tally, objective.target), 1)
            )
            numbers = ["-" if number is None else str(number) for number in (tally.good, tally.total)]
            no_events = tally.state == "no_data"
            share = "no events" if no_events else budget.percent_between(budget.achievement_bounds(tally))
            rows.append(
                (
                    objective.id,
                    figure.window,
                    figure.verdict or "undecided",
                    tally.state,
                    *numbers,
                    share,
                    budget.percent(objective.target),
                    left,
                    f"{tally.windows - tally.missing} of {tally.windows}",
                )
            )
    return markdown.table(columns, rows)


def _bounds(figures_of: dict[Objective, list[Figure]]) -> dg.AssetCheckResult:
    """Check the verdict on each objective over its own period. One that is undecided does not pass."""
    judged: dict[str, list[str]] = {"breached": [], "at risk": [], "undecided": [], "met": []}
    for objective, figures in figures_of.items():
        figure = next((other for other in figures if other.window == str(objective.period)), None)
        judged["undecided" if figure is None else figure.verdict or "undecided"].append(objective.id)
    critical = judged["breached"]
    faults = [
        f"{verdict}: {', '.join(names)}" for verdict, names in judged.items() if names and verdict != "met"
    ]
    return dg.AssetCheckResult(
        check_name="budget_within_bounds",
        passed=not faults,
        severity=dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN,
        description="; ".join(faults) or "every budget has more than a quarter left",
    )
