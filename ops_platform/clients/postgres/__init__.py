"""PostgreSQL: connections, advisory locks, pools, COPY, migrations, and its programs on this machine.

Stanzas, backups and requests are not known here.
"""

from ops_platform.clients.postgres.connection import (
    Connection,
    connect,
    describe,
    located,
    lock_key,
    one_row,
    session,
    try_lock,
    try_transaction_lock,
    unlock,
    unlock_quietly,
)
from ops_platform.clients.postgres.programs import PostgresPrograms

__all__ = [
    "Connection",
    "PostgresPrograms",
    "connect",
    "copy_out",
    "describe",
    "located",
    "lock_key",
    "migrations",
    "one_row",
    "pool",
    "programs",
    "session",
    "try_lock",
    "try_transaction_lock",
    "unlock",
    "unlock_quietly",
]
