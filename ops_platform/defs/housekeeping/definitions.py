"""The Dagster definitions of housekeeping: jobs, schedule, sensor."""

import dagster as dg

from ops_platform.defs.housekeeping.jobs import (
    alert_delivery_test,
    audit_verification,
    audit_verification_hourly,
    retention_cleanup,
    retention_cleanup_daily,
)
from ops_platform.defs.housekeeping.sensors import run_failures, run_successes


def housekeeping_definitions() -> dg.Definitions:
    """Build jobs, schedules and sensors: retention, verification, what fails, test of alerts."""
    return dg.Definitions(
        jobs=[retention_cleanup, alert_delivery_test, audit_verification],
        schedules=[retention_cleanup_daily, audit_verification_hourly],
        sensors=[run_failures, run_successes],
    )
