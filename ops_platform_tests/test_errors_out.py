"""The error of ``SELECT 'anna@example.org'::uuid`` on its way to each place where people read errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import httpx
import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from starlette.testclient import TestClient

from ops_platform import cli
from ops_platform.agent.http import AgentServer
from ops_platform.agent.supervised_loop import Loop, Supervisor
from ops_platform.api.edge.shield import Shield
from ops_platform.clients.waiting import wait_until
from ops_platform.defs import failures
from ops_platform.defs.slo import checks
from ops_platform.dr.inspection import check_result as ladder
from ops_platform.slo.reporting import refresh as keeping
from ops_platform_tests.clients.bad_errors import ADDRESS, bad_uuid

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
