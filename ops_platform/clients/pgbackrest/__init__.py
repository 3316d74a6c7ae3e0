"""pgBackRest as it is: commands, exit codes, its JSON.

Knows nothing of reports, locks or retention.
"""

from ops_platform.clients.pgbackrest.command import LABEL_NOT_NEWEST, LOCKED, PgBackRest, PgBackRestError

__all__ = ["LABEL_NOT_NEWEST", "LOCKED", "PgBackRest", "PgBackRestError"]
