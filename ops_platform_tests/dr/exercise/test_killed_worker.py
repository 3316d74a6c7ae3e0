"""kill -9 of an exercise's worker in each phase: the janitor leaves nothing of it, the next one succeeds.

The next one of each moment is that of the moment behind it, which comes further before it is killed; behind
the last, which is killed when all is done but recorded, an exercise runs to its end.
"""

from __future__ import annotations

from uuid import uuid4

import psutil
import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.waiting import wait_until
from ops_platform.dr.exercise import exercise_store as records
from ops_platform.dr.exercise import runner
from ops_platform.dr.exercise.report import ExerciseRequest
from ops_platform.dr.restore import scratch_cluster as scratch
from ops_platform_tests.backup.site import Site, silent
from ops_platform_tests.dr.practice import strike
from ops_platform_tests.dr.worker import MOMENTS
from ops_platform_tests.worker_process import wait_for, worker_process

pytestmark = pytest.mark.full


def in_scratch(site: Site) -> list[psutil.Process]:
    """Whatever works in a scratch directory of this site."""
    root = str(scratch.scratch_root(site.settings))
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.cwd().startswith(root) or any(root in word for word in process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def copies(site: Site) -> bool:
    return any(one.name() == "pgbackrest" and "restore" in one.cmdline() for one in in_scratch(site))


SUCCEEDED = {"restore", "critical", [*MOMENTS][-1]}
"""Behind these a whole exercise is run: they leave a process, a server, and what all of them left."""


@pytest.mark.parametrize("moment", ["select", "restore", *[*MOMENTS][1:]])
def test_nothing_is_left_for_the_next(beating: Site, moment: str) -> None:
    strike(beating, 1)
    root, ops_url, run_id = scratch.scratch_root(beating.settings), beating.context.ops_url, str(uuid4())
    arguments = (beating.name, "integrity", run_id, moment)
    with worker_process("ops_platform_tests.dr.worker", beating.settings, *arguments) as process:
        wait_for(process, "STOPPED")
        if moment == "restore":
            wait_until(lambda: copies(beating), 30, "pgBackRest copies", interval=0.001)
        assert scratch.sweep(beating.settings) == []
        assert records.reconcile_dead(ops_url, beating.name) == []
        process.kill()
        process.wait()

    scratch.sweep(beating.settings)
    assert in_scratch(beating) == []
    assert list(root.iterdir()) == []
    # Its session may outlive it for a moment, and its lock with it.
    given_up = wait_until(
        lambda: records.reconcile_dead(ops_url, beating.name), 10, "the row is reconciled", interval=0.05
    )
    assert given_up == [f"{run_id}:{beating.name}:integrity"]
    with postgres.session(ops_url) as ops:
        [row] = [one for one in records.history(ops, beating.name) if one["run_id"] == run_id]
        assert (row["result"], row["success_criteria_met"]) == ("failed", False)

    if moment not in SUCCEEDED:
        return
    again = str(uuid4())
    request = ExerciseRequest("manual", beating.name, "latest", again, run_id, 1_800_000, 900_000)
    outcome = runner.run(beating.context, request, silent, silent)
    assert outcome.result == "success", outcome.reason
