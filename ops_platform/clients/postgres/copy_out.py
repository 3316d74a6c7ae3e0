"""``COPY ... TO STDOUT``, message by message, straight from libpq. Knows nothing of what is copied.

psycopg's own iteration enters its loop of waiting once for each row, which for short rows takes longer than
all else that a client does with them.
"""

from __future__ import annotations

import select
from collections.abc import Iterator

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from ops_platform.clients.postgres.connection import Connection


def messages(connection: Connection, statement: sql.Composed) -> Iterator[memoryview]:
    """What the server sends, a row each. The COPY is cancelled when the iteration ends before it.

    In the caller's transaction. Raises what psycopg raises.
    """
    with connection.cursor() as cursor, cursor.copy(statement):
        pgconn = connection.pgconn
        readable = select.poll()
        readable.register(pgconn.socket, select.POLLIN)
        while True:
            size, data = pgconn.get_copy_data(1)
            if size > 0:
                yield data
            elif size == 0:
                readable.poll()
                pgconn.consume_input()
            else:
                break
        _finish(pgconn, connection.info.encoding)


def _finish(pgconn: PGconn, encoding: str) -> None:
    failed = None
    while (result := pgconn.get_result()) is not None:
        if result.status != ExecStatus.COMMAND_OK:
            failed = failed or psycopg.errors.error_from_result(result, encoding)
    if failed is not None:
        raise failed
