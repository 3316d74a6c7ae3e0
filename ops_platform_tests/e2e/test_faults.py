"""Whatever is killed during a backup: no later backup is blocked, nobody has to clean up."""

from __future__ import annotations

import contextlib
import json

import psutil
import pytest

from ops_platform.clients.waiting import wait_until
from ops_platform_tests.e2e.operator import copying, fill, reports, sets
from ops_platform_tests.running_stack import RunningStack

pytestmark = pytest.mark.full

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
        return next((one for one in copying(stack) if any(mark in part for part in one.cmdline())), None)

    return run_id, wait_until(ours, RUN_SECONDS, "pgBackRest to copy files", interval=0.02)


def ended_as(stack: RunningStack, run_id: str) -> str | None:
    """The status that the run's report was reconciled to."""
    found = reports(stack, run_id)
    return found[0]["status"] if found and found[0]["status"] != "running" else None


def assert_next_succeeds(stack: RunningStack) -> None:
    before = {one.label for one in sets(stack)}
    run = stack.dagster.succeed("backup_incr", PRODUCT, RUN_SECONDS)
    assert reports(stack, run.run_id)[0]["status"] == "completed"
    assert [one for one in sets(stack) if one.annotations["root_run_id"] == run.run_id]
    assert before <= {one.label for one in sets(stack)}


def test_a_killed_worker_takes_pgbackrest_with_it(slow_stack: RunningStack) -> None:
    run_id, pgbackrest = begin_full(slow_stack)
    worker = next(parent for parent in pgbackrest.parents() if "python" in parent.name())
    children = [pgbackrest, *pgbackrest.children(recursive=True)]
    worker.kill()
    _, alive = psutil.wait_procs(children, timeout=10)

    assert alive == []
    assert_next_succeeds(slow_stack)
    assert wait_until(lambda: ended_as(slow_stack, run_id), 60, "the dead run's report") == "failed"


@pytest.mark.parametrize("service", ["code-server", "daemon", "object-store"])
def test_a_killed_part_loses_no_wal_and_blocks_nobody(slow_stack: RunningStack, service: str) -> None:
    run_id, _ = begin_full(slow_stack)
    pid = slow_stack.pids()[service]
    assert pid is not None
    # Its children too, as a crash of its host would: runs are the code server's.
    victims = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()

    def back() -> bool:
        row = slow_stack.status()[service]
        return row["state"] == "running" and row["pid"] != pid

    wait_until(back, 120, f"{service} to be started again", interval=1)
    wait_until(lambda: slow_stack.run("status").returncode == 0, 120, "the stack is whole again", interval=1)
    assert_next_succeeds(slow_stack)
    # A run whose worker died stays STARTED in Dagster; its report does not stay running.
    wait_until(lambda: ended_as(slow_stack, run_id), 240, "the report's end", interval=1)
    found = json.loads(slow_stack.run("backups", "--stanza", "product", "--json").stdout)
    assert found[0]["wal_gap_segments"] == 0


def test_a_killed_pgbackrest_fails_its_run_in_one_line(slow_stack: RunningStack) -> None:
    run_id, pgbackrest = begin_full(slow_stack)
    pgbackrest.kill()
    run = slow_stack.dagster.wait(run_id, RUN_SECONDS)

    assert run.status == "FAILURE"
    assert "pgBackRest" in (slow_stack.dagster.failure(run_id) or "")
    assert ended_as(slow_stack, run_id) == "failed"
    assert_next_succeeds(slow_stack)
