"""Connections to PostgreSQL and advisory locks. Stanzas, backups and requests are not known here."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from ops_platform.clients.safe_errors import why
from ops_platform.errors import Unavailable

Connection = psycopg.Connection[dict[str, Any]]
CONNECT_TIMEOUT_SECONDS = 5
UNREADABLE = "an address that cannot be read"


def connect(url: str, *, application: str = "ops-platform", autocommit: bool = False) -> Connection:
    """Open a connection whose rows are dicts and whose session is in UTC and speaks UTF-8.

    Raises Unavailable with a line that names host, port and database, never the URL.
    """
    try:
        connection = psycopg.connect(
            url,
            autocommit=autocommit,
            row_factory=dict_row,
            application_name=application,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            # Whatever the database's encoding and PGCLIENTENCODING say: the server converts.
            client_encoding="UTF8",
        )
        _in_utc(connection)
        return connection
    except psycopg.OperationalError as error:
        raise Unavailable(f"cannot connect to PostgreSQL at {describe(url)}: {why(error)}") from None
    except psycopg.ProgrammingError:
        raise Unavailable(f"the PostgreSQL URL for {describe(url)} is malformed: correct it") from None


def _in_utc(connection: Connection) -> None:
    """Set the session's time zone to UTC, whatever the role, the database, the URL or PGTZ say.

    An option in the URL would not do: PGTZ has precedence over it, and connection poolers refuse options.
    """
    if connection.info.parameter_status("TimeZone") == "UTC":
        return
    try:
        connection.execute("SET TimeZone TO 'UTC'")
        # A SET that is rolled back is undone.
        connection.commit()
    except psycopg.Error:
        connection.close()
        raise


def describe(url: str) -> str:
    """Name host (or socket directory), port and database of a URL or a libpq string, without any secret."""
    try:
        # SQLAlchemy's URLs name a driver in their scheme.
        parts = conninfo_to_dict(re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url))
    except psycopg.ProgrammingError:
        return UNREADABLE
    host, port, database = (str(parts.get(name) or "") for name in ("host", "port", "dbname"))
    # A password with a slash or an @ that is not escaped ends up in them.
    if not re.fullmatch(r"[\d,]*", port) or "@" in host + database:
        return UNREADABLE
    return f"{host or 'local socket'}:{port or 5432}/{database}"


def located(connection: Connection) -> str:
    """Name host (or socket directory), port and database that a connection has reached."""
    info = connection.info
    return f"{info.host or 'local socket'}:{info.port}/{info.dbname}"


def one_row(
    connection: Connection,
    query: str | sql.SQL | sql.Composed,
    values: Sequence[object] | Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Run a statement that gives exactly one row, as aggregates and INSERT ... RETURNING do, and return it.

    Raises AssertionError for no row or several: then the statement is not what its caller says.
    """
    rows = connection.execute(query, values).fetchall()
    if len(rows) != 1:
        raise AssertionError(f"a statement of one row had {len(rows)}")
    return rows[0]


def lock_key(name: str) -> int:
    """Derive the signed 64-bit key of an advisory lock from its name (first 8 bytes of the SHA-256)."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def try_lock(connection: Connection, name: str, *, shared: bool = False) -> bool:
    """Take a session's advisory lock if it is free; it ends with the connection, however that ends."""
    function = "pg_try_advisory_lock_shared" if shared else "pg_try_advisory_lock"
    return bool(one_row(connection, f"SELECT {function}(%s) AS taken", (lock_key(name),))["taken"])


def try_transaction_lock(connection: Connection, name: str) -> bool:
    """Take a transaction's advisory lock if it is free; it ends with the transaction."""
    return bool(
        one_row(connection, "SELECT pg_try_advisory_xact_lock(%s) AS taken", (lock_key(name),))["taken"]
    )


def unlock(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Release a session's advisory lock. Raises what psycopg raises."""
    function = "pg_advisory_unlock_shared" if shared else "pg_advisory_unlock"
    connection.execute(f"SELECT {function}(%s)", (lock_key(name),))


def unlock_quietly(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Release a session's advisory lock, and ignore errors: a session that broke has lost it anyway.

    The server takes a moment to notice a closed connection; without this the next caller could still
    find the lock held.
    """
    with contextlib.suppress(psycopg.Error):
        unlock(connection, name, shared=shared)


@contextmanager
def session(url: str, *, application: str = "ops-platform", autocommit: bool = False) -> Iterator[Connection]:
    """Open a connection for the block: committed and closed at its end, rolled back on an exception."""
    with connect(url, application=application, autocommit=autocommit) as connection:
        yield connection
