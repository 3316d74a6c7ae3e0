"""The platform's own upkeep as Dagster sees it: retention, alert delivery, notices of failed runs.

Not here: the work itself (``housekeeping``), and the agent's loops (``agent.loops``).
"""

from ops_platform.defs.housekeeping.definitions import housekeeping_definitions

__all__ = ["housekeeping_definitions"]
