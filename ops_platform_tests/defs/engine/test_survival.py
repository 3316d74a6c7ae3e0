"""What becomes of runs when Dagster's processes come and go: with a real daemon, code server and workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import PARENT_RUN_ID_TAG

from ops_platform.clients.waiting import wait_until
from ops_platform.defs.run_retries import GIVEN_UP
from ops_platform_tests.defs.engine.processes import PATIENCE_SECONDS, Engine
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

QUEUED, STARTED, SUCCESS, FAILURE = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
)


@pytest.fixture
def engine(ops_database: OpsDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setenv("OPS_DAGSTER_STORAGE_URL", "")
    running = Engine(tmp_path, ops_database)
    try:
        yield running
    finally:
        running.close()


def begun(engine: Engine, run_id: str) -> int:
    """Wait until a run works, and return its worker's process."""
    lines = wait_until(
        lambda: engine.lines("begun", run_id), PATIENCE_SECONDS, f"run {run_id} to work", interval=0.1
    )
    return int(lines[0][1])


def the_retry(engine: Engine, run_id: str) -> str:
    """Wait until a run has been run again, once, with success, and return the retry's id."""

    def ended() -> list[dg.DagsterRun]:
        found = engine.instance.get_runs(dg.RunsFilter(tags={PARENT_RUN_ID_TAG: run_id}))
        return [run for run in found if run.is_finished]

    [retry] = wait_until(ended, PATIENCE_SECONDS, f"run {run_id} to be run again")
    assert retry.status is SUCCESS, [entry.message for entry in engine.instance.all_logs(retry.run_id)]
    assert [parts[0] for parts in engine.lines("done", run_id)] == [retry.run_id]
    return str(retry.run_id)


@pytest.mark.full
def test_queued_runs_wait_for_the_code_server(engine: Engine) -> None:
    engine.start_code_server()
    runs = engine.launch("quick", 3)
    engine.kill("code-server")
    engine.start_daemon()
    engine.wait_for_event(runs[0], "re-submitting the run")
    assert [engine.status(run) for run in runs] == [QUEUED, QUEUED, QUEUED]

    engine.start_code_server()
    for run in runs:
        engine.wait_for(run, SUCCESS)
        assert len(engine.lines("done", run)) == 1


def test_a_run_that_died_with_its_code_server_fails_and_is_run_again_when_there_is_one(
    engine: Engine,
) -> None:
    engine.start_code_server()
    [run] = engine.launch("long")
    engine.start_daemon()
    begun(engine, run)
    engine.kill("code-server")
    # Nobody is left who knew the worker's process, as when its host is gone.
    engine.wait_for(run, FAILURE)
    engine.wait_for_event(run, GIVEN_UP)

    engine.start_code_server()
    the_retry(engine, run)
    # One that is given up and asked for again is not asked for at every look.
    [quick] = engine.launch("quick")
    engine.wait_for(quick, SUCCESS)
    assert engine.instance.get_runs_count() == 3


@pytest.mark.full
def test_a_run_that_an_upgrade_stops_is_run_again(engine: Engine) -> None:
    engine.start_code_server()
    [run] = engine.launch("long")
    engine.start_daemon()
    begun(engine, run)
    engine.stop("code-server")
    engine.wait_for(run, FAILURE)
    engine.start_code_server()
    the_retry(engine, run)


def test_only_the_worker_that_is_gone_ends(engine: Engine) -> None:
    engine.start_code_server()
    run, other = engine.launch("long", 2)
    engine.start_daemon()
    process, others_process = begun(engine, run), begun(engine, other)
    # Slow, not gone: the server keeps its lock.
    os.kill(others_process, signal.SIGSTOP)
    os.kill(process, signal.SIGKILL)
    engine.wait_for(run, FAILURE)
    the_retry(engine, run)
    assert engine.status(other) is STARTED
