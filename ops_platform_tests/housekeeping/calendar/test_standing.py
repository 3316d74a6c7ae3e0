"""How duties stand, by the rows of a real ops database, and what people say of theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from ops_platform.audit import AuditEvent, append
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.reports import monthly_report
from ops_platform.housekeeping import calendar
from ops_platform.housekeeping.calendar import Standing, load_calendar
from ops_platform_tests.console import Console
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

CALENDAR = load_calendar(Path("/nonexistent"))
STANZAS = ("product", "ops")
NOTE = "all numbers called"
DAY = timedelta(days=1)


@pytest.fixture
def ops(ops_database: OpsDatabase) -> Iterator[Connection]:
    with postgres.session(ops_database.url("ops_worker"), autocommit=True) as connection:
        yield connection


def stand(ops: Connection, name: str, now: datetime | None = None, stanza: str = "") -> Standing:
    found = calendar.standings(ops, CALENDAR, STANZAS, now or datetime.now(UTC))
    [one] = [one for one in found if (one.name, one.stanza) == (name, stanza)]
    return one


def exercise(
    ops: Connection,
    scenario: str,
    at: datetime,
    *,
    stanza: str = "product",
    result: str = "success",
    met: bool = True,
) -> None:
    ops.execute(
        "INSERT INTO dr_exercises (exercise_id, stanza, exercise_type, scenario, started_at, completed_at, "
        "target_rto_ms, target_rpo_ms, actual_rto_ms, actual_rpo_ms, result, success_criteria_met) "
        "VALUES (gen_random_uuid()::text, %s, 'scheduled', %s, %s, %s, 1800000, 900000, 60000, 1000, %s, %s)",
        (stanza, scenario, at - timedelta(minutes=5), at, result, met),
    )


def test_what_was_never_done_is_due_and_a_period_later_overdue(ops: Connection) -> None:
    began = one_row(ops, "SELECT began_at FROM duty_calendar")["began_at"]
    found = calendar.standings(ops, CALENDAR, STANZAS, datetime.now(UTC))
    assert {one.name for one in found} == set(CALENDAR.duties)
    for one in found:
        assert (one.done_at, one.done_by, one.state(datetime.now(UTC))) == (None, None, "due")
        assert one.due_at == began + one.definition.within
        assert one.state(one.due_at) == "overdue"


def test_a_duty_of_a_stanza_does_not_vanish_with_the_stanzas(ops: Connection) -> None:
    found = calendar.standings(ops, CALENDAR, (), datetime.now(UTC))
    assert [one.done_at for one in found if one.name == "restore_test"] == [None]


def test_restores_count_by_stanza_and_only_when_they_succeeded_in_time(ops: Connection) -> None:
    now = datetime.now(UTC)
    exercise(ops, "restore_check", now - DAY, result="failed", met=False)
    exercise(ops, "restore_check", now - DAY, met=False)
    exercise(ops, "restore_check", now + DAY)
    exercise(ops, "latest", now - DAY)
    assert stand(ops, "restore_test", now, "product").done_at is None
    exercise(ops, "restore_check", now - 2 * DAY)
    done = stand(ops, "restore_test", now, "product")
    assert (done.done_at, done.done_by, done.state(now)) == (now - 2 * DAY, "schedule", "done")
    assert done.state(now + 5 * DAY + timedelta(hours=13)) == "overdue"
    assert stand(ops, "restore_test", now, "ops").done_at is None


def test_an_exercise_is_as_old_as_its_oldest_scenario(ops: Connection) -> None:
    now = datetime.now(UTC)
    for age, scenario in enumerate(("latest", "pitr", "integrity"), start=1):
        exercise(ops, scenario, now - age * DAY)
    assert stand(ops, "recovery_exercise", now, "product").done_at is None
    exercise(ops, "performance", now - 40 * DAY)
    assert stand(ops, "recovery_exercise", now, "product").state(now) == "overdue"
    exercise(ops, "performance", now)
    assert stand(ops, "recovery_exercise", now, "product").done_at == now - 3 * DAY


def test_the_watchdog_that_arrived_is_the_monitoring(ops_database: OpsDatabase, ops: Connection) -> None:
    with postgres.session(ops_database.url("ops_agent")) as agent:
        for name, status in (("Other", "firing"), ("Watchdog", "resolved")):
            agent.execute(
                "INSERT INTO alert_deliveries (status, alertname, fingerprint) VALUES (%s, %s, 'f')",
                (status, name),
            )
    assert stand(ops, "monitoring").done_at is None
    with postgres.session(ops_database.url("ops_agent")) as agent:
        agent.execute(
            "INSERT INTO alert_deliveries (status, alertname, fingerprint) VALUES ('firing', 'Watchdog', 'f')"
        )
    done = stand(ops, "monitoring")
    assert done.state(datetime.now(UTC)) == "done"
    assert done.state(datetime.now(UTC) + 2 * DAY) == "overdue"


@pytest.mark.parametrize(
    ("since", "findings", "seal", "done", "in_full"),
    [(0, 0, 7, True, True), (3, 0, 7, True, False), (0, 1, None, False, False), (0, 0, None, False, False)],
)
def test_verifications_of_the_ledger(
    ops: Connection, since: int, findings: int, seal: int | None, done: bool, in_full: bool
) -> None:
    ops.execute(
        "INSERT INTO audit_verifications (started_at, since, findings, seal, events) "
        "VALUES (now(), %s, %s, %s, 9)",
        (since, findings, seal),
    )
    assert (stand(ops, "ledger_verification").done_at is not None) is done
    assert (stand(ops, "full_ledger_verification").done_at is not None) is in_full


def test_work_that_left_an_event_in_the_ledger(ops: Connection) -> None:
    calendar.record_performed(ops, "request_review", "run-1", findings=2)
    calendar.record_performed(ops, "backup_cleanup", "run-2", stanza="product")
    # Somebody's event of the same object is none of the schedule's.
    append(ops, AuditEvent("duty.acknowledged", "event", "x", "duty/data_audit", "person:ada"))
    assert stand(ops, "request_review").state(datetime.now(UTC)) == "done"
    assert stand(ops, "cleanup", stanza="product").state(datetime.now(UTC)) == "done"
    assert stand(ops, "cleanup", stanza="ops").done_at is None
    assert stand(ops, "data_audit").done_at is None


def test_the_report_is_its_own_evidence(ops: Connection) -> None:
    before = datetime(2020, 1, 1, tzinfo=UTC)
    for start, end in ((before, datetime(2020, 2, 1, tzinfo=UTC)),):
        monthly_report.record(ops, monthly_report.report(ops, start, end), "run-old")
    assert stand(ops, "compliance_report").done_at is None
    start, end = monthly_report.month_before(datetime.now(UTC))
    monthly_report.record(ops, monthly_report.report(ops, start, end), "run-new")
    assert stand(ops, "compliance_report").state(datetime.now(UTC)) == "done"


def test_an_acknowledgement_is_in_the_ledger_and_counts(ops: Connection) -> None:
    calendar.acknowledge(ops, CALENDAR, "contact_list", "ada", NOTE)
    done = stand(ops, "contact_list")
    assert (done.done_by, done.note, done.state(datetime.now(UTC))) == ("ada", NOTE, "done")
    assert done.state(done.reminder_at) == "due"
    assert done.reminder_at == done.due_at - 14 * DAY
    event = one_row(ops, "SELECT * FROM audit_events WHERE action = 'duty.acknowledged'")
    row = one_row(ops, "SELECT * FROM duty_acknowledgements")
    assert (event["actor"], event["details"], event["operation_id"]) == (
        "person:ada",
        {"note": NOTE},
        row["operation_id"],
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ops.execute("DELETE FROM duty_acknowledgements")


@pytest.mark.parametrize(
    ("name", "by", "note", "said"),
    [
        ("holidays", "ada", NOTE, "holidays is no duty of the calendar: use one of contact_list"),
        (
            "restore_test",
            "ada",
            NOTE,
            "restore_test is done by a schedule, and nobody's word takes its place",
        ),
        ("training", " ", NOTE, "--by NAME"),
        ("training", "ada", "done", "at least 10 characters"),
    ],
)
def test_a_word_that_counts_for_nothing_is_refused(
    ops: Connection, name: str, by: str, note: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        calendar.acknowledge(ops, CALENDAR, name, by, note)
    assert one_row(ops, "SELECT count(*) AS n FROM audit_events")["n"] == 0


def test_without_its_event_an_acknowledgement_is_not_stored(
    ops_database: OpsDatabase, ops: Connection
) -> None:
    with ops_database.superuser() as superuser:
        superuser.execute("REVOKE INSERT ON duty_acknowledgements FROM ops_worker")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        calendar.acknowledge(ops, CALENDAR, "contact_list", "ada", NOTE)
    assert one_row(ops, "SELECT count(*) AS n FROM audit_events")["n"] == 0


def test_the_command_line_lists_and_acknowledges(
    ops_database: OpsDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console({"OPS_DATABASE_URL": ops_database.url("ops_worker")}, monkeypatch, capsys)
    listed = console.run("duty", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "restore_test of product" in listed.stdout
    done = console.run("duty", "done", "contact_list", "--by", "ada", "--note", NOTE)
    assert done.returncode == 0, done.stderr
    listed = console.run("duty", "list", "--json")
    [contacts] = [one for one in json.loads(listed.stdout) if one["name"] == "contact_list"]
    assert (contacts["state"], contacts["done_by"], contacts["note"]) == ("done", "ada", NOTE)
    refused = console.run("duty", "done", "cleanup", "--by", "ada", "--note", NOTE)
    assert refused.returncode == 2
    with ops_database.superuser() as superuser:
        superuser.execute("ALTER TABLE duty_calendar DISABLE TRIGGER duty_calendar_append_only")
        superuser.execute("UPDATE duty_calendar SET began_at = began_at - interval '2 days'")
    late = console.run("duty", "list", "--json")
    assert late.returncode == 1
    overdue = {one["name"] for one in json.loads(late.stdout) if one["state"] == "overdue"}
    assert overdue == {"monitoring", "request_review", "ledger_verification"}
