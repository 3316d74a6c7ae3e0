"""SLOs as Dagster sees them: partitioned assets over hours and days, checks, schedules.

Not here: counting and judging, which are in the packages of ``slo``.
"""

from ops_platform.defs.slo.definitions import slo_definitions

__all__ = ["slo_definitions"]
