"""The tables that other people rely on: shapes, refusals, and what each role may do with them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform_tests.services import OpsDatabase

pytestmark = pytest.mark.services

# The published columns, in the contract's order; a type may be a wider one.
WIDER = {"integer": {"bigint"}, "numeric(5,2)": {"numeric"}}
PUBLISHED = {
    "backup_reports": "id bigint, backup_id text, kind text, started_at timestamptz, "
    "completed_at timestamptz, duration_ms integer, size_bytes bigint, status text",
    "dr_exercises": "id bigint, exercise_id text, exercise_type text, scenario text, started_at timestamptz, "
    "completed_at timestamptz, target_rto_ms integer, target_rpo_ms integer, actual_rto_ms integer, "
    "actual_rpo_ms integer, result text, success_criteria_met boolean",
    "slo_metrics": "id bigint, metric_name text, service_name text, measured_at timestamptz, "
    "time_window_seconds integer, target_percentage numeric(5,2), actual_percentage numeric(5,2), "
    "error_budget_remaining numeric(5,2), sample_count integer, success_count integer, "
    "violation_count integer, breach_detected boolean, breach_severity text, alert_fired boolean",
    "gdpr_requests": "id bigint, request_id text, creator_id uuid, request_type text, status text, "
    "requestor_email text, verification_token text, verification_expires_at timestamptz, "
    "verified_at timestamptz, created_at timestamptz, updated_at timestamptz",
    "data_erasure_tombstones": "creator_id uuid, erased_at timestamptz, gdpr_request_id text",
}
EXERCISE = (
    "INSERT INTO dr_exercises (exercise_id, exercise_type, scenario, started_at, target_rto_ms, "
    "target_rpo_ms, result, success_criteria_met) "
    "VALUES (%s, 'manual', 'pitr', now(), 1800000, 900000, %s, %s)"
)
MEASURED = (
    "INSERT INTO slo_metrics (metric_name, service_name, measured_at, time_window_seconds, "
    "target_percentage, actual_percentage, error_budget_remaining, sample_count, success_count, "
    "violation_count) "
    "VALUES ('latency', 'publishing', now(), 3600, %s, %s, %s, %s, %s, %s)"
)
REQUEST = (
    "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email) "
    "VALUES (%s, gen_random_uuid(), 'erasure', 'a@example.com') RETURNING status"
)


def columns(database: OpsDatabase) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    with database.superuser() as superuser:
        for table, column, kind in superuser.execute(
            "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attnum > 0 AND NOT attisdropped AND attrelid IN "
            "(SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
        ).fetchall():
            short = str(kind).replace("timestamp with time zone", "timestamptz")
            found.setdefault(str(table), {})[str(column)] = short
    return found


def test_published_columns_are_there_and_only_wider(ops_database: OpsDatabase) -> None:
    there = columns(ops_database)
    for table, published in PUBLISHED.items():
        for column, kind in (entry.split(" ") for entry in published.split(", ")):
            assert there[table][column] in {kind, *WIDER.get(kind, set())}, (table, column)


def test_every_table_and_view_says_what_it_is(ops_database: OpsDatabase) -> None:
    with ops_database.superuser() as superuser:
        silent = superuser.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN "
            "('r', 'v') AND relname !~ '^_yoyo' AND obj_description(oid, 'pg_class') IS NULL"
        ).fetchall()
    assert silent == []


def test_true_values_fit_and_untrue_ones_do_not(ops_database: OpsDatabase) -> None:
    with postgres.connect(ops_database.url("ops_worker"), autocommit=True) as worker:
        worker.execute(MEASURED, ("99.999", "99.9999999", "-123456.5", 2**40, 2**40 - 1, 1))
        worker.execute(MEASURED, ("99.9", None, None, None, None, None))
        worker.execute(MEASURED, ("100", None, None, 0, 0, 0))
        worker.execute(EXERCISE, ("e1", "success", True))
        worker.execute(EXERCISE, ("e2", "partial", False))
        worker.execute(EXERCISE, ("e3", None, None))
        assert worker.execute(REQUEST, ("r1",)).fetchall() == [{"status": "pending"}]
        for statement, values in [
            (MEASURED, ("99.9", "100", "0", 10, 9, 1)),
            (MEASURED, ("0", "1", "0", 1, 1, 0)),
            (EXERCISE, ("e4", "partial", True)),
            (EXERCISE, ("e5", None, True)),
            (EXERCISE, ("e6", "good", False)),
        ]:
            with pytest.raises(psycopg.errors.CheckViolation):
                worker.execute(statement, values)


def test_tombstones_of_creators_are_published_once_with_their_newest_cutoff(
    ops_database: OpsDatabase,
) -> None:
    creator = "6f1c9f0e-0000-4000-8000-000000000001"
    insert = (
        "INSERT INTO erasure_tombstones (stanza, subject_type, subject_key, subject_key_type, erased_at, "
        "gdpr_request_id) VALUES (%s, 'creator', %s, %s, %s, %s)"
    )
    with postgres.connect(ops_database.url("ops_worker")) as worker:
        worker.execute(insert, ("product", creator, "uuid", "2026-01-01T00:00Z", "r1"))
        worker.execute(insert, ("shop", creator, "uuid", "2026-02-01T00:00Z", "r2"))
        worker.execute(insert, ("shop", "4711", "bigint", "2026-02-01T00:00Z", "r3"))
        published = worker.execute(
            "SELECT creator_id::text, gdpr_request_id FROM data_erasure_tombstones"
        ).fetchall()
    assert published == [{"creator_id": creator, "gdpr_request_id": "r2"}]


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        (
            "ops_api",
            ["SELECT request_id, status FROM gdpr_requests", "UPDATE gdpr_requests SET verified_at = now()",
             "INSERT INTO mail_outbox (dedup_key, recipient, subject, body) VALUES ('k', 'a', 'b', 'c') "
             "ON CONFLICT (dedup_key) DO NOTHING",
             "INSERT INTO gdpr_lineage (request_id, step) VALUES ('r', 'status:pending')"],
            ["SELECT body FROM mail_outbox", "DELETE FROM gdpr_requests",
             "UPDATE gdpr_requests SET creator_id = NULL",
             "SELECT FROM erasure_tombstones", "SELECT FROM dr_exercises", "SELECT actor FROM audit_events",
             "DELETE FROM gdpr_lineage"],
        ),
        (
            "ops_agent",
            ["SELECT request_type, status, created_at FROM gdpr_requests", "SELECT * FROM slo_metrics",
             "INSERT INTO alert_deliveries (status, alertname, fingerprint) VALUES ('firing', 'a', 'f')",
             "UPDATE mail_outbox SET recipient = NULL, subject = NULL, body = NULL, sent_at = now()"],
            ["SELECT requestor_email FROM gdpr_requests", "SELECT creator_id FROM gdpr_requests",
             "SELECT FROM erasure_tombstones", "DELETE FROM alert_deliveries",
             "INSERT INTO dr_exercises DEFAULT VALUES"],
        ),
        (
            "ops_worker",
            ["DELETE FROM gdpr_requests", "UPDATE erasure_tombstones SET completed_at = now()",
             "DELETE FROM mail_outbox WHERE sent_at < now()"],
            ["SELECT recipient FROM mail_outbox", "DELETE FROM gdpr_lineage", "DELETE FROM dr_exercises",
             "TRUNCATE slo_window_counts"],
        ),
    ],
)  # fmt: skip
def test_each_role_can_do_its_work_and_no_more(
    ops_database: OpsDatabase, role: str, allowed: list[Any], refused: list[Any]
) -> None:
    with postgres.connect(ops_database.url(role), autocommit=True) as connection:
        for statement in allowed:
            connection.execute(statement)
        for statement in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
