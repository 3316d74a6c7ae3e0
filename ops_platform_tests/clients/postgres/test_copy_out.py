"""COPY read from libpq: all that the server sends, its errors, and a session that is usable afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres import copy_out
from ops_platform.clients.postgres.connection import Connection
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services
MANY = 200_000


@pytest.fixture
def connection(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.connect(ops_database.url("ops_worker")) as connection:
        yield connection


def copied(connection: Connection, query: str) -> Iterator[memoryview]:
    return copy_out.messages(connection, sql.SQL("COPY ({}) TO STDOUT").format(sql.SQL(query)))


def usable(connection: Connection) -> bool:
    row = connection.execute("SELECT 1 AS one").fetchone()
    return row == {"one": 1}


@pytest.mark.parametrize("rows", [0, 1, MANY])
def test_each_row_comes_once_and_in_order(connection: Connection, rows: int) -> None:
    found = (bytes(one) for one in copied(connection, f"SELECT generate_series(1, {rows})"))
    assert all(one == b"%d\n" % n for n, one in zip(range(1, rows + 1), found, strict=True))
    assert usable(connection)


def test_a_row_may_be_large(connection: Connection) -> None:
    (row,) = copied(connection, "SELECT repeat('é', 20 * 1000 * 1000)")
    assert len(row) == 40_000_001
    assert usable(connection)


@pytest.mark.parametrize("good", [0, 5, MANY])
def test_an_error_of_the_server_is_raised_after_what_came_before_it(
    connection: Connection, good: int
) -> None:
    found = copied(connection, f"SELECT 1 / ({good} + 1 - n) FROM generate_series(1, {good} + 5) AS n")
    assert len(list(itertools.islice(found, good))) == good
    with pytest.raises(psycopg.errors.DivisionByZero):
        next(found)
    connection.rollback()
    assert usable(connection)


def test_what_is_no_query_is_an_error(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        list(copied(connection, "SELECT * FROM nothing_of_this_name"))
    connection.rollback()
    assert usable(connection)


def test_who_stops_reading_cancels_the_copy(connection: Connection) -> None:
    endless = "SELECT n, pg_sleep(CASE WHEN n > 1000 THEN 3600 ELSE 0 END) FROM generate_series(1, 1001) AS n"
    found = copied(connection, endless)
    next(found)
    found.close()  # type: ignore[attr-defined]
    connection.rollback()
    assert usable(connection)


def test_a_session_that_is_cut_is_an_error(connection: Connection, ops_database: OpsDatabase) -> None:
    found = copied(connection, f"SELECT repeat('x', 1000) FROM generate_series(1, {MANY})")
    next(found)
    with ops_database.superuser() as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        list(found)
    assert connection.broken
