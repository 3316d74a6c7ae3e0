"""Requests that wait for their work: which are due, who works on one, how often it is tried. No Dagster.

A claim is a session advisory lock of the ops database with a row beside it: a worker that dies, however,
frees it, and what it left is due again at once. What the work does is in ``erasure`` and ``export``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from ops_platform.audit import AuditEvent, ledger
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.clients.safe_errors import Note
from ops_platform.errors import OpsError
from ops_platform.gdpr.requests.deadlines import due_at
from ops_platform.gdpr.requests.lifecycle import Status
from ops_platform.gdpr.requests.mail_texts import Language, RequestType
from ops_platform.gdpr.requests.precedence import BEGUN, EXPORT_FIRST, FETCH_WITHIN, WAITS, erasure_has_begun

MOST_ATTEMPTS = 12
"""Claims that may fail or die; with the pauses between them they take about ten hours."""
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=2)
PUT_OFF = timedelta(minutes=5)
"""Until work that waits for somebody else looks again."""
MOST_DUE = 50
"""Requests that one look gives."""

# A worker whose host vanished without closing its connection is found dead within about a minute.
_KEEPALIVE = "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"

_DUE = f"""
    SELECT r.request_id, r.request_type, r.status, r.attempts, r.run_id, r.verified_at
    FROM gdpr_requests AS r
    WHERE r.request_type = %(type)s AND r.status IN ('pending', 'processing') AND r.verified_at IS NOT NULL
      AND coalesce(r.next_attempt_at, '-infinity') <= %(now)s
      AND NOT ({WAITS}) AND NOT (r.request_type = 'export' AND {BEGUN})
    ORDER BY r.verified_at, r.id LIMIT %(limit)s
"""  # noqa: S608 - our own texts
_HELD = """
    SELECT ((classid::bigint << 32) | objid::bigint) AS key FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class NotClaimed(OpsError):
    """The request is not to be worked on by this run now; nothing was changed."""

    def __init__(self, message: str, status: Status | None = None, outcome: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.outcome = outcome


class NotYet(OpsError):
    """The work waits for somebody else: it goes on later, and this attempt does not count."""


class GivenUp(OpsError):
    """Its attempts are used up, the last one by a worker that died; the request is failed now."""


@dataclass(frozen=True)
class Due:
    """A request that somebody should work on. ``died``: the run whose worker is gone, None at first."""

    request_id: str
    request_type: RequestType
    attempts: int
    due_at: datetime
    died: str | None


@dataclass(frozen=True)
class Claim:
    """``attempt`` counts from 1. ``email`` is empty when the subject was erased before."""

    request_id: str
    request_type: RequestType
    subject: UUID
    run_id: str | None
    attempt: int
    progress: str | None
    verified_at: datetime
    language: Language
    email: str


def due(connection: Connection, request_type: RequestType, now: datetime) -> list[Due]:
    """Those that nobody works on, the oldest deadline first. Only looks."""
    waits = {"first": EXPORT_FIRST, "fetch": FETCH_WITHIN}
    rows = connection.execute(_DUE, {"type": request_type, "now": now, "limit": MOST_DUE, **waits}).fetchall()
    # After the rows: who claimed one in between is seen to hold it.
    held = {row["key"] for row in connection.execute(_HELD)} if rows else set()
    return [_due(row) for row in rows if postgres.lock_key(lock_name(row["request_id"])) not in held]


def export_under_way(connection: Connection, subject: UUID) -> bool:
    """Whether a worker writes an export of the subject. After a tombstone none begins to."""
    rows = connection.execute(
        "SELECT request_id FROM gdpr_requests WHERE creator_id = %s AND request_type = 'export' "
        "AND verified_at IS NOT NULL",
        (subject,),
    ).fetchall()
    held = {row["key"] for row in connection.execute(_HELD)} if rows else set()
    return any(postgres.lock_key(lock_name(row["request_id"])) in held for row in rows)


def _due(row: dict[str, Any]) -> Due:
    deadline = due_at(row["verified_at"])
    assert deadline is not None  # noqa: S101 - the query asks for verified ones
    died = row["run_id"] if row["status"] == "processing" else None
    return Due(row["request_id"], row["request_type"], row["attempts"], deadline, died)


def lock_name(request_id: str) -> str:
    return f"gdpr-request/{request_id}"


@contextmanager
def working(
    ops_url: str,
    request_id: str,
    request_type: RequestType,
    run_id: str | None,
    clock: Callable[[], datetime],
) -> Iterator[tuple[Connection, Claim]]:
    """Claim the request and hold it while the block runs; a failure of the block ends the attempt.

    The connection is in autocommit mode; what ends the request well is the block's own, ``complete`` in
    its last transaction. Raises NotClaimed or GivenUp before the block begins; after NotYet the request is
    put off.
    """
    name = lock_name(request_id)
    with postgres.session(ops_url, application=f"ops-platform {name}", autocommit=True) as connection:
        connection.execute(_KEEPALIVE)
        if not postgres.try_lock(connection, name):
            raise NotClaimed("another run works on this request: nothing is to be done", "processing")
        try:
            claim = _claim(connection, request_id, request_type, run_id, clock())
            with _attempt(connection, claim, clock):
                yield connection, claim
        finally:
            postgres.give_back(connection, name)


@contextmanager
def _attempt(connection: Connection, claim: Claim, clock: Callable[[], datetime]) -> Iterator[None]:
    try:
        yield
    except NotYet as error:
        with connection.transaction():
            put_off(connection, claim, str(error), clock())
        raise
    except BaseException as error:
        # The database may be what failed: the claim is then found dead, which is an attempt all the same.
        try:
            with connection.transaction():
                fail(connection, claim, ledger.reason(error), clock())
        except (OpsError, psycopg.Error):
            error.add_note(Note("the ops database could not be told that this attempt failed"))
        raise


def _claim(
    connection: Connection, request_id: str, request_type: RequestType, run_id: str | None, now: datetime
) -> Claim:
    with connection.transaction():
        row = connection.execute(
            "SELECT * FROM gdpr_requests WHERE request_id = %s AND request_type = %s FOR UPDATE",
            (request_id, request_type),
        ).fetchone()
        if row is None:
            raise NotClaimed(f"there is no such {request_type} request: check the id in the run's config")
        resumed = row["status"] == "failed" and row["outcome"] == "error"
        if row["status"] not in ("pending", "processing") and not resumed:
            what = row["outcome"] or row["status"]
            raise NotClaimed(f"the request has ended before: {what}", row["status"], row["outcome"])
        if row["verified_at"] is None:
            raise NotClaimed("the subject has not confirmed the request yet", row["status"])
        if request_type == "export" and erasure_has_begun(connection, request_id):
            raise NotClaimed("the subject is being erased: there is nothing whole to export", row["status"])
        given_up = row["status"] == "processing" and row["attempts"] >= MOST_ATTEMPTS
        if given_up:
            # It died each time, or failed without being able to say so.
            _end(connection, request_id, row["failure"] or "its worker died", now)
        else:
            attempt = 1 if resumed else row["attempts"] + 1
            _take(connection, request_id, run_id, attempt, now)
    if given_up:
        raise GivenUp(f"{row['attempts']} attempts have failed: remove the cause, then re-execute the run")
    return Claim(
        request_id,
        request_type,
        row["creator_id"],
        run_id,
        attempt,
        row["progress"],
        row["verified_at"],
        row["language"],
        row["requestor_email"],
    )


def _take(connection: Connection, request_id: str, run_id: str | None, attempt: int, now: datetime) -> None:
    try:
        connection.execute(
            "UPDATE gdpr_requests SET status = 'processing', outcome = NULL, completed_at = NULL, "
            "run_id = %s, claimed_at = %s, attempts = %s, next_attempt_at = NULL WHERE request_id = %s",
            (run_id, now, attempt, request_id),
        )
    except psycopg.errors.UniqueViolation:
        raise NotClaimed(
            "the subject has made another request of this type since: that one is worked on",
            "failed",
            "error",
        ) from None
    _tell(connection, request_id, "intent", run_id, None, {"attempt": attempt})


def enter(connection: Connection, claim: Claim, progress: str, map_version: str | None) -> None:
    """Say where the work is."""
    connection.execute(
        "UPDATE gdpr_requests SET progress = %s, map_version = coalesce(%s, map_version) "
        "WHERE request_id = %s",
        (progress, map_version, claim.request_id),
    )


def complete(connection: Connection, claim: Claim, now: datetime) -> None:
    """The request is fulfilled. In the caller's transaction, beside what that leaves behind."""
    connection.execute(
        "UPDATE gdpr_requests SET status = 'completed', outcome = 'fulfilled', progress = 'done', "
        "failure = NULL, completed_at = %s WHERE request_id = %s",
        (now, claim.request_id),
    )
    _tell(connection, claim.request_id, "outcome", claim.run_id, "success", {"attempt": claim.attempt})


def fail(connection: Connection, claim: Claim, reason: str, now: datetime) -> None:
    """This attempt failed; after the last one the request did. ``reason`` holds nothing personal."""
    if claim.attempt >= MOST_ATTEMPTS:
        _end(connection, claim.request_id, reason, now)
        return
    connection.execute(
        "UPDATE gdpr_requests SET failure = %s, next_attempt_at = %s "
        "WHERE request_id = %s AND status = 'processing'",
        (reason, now + pause_after(claim.attempt), claim.request_id),
    )


def put_off(connection: Connection, claim: Claim, reason: str, now: datetime) -> None:
    """Go on later, as if this attempt had not been."""
    connection.execute(
        "UPDATE gdpr_requests SET failure = %s, next_attempt_at = %s, attempts = attempts - 1 "
        "WHERE request_id = %s AND status = 'processing'",
        (reason, now + PUT_OFF, claim.request_id),
    )


def _end(connection: Connection, request_id: str, reason: str, now: datetime) -> None:
    row = connection.execute(
        "UPDATE gdpr_requests SET status = 'failed', outcome = 'error', completed_at = %s, failure = %s "
        "WHERE request_id = %s AND status = 'processing' RETURNING run_id, attempts",
        (now, reason, request_id),
    ).fetchone()
    if row is not None:
        details = {"attempt": row["attempts"], "reason": reason}
        _tell(connection, request_id, "outcome", row["run_id"], "failed", details)


def pause_after(attempt: int) -> timedelta:
    """How long a request waits after its n-th failed attempt: 1, 2, 4 ... minutes, at most two hours."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(attempt - 1, 16)))


def end_open(connection: Connection, subject: UUID, now: datetime) -> int:
    """End what an erased subject still had open and nobody works on: there is nothing left to do it with.

    Also an export that has failed and would be tried again; none is being written then.
    """
    return connection.execute(
        "UPDATE gdpr_requests SET status = 'failed', outcome = 'cancelled', completed_at = %s, "
        "progress = NULL, next_attempt_at = NULL WHERE creator_id = %s "
        "AND (status = 'pending' OR (status = 'processing' AND request_type = 'export'))",
        (now, subject),
    ).rowcount


def _tell(
    connection: Connection,
    request_id: str,
    phase: ledger.Phase,
    run_id: str | None,
    outcome: ledger.Outcome | None,
    details: dict[str, ledger.JSON],
) -> None:
    row = one_row(connection, "SELECT request_type FROM gdpr_requests WHERE request_id = %s", (request_id,))
    event = AuditEvent(
        action=f"gdpr.{row['request_type']}",
        phase=phase,
        operation_id=request_id,
        object=f"request/{request_id}",
        actor=f"dagster:{run_id}" if run_id else "platform",
        outcome=outcome,
        details=details,
    )
    ledger.append(connection, event)
