"""Whatever is killed during a backup: no later backup is blocked, nobody has to clean up."""

from __future__ import annotations

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


def test_a_killed_pgbackrest_fails_its_run_in_one_line(slow_stack: RunningStack) -> None:
    run_id, pgbackrest = begin_full(slow_stack)
    pgbackrest.kill()
    run = slow_stack.dagster.wait(run_id, RUN_SECONDS)

    assert run.status == "FAILURE"
    assert "pgBackRest" in (slow_stack.dagster.failure(run_id) or "")
    assert ended_as(slow_stack, run_id) == "failed"
    assert_next_succeeds(slow_stack)
