"""Who works on a request, and what becomes of one that fails, dies or is resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from ops_platform.clients.postgres import connection as postgres
from ops_platform.clients.postgres.connection import Connection
from ops_platform.errors import Unavailable
from ops_platform.gdpr.export import archive_store as exports
from ops_platform.gdpr.requests import precedence as export_first
from ops_platform.gdpr.requests import work_queue as work
from ops_platform.gdpr.requests.mail_texts import RequestType
from ops_platform.gdpr.requests.work_queue import Claim, GivenUp, NotClaimed
from ops_platform_tests.gdpr.requests_database import T0, Requests

pytestmark = pytest.mark.services
SECOND = timedelta(seconds=1)


def verified(
    table: Requests, request_type: RequestType = "erasure", at: datetime = T0, subject: UUID | None = None
) -> str:
    made = table.make(subject, request_type, now=at)
    request_id = made.request.request_id
    table.verify(request_id, table.token(request_id), now=at)
    return request_id


@contextmanager
def working(
    table: Requests,
    request_id: str,
    run_id: str = "run",
    now: datetime = T0,
    request_type: RequestType = "erasure",
) -> Iterator[tuple[Connection, Claim]]:
    url = table.database.url("ops_worker")
    with work.claimed(url, request_id, request_type, run_id, lambda: now) as found:
        yield found


def attempt_fails(table: Requests, request_id: str, now: datetime = T0) -> None:
    with pytest.raises(Unavailable), working(table, request_id, now=now):
        raise Unavailable("S3 is away: start it")


def due(table: Requests, now: datetime = T0, request_type: RequestType = "erasure") -> list[str]:
    return [one.request_id for one in work.due(table.worker, request_type, now)]


def test_the_oldest_deadline_comes_first_and_only_what_is_confirmed(table: Requests) -> None:
    table.make()
    later = verified(table, at=T0 + SECOND)
    first = verified(table)
    verified(table, "export")
    assert due(table, T0 + 2 * SECOND) == [first, later]
    assert work.due(table.worker, "erasure", T0)[0].due_at == T0 + timedelta(hours=72)


def test_a_claim_is_one_workers_alone_and_ends_with_it(table: Requests) -> None:
    request_id = verified(table)
    with working(table, request_id) as (connection, claim):
        assert (claim.attempt, table.row(request_id)["status"]) == (1, "processing")
        assert due(table) == []
        with pytest.raises(NotClaimed, match="another run"), working(table, request_id):
            pass
        with connection.transaction():
            work.complete(connection, claim, T0)
    row = table.row(request_id)
    assert (row["status"], row["outcome"], row["progress"]) == ("completed", "fulfilled", "done")
    assert table.steps(request_id) == ["pending", "verified", "processing", "completed"]
    with pytest.raises(NotClaimed) as ended, working(table, request_id):
        pass
    assert (ended.value.status, ended.value.outcome) == ("completed", "fulfilled")


def test_a_worker_that_died_strands_nothing(table: Requests) -> None:
    request_id = verified(table)
    url = table.database.url("ops_worker")

    def dies() -> None:
        with working(table, request_id, "dead") as (connection, _):
            table.worker.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
            connection.execute("SELECT 1")

    with pytest.raises(psycopg.OperationalError):
        dies()
    [found] = work.due(table.worker, "erasure", T0)
    assert (found.dead_run_id, found.attempts) == ("dead", 1)
    with work.claimed(url, request_id, "erasure", "second", lambda: T0) as (connection, claim):
        assert claim.attempt == 2
        work.complete(connection, claim, T0)
    assert table.row(request_id)["status"] == "completed"


def test_a_failed_attempt_waits_longer_each_time_and_says_why(table: Requests) -> None:
    request_id = verified(table)
    attempt_fails(table, request_id)
    row = table.row(request_id)
    assert (row["status"], row["failure"]) == ("processing", "S3 is away: start it")
    assert due(table, T0 + work.FIRST_PAUSE - SECOND) == []
    now = T0 + work.FIRST_PAUSE
    assert due(table, now) == [request_id]
    attempt_fails(table, request_id, now)
    assert due(table, now + work.FIRST_PAUSE) == []
    assert due(table, now + 2 * work.FIRST_PAUSE) == [request_id]
    assert work.pause_after(50) == work.LONGEST_PAUSE


def test_a_foreign_error_leaves_its_type_and_none_of_its_words(table: Requests) -> None:
    request_id = verified(table)
    with pytest.raises(ValueError, match="anna"), working(table, request_id):
        raise ValueError("Key (email)=(anna@example.org) is there already")
    assert table.row(request_id)["failure"] == "ValueError"


def test_what_keeps_failing_is_failed_and_an_operator_resumes_it(table: Requests) -> None:
    request_id = verified(table)
    now = T0
    for attempt in range(1, work.MAX_ATTEMPTS + 1):
        attempt_fails(table, request_id, now)
        now += work.pause_after(attempt)
    row = table.row(request_id)
    assert (row["status"], row["outcome"], row["attempts"]) == ("failed", "error", work.MAX_ATTEMPTS)
    assert due(table, now) == []
    assert now - T0 - work.LONGEST_PAUSE < timedelta(hours=11)  # the last pause is nobody's

    with working(table, request_id, "by hand", now) as (connection, claim):
        assert claim.attempt == 1
        work.complete(connection, claim, now)
    assert table.row(request_id)["status"] == "completed"
    assert table.steps(request_id)[-3:] == ["failed", "processing", "completed"]


def test_one_that_kills_its_worker_each_time_ends(table: Requests) -> None:
    request_id = verified(table)
    table.worker.execute(
        "UPDATE gdpr_requests SET status = 'processing', attempts = %s, run_id = 'dead' "
        "WHERE request_id = %s",
        (work.MAX_ATTEMPTS, request_id),
    )
    assert due(table) == [request_id]
    with pytest.raises(GivenUp, match="re-execute"), working(table, request_id):
        pass
    row = table.row(request_id)
    assert (row["status"], row["outcome"], row["failure"]) == ("failed", "error", "its worker died")


def test_one_that_was_cancelled_or_is_not_confirmed_is_left_alone(table: Requests) -> None:
    subject = uuid4()
    request_id = verified(table, subject=subject)
    table.cancel(request_id, subject)
    assert due(table) == []
    with pytest.raises(NotClaimed, match="cancelled"), working(table, request_id):
        pass
    with pytest.raises(NotClaimed, match="not confirmed"), working(table, table.make().request.request_id):
        pass
    with pytest.raises(NotClaimed, match="no such"), working(table, "nonsense"):
        pass
    # The id of an export is none of an erasure.
    with pytest.raises(NotClaimed, match="no such"), working(table, verified(table, "export")):
        pass


def test_one_that_was_made_anew_meanwhile_is_not_resumed(table: Requests) -> None:
    subject = uuid4()
    request_id = verified(table, subject=subject)
    table.claim(request_id, "processing")
    table.claim(request_id, "failed", "error")
    newer = verified(table, subject=subject)
    with pytest.raises(NotClaimed, match="another request of this type"), working(table, request_id):
        pass
    assert due(table) == [newer]


def test_a_copy_that_was_asked_for_comes_before_the_erasure_but_not_for_ever(table: Requests) -> None:
    subject = uuid4()
    export = verified(table, "export", subject=subject)
    erasure = verified(table, subject=subject)
    assert due(table) == []
    assert due(table, T0 + export_first.EXPORT_FIRST) == [erasure]
    with working(table, export, request_type="export") as (connection, claim):
        work.complete(connection, claim, T0)
    assert due(table) == [erasure]


def test_the_copy_can_be_fetched_before_the_erasure_deletes_it(table: Requests) -> None:
    subject = uuid4()
    export = verified(table, "export", subject=subject)
    erasure = verified(table, subject=subject)
    made = exported(table, export, T0 + SECOND)
    assert due(table, T0 + 2 * SECOND) == []
    # Nobody came for it within a day.
    assert due(table, T0 + SECOND + export_first.FETCH_WITHIN) == [erasure]
    # A link was given out: what it leads to stays long enough for a slow line, or another try.
    for start in (T0 + 5 * SECOND, T0 + 6 * SECOND):
        with table.connection.transaction():
            exports.record_download(table.connection, made, start + 9 * SECOND, start)
    over = T0 + 6 * SECOND + export_first.SHORTEST_DOWNLOAD
    assert due(table, over - SECOND) == []
    assert due(table, over) == [erasure]


def test_a_large_copy_stays_as_long_as_its_download_takes(table: Requests) -> None:
    subject = uuid4()
    export = verified(table, "export", subject=subject)
    erasure = verified(table, subject=subject)
    made = exported(table, export, T0 + SECOND, size=4_500_000_000)
    with table.connection.transaction():
        exports.record_download(table.connection, made, T0 + 2 * SECOND, T0 + SECOND)
    ten_hours = timedelta(seconds=4_500_000_000 * 8 / 1e6)
    assert due(table, T0 + ten_hours) == []
    assert due(table, T0 + SECOND + ten_hours) == [erasure]


@pytest.mark.parametrize("ended", [False, True])
def test_an_erasure_that_failed_before_waits_for_a_copy_that_was_asked_for_since(
    table: Requests, ended: bool
) -> None:
    """Nobody asked the person, and a mail promises the copy."""
    subject = uuid4()
    erasure = verified(table, subject=subject)
    now = T0
    for attempt in range(1, (work.MAX_ATTEMPTS if ended else 1) + 1):
        attempt_fails(table, erasure, now)
        now += work.pause_after(attempt)
    export = verified(table, "export", at=now, subject=subject)
    assert due(table, now) == []
    with pytest.raises(NotClaimed, match="waits for an export"), working(table, erasure, now=now):
        pass
    exported(table, export, now)
    until = export_first.copy_stays_until(table.worker, export)
    assert until == now + export_first.FETCH_WITHIN
    told = export_first.waits(table.connection, subject)
    assert (told.erasures, told.exports) == ({erasure: until}, {export: until})
    # Neither a look of the sensor nor an operator's re-execution begins it.
    before = until - SECOND
    assert due(table, before) == []
    with pytest.raises(NotClaimed, match="waits for an export"), working(table, erasure, now=before):
        pass
    with working(table, erasure, now=until) as (_, claim):
        assert claim.request_id == erasure


def test_an_erasure_that_is_held_up_for_long_grants_a_later_copy_its_whole_time(table: Requests) -> None:
    subject = uuid4()
    erasure = verified(table, subject=subject)
    later = T0 + timedelta(days=40)
    attempt_fails(table, erasure, T0)
    export = verified(table, "export", at=later, subject=subject)
    assert due(table, later) == []
    made = exported(table, export, later + SECOND)
    assert export_first.copy_stays_until(table.worker, export) == made.expires_at
    assert due(table, made.expires_at - SECOND) == []
    assert due(table, made.expires_at) == [erasure]


def test_a_person_who_has_their_copy_ends_the_wait_and_nobody_who_cannot_have_it(table: Requests) -> None:
    subject = uuid4()
    export = verified(table, "export", subject=subject)
    made = exported(table, export, T0)
    erasure = table.make(subject, now=T0 + SECOND).request.request_id
    table.verify(erasure, table.token(erasure), T0 + SECOND, "wait")
    now = T0 + 2 * SECOND
    assert not export_first.receive_copy(table.connection, export, now)
    assert due(table, now) == []
    exports.record_download(table.connection, made, now, now)
    assert export_first.downloaded(table.connection, [export]) == {export}
    assert due(table, now) == []
    assert export_first.receive_copy(table.connection, export, now)
    assert due(table, now) == [erasure]
    assert export_first.downloaded(table.connection, [export]) == set()
    # The first time counts.
    assert export_first.receive_copy(table.connection, export, now + SECOND)
    row = table.worker.execute("SELECT received_at FROM gdpr_exports").fetchone()
    assert row == {"received_at": now}


def test_what_was_said_before_an_erasure_does_not_end_its_wait(table: Requests) -> None:
    subject = uuid4()
    export = verified(table, "export", subject=subject)
    made = exported(table, export, T0)
    exports.record_download(table.connection, made, T0, T0)
    assert export_first.receive_copy(table.connection, export, T0 + SECOND)
    now = T0 + 2 * SECOND
    erasure = table.make(subject, now=now).request.request_id
    table.verify(erasure, table.token(erasure), now, "wait")
    now += SECOND
    assert due(table, now) == []
    assert export_first.downloaded(table.connection, [export]) == {export}
    assert export_first.receive_copy(table.connection, export, now)
    assert due(table, now) == [erasure]


def test_a_copy_goes_with_an_erasure_that_was_told_not_to_wait(table: Requests) -> None:
    subject = uuid4()
    export = verified(table, "export", subject=subject)
    exported(table, export, T0)
    erasure = table.make(subject, now=T0 + SECOND).request.request_id
    table.verify(erasure, table.token(erasure), T0 + SECOND, "delete")
    told = export_first.waits(table.connection, subject)
    assert (told.erasures, told.exports) == ({erasure: None}, {export: None})


@pytest.mark.parametrize(
    ("choice", "fetched_before", "waits"),
    [
        (None, False, True),
        (None, True, False),
        ("wait", True, True),
        ("delete", False, False),
    ],
)
def test_an_erasure_deletes_no_copy_that_a_mail_promised_unless_it_was_told_to(
    table: Requests, choice: export_first.Choice | None, fetched_before: bool, waits: bool
) -> None:
    subject = uuid4()
    made = exported(table, verified(table, "export", subject=subject), T0)
    if fetched_before:
        exports.record_download(table.connection, made, T0 + SECOND, T0)
    request_id = table.make(subject).request.request_id
    confirmed = T0 + 2 * SECOND
    assert f"{made.expires_at:%Y-%m-%d %H:%M} UTC" in table.mails(request_id)[0]
    table.verify(request_id, table.token(request_id), confirmed, choice)
    assert (table.row(request_id)["waits_until"] is not None) == waits
    assert due(table, confirmed) == ([] if waits else [request_id])
    # At most for the erasure's 48 hours, and no longer than until it is downloaded.
    assert due(table, confirmed + export_first.EXPORT_FIRST) == [request_id]
    exports.record_download(table.connection, made, confirmed + 9 * SECOND, confirmed + SECOND)
    over = confirmed + SECOND + export_first.SHORTEST_DOWNLOAD
    assert due(table, over - SECOND) == ([] if waits else [request_id])
    assert due(table, over) == [request_id]


def test_no_export_begins_while_its_subject_is_being_erased(table: Requests) -> None:
    subject = uuid4()
    export = verified(table, "export", subject=subject)
    other = verified(table, "export")
    erasure = verified(table, subject=subject)
    with working(table, export, request_type="export"):
        assert work.export_under_way(table.worker, subject)
    assert not work.export_under_way(table.worker, subject)
    table.worker.execute(
        "INSERT INTO erasure_tombstones (stanza, subject_type, subject_key, subject_key_type, erased_at, "
        "gdpr_request_id) VALUES ('product', 'creator', %s, 'uuid', %s, %s)",
        (str(subject), T0, erasure),
    )
    assert due(table, request_type="export") == [other]
    with pytest.raises(NotClaimed, match="being erased"), working(table, export, request_type="export"):
        pass
    # The certificate is written before the very end.
    table.worker.execute("UPDATE erasure_tombstones SET completed_at = %s", (T0,))
    table.worker.execute(
        "INSERT INTO gdpr_inventories (request_id, sealed, key_id) VALUES (%s, 'x', 'x')", (erasure,)
    )
    assert due(table, request_type="export") == [other]
    assert work.end_open(table.worker, subject, T0) == 2
    table.worker.execute("DELETE FROM gdpr_inventories")
    assert (table.row(export)["status"], table.row(export)["outcome"]) == ("failed", "cancelled")
    assert table.row(other)["status"] == "pending"


def exported(table: Requests, request_id: str, at: datetime, size: int = 1) -> exports.Export:
    with working(table, request_id, now=at, request_type="export") as (connection, claim):
        made = exports.record(
            connection,
            request_id,
            object_key=f"{request_id}/x.zip",
            size=size,
            sha256="0" * 64,
            map_version="1",
            effects=[],
            now=at,
        )
        with connection.transaction():
            work.complete(connection, claim, at)
    return made


def test_what_an_erased_subject_had_open_is_ended(table: Requests) -> None:
    subject = uuid4()
    erasure = verified(table, subject=subject)
    neighbour = table.make().request.request_id
    with working(table, erasure) as (connection, claim), connection.transaction():
        export = verified(table, "export", subject=subject)
        work.complete(connection, claim, T0)
        assert work.end_open(connection, claim.subject, T0) == 1
    assert table.row(export)["outcome"] == "cancelled"
    assert table.row(neighbour)["status"] == "pending"


def test_waiting_for_somebody_else_is_no_failed_attempt(table: Requests) -> None:
    request_id = verified(table)
    for turn in range(work.MAX_ATTEMPTS + 1):
        now = T0 + turn * work.POSTPONEMENT
        with pytest.raises(work.NotYet), working(table, request_id, now=now):
            raise work.NotYet("the letter has not left yet")
        assert due(table, now) == []
    row = table.row(request_id)
    assert (row["status"], row["attempts"]) == ("processing", 0)


def test_the_audit_ledger_has_the_beginning_and_the_end(table: Requests) -> None:
    request_id = verified(table)
    attempt_fails(table, request_id)
    with (
        working(table, request_id, now=T0 + work.FIRST_PAUSE) as (connection, claim),
        connection.transaction(),
    ):
        work.complete(connection, claim, T0)
    with postgres.session(table.database.url("ops_worker")) as connection:
        events = connection.execute(
            "SELECT action, phase, outcome, actor FROM audit_events WHERE operation_id = %s ORDER BY id",
            (request_id,),
        ).fetchall()
    assert [(one["phase"], one["outcome"]) for one in events] == [
        ("intent", None), ("intent", None), ("outcome", "success"),
    ]  # fmt: skip
    assert {(one["action"], one["actor"]) for one in events} == {("gdpr.erasure", "dagster:run")}
