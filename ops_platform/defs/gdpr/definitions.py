"""The Definitions of data subjects' rights."""

import dagster as dg

from ops_platform.defs.gdpr.assets import gdpr_assets
from ops_platform.defs.gdpr.jobs import JOBS
from ops_platform.defs.gdpr.schedules import SCHEDULES
from ops_platform.defs.gdpr.sensors import gdpr_erasure_requests, gdpr_export_requests


def gdpr_definitions() -> dg.Definitions:
    """Erasure, export, their sensors, and the reports."""
    return dg.Definitions(
        assets=gdpr_assets(),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=[gdpr_erasure_requests, gdpr_export_requests],
    )
