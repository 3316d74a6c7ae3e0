"""The Definitions of housekeeping."""

import dagster as dg

from ops_platform.housekeeping.jobs import retention_cleanup, retention_cleanup_daily
from ops_platform.housekeeping.sensors import run_failures


def housekeeping_definitions() -> dg.Definitions:
    """Retention of the platform's own records, and the notice of failed runs."""
    return dg.Definitions(
        jobs=[retention_cleanup], schedules=[retention_cleanup_daily], sensors=[run_failures]
    )
