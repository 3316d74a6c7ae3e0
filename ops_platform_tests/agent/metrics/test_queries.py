"""The queries of all metrics, asked of a real ops database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops_platform import files
from ops_platform.agent.metrics import (
    AuditMetrics,
    BackupMetrics,
    KindReport,
    LedgerState,
    RequestState,
    Targets,
    audit,
    backup,
    gdpr,
    read_in_one_snapshot,
    slo,
)
from ops_platform.agent.state import initial_state
from ops_platform.audit.ledger import AuditEvent, append
from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.requests.lifecycle import TRANSITIONS
from ops_platform.slo.counting import exclusions
from ops_platform.slo.counting.exclusions import Exclusion
from ops_platform.slo.objectives import openslo
from ops_platform_tests.gdpr.requests_database import T0, requests_of
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

START = datetime(2030, 1, 1, tzinfo=UTC)
STANZAS = {"product": Targets(900.0, 1800.0, {}, 35 * 86_400.0)}


def run(
    connection: Connection,
    number: int,
    asked: str,
    made: str | None = None,
    failed: bool = False,
    **more: Any,
) -> None:
    """A finished run, or one that still runs when nothing was made and nothing failed."""
    started = START + timedelta(hours=number)
    backup_id = f"product:{number}"
    connection.execute(
        "INSERT INTO backup_reports"
        " (backup_id, kind, started_at, stanza, requested_kind, run_id, root_run_id, launched_by)"
        " VALUES (%(id)s, %(kind)s, %(started)s, 'product', %(kind)s, %(id)s, %(id)s, 'cli')",
        {"id": backup_id, "kind": asked, "started": started},
    )
    if failed:
        connection.execute(
            "SELECT record_backup_completion(%s, 'failed', %s, p_error_reason => 'S3 is away')",
            (backup_id, started + timedelta(seconds=9)),
        )
    elif made is not None:
        connection.execute(
            "SELECT record_backup_completion(%s, 'completed', %s, p_kind => %s, p_size_bytes => %s,"
            " p_label => %s, p_lsn_stop => '0/1', p_wal_stop => '000000010000000000000001')",
            (backup_id, started + timedelta(seconds=4), made, more.get("size", 100), f"label-{number}"),
        )


def test_runs_are_counted_under_what_was_asked_and_sizes_under_what_was_made(
    ops_database: OpsDatabase,
) -> None:
    with postgres.session(ops_database.url("ops_worker")) as connection:
        run(connection, 1, "differential", "full", size=100)
        run(connection, 2, "differential", "differential", size=200)
        run(connection, 3, "differential", failed=True)
        run(connection, 4, "incremental", failed=True)
        run(connection, 5, "incremental", "incremental", size=300)
        run(connection, 6, "full")
    with postgres.session(ops_database.url("ops_agent")) as connection:
        reports = backup.reports(connection)
    assert reports == {
        ("product", "full"): KindReport(
            {"completed": 0, "failed": 0}, None, 4000, 100, START + timedelta(hours=6)
        ),
        ("product", "differential"): KindReport({"completed": 2, "failed": 1}, True, 4000, 200),
        ("product", "incremental"): KindReport({"completed": 1, "failed": 1}, False, 4000, 300),
    }


class RunFails:
    """A reader during whose turn somebody else writes."""

    def __init__(self, ops_database: OpsDatabase) -> None:
        self._ops_database = ops_database

    def read(self, _connection: Connection) -> None:
        with postgres.session(self._ops_database.url("ops_worker")) as worker:
            worker.execute(
                "SELECT record_backup_completion('product:1', 'failed', %s, p_error_reason => 'S3 is away')",
                (START + timedelta(hours=2),),
            )


def test_what_changes_between_two_statements_is_seen_by_none_of_them(ops_database: OpsDatabase) -> None:
    with postgres.session(ops_database.url("ops_worker")) as connection:
        run(connection, 1, "full")
    with postgres.session(ops_database.url("ops_agent")) as connection:
        first, meanwhile, last = (
            AuditMetrics(60, 60),
            RunFails(ops_database),
            BackupMetrics(STANZAS, 60, 60, 60),
        )
        read_in_one_snapshot(connection, [first, meanwhile, last])
        reports = last.reports.get()
        connection.rollback()
        later = backup.reports(connection)
    zero = {"completed": 0, "failed": 0}
    assert reports == {("product", "full"): KindReport(zero, None, None, None, START + timedelta(hours=1))}
    assert later == {("product", "full"): KindReport(zero | {"failed": 1}, True)}


def test_a_withdrawn_exclusion_is_none(ops_database: OpsDatabase) -> None:
    promised = openslo.load_directory(files.default_config_dir() / "objectives")
    now = datetime.now(UTC)
    wanted = Exclusion(promised[0].service, None, now - timedelta(hours=1), now + timedelta(hours=1))

    def excluded() -> set[str]:
        with postgres.session(ops_database.url("ops_agent")) as connection:
            found = slo.objectives(connection, promised)
        return {one.service for one in found if one.excluded_now}

    assert excluded() == set()
    with postgres.session(ops_database.url("ops_worker")) as connection:
        number = exclusions.add(connection, wanted, "maintenance", "me")
    assert excluded() == {promised[0].service}
    with postgres.session(ops_database.url("ops_worker")) as connection:
        exclusions.withdraw(connection, number, "me")
    assert excluded() == set()


def test_an_empty_database_says_nothing(ops_database: OpsDatabase) -> None:
    with postgres.session(ops_database.url("ops_agent")) as connection:
        assert backup.reports(connection) == {}
        assert audit.ledger(connection) == LedgerState(0, None, None)
        zero = RequestState(dict.fromkeys(TRANSITIONS, 0))
        assert gdpr.requests(connection) == {"erasure": zero, "export": zero}


def test_one_look_reads_for_every_duty_but_the_objectives(ops_database: OpsDatabase) -> None:
    with postgres.session(ops_database.url("ops_worker")) as connection:
        run(connection, 1, "full", "full")
    known = initial_state(STANZAS, 15)
    with postgres.session(ops_database.url("ops_agent")) as connection:
        read_in_one_snapshot(connection, known.readers)
    assert set(known.backup.reports.get() or {}) == {("product", "full")}
    assert {stanza for stanza, _ in known.dr.exercises.get() or {}} == {"product"}
    assert known.audit.ledger.get() is not None
    assert known.gdpr.requests.get() is not None
    assert known.system.deliveries.get() is not None
    assert known.slo.objectives.get() is None


def test_requests_are_counted_by_what_they_entered_and_age_from_their_confirmation(
    ops_database: OpsDatabase,
) -> None:
    with requests_of(ops_database) as table:
        done, waiting = (table.make(request_type="export").request.request_id for _ in range(2))
        for request_id, minutes in ((done, 1), (waiting, 2)):
            table.verify(request_id, table.token(request_id), T0 + timedelta(minutes=minutes))
        table.make(request_type="export")
        table.claim(done, "processing")
        table.worker.execute(
            "UPDATE gdpr_requests SET status = 'completed', completed_at = %s WHERE request_id = %s",
            (T0 + timedelta(minutes=4), done),
        )
        with postgres.session(ops_database.url("ops_agent")) as connection:
            found = gdpr.requests(connection)["export"]
    assert found == RequestState(
        {**dict.fromkeys(TRANSITIONS, 0), "pending": 3, "verified": 2, "processing": 1, "completed": 1},
        T0 + timedelta(minutes=2),
        2 * 60_000.0,
        3 * 60_000.0,
    )


def test_events_without_a_seal_are_counted(ops_database: OpsDatabase) -> None:
    before = datetime.now(UTC)
    with postgres.session(ops_database.url("ops_worker")) as connection:
        for number in range(3):
            append(
                connection, AuditEvent("test.thing", "event", f"op-{number}", "thing", "tester", None, {}, {})
            )
    with postgres.session(ops_database.url("ops_agent")) as connection:
        found = audit.ledger(connection)
    assert found.unsealed == 3
    assert found.oldest_unsealed_at is not None
    assert before <= found.oldest_unsealed_at <= datetime.now(UTC)
