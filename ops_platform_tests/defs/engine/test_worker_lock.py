"""The lock of a run's worker, and what the launcher makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.errors import DagsterLaunchFailedError, DagsterUserCodeUnreachableError
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.launcher.base import WorkerStatus
from dagster_shared.error import SerializableErrorInfo

from ops_platform import files
from ops_platform.clients.waiting import wait_until
from ops_platform.defs import worker_lock
from ops_platform.defs.launcher import WatchedRunLauncher, WorkerWatch
from ops_platform.defs.run_retries import WORKER_TAG
from ops_platform.defs.worker_lock import LockedEventLog, WorkerLock, worker_of
from ops_platform.errors import Unavailable
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services


@pytest.fixture
def instance(
    ops_database: OpsDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    url = ops_database.url("ops_owner").replace("postgresql://", "postgresql+psycopg2://")
    monkeypatch.setenv("OPS_DAGSTER_STORAGE_URL", url)
    document = yaml.safe_load(files.carried("dagster.yaml").read_text(encoding="utf-8"))
    kept = {name: document[name] for name in ("storage", "run_launcher")}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(kept), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def the_log(instance: dg.DagsterInstance) -> LockedEventLog:
    log = instance.event_log_storage
    assert isinstance(log, LockedEventLog)
    return log


def run_of(run_id: str, **tags: str) -> dg.DagsterRun:
    return dg.DagsterRun(job_name="job", run_id=run_id, tags=tags)


def job_that(look: Callable[[dg.OpExecutionContext], None]) -> dg.JobDefinition:
    @dg.op(name="look")
    def op(context) -> None:  # type: ignore[no-untyped-def]
        look(context)

    @dg.job(name="job")
    def job() -> None:
        op()

    return job


def test_a_run_holds_its_lock_while_it_runs_and_says_where(instance: dg.DagsterInstance) -> None:
    log, seen = the_log(instance), []

    def look(context: dg.OpExecutionContext) -> None:
        run = instance.get_run_by_id(context.run_id)
        assert run is not None
        seen.append((log.has_live_worker(run.run_id), worker_of(run), run.tags[WORKER_TAG]))

    result = job_that(look).execute_in_process(instance=instance)
    assert result.success
    [(alive, worker, tag)] = seen
    assert alive
    assert worker == tag
    assert not log.has_live_worker(result.run_id)
    # A retry inherits the tag of the run before it, whose worker is not its own.
    assert worker_of(run_of("another", **{WORKER_TAG: tag})) is None


def test_a_failed_run_lets_its_lock_go(instance: dg.DagsterInstance) -> None:
    def look(context: dg.OpExecutionContext) -> None:
        raise dg.Failure(f"of {context.run_id}")

    result = job_that(look).execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    assert not the_log(instance).has_live_worker(result.run_id)


def test_a_second_worker_of_a_run_does_nothing(instance: dg.DagsterInstance) -> None:
    log = the_log(instance)
    lock = WorkerLock(log._engine, "run")
    with pytest.raises(Unavailable, match="has a worker that lives"):
        WorkerLock(log._engine, "run")
    assert log.has_live_worker("run")
    lock.release()
    assert not log.has_live_worker("run")


def test_a_worker_takes_its_lock_again_after_a_restart_of_the_server(
    instance: dg.DagsterInstance, ops_database: OpsDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_lock, "LOOK_SECONDS", 0.05)
    log = the_log(instance)
    lock = WorkerLock(log._engine, "run")
    with ops_database.superuser() as superuser:
        ended = superuser.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = %s)",
            (ops_database.name,),
        ).fetchall()
    assert ended == [(True,)]
    assert wait_until(lambda: log.has_live_worker("run"), 30, "the lock to be taken again")
    lock.release()


def test_a_worker_is_gone_when_its_lock_stays_free(instance: dg.DagsterInstance) -> None:
    log, watch = the_log(instance), WorkerWatch(30)
    run = run_of("run", **{WORKER_TAG: "host:1/run"})
    lock = WorkerLock(log._engine, "run")

    def status(now: float, of: dg.DagsterRun = run) -> WorkerStatus:
        return watch.health(log, of, now).status

    assert status(0) is WorkerStatus.RUNNING
    lock.release()
    assert status(100) is WorkerStatus.RUNNING
    again = WorkerLock(log._engine, "run")
    assert status(131) is WorkerStatus.RUNNING
    again.release()
    # What was seen before the worker was back counts no more.
    assert status(140) is WorkerStatus.RUNNING
    assert status(169.9) is WorkerStatus.RUNNING
    assert status(170) is WorkerStatus.NOT_FOUND
    # Of a run that began before workers held locks nothing is known.
    assert status(0, run_of("old")) is WorkerStatus.RUNNING
    assert status(1000, run_of("old")) is WorkerStatus.RUNNING


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (None, DagsterUserCodeUnreachableError),
        (SerializableErrorInfo("it cannot be imported", [], None), DagsterLaunchFailedError),
    ],
)
def test_what_a_code_server_on_its_way_out_refuses_waits(
    error: SerializableErrorInfo | None, raised: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DagsterLaunchFailedError("refused", serializable_error_info=error)

    monkeypatch.setattr(DefaultRunLauncher, "launch_run", refuse)
    with pytest.raises(raised):
        WatchedRunLauncher().launch_run(None)  # type: ignore[arg-type]
