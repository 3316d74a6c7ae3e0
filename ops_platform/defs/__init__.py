"""All Dagster code: a package a duty, each with its assets, jobs, schedules, sensors, checks and
definitions.

Thin: what a job does stands in the duty's own package, which does not know Dagster. ``resources`` holds what
the jobs share.
"""

__all__ = ["backup", "dr", "gdpr", "housekeeping", "resources", "slo"]
