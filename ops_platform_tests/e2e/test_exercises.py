"""Exercises as an operator launches them, while the product writes; and what a killed one leaves."""

from __future__ import annotations

import psutil
import pytest

from ops_platform.clients.waiting import wait_until
from ops_platform.dr.inspection.check_result import VERIFICATIONS
from ops_platform.dr.plan.scenario import SCENARIOS
from ops_platform.dr.restore import scratch_cluster as scratch
from ops_platform_tests.dashboards.test_live_metrics import SEEN_AFTER_AN_EXERCISE, scraped
from ops_platform_tests.e2e.operator import ops_rows
from ops_platform_tests.running_stack import RunningStack

pytestmark = pytest.mark.services

RUN_SECONDS = 900.0
PRODUCT = {"stanza": "product"}


@pytest.fixture(scope="module")
def recoverable(stack: RunningStack) -> RunningStack:
    """Heartbeats on both sides of a moment after the newest set are in the archive."""

    def archived() -> bool:
        rows = ops_rows(
            stack,
            """
            SELECT stanza FROM backup_reports b WHERE status = 'completed' AND kind = 'full' AND (
                SELECT count(*) FROM heartbeat_positions h
                WHERE h.stanza = b.stanza AND h.beat_at > b.completed_at + interval '5 seconds'
                  AND h.beat_at < now() - interval '70 seconds') >= 2
            GROUP BY stanza
            """,
        )
        return {row["stanza"] for row in rows} == {"product", "ops"}

    wait_until(archived, 180, "archived heartbeats after the first sets", interval=1)
    return stack


def exercises(stack: RunningStack, run_id: str) -> dict[tuple[str, str], dict[str, object]]:
    rows = ops_rows(stack, "SELECT * FROM dr_exercises WHERE run_id = %s", run_id)
    return {(row["stanza"], row["scenario"]): row for row in rows}


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_all_scenarios_succeed_while_the_product_writes(recoverable: RunningStack) -> None:
    dagster = recoverable.dagster
    run = dagster.succeed("dr_exercise", {}, RUN_SECONDS)
    rows = exercises(recoverable, run.run_id)

    assert set(rows) == {(stanza, scenario) for stanza in ("product", "ops") for scenario in SCENARIOS}
    assert [key for key, row in rows.items() if row["result"] != "success"] == []
    assert all(row["success_criteria_met"] for row in rows.values())
    events = dagster.events(run.run_id)
    checks = [event["evaluation"] for event in events if event["__typename"] == "AssetCheckEvaluationEvent"]
    assert len(checks) == 2 * sum(len(VERIFICATIONS[scenario]) for scenario in SCENARIOS)
    assert [one for one in checks if not one["success"]] == []
    assert scratch.leftovers(recoverable.settings) == []
    assert list(scratch.scratch_root(recoverable.settings).iterdir()) == []

    settings = recoverable.settings

    def exported() -> bool:
        return scraped(settings.require("metrics_url")) >= SEEN_AFTER_AN_EXERCISE

    wait_until(exported, 60, "the exercise's metrics", interval=1)
    again = dagster.wait(dagster.reexecute(run.run_id), RUN_SECONDS)
    assert again.status == "SUCCESS"
    assert exercises(recoverable, again.run_id) == {}  # adopted, not repeated


@pytest.mark.timeout(1200)
def test_the_weekly_check_and_the_reference(recoverable: RunningStack) -> None:
    run = recoverable.dagster.succeed("backup_restore_check", PRODUCT, RUN_SECONDS)
    assert exercises(recoverable, run.run_id)["product", "restore_check"]["result"] == "success"
    recoverable.dagster.succeed("dr_reference", PRODUCT, RUN_SECONDS)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_a_killed_worker_leaves_nothing_and_blocks_nobody(recoverable: RunningStack) -> None:
    """Each phase is the matter of ``dr/test_killed_worker``; here Dagster's own janitor cleans up."""
    run_id = recoverable.dagster.launch("backup_restore_check", PRODUCT)
    root = scratch.scratch_root(recoverable.settings)
    ours = str(root / f"{run_id[:8]}-res")

    def restored_server() -> psutil.Process | None:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if words[:1] and words[0].endswith("postgres") and any(ours in word for word in words):
                return process
        return None

    server = wait_until(restored_server, RUN_SECONDS, "the restored server", interval=0.01)
    worker = next(one for one in server.parents() if "python" in one.name())
    worker.kill()

    def swept() -> bool:
        return restored_server() is None and not any(str(one) == ours for one in root.iterdir())

    # The janitor's own doing, or that of Dagster's retry of the crashed run.
    wait_until(swept, 300, "nothing of the scratch cluster is left", interval=1)

    def settled() -> str | None:
        row = exercises(recoverable, run_id).get(("product", "restore_check"))
        return None if row is None or row["result"] is None else str(row["result"])

    assert wait_until(settled, 300, "the dead exercise's row", interval=1) == "failed"
    recoverable.dagster.succeed("backup_restore_check", PRODUCT, RUN_SECONDS)
