"""Backups by pgBackRest: stanzas, the repository, taking a set, the recovery point, monitoring, retention.

Write-ahead log arithmetic (``wal``) serves them all. Restoring is in ``dr``; running pgBackRest itself is in
``clients.pgbackrest``; Dagster's assets and jobs are in ``defs.backup``.
"""

__all__ = ["monitoring", "recovery_point", "repository", "retention", "stanza", "taking", "wal"]
