"""The long matrix of the embedded stack: single deaths, neighbours, moves, ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from ops_platform.clients.waiting import wait_until
from ops_platform.local.components import PORT_NAMES
from ops_platform.local.supervision import Supervisor
from ops_platform_tests.local.test_stack import SERVICES
from ops_platform_tests.ports import free_block
from ops_platform_tests.running_stack import RunningStack, is_supervisor

# Not of the group "stack": the two take about as long, on two workers, which is worth a second start.
pytestmark = [pytest.mark.full, pytest.mark.timeout(900), pytest.mark.xdist_group("stack-faults")]


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """A stack without a past: no test here asks for it, and to count it takes half a minute of a core."""
    running = RunningStack(history_days=0)
    try:
        running.up()
        yield running
    finally:
        running.close()


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_killed_service_is_back_after_up_and_no_other_was_touched(
    stack: RunningStack, service: str
) -> None:
    before = stack.pids()
    os.kill(before[service] or 0, signal.SIGKILL)
    stack.up()
    status = stack.status()
    assert [name for name, row in status.items() if not row["ready"]] == []
    changed = {name for name, row in status.items() if row["pid"] != before[name]}
    assert changed == {service}


def test_a_killed_service_comes_back_without_up(stack: RunningStack) -> None:
    before = stack.pids()
    for name in ("agent", "redis", "ops-postgres"):
        os.kill(before[name] or 0, signal.SIGKILL)
    wait_until(lambda: all(row["ready"] for row in stack.status().values()), 90, "all services are back")


def test_a_dead_supervisor_leaves_orphans_and_up_takes_over(stack: RunningStack) -> None:
    before = stack.pids()
    _kill_supervisor(stack)
    stack.up()
    after = stack.pids()
    assert None not in after.values()
    assert not set(before.values()) & set(after.values())


def test_a_single_service_started_after_the_supervisor_died_leaves_no_orphan_either(
    stack: RunningStack,
) -> None:
    before = stack.pids()
    _kill_supervisor(stack)
    done = stack.run("up", "object-store")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not set(before.values()) & {process.pid for process in stack.processes()}
    stack.up()
    assert [name for name, row in stack.status().items() if not row["ready"]] == []


def test_runs_wait_for_a_code_server_that_is_away(stack: RunningStack) -> None:
    """Queued while the daemon was down too, as in an upgrade: none fails, all are done afterwards."""
    programs = Supervisor(stack.layout, stack.layout.stack_id_file.read_text(encoding="utf-8").strip())
    programs.stop(["daemon"])
    runs = [stack.dagster.launch("wal_checks", {}) for _ in range(3)]
    programs.stop(["code-server"])
    programs.start("daemon")
    tried = "DagsterUserCodeUnreachableError"
    daemon_log = stack.layout.log("daemon")
    wait_until(lambda: tried in daemon_log.read_text(encoding="utf-8"), 120, "the daemon tried a run")
    assert {stack.dagster.run(run_id).status for run_id in runs} <= {"QUEUED", "STARTING"}
    programs.start("code-server")
    for run_id in runs:
        assert stack.dagster.wait(run_id, 180).status == "SUCCESS"


def _kill_supervisor(stack: RunningStack) -> None:
    [supervisor] = filter(is_supervisor, stack.processes())
    supervisor.kill()
    supervisor.wait(10)


def test_a_stopped_s3_holds_up_neither_down_nor_up(stack: RunningStack) -> None:
    """The archiver waits minutes for S3; a stop must not wait for the archiver."""
    store = psutil.Process(stack.pids()["object-store"] or 0)
    store.suspend()
    place = stack.layout.postgres_sockets
    with psycopg.connect(f"host={place} port={stack.base + 2} user=postgres", autocommit=True) as superuser:
        superuser.execute("SELECT pg_create_restore_point('something to archive')")
        superuser.execute("SELECT pg_switch_wal()")
    done = stack.run("down", timeout=200)
    assert done.returncode == 0, done.stderr
    assert stack.processes() == []
    stack.up()
    assert [name for name, row in stack.status().items() if not row["ready"]] == []


def _labels(stack: RunningStack) -> set[str]:
    rows = json.loads(stack.run("backups", "--json").stdout)
    return {backup["label"] for row in rows for backup in row["sets"]}


@pytest.fixture
def neighbour() -> Iterator[RunningStack]:
    running = RunningStack(history_days=0)
    yield running
    running.close()


def test_two_stacks_live_side_by_side(stack: RunningStack, neighbour: RunningStack) -> None:
    before = stack.pids()
    neighbour.up()
    assert [name for name, row in neighbour.status().items() if not row["ready"]] == []
    neighbour.kill_everything()
    neighbour.up()
    neighbour.run("down")
    assert neighbour.processes() == []
    assert stack.pids() == before
    assert [name for name, row in stack.status().items() if not row["ready"]] == []


def test_down_leaves_no_process_and_a_move_to_other_ports_keeps_everything(neighbour: RunningStack) -> None:
    neighbour.up()
    labels = _labels(neighbour)
    refused = neighbour.run("up", extra={"OPS_PORT_BASE": str(neighbour.base + 500)})
    assert refused.returncode == 2
    assert "runs on other ports" in refused.stderr
    assert neighbour.run("down").returncode == 0
    assert neighbour.processes() == []
    neighbour.base = free_block(len(PORT_NAMES))
    neighbour.up()
    assert [name for name, row in neighbour.status().items() if not row["ready"]] == []
    assert len(labels) == 2
    assert _labels(neighbour) == labels
    # What was written after the move reaches the repository too.
    assert neighbour.run("backup", "incr", "--stanza", "product").returncode == 0
