"""A pool of a few connections that many threads share, for a server with short requests."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from ops_platform.clients.postgres.connection import CONNECT_TIMEOUT_SECONDS, Connection, describe
from ops_platform.errors import Unavailable

WAIT_SECONDS = 3.0
STATEMENT_TIMEOUT_MS = 5_000


def _check(connection: Connection) -> None:
    """Raise OperationalError for a connection that has ended.

    A server that shuts down says so, or its system does: then an idle connection has something to
    read. Only then is the server asked, since asking costs a round trip.
    """
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        ConnectionPool.check_connection(connection)


class Pool:
    """Connections to one database, opened when first needed."""

    def __init__(self, url: str, *, application: str, size: int = 10) -> None:
        self._where = describe(url)
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            connection_class=psycopg.Connection[dict[str, Any]],
            kwargs={
                "row_factory": dict_row,
                "application_name": application,
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
            },
            min_size=0,
            max_size=size,
            timeout=WAIT_SECONDS,
            reconnect_timeout=0,
            # A connection from before the server's restart must not fail somebody's request.
            check=_check,
            open=True,
        )

    @contextmanager
    def use(self) -> Iterator[Connection]:
        """Lend a connection in a transaction: committed at the end, rolled back on an exception.

        Raises Unavailable when no connection is free within WAIT_SECONDS or the server goes away.
        """
        try:
            with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, PoolClosed, psycopg.OperationalError):
            raise Unavailable(f"PostgreSQL at {self._where} cannot be used now: look at its log") from None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection for single read-only statements, without the round trips of a transaction.

        Raises as ``use`` does.
        """
        with self.use() as connection:
            connection.autocommit = True
            try:
                yield connection
            finally:
                if not connection.closed:
                    connection.autocommit = False

    def close(self) -> None:
        """Close the pool; connections in use are closed when they are returned."""
        self._pool.close(timeout=2.0)
