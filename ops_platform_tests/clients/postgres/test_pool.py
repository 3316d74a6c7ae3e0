"""Connections that threads share, on a real server that ends some of them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from ops_platform.clients.postgres.pool import Pool
from ops_platform.errors import Unavailable
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services
APPLICATION = "test pool"


@pytest.fixture
def pool(ops_database: OpsDatabase) -> Iterator[Pool]:
    made = Pool(ops_database.url("ops_owner"), application=APPLICATION, size=1)
    yield made
    made.close()


def end_connections(database: OpsDatabase) -> None:
    with database.cluster.superuser(database.name) as superuser:
        ended = superuser.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s",
            (APPLICATION,),
        ).fetchall()
        assert ended == [(True,)]


def pid(pool: Pool) -> int:
    with pool.use() as connection:
        return connection.info.backend_pid


def test_a_connection_that_the_server_ended_is_not_given_out(pool: Pool, ops_database: OpsDatabase) -> None:
    first = pid(pool)
    assert pid(pool) == first
    end_connections(ops_database)
    with pool.use() as connection:
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}
        assert connection.info.backend_pid != first


def test_reading_has_no_transaction_and_leaves_none(pool: Pool) -> None:
    with pool.reading() as connection:
        connection.execute("SELECT 1")
        assert connection.info.transaction_status == TransactionStatus.IDLE
    with pytest.raises(psycopg.errors.UndefinedTable), pool.reading() as connection:
        connection.execute("SELECT * FROM nothing")
    with pytest.raises(psycopg.errors.UndefinedTable), pool.use() as connection:
        connection.execute("CREATE TABLE gone (); SELECT * FROM nothing")
    with pool.reading() as connection:
        assert connection.execute("SELECT to_regclass('gone') AS found").fetchone() == {"found": None}


def test_a_connection_that_ends_while_it_is_read_from(pool: Pool, ops_database: OpsDatabase) -> None:
    def read() -> None:
        with pool.reading() as connection:
            end_connections(ops_database)
            connection.execute("SELECT 1")

    with pytest.raises(Unavailable):
        read()
    assert pid(pool)
