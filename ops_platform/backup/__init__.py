"""Backups by pgBackRest: stanzas, the repository, taking a set and proving it, the recovery point.

Monitoring watches the sets, retention ends them; write-ahead log arithmetic (``wal``) serves them all.
Restoring is in ``dr``; running pgBackRest itself is in ``clients.pgbackrest``; Dagster's assets and jobs
are in ``defs.backup``.
"""

__all__ = ["monitoring", "proof", "recovery_point", "repository", "retention", "stanza", "taking", "wal"]
