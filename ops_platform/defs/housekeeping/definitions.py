"""The Dagster definitions of housekeeping: jobs, schedules, sensors, the calendar's assets and checks."""

from pathlib import Path

import dagster as dg

from ops_platform.defs.housekeeping.duty_checks import duty_assets, duty_checks, known_duties
from ops_platform.defs.housekeeping.jobs import (
    alert_delivery_test,
    audit_verification,
    audit_verification_hourly,
    retention_cleanup,
    retention_cleanup_daily,
)
from ops_platform.defs.housekeeping.sensors import run_failures, run_successes
from ops_platform.defs.ownership import duty_tag, owners

CALENDAR_CRON = "30 6 * * *"


def housekeeping_definitions(config_dir: Path) -> dg.Definitions:
    """Build jobs, schedules and sensors: retention, verification, what fails, which duties are due."""
    duties = known_duties(config_dir)
    checks = duty_checks(duties)
    calendar_checks = dg.define_asset_job(
        "calendar_checks",
        selection=dg.AssetSelection.checks(checks),
        executor_def=dg.in_process_executor,
        tags=duty_tag("housekeeping"),
        owners=owners("housekeeping"),
        description="Check which of the duties of the calendar were done in time.",
    )
    calendar_checks_daily = dg.ScheduleDefinition(
        name="calendar_checks_daily",
        job=calendar_checks,
        cron_schedule=CALENDAR_CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Check which duties were done in time; the agent tells of those that were not.",
    )
    return dg.Definitions(
        assets=duty_assets(duties),
        asset_checks=[checks],
        jobs=[retention_cleanup, alert_delivery_test, audit_verification, calendar_checks],
        schedules=[retention_cleanup_daily, audit_verification_hourly, calendar_checks_daily],
        sensors=[run_failures, run_successes],
    )
