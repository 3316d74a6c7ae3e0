"""The Dagster definitions of the SLO duty: assets, checks, jobs, schedules."""

from datetime import timedelta

import dagster as dg

from ops_platform.defs.ownership import duty_tag, owners
from ops_platform.defs.slo.assets import OBJECTIVES, compliance, daily_counts, error_budget, hourly_counts
from ops_platform.defs.slo.checks import SLO_CHECKS, reconciled_with_rules
from ops_platform.defs.slo.objective_view import objective_checks
from ops_platform.defs.slo.schedules import slo_days_daily, slo_windows_hourly
from ops_platform.errors import OpsError
from ops_platform.settings import Settings
from ops_platform.slo.objectives import Objective, openslo
from ops_platform.slo.reporting import figures


def slo_definitions(settings: Settings) -> dg.Definitions:
    """Build the partitioned assets, their checks, the jobs that make them, and their schedules."""
    objectives = _objectives(settings)
    compliance_asset = compliance(_reach(objectives))
    # It reads a whole period of samples: once a day, not with every hour.
    reconciliation = dg.AssetSelection.checks(reconciled_with_rules)
    windows = dg.define_asset_job(
        "slo_windows",
        selection=dg.AssetSelection.assets(hourly_counts, error_budget, compliance_asset) - reconciliation,
        executor_def=dg.in_process_executor,
        tags=duty_tag("slo"),
        owners=owners("slo"),
        description="Count the events of an hour, debit the budgets, make the figures.",
    )
    days = dg.define_asset_job(
        "slo_days",
        selection=dg.AssetSelection.assets(daily_counts) | reconciliation,
        executor_def=dg.in_process_executor,
        tags=duty_tag("slo"),
        owners=owners("slo"),
        description="Add up the hours of a day; reconcile the ledger with the rules.",
    )
    return dg.Definitions(
        assets=[OBJECTIVES, hourly_counts, daily_counts, compliance_asset, error_budget],
        asset_checks=[*SLO_CHECKS, *objective_checks(objectives or [])],
        jobs=[windows, days],
        schedules=[slo_windows_hourly, slo_days_daily],
    )


def _objectives(settings: Settings) -> list[Objective] | None:
    """Load the configured objectives; None while a document is wrong."""
    try:
        return openslo.load_files(settings.config_dir / "objectives")
    except OpsError:
        # Every run reports what is wrong with a document; it must not take the code location away.
        return None


def _reach(objectives: list[Objective] | None) -> timedelta:
    """Compute how far back the figures of the objectives look; at most openslo.MAX_DAYS."""
    return timedelta(days=openslo.MAX_DAYS) if objectives is None else figures.reach(objectives)
