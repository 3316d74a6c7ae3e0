"""The emergency restore: its command, its verdict, and its records until the ops database is back.

Needs neither Dagster nor the ops database. The restore itself is ``dr.restore``, the same as in an exercise.
"""

from ops_platform.dr.emergency.judgement import Judgement

__all__ = ["Judgement", "judgement", "other_repository", "pending_records", "restore_command"]
