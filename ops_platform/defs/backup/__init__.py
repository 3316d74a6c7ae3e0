"""Backups as Dagster sees them: jobs of op graphs, external assets by stanza and kind, checks, schedules.

Not here: what the jobs do, which is in the packages of ``backup``.
"""

from ops_platform.defs.backup.assets import set_key, wal_key
from ops_platform.defs.backup.definitions import backup_definitions

__all__ = ["backup_definitions", "set_key", "wal_key"]
