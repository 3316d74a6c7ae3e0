"""PostgreSQL: connections, advisory locks, pools, COPY, migrations, and its programs on this machine.

Knows nothing of stanzas, backups or requests.
"""

from ops_platform.clients.postgres.connection import (
    Connection,
    connect,
    describe,
    give_back,
    lock_key,
    session,
    try_lock,
    unlock,
)
from ops_platform.clients.postgres.programs import PostgresPrograms

__all__ = [
    "Connection",
    "PostgresPrograms",
    "connect",
    "copy_out",
    "describe",
    "give_back",
    "lock_key",
    "migrations",
    "pool",
    "programs",
    "session",
    "try_lock",
    "unlock",
]
