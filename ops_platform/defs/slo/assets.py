"""The assets that analysts browse: exact counts by hour and day, the figures over them, the budget's ledger.

All objectives in one run, a backfill in one run too. What is done is in ``keeping`` and ``figures``.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

import dagster as dg

from ops_platform import markdown
from ops_platform.defs.failures import told
from ops_platform.defs.resources import PlatformResource
from ops_platform.slo.counting import HOUR
from ops_platform.slo.objectives import Objective
from ops_platform.slo.reporting import Figure, Tally, graph_url, refresh
from ops_platform.slo.reporting import error_budget as budget

if TYPE_CHECKING:
    from ops_platform.slo.counting.window import WindowCount

GROUP = "slo"
SINCE = "2026-01-01"
HOURLY = dg.HourlyPartitionsDefinition(f"{SINCE}-00:00", timezone="UTC")
DAILY = dg.DailyPartitionsDefinition(SINCE, timezone="UTC")
ONE_RUN = dg.BackfillPolicy.single_run()
COUNTS = dg.AssetKey(["slo", "hourly_counts"])


@dg.asset(
    key=COUNTS,
    group_name=GROUP,
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
    start, end = _span(context)
    now = datetime.now(UTC)
    with told(allow_retries=True):
        url, objectives, source = _url(platform), platform.objectives(), platform.prometheus()
        late = refresh.recount_late(url, source, objectives, start, context.run.run_id, now)
        for (since, until), again in late.kept.items():
            hours = f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
            if again.changed:
                context.log.info(f"{hours}: {again.changed} counts are new or have changed")
        for fault in late.failed:
            context.log.error(f"not counted again: {fault}")
        kept = refresh.count_hours(url, source, objectives, start, end, context.run.run_id, now)
        missing = refresh.unknown(url, objectives, [*late.kept, (start, end)])
    for hour, found in _by_hour(kept.counts).items():
        context.add_asset_metadata(
            _metadata(found, hour + HOUR, source.url),
            asset_key=COUNTS,
            partition_key=hour.strftime(HOURLY.fmt),
        )
    yield dg.MaterializeResult(
        asset_key=COUNTS,
        metadata={"rows_new_or_changed": kept.changed},
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
    if late.failed:
        raise dg.Failure(
            description=f"this run's hours are counted, earlier ones are not: {'; '.join(late.failed[:5])}"
        )


@dg.asset(
    key=["slo", "error_budget"],
    deps=[COUNTS],
    group_name=GROUP,
    kinds={"postgres"},
    partitions_def=HOURLY,
    backfill_policy=ONE_RUN,
    description="The ledger of the error budgets: appended only, each debit names its hour and the "
    "objective's version; a correction is an entry with the difference.",
)
def error_budget(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    start, end = _span(context)
    with told(allow_retries=True):
        entries = refresh.enter_ledger(_url(platform), platform.objectives(), start, end, context.run.run_id)
    return dg.MaterializeResult(metadata={"entries": entries})


def compliance(reach: timedelta) -> dg.AssetsDefinition:
    """The asset of the figures; those of a moment depend on the hours within ``reach`` before it."""
    key = dg.AssetKey(["slo", "compliance"])
    hours = dg.TimeWindowPartitionMapping(
        start_offset=1 - reach // HOUR, allow_nonexistent_upstream_partitions=True
    )
    return dg.asset(
        key=key,
        deps=[dg.AssetDep(COUNTS, partition_mapping=hours)],
        group_name=GROUP,
        kinds={"postgres"},
        partitions_def=HOURLY,
        backfill_policy=ONE_RUN,
        description="Achievement, error budget and burn of every objective over 1, 7 and 30 days, the "
        "calendar month and its own period, at the end of each hour. One hour that is unknown makes its "
        "windows unknown.",
        check_specs=[
            dg.AssetCheckSpec(
                "budget_within_bounds",
                asset=key,
                description="No error budget is nearly or wholly spent over its own period.",
            )
        ],
    )(_compliance)


def _compliance(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> Iterator[dg.MaterializeResult[None]]:
    start, end = _span(context)
    with told(allow_retries=True):
        found = refresh.keep_figures(_url(platform), platform.objectives(), start, end, context.run.run_id)
    last = {one: [each for each in figures if each.measured_at == end] for one, figures in found.items()}
    for moment, figures in _by_moment(found).items():
        if start < moment <= end:
            context.add_asset_metadata(
                _figures_metadata(figures),
                asset_key=dg.AssetKey(["slo", "compliance"]),
                partition_key=(moment - HOUR).strftime(HOURLY.fmt),
            )
    yield dg.MaterializeResult(
        metadata={"table": dg.MetadataValue.md(_table(last))}, check_results=[_bounds(last)]
    )


@dg.asset(
    key=["slo", "daily_counts"],
    deps=[COUNTS],
    group_name=GROUP,
    kinds={"postgres"},
    partitions_def=DAILY,
    backfill_policy=ONE_RUN,
    description="The hours of each day added up, per objective.",
)
def daily_counts(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    start, end = _span(context)
    with told(allow_retries=True):
        rows = refresh.add_days(_url(platform), platform.objectives(), start, end, context.run.run_id)
    return dg.MaterializeResult(metadata={"rows_new_or_changed": rows})


def _span(context: dg.AssetExecutionContext) -> tuple[datetime, datetime]:
    window = context.partition_time_window
    return window.start.astimezone(UTC), window.end.astimezone(UTC)


def _url(platform: PlatformResource) -> str:
    return platform.settings().require("database_url")


def _by_hour(
    counts: "dict[Objective, list[WindowCount]]",
) -> "dict[datetime, dict[Objective, WindowCount]]":
    found: dict[datetime, dict[Objective, WindowCount]] = defaultdict(dict)
    for one, windows in counts.items():
        for window in windows:
            found[window.start][one] = window
    return found


def _metadata(
    found: "dict[Objective, WindowCount]", end: datetime, prometheus: str
) -> dict[str, dg.MetadataValue]:
    """Numbers that plot over the partitions, by objective, and where the samples can be looked at."""
    plotted: dict[str, dg.MetadataValue] = {}
    for one, count in found.items():
        plotted[f"{one.id}: samples"] = dg.MetadataValue.url(
            graph_url(prometheus, one.indicator.total.query, end, HOUR)
        )
        if count.total is None or count.bad is None:
            plotted[f"{one.id}: unknown"] = dg.MetadataValue.text(count.reason or "")
            continue
        plotted[f"{one.id}: events"] = dg.MetadataValue.int(count.total)
        plotted[f"{one.id}: bad"] = dg.MetadataValue.int(count.bad)
        share = budget.achievement(Tally.of([count]))
        if share is not None:
            plotted[f"{one.id}: good %"] = _percent(share)
    seen = sum(count.scrapes_seen for count in found.values())
    expected = sum(count.scrapes_expected for count in found.values())
    plotted["scrapes seen"] = dg.MetadataValue.int(seen)
    plotted["scrapes expected"] = dg.MetadataValue.int(expected)
    return plotted


def _by_moment(found: dict[Objective, list[Figure]]) -> dict[datetime, dict[Objective, list[Figure]]]:
    by: dict[datetime, dict[Objective, list[Figure]]] = defaultdict(lambda: defaultdict(list))
    for one, figures in found.items():
        for figure in figures:
            by[figure.measured_at][one].append(figure)
    return by


def _figures_metadata(found: dict[Objective, list[Figure]]) -> dict[str, dg.MetadataValue]:
    plotted: dict[str, dg.MetadataValue] = {}
    for one, figures in found.items():
        for figure in figures:
            share = budget.achievement(figure.tally)
            left = budget.remaining(figure.tally, one.target)
            if share is not None:
                plotted[f"{one.id} {figure.window}: good %"] = _percent(share)
            if left is not None:
                plotted[f"{one.id} {figure.window}: budget left %"] = dg.MetadataValue.float(
                    float(left * 100)
                )
    return plotted


def _percent(share: Fraction) -> dg.MetadataValue:
    return dg.MetadataValue.float(float(share * 100))


def _table(found: dict[Objective, list[Figure]]) -> str:
    columns = ("objective", "window", "state", "good", "all", "good %", "budget left %")
    rows = []
    for one, figures in found.items():
        for figure in figures:
            tally = figure.tally
            left = "no budget" if one.target == 1 else budget.percent(budget.remaining(tally, one.target), 1)
            numbers = ["-" if number is None else str(number) for number in (tally.good, tally.total)]
            share = budget.percent(budget.achievement(tally))
            rows.append((one.id, figure.window, tally.state, *numbers, share, left))
    return markdown.table(columns, rows)


def _bounds(found: dict[Objective, list[Figure]]) -> dg.AssetCheckResult:
    """Of each objective over its own period. Unknown is no pass."""
    critical, warning, unknown = [], [], []
    for one, figures in found.items():
        figure = next((each for each in figures if each.window == str(one.period)), None)
        if figure is None or figure.tally.total is None:
            unknown.append(one.id)
        elif figure.severity == "critical":
            critical.append(one.id)
        elif figure.severity == "warning":
            warning.append(one.id)
    said = [
        f"{what}: {', '.join(names)}"
        for what, names in (("spent", critical), ("nearly spent", warning), ("unknown", unknown))
        if names
    ]
    return dg.AssetCheckResult(
        check_name="budget_within_bounds",
        passed=not said,
        severity=dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN,
        description="; ".join(said) or "every budget has more than a quarter left",
    )
