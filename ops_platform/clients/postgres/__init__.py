"""PostgreSQL: connections, advisory locks, pools, COPY, migrations, and its programs on this machine.

Knows nothing of stanzas, backups or requests.
"""

from ops_platform.clients.postgres.connection import (
    Connection,
    connect,
    describe,
    give_back,
    lock_key,
    one_row,
    session,
    try_lock,
    try_transaction_lock,
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
    "one_row",
    "pool",
    "programs",
    "session",
    "try_lock",
    "try_transaction_lock",
    "unlock",
]
