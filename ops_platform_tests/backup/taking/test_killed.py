"""Whoever dies at whatever moment: no lock stays, no row lies, and the next backup needs no human."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import uuid4

import psutil
import pytest

from ops_platform.backup.stanza import locks
from ops_platform.backup.taking import execution
from ops_platform.backup.taking import report_store as records
from ops_platform.clients import postgres
from ops_platform.clients.pgbackrest.command import PgBackRestError
from ops_platform.clients.waiting import wait_until
from ops_platform_tests.backup.site import Site, silent, take
from ops_platform_tests.worker_process import Worker, wait_for, worker_process

pytestmark = pytest.mark.services

BEGIN = "backup command begin"
COPYING = "backup start archive"
NAMED = "new backup label"
PREFLIGHT, TAKE = "preflight", "take"


def worker(site: Site, run_id: str, stop_at: str = "") -> AbstractContextManager[Worker]:
    arguments = (site.name, "incremental", run_id, stop_at)
    return worker_process("ops_platform_tests.backup.worker", site.settings, *arguments)


def pgbackrests(site: Site) -> list[psutil.Process]:
    """The backups of this site that run now, with their helpers; not its archiver."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        ours = f"--stanza={site.name}" in words and str(site.context.paths.lock.parent) in " ".join(words)
        if ours and any(word.startswith("backup") for word in words):
            found.append(process)
    return found


def assert_all_is_well_after(site: Site, run_id: str) -> None:
    """What died is recorded as failed by the next run, which succeeds."""
    done = take(site, "incremental")
    assert not done.report.adopted
    row = site.report(run_id)
    assert (row["status"], row["reconciled"]) == ("failed", True)
    assert "died without a word" in row["error_reason"]
    assert site.audit(run_id) == [("intent", None), ("outcome", "failed")]
    assert not pgbackrests(site)


@pytest.mark.parametrize(
    "moment",
    [
        COPYING,
        pytest.param(BEGIN, marks=pytest.mark.full),
        pytest.param(NAMED, marks=pytest.mark.full),
    ],
)
def test_a_worker_killed_while_pgbackrest_runs(backed_up: Site, moment: str) -> None:
    run_id = str(uuid4())
    with worker(backed_up, run_id) as process:
        wait_for(process, moment)
        process.kill()
        process.wait()
        wait_until(lambda: not pgbackrests(backed_up), 10, "pgBackRest is gone", interval=0.05)
        assert not locks.is_held(backed_up.context.ops_url, backed_up.name)
    assert_all_is_well_after(backed_up, run_id)


def test_a_worker_killed_before_it_opened_its_report_leaves_nothing(backed_up: Site) -> None:
    run_id = str(uuid4())
    with worker(backed_up, run_id, PREFLIGHT) as process:
        wait_for(process, "STOPPED")
        process.kill()
        process.wait()
    assert backed_up.audit(run_id) == []
    wait_until(lambda: not locks.is_held(backed_up.context.ops_url, backed_up.name), 10, "the lock is free")


def test_a_worker_killed_after_its_set_was_made(backed_up: Site) -> None:
    run_id = str(uuid4())
    with worker(backed_up, run_id, TAKE) as process:
        wait_for(process, "STOPPED")
        assert records.reconcile_dead(backed_up.context.ops_url, backed_up.name) == []
        process.kill()
        process.wait()
    labels = backed_up.labels()
    wait_until(lambda: not locks.is_held(backed_up.context.ops_url, backed_up.name), 10, "the lock is free")
    # The agent finds it, also when no other backup comes.
    assert records.reconcile_dead(backed_up.context.ops_url, backed_up.name) == [f"{backed_up.name}:{run_id}"]
    replay = take(backed_up, "incremental", root=run_id)
    assert replay.report.adopted
    assert backed_up.labels() == labels


def test_a_run_given_up_for_dead_completes_its_own_report(backed_up: Site) -> None:
    """Its database session broke, so its lock was free, but it is alive and made its set."""
    request = backed_up.request("incremental")
    with locks.stanza_lock(backed_up.context.ops_url, backed_up.name, 10, silent):
        taken = execution.take(backed_up.context, request, silent, silent)
    assert records.reconcile_dead(backed_up.context.ops_url, backed_up.name) == [request.backup_id]
    assert backed_up.report(request.run_id)["status"] == "failed"
    execution.record(backed_up.context, request, taken)
    row = backed_up.report(request.run_id)
    assert (row["status"], row["label"], row["error_reason"]) == ("completed", taken.label, None)


def fail_while_copying(site: Site, act: Callable[[], None], error: type[BaseException], match: str) -> None:
    """Take an incremental that ends with this error, by what is done when pgBackRest copies."""

    def at_copying(line: str) -> None:
        if COPYING in line:
            act()

    request = site.request("incremental")
    with pytest.raises(error, match=match):
        execution.run_backup(site.context, request, at_copying, silent)
    assert site.report(request.run_id)["status"] == "failed"
    assert not pgbackrests(site)


class Interrupted(BaseException):
    """Like Dagster's own: no Exception."""


@pytest.mark.full
def test_pgbackrest_is_killed_then_interrupted_then_a_session_drops(backed_up: Site) -> None:
    """Each of the next backups begins behind a death, and needs no human."""

    def kill() -> None:
        for process in pgbackrests(backed_up):
            process.kill()

    fail_while_copying(backed_up, kill, PgBackRestError, r"was killed by signal 9|told to stop")

    interrupted_at: list[float] = []

    def interrupt() -> None:
        interrupted_at.append(time.monotonic())
        raise Interrupted("by Dagster")

    fail_while_copying(backed_up, interrupt, Interrupted, "by Dagster")
    assert time.monotonic() - interrupted_at[0] < 10, "pgBackRest is ended at once"
    with postgres.session(backed_up.context.ops_url) as connection:
        reasons = connection.execute(
            "SELECT error_reason FROM backup_reports WHERE status = 'failed' ORDER BY opened_at DESC LIMIT 1"
        ).fetchall()
    assert [row["error_reason"] for row in reasons] == ["ended by Interrupted"]

    # A restart of the ops database ends the session that holds the lock; the set is made all the same.
    def drop(line: str) -> None:
        if COPYING in line:
            with backed_up.database.superuser() as superuser:
                superuser.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s",
                    (f"ops-platform backup/{backed_up.name}%",),
                )

    request = backed_up.request("incremental")
    report = execution.run_backup(backed_up.context, request, drop, silent)
    assert backed_up.report(request.run_id)["label"] == report.backup_set.label


@pytest.mark.full
def test_pgbackrest_is_told_to_stop(backed_up: Site) -> None:
    def terminate() -> None:
        for process in pgbackrests(backed_up):
            process.terminate()

    fail_while_copying(backed_up, terminate, PgBackRestError, r"was killed by signal|told to stop")
    take(backed_up, "incremental")


def kill_a_full(site: Site) -> str:
    """A full whose pgBackRest is killed when it has saved its manifest and copies files; its run's id."""

    def kill_it(fraction: float) -> None:
        if 0 < fraction < 1:
            for process in pgbackrests(site):
                process.kill()

    request = site.request("full")
    with pytest.raises(PgBackRestError, match="was killed by signal 9"):
        execution.run_backup(site.context, request, silent, kill_it)
    return request.run_id


@pytest.mark.full
def test_an_incremental_after_a_killed_full(backed_up: Site) -> None:
    """S3 goes on listing the folder of the killed full, behind which pgBackRest puts no incremental."""
    killed = kill_a_full(backed_up)
    done = take(backed_up, "incremental")

    assert backed_up.report(killed)["status"] == "failed"
    row = backed_up.report(done.request.run_id)
    assert (row["status"], row["requested_kind"]) == ("completed", "incremental")
    made_up_for = any("the incremental asked for will be a full" in line for line in done.lines)
    assert row["kind"] == ("full" if made_up_for else "incremental")
    assert take(backed_up, "incremental").report.backup_set.kind == "incremental"
