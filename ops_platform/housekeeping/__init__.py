"""Upkeep of the platform: retention of its own records, jobs that fail, duties due, the test of alerts.

Not here: the retention of backup sets (``backup.retention``), and Dagster's jobs for it
(``defs.housekeeping``).
"""

__all__ = ["alert_delivery", "calendar", "check_history", "job_outcomes", "retention"]
