"""Backups as Dagster sees them: jobs of op graphs, external assets a stanza and kind, checks, schedules."""

from ops_platform.defs.backup.definitions import backup_definitions

__all__ = ["backup_definitions"]
