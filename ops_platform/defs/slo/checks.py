"""Declared checks of the objectives' assets that look at more than one run's own hours."""

from datetime import UTC, datetime
from fractions import Fraction

import dagster as dg
import psycopg

from ops_platform import markdown
from ops_platform.clients import postgres
from ops_platform.clients.safe_errors import describe
from ops_platform.defs.failures import reported_failures
from ops_platform.defs.resources import PlatformResource
from ops_platform.errors import OpsError
from ops_platform.slo.reporting import completeness, exclusion_adjustment, rule_reconciliation

COUNTS = dg.AssetKey(["slo", "hourly_counts"])
LEDGER = dg.AssetKey(["slo", "error_budget"])


@dg.asset_check(
    asset=COUNTS, description="The newest hour that is over for half an hour is counted, for every objective."
)
@reported_failures()
def newest_window_present(platform: PlatformResource) -> dg.AssetCheckResult:
    """Check that the newest hour due is counted for every objective."""
    now = datetime.now(UTC)
    due = f"{completeness.newest_due(now):%Y-%m-%d %H:%M} UTC"
    try:
        with postgres.session(platform.settings().require("database_url")) as ops:
            missing = completeness.missing_newest_hour(ops, platform.objectives(), now)
    except (OpsError, psycopg.Error) as error:
        return _unknown(error)
    return dg.AssetCheckResult(
        passed=not missing,
        description=f"{', '.join(missing)}: the hour of {due} is not counted; launch its partition"
        if missing
        else f"the hour of {due} is counted",
        metadata={"missing": len(missing)},
    )


@dg.asset_check(
    asset=COUNTS,
    description="Every instance that counts events shows the bucket that an objective needs: where one has "
    "none, its good events would look bad.",
)
@reported_failures()
def buckets_on_all_instances(platform: PlatformResource) -> dg.AssetCheckResult:
    """Check that every counting instance shows the buckets that the objectives need."""
    try:
        missing = completeness.missing_buckets(
            platform.prometheus(), platform.objectives(), datetime.now(UTC)
        )
    except OpsError as error:
        return _unknown(error)
    return dg.AssetCheckResult(
        passed=not missing,
        description="; ".join(missing[:5]) or "every instance has every bucket",
        metadata={"lacking": len(missing)},
    )


@dg.asset_check(
    asset=COUNTS,
    description="The adjusted counts leave out what the exclusions say, and nothing else. Part of an hour "
    "cannot be left out any more when Prometheus has no samples of it.",
)
@reported_failures()
def exclusions_applied(platform: PlatformResource) -> dg.AssetCheckResult:
    """Check that the adjusted counts follow the exclusions; only a warning otherwise."""
    try:
        with postgres.session(platform.settings().require("database_url")) as ops:
            rows = exclusion_adjustment.unapplied(ops, platform.objectives())
    except (OpsError, psycopg.Error) as error:
        return _unknown(error)
    hours = [
        f"{row['service']}-{row['slo']}, {row['window_start'].astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        for row in rows
    ]
    return dg.AssetCheckResult(
        passed=not hours,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"not applied to {'; '.join(hours[:5])}: 'ops-platform slo exclusion list'"
        if hours
        else "every exclusion is applied",
        metadata={"hours": len(hours)},
    )


@dg.asset_check(
    asset=LEDGER,
    description="The ledger equals the counts to the event, and Prometheus has loaded the objective's "
    "recording rules. Of events of counters it agrees with what rate makes of the period, and with what the "
    "rules recorded of it where nine tenths are recorded: a tenth of the budget, or of what is bad, and ten "
    "events may lie between. Nine tenths of the period must be known to both.",
)
@reported_failures()
def reconciled_with_rules(platform: PlatformResource) -> dg.AssetCheckResult:
    """Check that ledger, counts and Prometheus' own ratios agree; only a warning otherwise."""
    try:
        objectives, source = platform.objectives(), platform.prometheus()
        with postgres.session(platform.settings().require("database_url")) as ops:
            end = completeness.counted_until(ops, objectives)
            if end is None:
                return dg.AssetCheckResult(passed=False, description="an objective has no counts yet")
            compared = rule_reconciliation.compare(ops, source, objectives, end)
    except (OpsError, psycopg.Error) as error:
        return _unknown(error)
    faults = [f"{comparison.objective.id}: {comparison.fault}" for comparison in compared if comparison.fault]
    return dg.AssetCheckResult(
        passed=not faults,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(faults) or f"{_agreed(compared)}, at {end:%Y-%m-%d %H:%M} UTC",
        metadata={"table": dg.MetadataValue.md(_table(compared))},
    )


def _agreed(compared: list[rule_reconciliation.Comparison]) -> str:
    """Say how many agree with what: what was not compared is not said to agree."""
    by_rate, recorded = (
        sum(not isinstance(ratio, str) for ratio in ratios)
        for ratios in ([one.by_rate for one in compared], [one.recorded for one in compared])
    )
    return (
        f"the ledger equals the counts of {len(compared)} objectives; {by_rate} of them agree with the rates "
        f"of Prometheus, and {recorded} with what its rules recorded; the others were not compared with these"
    )


def _table(compared: list[rule_reconciliation.Comparison]) -> str:
    def shown(ratio: Fraction | float | str | None) -> str:
        return ratio if isinstance(ratio, str) else "no events" if ratio is None else f"{float(ratio):.6%}"

    rows = [
        (one.objective.id, *map(shown, (one.exact, one.by_rate, one.recorded, one.tolerance)))
        for one in compared
    ]
    return markdown.table(
        ("objective", "bad, counted", "bad, by rate", "bad, as recorded", "may differ by"), rows
    )


def _unknown(error: Exception) -> dg.AssetCheckResult:
    """Fail a check that could not be made: what was not looked at has not passed."""
    return dg.AssetCheckResult(passed=False, description=f"could not be checked: {describe(error)}")


SLO_CHECKS = [newest_window_present, buckets_on_all_instances, exclusions_applied, reconciled_with_rules]
