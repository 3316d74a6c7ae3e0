"""Disaster recovery as Dagster sees it: the exercise job, its assets and checks, schedules, the janitor.

Not here: what an exercise does, which is in ``dr.exercise`` and the packages below it.
"""

from ops_platform.defs.dr.definitions import dr_definitions

__all__ = ["dr_definitions"]
