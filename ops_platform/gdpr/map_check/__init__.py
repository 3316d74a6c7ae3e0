"""Does a data map fit a database? Coverage, feasibility, JSON sampling; and a first draft of a map."""

from ops_platform.gdpr.map_check.all_checks import check
from ops_platform.gdpr.map_check.coverage import JSON_TYPES
from ops_platform.gdpr.map_check.finding import Finding

__all__ = ["JSON_TYPES", "Finding", "check", "draft", "json_sampling"]
