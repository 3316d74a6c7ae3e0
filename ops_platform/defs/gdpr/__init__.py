"""Data subjects' rights as Dagster sees them: erasure and export jobs, their sensors, reports.

Not here: the engines, which are in the packages of ``gdpr``, and their HTTP API (``api``).
"""

from ops_platform.defs.gdpr.definitions import gdpr_definitions

__all__ = ["gdpr_definitions"]
