"""pgBackRest's commands, exit codes and JSON.

Reports, locks and retention are not known here.
"""

from ops_platform.clients.pgbackrest.command import LABEL_NOT_NEWEST, LOCKED, PgBackRest, PgBackRestError

__all__ = ["LABEL_NOT_NEWEST", "LOCKED", "PgBackRest", "PgBackRestError"]
