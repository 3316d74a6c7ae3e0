"""Disaster recovery as Dagster sees it: the exercise job, its assets and checks, schedules, the janitor."""

from ops_platform.defs.dr.definitions import dr_definitions

__all__ = ["dr_definitions"]
