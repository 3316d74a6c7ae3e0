"""``COPY ... TO STDOUT``, message by message, straight from libpq.

psycopg's own iteration enters its waiting loop once for each row, which for short rows takes longer than
everything else that a client does with them.
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
    """Run a COPY in the caller's transaction and yield the server's messages, one for each row.

    The COPY is cancelled when the iteration ends early. Raises what psycopg raises.
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
