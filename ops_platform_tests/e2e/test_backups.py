"""Backups as operators take them: through Dagster's GraphQL, on a whole running stack."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from ops_platform.backup.monitoring import health
from ops_platform.backup.stanza.context import open_context
from ops_platform.backup.stanza.locks import backup_lock_name
from ops_platform.backup.taking import preflight
from ops_platform.clients import postgres
from ops_platform.clients.alertmanager import Alertmanager
from ops_platform.clients.postgres.connection import lock_key
from ops_platform.clients.waiting import wait_until
from ops_platform.housekeeping import job_outcomes
from ops_platform_tests.e2e.operator import copying, fill, ops_rows, reports, sets
from ops_platform_tests.running_stack import RunningStack

pytestmark = pytest.mark.services

PRODUCT = {"stanza": "product"}
RUN_SECONDS = 120.0


def materialisations(stack: RunningStack, run_id: str) -> list[dict[str, Any]]:
    return [e for e in stack.dagster.events(run_id) if e["__typename"] == "MaterializationEvent"]


def test_up_ends_with_a_recorded_full_backup_of_both_stanzas(stack: RunningStack) -> None:
    rows = ops_rows(
        stack, "SELECT stanza, requested_kind, status, label FROM backup_reports WHERE kind = 'full'"
    )

    for stanza in ("product", "ops"):
        [only] = sets(stack, stanza)[:1]
        assert only.kind == "full"
        expected = {"stanza": stanza, "requested_kind": "full", "status": "completed", "label": only.label}
        assert expected in rows
    assert stack.run("status").returncode == 0


@pytest.mark.parametrize(
    ("job", "kind"),
    [
        pytest.param("backup_diff", "differential", marks=pytest.mark.full),
        ("backup_incr", "incremental"),
    ],
)
def test_a_launched_backup_is_taken_verified_recorded_and_shown(
    stack: RunningStack, job: str, kind: str
) -> None:
    before = {one.label for one in sets(stack)}
    run = stack.dagster.succeed(job, PRODUCT, RUN_SECONDS)

    [made] = [one for one in sets(stack) if one.label not in before]
    assert (made.kind, made.annotations["root_run_id"]) == (kind, run.run_id)
    [report] = reports(stack, run.run_id)
    assert (report["status"], report["kind"], report["requested_kind"], report["label"]) == (
        "completed", kind, kind, made.label
    )  # fmt: skip
    assert report["completed_at"] == made.completed_at
    [event] = materialisations(stack, run.run_id)
    assert event["assetKey"]["path"] == ["backup", "product", kind]
    entries = {entry["label"]: entry for entry in event["metadataEntries"]}
    assert entries["label"]["text"] == made.label
    assert entries["wal_start"]["text"] == made.wal_start
    assert entries["repository_uri"]["text"].startswith("s3://")
    phases = ops_rows(
        stack, "SELECT phase, outcome FROM audit_events WHERE operation_id = %s ORDER BY id", run.run_id
    )
    assert [(row["phase"], row["outcome"]) for row in phases] == [("intent", None), ("outcome", "success")]


@pytest.mark.full
def test_two_launched_at_once_run_one_after_the_other(stack: RunningStack) -> None:
    before = {one.label for one in sets(stack)}
    ids = [stack.dagster.launch("backup_incr", PRODUCT) for _ in range(2)]
    runs = [stack.dagster.wait(run_id, RUN_SECONDS) for run_id in ids]

    assert [run.status for run in runs] == ["SUCCESS", "SUCCESS"]
    made = sorted((one for one in sets(stack) if one.label not in before), key=lambda one: one.started_at)
    assert len(made) == 2
    assert made[0].completed_at <= made[1].started_at
    assert {one.annotations["root_run_id"] for one in made} == set(ids)


def test_a_replay_adopts_its_set_and_refreshes_nothing(stack: RunningStack) -> None:
    first = stack.dagster.succeed("backup_diff", PRODUCT, RUN_SECONDS)
    before = sets(stack)
    replay = stack.dagster.wait(stack.dagster.reexecute(first.run_id), RUN_SECONDS)

    assert replay.status == "SUCCESS"
    assert sets(stack) == before
    [original], [adopted] = reports(stack, first.run_id), reports(stack, replay.run_id)
    assert adopted["adopted"]
    assert adopted["label"] == original["label"]
    assert adopted["completed_at"] == original["completed_at"]


@pytest.mark.full
def test_a_terminated_run_ends_pgbackrest_and_the_next_backup_succeeds(stack: RunningStack) -> None:
    fill(stack, megabytes=200)
    run_id = stack.dagster.launch("backup_full", PRODUCT)
    wait_until(lambda: copying(stack), RUN_SECONDS, "pgBackRest to copy files")
    stack.dagster.terminate(run_id)
    asked = time.monotonic()
    wait_until(lambda: not copying(stack), 10, "pgBackRest to be gone")
    gone = time.monotonic() - asked
    ended = stack.dagster.wait(run_id, 30)
    following = stack.dagster.succeed("backup_incr", PRODUCT, RUN_SECONDS)

    assert gone < 10
    assert ended.status == "CANCELED"
    [report] = reports(stack, run_id)
    assert report["status"] == "failed"
    assert reports(stack, following.run_id)[0]["status"] == "completed"


def test_a_failed_run_says_why_in_one_line_and_reaches_alertmanager(stack: RunningStack) -> None:
    stop = open_context(stack.settings, "ops").paths.lock / "ops.stop"
    stop.touch()
    try:
        run = stack.dagster.wait(stack.dagster.launch("backup_incr", {"stanza": "ops"}), RUN_SECONDS)
    finally:
        stop.unlink()

    assert run.status == "FAILURE"
    reason = stack.dagster.failure(run.run_id)
    assert reason is not None
    assert "pgbackrest start" in reason
    alertmanager = Alertmanager(stack.settings.require("alertmanager_url"))

    def alerted() -> bool:
        return any(
            alert.labels.get("alertname") == "RunFailed"
            and (alert.labels.get("job_name"), alert.labels.get("stanza")) == ("backup_incr", "ops")
            and "pgbackrest start" in alert.annotations["cause"]
            for alert in alertmanager.alerts()
        )

    # Sensor, agent, scrape and rules each take up to a quarter of a minute.
    wait_until(alerted, 150, "the failed run to reach Alertmanager", interval=1)
    stack.dagster.succeed("backup_incr", {"stanza": "ops"}, RUN_SECONDS)

    def is_over() -> bool:
        with postgres.session(stack.settings.require("database_url")) as ops:
            return not any(one.work.job_name == "backup_incr" for one in job_outcomes.failing(ops))

    wait_until(is_over, 60, "the success to end it", interval=1)


def test_a_wrong_stanza_is_refused_at_launch(stack: RunningStack) -> None:
    with pytest.raises(Exception, match="RunConfigValidationInvalid"):
        stack.dagster.launch("backup_full", {"stanza": "products"})


@pytest.mark.parametrize(
    "schedule",
    [
        "backup_full_weekly_product",
        "backup_diff_daily_product",
        "backup_incr_hourly_product",
        "wal_checks_quarter_hourly_product",
        "backup_cleanup_monthly_product",
        "backup_verify_daily_product",
        "retention_cleanup_daily",
    ],
)
def test_a_dry_run_of_a_schedule_writes_nothing(stack: RunningStack, schedule: str) -> None:
    counts = "SELECT (SELECT count(*) FROM backup_reports WHERE kind <> 'wal_archive') AS reports,"
    counts += " (SELECT count(*) FROM audit_events) AS events"
    before, runs = ops_rows(stack, counts), len(stack.dagster.runs("backup_incr"))
    at = "2026-11-22T04:30"
    result = stack.dagster.schedule_dry_run(
        schedule, datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    )

    assert result["error"] is None
    assert result["runRequests"], result
    assert ops_rows(stack, counts) == before
    assert len(stack.dagster.runs("backup_incr")) == runs


def test_an_incremental_gives_way_to_a_running_backup(stack: RunningStack) -> None:
    with psycopg.connect(stack.settings.require("database_url"), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (lock_key(backup_lock_name("product")),))
        at = datetime(2026, 11, 22, 4, 30, tzinfo=UTC).timestamp()
        result = stack.dagster.schedule_dry_run("backup_incr_hourly_product", at)

    assert not result["runRequests"]
    assert "another backup is running" in result["skipReason"]


def test_all_checks_of_a_protected_stanza_pass(stack: RunningStack) -> None:
    def beats_archived() -> bool:
        # Of both: archiving begins before there is a stanza, and its first attempts fail.
        return '"rpo_seconds": null' not in stack.run("backups", "--json").stdout

    wait_until(beats_archived, 150, "the first heartbeats to be archived", interval=2)

    def archivers_succeed() -> bool:
        # An earlier test made one fail; PostgreSQL tries again a minute later.
        contexts = [open_context(stack.settings, stanza) for stanza in ("product", "ops")]
        return not any(preflight.look_at_server(context).archiver_failing for context in contexts)

    wait_until(archivers_succeed, 150, "both archivers to succeed", interval=1)
    run = stack.dagster.succeed("wal_checks", {}, RUN_SECONDS)
    evaluated = [
        event["evaluation"]
        for event in stack.dagster.events(run.run_id)
        if event["__typename"] == "AssetCheckEvaluationEvent"
    ]

    expected = [
        name
        for stanza in ("product", "ops")
        for name in (
            *health.WAL_VERDICTS,
            *(health.FRESH for _ in health.scheduled_kinds(open_context(stack.settings, stanza).stanza)),
        )
    ]
    assert sorted(e["checkName"] for e in evaluated) == sorted(expected)
    assert [e for e in evaluated if not e["success"]] == []
