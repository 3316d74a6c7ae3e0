"""Backups in Dagster: jobs of op graphs, an external asset per stanza and kind, checks, schedules."""

from ops_platform.defs.backup.definitions import backup_definitions

__all__ = ["backup_definitions"]
