"""Whatever is killed during a backup: no later backup is blocked, nobody has to clean up."""

from __future__ import annotations

import contextlib
import json

import psutil
import pytest

from ops_platform.clients.waiting import wait_until
from ops_platform_tests.e2e.operator import copying, fill, ops_rows, reports, sets
from ops_platform_tests.running_stack import RunningStack, command_line

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

PRODUCT = {"stanza": "product"}
RUN_SECONDS = 240.0


@pytest.fixture(scope="module")
def slow_stack(stack: RunningStack) -> RunningStack:
    """A full backup of it takes seconds, so that there is time to kill something."""
    fill(stack, megabytes=200)
    return stack


def begin_full(stack: RunningStack) -> tuple[str, psutil.Process]:
    """A full backup, and the pgBackRest that takes it: Dagster may be retrying an earlier run beside it."""
    run_id = stack.dagster.launch("backup_full", PRODUCT)

    def ours() -> psutil.Process | None:
        mark = f"run_id={run_id}"
        return next((one for one in copying(stack) if any(mark in part for part in command_line(one))), None)

    return run_id, wait_until(ours, RUN_SECONDS, "pgBackRest to copy files", interval=0.02)


def ended_as(stack: RunningStack, run_id: str) -> str | None:
    """The status that the run's report was reconciled to."""
    found = reports(stack, run_id)
    return found[0]["status"] if found and found[0]["status"] != "running" else None


def still_running(stack: RunningStack) -> list[str]:
    """The runs whose reports say running."""
    rows = ops_rows(
        stack, "SELECT run_id FROM backup_reports WHERE status = 'running' AND stanza = 'product'"
    )
    return [row["run_id"] for row in rows]


def assert_next_succeeds(stack: RunningStack) -> None:
    before = {one.label for one in sets(stack)}
    run = stack.dagster.succeed("backup_incr", PRODUCT, RUN_SECONDS)
    assert reports(stack, run.run_id)[0]["status"] == "completed"
    assert [one for one in sets(stack) if one.annotations["root_run_id"] == run.run_id]
    assert before <= {one.label for one in sets(stack)}


def assert_retried_once(stack: RunningStack, run_id: str) -> None:
    """A retry ends with the one set of its chain."""

    def retries() -> list[str]:
        runs = stack.dagster.runs("backup_full", tags={"dagster/parent_run_id": run_id})
        return [run.run_id for run in runs]

    [retry] = wait_until(retries, 120, f"a retry of {run_id}", interval=1)
    assert stack.dagster.wait(retry, RUN_SECONDS).status == "SUCCESS"
    assert retries() == [retry]
    assert len([one for one in sets(stack) if one.annotations["root_run_id"] == run_id]) == 1


def test_a_killed_worker_takes_pgbackrest_with_it(slow_stack: RunningStack) -> None:
    run_id, pgbackrest = begin_full(slow_stack)
    worker = next(parent for parent in pgbackrest.parents() if "python" in parent.name())
    children = [pgbackrest, *pgbackrest.children(recursive=True)]
    worker.kill()
    _, alive = psutil.wait_procs(children, timeout=10)

    assert alive == []
    assert_next_succeeds(slow_stack)
    assert wait_until(lambda: ended_as(slow_stack, run_id), 60, "the dead run's report") == "failed"


@pytest.mark.parametrize(
    ("service", "with_its_runs"),
    [("code-server", False), ("code-server", True), ("daemon", False), ("object-store", False)],
)
def test_a_killed_part_loses_no_wal_and_blocks_nobody(
    slow_stack: RunningStack, service: str, with_its_runs: bool
) -> None:
    run_id, pgbackrest = begin_full(slow_stack)
    pid = slow_stack.pids()[service]
    assert pid is not None
    part = psutil.Process(pid)
    # Runs are the code server's children: they outlive it, unless its whole host dies.
    victims = [part, *part.children(recursive=True)] if with_its_runs else [part]
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    assert pgbackrest.is_running() or with_its_runs

    def back() -> bool:
        rows = slow_stack.status()
        return rows[service]["pid"] not in (None, pid) and all(row["ready"] for row in rows.values())

    wait_until(back, 120, f"{service} to be started again, and all to be whole", interval=1)
    assert_next_succeeds(slow_stack)
    ended = wait_until(lambda: ended_as(slow_stack, run_id), 240, "the report's end", interval=1)
    if with_its_runs:
        assert ended == "failed"
        # Nobody is left who knew its process: the lock that it held is free. It is run again, once.
        assert slow_stack.dagster.wait(run_id, RUN_SECONDS).status == "FAILURE"
        assert_retried_once(slow_stack, run_id)
    elif service == "object-store":
        # pgBackRest retries for a while; on a slow machine S3 may be away for longer.
        assert (
            ended
            == {"SUCCESS": "completed", "FAILURE": "failed"}[
                slow_stack.dagster.wait(run_id, RUN_SECONDS).status
            ]
        )
    else:
        assert slow_stack.dagster.wait(run_id, RUN_SECONDS).status == "SUCCESS"
        assert ended == "completed"
    found = json.loads(slow_stack.run("backups", "--json").stdout)
    assert [row["wal_gap_segments"] for row in found] == [0, 0]
    assert still_running(slow_stack) == []


def test_a_killed_pgbackrest_fails_its_run_in_one_line(slow_stack: RunningStack) -> None:
    run_id, pgbackrest = begin_full(slow_stack)
    pgbackrest.kill()
    run = slow_stack.dagster.wait(run_id, RUN_SECONDS)

    assert run.status == "FAILURE"
    assert "pgBackRest" in (slow_stack.dagster.failure(run_id) or "")
    assert ended_as(slow_stack, run_id) == "failed"
    assert_next_succeeds(slow_stack)
