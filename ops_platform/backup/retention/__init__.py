"""How long backup sets stay: the lifetime that schedules and policy give, and the cleanups that end it.

Not here: taking sets (``backup.taking``), and the retention of the platform's own rows (``housekeeping``).
"""

__all__ = ["cleanup", "set_lifetime", "version_pruning"]
