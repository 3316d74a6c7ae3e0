"""The daily review, the monthly report and the quarterly audit say what is, in numbers and opaque ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ops_platform.clients.postgres.connection import Connection
from ops_platform.gdpr.connections.open_database import OpenDatabase
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.lineage import lineage_store as lineage
from ops_platform.gdpr.lineage.effect import Effect
from ops_platform.gdpr.reports import data_audit
from ops_platform.gdpr.reports import monthly_report as compliance
from ops_platform.gdpr.reports import pending_review as review
from ops_platform.gdpr.schema import reader as schema
from ops_platform_tests.gdpr.requests.test_work_queue import verified
from ops_platform_tests.gdpr.requests_database import T0, Requests

pytestmark = pytest.mark.services
HOUR = timedelta(hours=1)


def at(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def test_what_waits_is_reviewed_with_its_deadline(table: Requests) -> None:
    table.make()
    fresh = verified(table)
    found = review.review(table.worker, T0 + HOUR)
    assert [(one.request_id, one.due_at) for one in found.waiting] == [(fresh, T0 + 72 * HOUR)]
    assert (found.unverified, found.findings) == (1, [])
    near = review.review(table.worker, T0 + 50 * HOUR)
    assert near.findings == [f"erasure {fresh} is due at 2026-03-04 12:00 UTC"]
    late = review.review(table.worker, T0 + 73 * HOUR)
    assert late.findings == [f"erasure {fresh} is overdue since 2026-03-04 12:00 UTC"]


def test_a_failed_one_is_shown_until_it_is_resumed_or_made_anew(table: Requests) -> None:
    request_id = verified(table)
    table.claim(request_id, "processing")
    table.worker.execute(
        "UPDATE gdpr_requests SET status = 'failed', outcome = 'error', completed_at = %s, "
        "failure = 'S3 is away' WHERE request_id = %s",
        (T0, request_id),
    )
    [line] = review.review(table.worker, T0 + HOUR).findings
    assert line == f"erasure {request_id} failed: S3 is away: remove the cause, then re-execute its run"
    newer = verified(table, at=T0 + HOUR, subject=table.row(request_id)["creator_id"])
    table.claim(newer, "processing")
    assert review.review(table.worker, T0 + HOUR).findings == []


def test_tombstones_without_a_copy_and_letters_that_were_given_up_are_found(table: Requests) -> None:
    table.worker.execute(
        "INSERT INTO erasure_tombstones (stanza, subject_type, subject_key, subject_key_type, erased_at, "
        "gdpr_request_id) VALUES ('product', 'creator', 'k', 'text', %s, 'r')",
        (T0,),
    )
    with table.database.superuser() as superuser:
        superuser.execute(
            "INSERT INTO mail_outbox (dedup_key, given_up_at) VALUES ('gdpr-processor:r:x:1', %s)", (T0,)
        )
    assert len(review.review(table.worker, T0 + HOUR).findings) == 1
    assert len(review.review(table.worker, T0 + 100 * HOUR).findings) == 3


def test_the_month_is_told_in_numbers(table: Requests) -> None:
    """Transitions are recorded at the time of the database's clock: the month is the present one."""
    now = datetime.now(UTC)
    done, late = verified(table, "export", at=now), verified(table, "export", at=now - 80 * HOUR)
    for request_id in (done, late):
        table.claim(request_id, "processing")
        table.worker.execute(
            "UPDATE gdpr_requests SET status = 'completed', outcome = 'fulfilled', completed_at = %s "
            "WHERE request_id = %s",
            (now + 2 * HOUR, request_id),
        )
    effect = Effect("postgresql", "posts", "author", "read", 7, 7, 7)
    lineage.record(table.worker, done, "export", [effect], run_id="run", map_version="m")
    open_one = verified(table, at=now - 90 * HOUR)
    made = compliance.report(table.worker, now - 100 * HOUR, now + 3 * HOUR)
    erasures, exports = made.types
    assert (exports.entered["completed"], exports.completed, exports.late) == (2, 2, 1)
    assert (exports.median_hours, exports.longest_hours) == (42.0, 82.0)
    assert (erasures.overdue, erasures.entered["verified"]) == (1, 1)
    assert made.effects == (("postgresql", "read", 7, 1),)
    assert made.findings == [
        "1 erasure requests are past their deadline and not done",
        "1 of 2 export requests were completed late",
    ]
    assert open_one not in str(made.as_json())
    # The certificate knows that the time of confirmation is not the person's, but a restore's.
    with table.database.superuser() as superuser:
        superuser.execute(
            "INSERT INTO gdpr_certificates (request_id, certificate_id, document, signature, key_id, "
            "issued_at) VALUES (%s, 'c', '{\"confirmed_at\": null}', 's', 'k', now())",
            (late,),
        )
    made = compliance.report(table.worker, now - 100 * HOUR, now + 3 * HOUR)
    assert (made.types[1].late, made.types[1].term_unknown, made.types[1].longest_hours) == (0, 1, 2.0)
    assert "whether 1 of 2 export requests were completed in time is not known" in made.findings[1]
    before = compliance.report(table.worker, now - 300 * HOUR, now - 200 * HOUR)
    assert (before.findings, before.effects) == ([], ())


def test_the_demo_has_no_personal_data_in_plain_columns(demo: Connection, demo_map: DataMap) -> None:
    assert data_audit.audit([OpenDatabase(demo_map, demo, schema.read(demo))]) == []


@pytest.mark.parametrize(
    ("planted", "where", "code"),
    [
        ("UPDATE usage_logs SET event = 'anna@example.org' WHERE id = (SELECT min(id) FROM usage_logs)",
         "usage_logs.event", "email-like"),
        ("UPDATE usage_logs SET event = 'login of ' || (SELECT id FROM creators LIMIT 1) "
         "WHERE id = (SELECT min(id) FROM usage_logs)", "usage_logs.event", "subject-key"),
        ("UPDATE posts SET metadata = jsonb_set(metadata, '{tags}', '[\"anna@example.org\"]') "
         "WHERE id = (SELECT min(id) FROM posts)", "posts.metadata tags[*]", "email-like"),
        ("INSERT INTO webhooks "
         "SELECT id, id, 'https://x', '\\x00', '{}', true, now() FROM creators LIMIT 1",
         "webhooks.id", "subject-key"),
    ],
)  # fmt: skip
def test_personal_data_in_a_plain_column_is_found(
    demo: Connection, demo_map: DataMap, planted: str, where: str, code: str
) -> None:
    demo.execute(planted)
    found = data_audit.audit([OpenDatabase(demo_map, demo, schema.read(demo))])
    assert [(one.where, one.code) for one in found] == [(where, code)]
