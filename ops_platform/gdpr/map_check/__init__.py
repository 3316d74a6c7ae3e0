"""The check of a data map against a database: coverage, feasibility, JSON sampling; and drafts of maps."""

from ops_platform.gdpr.map_check.all_checks import check, check_database, doubts
from ops_platform.gdpr.map_check.coverage import JSON_TYPES
from ops_platform.gdpr.map_check.finding import Finding

__all__ = [
    "JSON_TYPES",
    "Finding",
    "check",
    "check_database",
    "derived_values",
    "doubts",
    "draft",
    "json_sampling",
]
