"""The rows of backup_reports and heartbeat_positions, in a real ops database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ops_platform.backup.recovery_point import heartbeat, rpo
from ops_platform.backup.recovery_point.rpo import Heartbeat
from ops_platform.backup.stanza import locks
from ops_platform.backup.taking import report_store as records
from ops_platform.backup.taking.report import BackupRequest
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform_tests.backup.shapes import EPOCH, entry, repository
from ops_platform_tests.backup.site import Site, silent
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

HOUR = datetime(2026, 11, 24, 7, tzinfo=UTC)
REQUEST = BackupRequest("product", "incremental", "run", "root", "dagster")
SET = repository(entry(1)).sets[0]


@pytest.fixture
def agent(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.session(ops_database.url("ops_agent")) as connection:
        yield connection


@pytest.fixture
def worker(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.session(ops_database.url("ops_worker")) as connection:
        yield connection


def row(connection: Connection, backup_id: str = REQUEST.backup_id) -> dict[str, Any]:
    found = connection.execute("SELECT * FROM backup_reports WHERE backup_id = %s", (backup_id,)).fetchone()
    assert found is not None
    return found


def test_a_report_goes_from_running_to_completed(worker: Connection) -> None:
    assert records.open_report(worker, REQUEST)
    assert not records.open_report(worker, REQUEST)
    assert row(worker)["status"] == "running"
    assert [one["run_id"] for one in records.running(worker, "product")] == ["run"]
    report = records.complete(worker, REQUEST, SET, "s3://b/p", adopted=False)
    assert report.duration_ms == 20_000
    assert report.throughput_bytes_per_second == 0.5
    found = row(worker)
    assert (found["status"], found["kind"], found["requested_kind"]) == ("completed", "full", "incremental")
    assert found["recorded_at"] is not None
    assert records.running(worker, "product") == []


def test_a_failed_report_stays_failed(worker: Connection) -> None:
    records.fail(worker, REQUEST, "S3 is away: start it")
    records.fail(worker, REQUEST, "another reason")
    assert row(worker)["error_reason"] == "S3 is away: start it"
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is already failed"):
        records.complete(worker, REQUEST, SET, "s3://b/p", adopted=False)


@pytest.mark.parametrize("status", ["running", "nonsense", None])
def test_no_other_end_exists(worker: Connection, status: str | None) -> None:
    records.open_report(worker, REQUEST)
    with pytest.raises(psycopg.errors.CheckViolation):
        worker.execute("SELECT record_backup_completion(%s, %s, now())", (REQUEST.backup_id, status))


def test_a_completion_must_name_its_set(worker: Connection) -> None:
    records.open_report(worker, REQUEST)
    with pytest.raises(psycopg.errors.CheckViolation):
        worker.execute(
            "SELECT record_backup_completion(%s, 'completed', clock_timestamp())", (REQUEST.backup_id,)
        )


def test_an_unknown_report_is_refused(worker: Connection) -> None:
    with pytest.raises(psycopg.errors.NoDataFound, match="there is no report nothing"):
        worker.execute("SELECT record_backup_completion('nothing', 'failed', now())")


def test_the_api_may_only_read(ops_database: OpsDatabase) -> None:
    with postgres.session(ops_database.url("ops_api"), autocommit=True) as connection:
        assert records.running(connection, "product") == []
        for statement in (
            "INSERT INTO backup_reports (backup_id) VALUES ('x')",
            "SELECT record_backup_completion('x', 'failed', now())",
            "INSERT INTO heartbeat_positions VALUES ('x', now(), '0/0', 1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_only_runs_of_this_stanza_that_died_are_reconciled(worker: Connection) -> None:
    other = BackupRequest("ops", "full", "other", "other", "cli")
    mine = BackupRequest("product", "full", "mine", "mine", "cli")
    for request in (REQUEST, other, mine):
        records.open_report(worker, request)
    assert records.reconcile(worker, "product", but=mine.backup_id) == [REQUEST.backup_id]
    found = row(worker)
    assert (found["status"], found["reconciled"]) == ("failed", True)
    assert "died without a word" in found["error_reason"]
    assert row(worker, other.backup_id)["status"] == row(worker, mine.backup_id)["status"] == "running"


def test_nobody_is_given_up_while_a_backup_holds_the_lock(ops_database: OpsDatabase) -> None:
    url = ops_database.url()
    with postgres.session(url) as connection:
        records.open_report(connection, REQUEST)
    with locks.stanza_lock(url, "product", 1, silent):
        assert records.reconcile_dead(url, "product") == []
        assert records.reconcile_dead(url, "ops") == []
    assert records.reconcile_dead(url, "product") == [REQUEST.backup_id]


def test_an_hour_of_the_archive_is_recorded_once(agent: Connection) -> None:
    assert records.newest_wal_hour(agent, "product") is None
    for segments in (12, 99):
        records.record_wal_hour(
            agent, "product", HOUR + timedelta(minutes=7), segments=segments, size_bytes=34, lag_seconds=5.5
        )
    records.record_wal_hour(agent, "ops", HOUR, segments=0, size_bytes=0, lag_seconds=None)
    found = row(agent, "product:wal:2026-11-24T07")
    assert (found["kind"], found["status"], found["started_at"]) == ("wal_archive", "completed", HOUR)
    assert (found["wal_segments"], found["size_bytes"], found["wal_lag_seconds"]) == (12, 34, 5.5)
    assert found["duration_ms"] == 3_600_000
    assert row(agent, "ops:wal:2026-11-24T07")["wal_lag_seconds"] is None
    assert records.newest_wal_hour(agent, "product") == HOUR
    # An hour of WAL is no run that could have died.
    assert records.running(agent, "product") == []


def test_positions_come_back_newest_first_and_page_by_page(
    agent: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpo, "_PAGE", 3)
    given = [Heartbeat(EPOCH + timedelta(seconds=n), n * 1000, 1) for n in range(8)]
    for one in (*given, given[0]):
        heartbeat.record_position(agent, "product", one)
    heartbeat.record_position(agent, "ops", Heartbeat(EPOCH + timedelta(days=1), 5, 1))
    assert list(rpo.heartbeats(agent, "product")) == given[::-1]
    assert rpo.newest_on(agent, "product", 1, 3500) == given[3].at
    assert rpo.newest_on(agent, "product", 2, 3500) is None


def test_a_beat_is_committed_before_its_position(site: Site, agent: Connection) -> None:
    with postgres.session(site.cluster.url("ops_agent")) as product:
        made = heartbeat.record_heartbeat(product, agent, site.name)
        inserted = product.execute(
            "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn AS ahead", ("0/0",)
        ).fetchone()
        assert inserted is not None
        assert made.lsn <= inserted["ahead"]
    with site.cluster.superuser("product") as superuser:
        rows = superuser.execute(
            "SELECT beat_at FROM ops_platform.heartbeats ORDER BY 1 DESC LIMIT 1"
        ).fetchall()
    assert rows == [(made.at,)]
    assert next(iter(rpo.heartbeats(agent, site.name))) == made


def test_old_beats_are_pruned_and_the_newest_position_stays(site: Site, agent: Connection) -> None:
    old = datetime.now(UTC) - timedelta(days=40)
    for days in range(3):
        heartbeat.record_position(agent, site.name, Heartbeat(old - timedelta(days=days), days, 1))
    with site.cluster.superuser("product") as superuser:
        superuser.execute("INSERT INTO ops_platform.heartbeats VALUES (%s)", (old,))
    with postgres.session(site.cluster.url("ops_agent")) as product:
        assert heartbeat.prune(product, agent, site.name, timedelta(days=35)) == 3
        assert heartbeat.prune(product, agent, site.name, timedelta(days=35)) == 0
        kept = product.execute("SELECT count(*) AS n FROM ops_platform.heartbeats WHERE beat_at = %s", (old,))
        assert kept.fetchone() == {"n": 0}
    assert [one.at for one in rpo.heartbeats(agent, site.name)] == [old]
