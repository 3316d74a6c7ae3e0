"""The Definitions of the objectives."""

import dagster as dg

from ops_platform.slo.assets import (
    SLO_ASSETS,
    compliance,
    daily_counts,
    error_budget,
    hourly_counts,
)
from ops_platform.slo.checks import SLO_CHECKS, reconciled_with_rules
from ops_platform.slo.schedules import slo_days_daily, slo_windows_hourly


def slo_definitions() -> dg.Definitions:
    """Partitioned assets, the jobs that make them, and their schedules."""
    # It reads a whole period of samples: once a day, not with every hour.
    reconciled = dg.AssetSelection.checks(reconciled_with_rules)
    windows = dg.define_asset_job(
        "slo_windows",
        selection=dg.AssetSelection.assets(hourly_counts, error_budget, compliance) - reconciled,
        executor_def=dg.in_process_executor,
        tags={"duty": "slo"},
        description="Count the events of an hour, debit the budgets, make the figures.",
    )
    days = dg.define_asset_job(
        "slo_days",
        selection=dg.AssetSelection.assets(daily_counts) | reconciled,
        executor_def=dg.in_process_executor,
        tags={"duty": "slo"},
        description="Add up the hours of a day; reconcile the ledger with the rules.",
    )
    return dg.Definitions(
        assets=SLO_ASSETS,
        asset_checks=SLO_CHECKS,
        jobs=[windows, days],
        schedules=[slo_windows_hourly, slo_days_daily],
    )
