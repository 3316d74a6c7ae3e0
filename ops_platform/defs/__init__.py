"""All Dagster code: one package per duty, with its assets, jobs, schedules, sensors and checks.

It is thin: the work of a job is in the duty's own package, which does not know Dagster. Jobs share
``resources``, ``failures`` and ``stanza_jobs``.
"""

__all__ = ["backup", "dr", "gdpr", "housekeeping", "resources", "slo"]
