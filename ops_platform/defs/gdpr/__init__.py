"""Data subjects' rights as Dagster sees them: erasure and export jobs, their sensors, reports."""

from ops_platform.defs.gdpr.definitions import gdpr_definitions

__all__ = ["gdpr_definitions"]
