"""The Dagster definitions of housekeeping: jobs, schedule, sensor."""

import dagster as dg

from ops_platform.defs.housekeeping.jobs import (
    alert_delivery_test,
    retention_cleanup,
    retention_cleanup_daily,
)
from ops_platform.defs.housekeeping.sensors import run_failures


def housekeeping_definitions() -> dg.Definitions:
    """Build jobs, schedule and sensor: retention, the notice of failed runs, the test of alert delivery."""
    return dg.Definitions(
        jobs=[retention_cleanup, alert_delivery_test],
        schedules=[retention_cleanup_daily],
        sensors=[run_failures],
    )
