"""The Definitions of housekeeping."""

import dagster as dg

from ops_platform.defs.housekeeping.jobs import (
    alert_delivery_test,
    retention_cleanup,
    retention_cleanup_daily,
)
from ops_platform.defs.housekeeping.sensors import run_failures


def housekeeping_definitions() -> dg.Definitions:
    """Retention of the platform's own records, the notice of failed runs, the test that notices arrive."""
    return dg.Definitions(
        jobs=[retention_cleanup, alert_delivery_test],
        schedules=[retention_cleanup_daily],
        sensors=[run_failures],
    )
