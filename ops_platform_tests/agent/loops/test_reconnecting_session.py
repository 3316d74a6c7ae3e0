"""Kept connections on a real server: reopened when broken, cut from another thread."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from ops_platform.agent.loops.reconnecting_session import ReconnectingSession
from ops_platform.agent.supervised_loop import Loop, Supervisor
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import Unavailable
from ops_platform_tests.services import OpsDatabase


def backend(link: ReconnectingSession) -> int:
    with link.use() as connection:
        return int(connection.execute("SELECT pg_backend_pid() AS pid").fetchall()[0]["pid"])


@pytest.mark.services
def test_a_connection_is_kept_and_opened_anew_when_broken(ops_database: OpsDatabase) -> None:
    link = ReconnectingSession(lambda: ops_database.url("ops_agent"), "ops-platform test")
    first = backend(link)
    assert backend(link) == first
    with ops_database.superuser() as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s)", (first,))
    with pytest.raises(Unavailable, match=r"^PostgreSQL at .* went away"):
        backend(link)
    assert backend(link) != first
    link.close()
    link.close()


@pytest.mark.services
def test_what_a_failed_step_wrote_is_rolled_back(ops_database: OpsDatabase) -> None:
    link = ReconnectingSession(lambda: ops_database.url("ops_agent"), "ops-platform test")
    insert = "INSERT INTO heartbeat_positions VALUES ('s', now(), '0/1', 1)"

    def fail_half_way() -> None:
        with link.use() as connection:
            connection.execute(insert)
            connection.execute("SELECT 1/0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        fail_half_way()
    with link.use() as connection:
        connection.execute(insert)
    with link.use() as connection:
        assert connection.execute("SELECT count(*) AS n FROM heartbeat_positions").fetchone() == {"n": 1}
    link.close()


@pytest.mark.services
def test_a_statement_that_hangs_is_cut_and_the_loop_goes_on(ops_database: OpsDatabase) -> None:
    link = ReconnectingSession(lambda: ops_database.url("ops_agent"), "ops-platform test")
    answers: list[int] = []

    def step() -> None:
        with link.use() as connection:
            connection.execute("SELECT pg_sleep(%s)", (0 if answers else 60,))
            answers.append(1)

    def answer_next_time() -> None:
        link.cut()
        answers.append(0)

    supervisor = Supervisor([Loop("hung", 0.1, step, patience=0.3, cut=answer_next_time)])
    supervisor.start()

    def recovered() -> bool:
        supervisor.tend()
        return supervisor.states()["hung"].condition == "healthy"

    began = time.monotonic()
    wait_until(recovered, 20, "the loop recovers")
    assert time.monotonic() - began < 15
    assert supervisor.states()["hung"].failures >= 1
    assert supervisor.stop(5) == []
    link.close()


@pytest.mark.services
def test_a_user_without_a_supervisor_is_cut_by_time(ops_database: OpsDatabase) -> None:
    link = ReconnectingSession(lambda: ops_database.url("ops_agent"), "ops-platform test")
    with pytest.raises(Unavailable, match="went away"), link.limited(0.3), link.use() as connection:
        connection.execute("SELECT pg_sleep(60)")
    with link.limited(0.3), link.use() as connection:
        connection.execute("SELECT 1")
    wait_until(
        lambda: not any(isinstance(thread, threading.Timer) for thread in threading.enumerate()),
        5,
        "no timer is left",
    )
    link.close()


def test_cutting_what_is_not_open_does_nothing() -> None:
    link = ReconnectingSession(lambda: "postgresql://127.0.0.1:1/none", "ops-platform test")
    link.cut()
    with pytest.raises(Unavailable, match=r"^cannot connect to PostgreSQL at 127\.0\.0\.1:1/none"):
        backend(link)
