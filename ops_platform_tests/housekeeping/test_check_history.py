"""The history of checks, thinned: an auditor's questions have the same answers as before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from ops_platform import files
from ops_platform.clients.postgres.connection import Connection
from ops_platform.housekeeping import check_history, retention
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

KEEP = timedelta(days=90)
NOW = datetime.now(UTC)
KEY = dg.AssetCheckKey(dg.AssetKey("wal"), "contiguous")
OTHER = dg.AssetCheckKey(dg.AssetKey("wal"), "archiving")


@pytest.fixture
def instance(ops_database: OpsDatabase, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    url = ops_database.url("ops_owner").replace("postgresql://", "postgresql+psycopg2://")
    storage = yaml.safe_load(files.carried("dagster.yaml").read_text(encoding="utf-8"))["storage"]
    storage["custom"]["config"]["postgres_url"] = url
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage}), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


@pytest.fixture
def dagster(ops_database: OpsDatabase, instance: dg.DagsterInstance) -> Iterator[Connection]:
    storage = ops_database.url("ops_owner").replace("postgresql://", "postgresql+psycopg2://")
    opened, ops = retention.open_connections(storage, ops_database.url("ops_worker"))
    with opened, ops:
        yield opened


def check(
    instance: dg.DagsterInstance,
    dagster: Connection,
    at: datetime,
    *passed: bool | None,
    job: str = "wal_checks",
) -> str:
    """Run a job of two checks, as if at that time, and return the run; None: the check breaks."""
    answers = dict(zip((KEY, OTHER), passed, strict=True))

    @dg.multi_asset_check(specs=[dg.AssetCheckSpec(key.name, asset=key.asset_key) for key in answers])
    def both() -> Iterator[dg.AssetCheckResult]:
        for key, answer in answers.items():
            if answer is None:
                raise dg.Failure("it could not run")
            yield dg.AssetCheckResult(passed=answer, check_name=key.name, asset_key=key.asset_key)

    made = dg.Definitions(
        asset_checks=[both],
        jobs=[dg.define_asset_job(job, selection=dg.AssetSelection.checks(both))],
        executor=dg.in_process_executor,
    )
    run_id = made.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False).run_id
    naive = at.replace(tzinfo=None)
    for statement in (
        "UPDATE runs SET create_timestamp = %s WHERE run_id = %s",
        "UPDATE event_logs SET timestamp = %s WHERE run_id = %s",
        "UPDATE asset_check_executions SET evaluation_event_timestamp = %s WHERE run_id = %s",
    ):
        dagster.execute(statement, (naive, run_id))
    return run_id


def said(dagster: Connection, key: dg.AssetCheckKey) -> list[tuple[datetime, str]]:
    """When a check changed its answer, and to what."""
    rows = dagster.execute(
        "SELECT evaluation_event_timestamp AS at, execution_status AS status FROM asset_check_executions"
        " WHERE asset_key = %s AND check_name = %s ORDER BY evaluation_event_timestamp, id",
        (key.asset_key.to_string(), key.name),
    ).fetchall()
    changes: list[tuple[datetime, str]] = []
    for row in rows:
        if not changes or changes[-1][1] != row["status"]:
            changes.append((row["at"], row["status"]))
    return changes


def test_runs_that_told_nothing_new_go_and_every_answer_stays(
    instance: dg.DagsterInstance, dagster: Connection
) -> None:
    old = (NOW - timedelta(days=100)).replace(hour=8, minute=0, second=0, microsecond=0)

    def at(hours: float) -> datetime:
        return old + timedelta(hours=hours)

    first = check(instance, dagster, at(0), True, True)
    idle = [check(instance, dagster, at(1), True, True)]
    fell = check(instance, dagster, at(2), False, True)
    idle.append(check(instance, dagster, at(3), False, True))
    rose = check(instance, dagster, at(4), True, True)
    other_fell = check(instance, dagster, at(5), True, False)
    idle.append(check(instance, dagster, at(6), True, False))
    broke = check(instance, dagster, at(7), None, True)
    next_day = check(instance, dagster, at(24), True, False)
    idle.append(check(instance, dagster, at(25), True, False))
    of_another_job = check(instance, dagster, at(26), True, False, job="by_hand")
    young = [check(instance, dagster, NOW - timedelta(hours=hours), True, False) for hours in (3, 2, 1)]
    before = {key: said(dagster, key) for key in (KEY, OTHER)}
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY, OTHER])

    assert check_history.thin(dagster, KEEP, NOW, lambda line: None) == len(idle)

    kept = {run.run_id for run in instance.get_runs()}
    assert kept == {
        *(first, fell, rose, other_fell, broke, next_day, of_another_job),
        *young,
    }
    assert {key: said(dagster, key) for key in (KEY, OTHER)} == before
    assert instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY, OTHER]) == latest
    for run_id in kept:
        types = {entry.dagster_event_type for entry in instance.all_logs(run_id)}
        assert dg.DagsterEventType.RUN_START in types
    for run_id in idle:
        assert instance.all_logs(run_id) == []
    # A second time nothing is left to go.
    assert check_history.thin(dagster, KEEP, NOW, lambda line: None) == 0


def test_the_newest_answer_stays_however_old(instance: dg.DagsterInstance, dagster: Connection) -> None:
    old = (NOW - timedelta(days=100)).replace(hour=8)
    runs = [check(instance, dagster, old + timedelta(hours=hour), True, True) for hour in range(3)]
    assert check_history.thin(dagster, KEEP, NOW, lambda line: None) == 1
    assert {run.run_id for run in instance.get_runs()} == {runs[0], runs[2]}
