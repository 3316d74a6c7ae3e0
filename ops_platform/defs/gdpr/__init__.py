"""The Dagster code of data subjects' rights: erasure and export jobs, their sensors, reports."""

from ops_platform.defs.gdpr.definitions import gdpr_definitions

__all__ = ["gdpr_definitions"]
