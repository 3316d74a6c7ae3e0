"""The error of ``SELECT 'anna@example.org'::uuid`` on its way to each place where people read errors."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import psycopg
import pytest
from botocore import exceptions as boto
from dagster._core.errors import DagsterExecutionInterruptedError
from prometheus_client import CollectorRegistry, generate_latest
from psycopg import errors as pg
from starlette.testclient import TestClient

from ops_platform import cli
from ops_platform.agent.http import AgentServer
from ops_platform.agent.supervised_loop import Loop, Supervisor
from ops_platform.api.edge.shield import Shield
from ops_platform.clients.json_http import JsonService
from ops_platform.clients.safe_errors import describe, frames, process, program_first_line, program_last_line
from ops_platform.clients.waiting import wait_until
from ops_platform.defs import failures
from ops_platform.defs.slo import checks
from ops_platform.dr.inspection import check_result as ladder
from ops_platform.errors import Unavailable
from ops_platform.local.supervision import log_files
from ops_platform.slo.reporting import refresh as keeping
from ops_platform_tests.clients.bad_errors import ADDRESS, bad_uuid, database_error

Fail = Callable[[], Any]


@pytest.fixture(params=["made", pytest.param("real", marks=pytest.mark.services)])
def fail(request: pytest.FixtureRequest) -> Iterator[Fail]:
    """Raise the error: one that was put together here, and the one that the server sends."""
    if request.param == "made":

        def raise_it() -> None:
            raise bad_uuid()

        yield raise_it
        return
    database = request.getfixturevalue("ops_database")
    with psycopg.connect(database.url("ops_worker"), autocommit=True) as connection:
        yield lambda: connection.execute(f"SELECT '{ADDRESS}'::uuid")


def test_the_agents_log_health_and_metrics(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    supervisor = Supervisor([Loop("look", 30, fail)])
    registry = CollectorRegistry()
    server = AgentServer(
        "127.0.0.1", 0, registry=registry, states=supervisor.states, receive=lambda body: 0,
        wait_for_first_round=lambda: None,
    )  # fmt: skip
    server.start()
    try:
        supervisor.start()
        wait_until(lambda: supervisor.states()["look"].failures > 0, 5, "the loop fails", interval=0.01)
        health = httpx.get(f"http://127.0.0.1:{server.port}/healthz").text
    finally:
        supervisor.stop(2)
        server.close()
    for text in (caplog.text, health):
        assert ADDRESS not in text
        assert "InvalidTextRepresentation" in text
        assert "22P02" in text
    assert ADDRESS not in generate_latest(registry).decode()


@pytest.mark.processes
def test_dagsters_event_log_after_an_asset_of_slo(fail: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "store_days", lambda *arguments: fail())
    monkeypatch.setattr("ops_platform.defs.slo.assets._url", lambda platform: "postgresql://")
    from ops_platform.defs.resources import PlatformResource
    from ops_platform.defs.slo.assets import daily_counts

    monkeypatch.setattr(PlatformResource, "objectives", lambda self: [])
    assert_silent(
        lambda instance: dg.materialize(
            [daily_counts],
            resources={"platform": PlatformResource()},
            partition_key="2026-01-01",
            instance=instance,
            raise_on_error=False,
        )
    )


@pytest.mark.processes
def test_dagsters_event_log_after_an_op(fail: Fail) -> None:
    """Also with the error as a cause, or as what was being handled when another came."""

    @dg.op
    def plain() -> None:
        with failures.reported_failures():
            fail()

    @dg.op
    def caused() -> None:
        with failures.reported_failures():
            try:
                fail()
            except psycopg.Error as error:
                raise RuntimeError(f"could not read {ADDRESS}") from error

    @dg.op
    def meanwhile() -> None:
        with failures.reported_failures():
            try:
                fail()
            except psycopg.Error:
                raise KeyError(ADDRESS)  # noqa: B904 - this is the point

    for op in (plain, caused, meanwhile):
        job = dg.GraphDefinition("any", node_defs=[op]).to_job()
        assert_silent(
            lambda instance, job=job: job.execute_in_process(instance=instance, raise_on_error=False),  # type: ignore[misc]
        )


def assert_silent(
    execute: Callable[[dg.DagsterInstance], dg.ExecuteInProcessResult], says: str = "22P02"
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        done = execute(instance)
        stored = instance.all_logs(done.run_id)
    assert not done.success
    text = "\n".join(dg.serialize_value(entry) for entry in stored)
    assert ADDRESS not in text
    assert says in text


def test_dagsters_tick_of_a_sensor(fail: Fail) -> None:
    @dg.sensor(job_name="any")
    def sensor() -> None:
        with failures.reported_failures():
            fail()

    from dagster._utils.error import serializable_error_info_from_exc_info  # what a tick stores

    try:
        sensor.evaluate_tick(dg.build_sensor_context())
    except Exception:
        stored = dg.serialize_value(serializable_error_info_from_exc_info(sys.exc_info()))
    assert ADDRESS not in stored
    assert "22P02" in stored


@pytest.mark.parametrize("debug", [False, True])
def test_the_terminal(
    fail: Fail, debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback was asked for: it has the places, and none of the values."""

    def broken(**arguments: Any) -> None:
        try:
            fail()
        except psycopg.Error as error:
            raise LookupError(f"nobody is {ADDRESS}") from error

    for command in (fail, broken):
        monkeypatch.setattr(cli.cli, "main", lambda command=command, **_: command())
        monkeypatch.setattr(sys, "argv", ["ops-platform", *(["--debug"] if debug else [])])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert ended.value.code
        assert ADDRESS not in said.out + said.err
        assert ("Traceback" in said.err) == debug
        if debug:
            assert "test_errors_out.py" in said.err
            assert "22P02" in said.err


def test_http_answers(fail: Fail, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        fail()

    answer = TestClient(Shield(app, lambda *_: None)).get("/api/gdpr/requests")
    assert answer.status_code == 500
    assert ADDRESS not in answer.text
    assert ADDRESS not in caplog.text
    assert "22P02" in caplog.text


def test_checks_and_verifications(fail: Fail) -> None:
    answer = ladder.run_check("orphans", fail)
    assert ADDRESS not in answer.summary
    assert "22P02" in answer.summary
    try:
        fail()
    except psycopg.Error as error:
        said = str(checks._unknown(error).description)
    assert ADDRESS not in said
    assert "InvalidTextRepresentation" in said


# What got through: each of these failed when it was written.

NAME = "Anna Schmidt"
"""A value that no mask of mail addresses catches."""


def _failure_inside() -> None:
    raise dg.Failure(description="it failed")


def _interrupted() -> None:
    raise DagsterExecutionInterruptedError  # a run is cancelled while its transaction rolls back


def _retry() -> None:
    raise dg.RetryRequested(max_retries=0)


def _keyboard() -> None:
    raise KeyboardInterrupt


@pytest.mark.processes
@pytest.mark.parametrize("then", [_failure_inside, _interrupted, _retry, _keyboard])
def test_dagsters_event_log_when_a_signal_comes_meanwhile(then: Callable[[], None]) -> None:
    """``told`` lets Dagster's own pass: with what was being handled as their context."""

    @dg.op
    def meanwhile() -> None:
        with failures.reported_failures():
            try:
                raise bad_uuid()
            except psycopg.Error:
                then()

    assert_nothing_stored(meanwhile)


@pytest.mark.processes
def test_dagsters_event_log_after_a_group() -> None:
    @dg.op
    def group() -> None:
        with failures.reported_failures():
            raise BaseExceptionGroup(f"of {ADDRESS}", [bad_uuid(), KeyboardInterrupt()])

    assert_nothing_stored(group)


def assert_nothing_stored(op: dg.OpDefinition) -> None:
    job = dg.GraphDefinition("any", node_defs=[op]).to_job()
    with dg.DagsterInstance.ephemeral() as instance:
        with contextlib.suppress(BaseException):  # the interruption; what was stored counts
            job.execute_in_process(instance=instance, raise_on_error=False)
        (run,) = instance.get_runs()
        text = "\n".join(dg.serialize_value(entry) for entry in instance.all_logs(run.run_id))
    assert ADDRESS not in text


def chain(length: int) -> BaseException:
    error = ValueError(ADDRESS)
    for _ in range(length):
        later = ValueError(ADDRESS)
        later.__context__ = error
        error = later
    return error


def test_a_long_chain_has_frames() -> None:
    """Else sys.excepthook itself fails, and Python prints the original exception."""
    assert ADDRESS not in frames(chain(3000))


def test_an_error_of_an_unforeseen_shape_has_a_line() -> None:
    odd = boto.ClientError({"Error": {"Code": "X"}}, "GetObject")
    odd.response = {"Error": f"no {ADDRESS}"}  # type: ignore[typeddict-item]
    assert ADDRESS not in describe(odd)


LOGGED: dict[str, Callable[[logging.Logger], None]] = {
    "list": lambda log: log.warning("failed: %s", [bad_uuid()]),
    "dict": lambda log: log.warning("failed: %s %s", {"error": bad_uuid()}, 1),
    "number": lambda log: log.warning("failed: %d", bad_uuid()),
    "too many": lambda log: log.warning("failed", ADDRESS),
}


@pytest.mark.parametrize("how", LOGGED)
def test_what_libraries_log_in_other_ways(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.Logger("library")
    before, logging.root.handlers = logging.root.handlers, []
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning
    raising = logging.raiseExceptions
    try:
        process.guard(logging.INFO)
        logger.addHandler(logging.root.handlers[0])
        LOGGED[how](logger)
    finally:
        logging.root.handlers = before
        logging.raiseExceptions = raising
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks
    said = capsys.readouterr()
    assert ADDRESS not in said.out + said.err


def test_what_asyncio_says_of_a_callback() -> None:
    record = logging.LogRecord(
        "asyncio", logging.ERROR, "", 0, f"Exception in callback keep('{ADDRESS}') at x.py:1\nhandle: <>",
        (), None,
    )  # fmt: skip
    assert ADDRESS not in process.Formatter("%(message)s").format(record)


def test_an_http_refusal_says_no_query() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(400, json={"error": "bad"}))
    with JsonService("Prometheus", "http://127.0.0.1:1") as service:
        service._client = httpx.Client(transport=transport)
        with pytest.raises(Unavailable) as raised:
            service.get(f"/api/v1/label?who={ADDRESS}")
    assert ADDRESS not in str(raised.value)


def test_the_end_of_a_services_log(tmp_path: Path) -> None:
    file = tmp_path / "product.log"
    file.write_text(
        f'2026-01-01 ERROR:  invalid input syntax for type uuid: "{NAME}"\n'
        f"2026-01-01 STATEMENT:  SELECT '{NAME}'\n"
    )
    assert NAME not in log_files.last_word(file)


def test_the_line_of_a_program_beside_a_server_that_speaks_german() -> None:
    said = f"pg_dump: error: query failed: FEHLER:  ungültige Eingabesyntax für Typ uuid: »{NAME}«"
    assert NAME not in program_first_line(said)


def test_the_last_line_of_a_program_that_shows_its_statement() -> None:
    assert NAME not in program_last_line(f"psql: ERROR:  no such column\nLINE 1: SELECT '{NAME}', x")


NAMING = {
    "tsquery": "SELECT to_tsquery({0})",
    "hstore": "SELECT {0}::hstore",
    "role": "SELECT has_table_privilege({0}, 'pg_class', 'select')",
    "setting": "SELECT current_setting({0})",
    "column": "SELECT pg_get_serial_sequence('people', {0})",
    "relation": "SELECT quote_ident({0})::regclass",
    "sequence": "SELECT nextval(quote_ident({0}))",
    "function": "SELECT quote_ident({0})::regproc",
    "file": "SELECT pg_read_file({0})",
    "slot": "SELECT pg_drop_replication_slot({0})",
    "extension": "SELECT pg_extension_update_paths({0})",
    "dynamic": "DO $$ BEGIN EXECUTE 'SELECT ' || quote_ident({0}); END $$",
    "raise using": "DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = 'x', COLUMN = {0}, CONSTRAINT = {0}; END $$",
}


@pytest.mark.services
def test_a_row_in_messages_of_classes_that_name_objects(ops_database: Any) -> None:
    """The SQLSTATE does not tell whether the name in a message stood in the statement or in a row."""
    leaks = []
    with ops_database.superuser() as connection:
        connection.autocommit = True
        connection.execute(f"CREATE EXTENSION hstore; CREATE TABLE people AS SELECT '{NAME}' AS name")
        for name, statement in NAMING.items():
            try:
                connection.execute(statement.format("(SELECT name FROM people)"))
            except psycopg.Error as error:
                leaks += [name] if NAME in describe(error) else []
    assert leaks == []


def test_other_messages_of_the_server() -> None:
    german = database_error(pg.SyntaxError, f"Zeichenkette nicht abgeschlossen bei »'{NAME}«")
    far = database_error(
        pg.InsufficientPrivilege, f"no access for {NAME}", source_function="pgfdw_report_error"
    )
    elog = database_error(pg.InternalError_, f"bad {NAME}")  # what elog() of any extension is
    assert [str(one) for one in (german, far, elog) if NAME in describe(one)] == []
