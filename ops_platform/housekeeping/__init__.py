"""Upkeep of the platform itself: retention of its own records, which jobs fail, the test that alerts arrive.

Not here: the retention of backup sets (``backup.retention``), and Dagster's jobs for it
(``defs.housekeeping``).
"""

__all__ = ["alert_delivery", "check_history", "job_outcomes", "retention"]
