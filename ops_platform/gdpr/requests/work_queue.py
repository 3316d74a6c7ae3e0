"""The queue of confirmed requests: which are due, claims on them, attempts and retries. No Dagster.

A claim is a session advisory lock of the ops database with a row beside it: a worker that dies, in whatever
way, frees it, and its request is due again at once. The work itself is in ``erasure`` and ``export``.
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
from ops_platform.gdpr.requests.precedence import (
    ERASURE_HAS_BEGUN,
    ERASURE_WAITS,
    erasure_has_begun,
    erasure_waits,
    waiting,
)

MAX_ATTEMPTS = 12
"""Attempts before a request fails; with the pauses between them they take about ten hours."""
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=2)
POSTPONEMENT = timedelta(minutes=5)
"""The pause before work that waits for something else looks again."""
_DUE_LIMIT = 50
"""Requests that one call of ``due`` returns at most."""

# A worker whose host vanished without closing its connection is found dead within about a minute.
_KEEPALIVE = "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"

_DUE = f"""
    SELECT r.request_id, r.request_type, r.status, r.attempts, r.run_id, r.verified_at
    FROM gdpr_requests AS r
    WHERE r.request_type = %(type)s AND r.status IN ('pending', 'processing') AND r.verified_at IS NOT NULL
      AND coalesce(r.next_attempt_at, '-infinity') <= %(now)s
      AND NOT ({ERASURE_WAITS}) AND NOT (r.request_type = 'export' AND {ERASURE_HAS_BEGUN})
    ORDER BY r.verified_at, r.id LIMIT %(limit)s
"""  # noqa: S608 - our own texts
_HELD_LOCKS = """
    SELECT ((classid::bigint << 32) | objid::bigint) AS key FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class NotClaimed(OpsError):
    """Another run works on the request, or nothing is to be done for it now; nothing was changed."""

    def __init__(self, message: str, status: Status | None = None, outcome: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.outcome = outcome


class NotYet(OpsError):
    """The work waits for something else: it goes on later, and this attempt does not count."""


class GivenUp(OpsError):
    """The request has failed: its attempts are used up, the last one by a worker that died."""


@dataclass(frozen=True)
class Due:
    """A request that a run should work on. ``dead_run_id``: the run whose worker died, None at first."""

    request_id: str
    request_type: RequestType
    attempts: int
    due_at: datetime
    dead_run_id: str | None


@dataclass(frozen=True)
class Claim:
    """A claimed request. ``attempt`` counts from 1; ``email`` is empty when the subject was erased before."""

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
    """List the due requests that nobody works on, the oldest deadline first. Changes nothing."""
    rows = connection.execute(_DUE, {"type": request_type, "limit": _DUE_LIMIT, **waiting(now)}).fetchall()
    # Read after the rows, so that a claim made in between is seen.
    held = {row["key"] for row in connection.execute(_HELD_LOCKS)} if rows else set()
    return [_due(row) for row in rows if postgres.lock_key(lock_name(row["request_id"])) not in held]


def untried(connection: Connection, request_type: RequestType, now: datetime) -> list[Due]:
    """List those of the due requests of which no attempt has failed, the oldest deadline first."""
    return [request for request in due(connection, request_type, now) if request.attempts == 0]


def export_under_way(connection: Connection, subject: UUID) -> bool:
    """Tell whether a worker writes an export of the subject now. None begins once a tombstone is there."""
    rows = connection.execute(
        "SELECT request_id FROM gdpr_requests WHERE creator_id = %s AND request_type = 'export' "
        "AND verified_at IS NOT NULL",
        (subject,),
    ).fetchall()
    held = {row["key"] for row in connection.execute(_HELD_LOCKS)} if rows else set()
    return any(postgres.lock_key(lock_name(row["request_id"])) in held for row in rows)


def _due(row: dict[str, Any]) -> Due:
    deadline = due_at(row["verified_at"])
    assert deadline is not None  # noqa: S101 - the query asks for verified ones
    dead_run_id = row["run_id"] if row["status"] == "processing" else None
    return Due(row["request_id"], row["request_type"], row["attempts"], deadline, dead_run_id)


def lock_name(request_id: str) -> str:
    """Name the advisory lock of the ops database that a worker of the request holds."""
    return f"gdpr-request/{request_id}"


@contextmanager
def claimed(
    ops_url: str,
    request_id: str,
    request_type: RequestType,
    run_id: str | None,
    clock: Callable[[], datetime],
) -> Iterator[tuple[Connection, Claim]]:
    """Claim the request and hold it while the block runs; a failure of the block ends the attempt.

    The connection is in autocommit mode. A block that succeeds calls ``complete`` in its last transaction.
    Raises NotClaimed or GivenUp before the block begins; when the block raises NotYet, the request is
    postponed.
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
            postgres.unlock_quietly(connection, name)


@contextmanager
def _attempt(connection: Connection, claim: Claim, clock: Callable[[], datetime]) -> Iterator[None]:
    try:
        yield
    except NotYet as error:
        with connection.transaction():
            postpone(connection, claim, str(error), clock())
        raise
    except BaseException as error:
        # If the database itself failed, the claim is found dead later, which counts as an attempt too.
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
            ending = row["outcome"] or row["status"]
            raise NotClaimed(f"the request has ended before: {ending}", row["status"], row["outcome"])
        if row["verified_at"] is None:
            raise NotClaimed("the subject has not confirmed the request yet", row["status"])
        if request_type == "export" and erasure_has_begun(connection, request_id):
            raise NotClaimed("the subject is being erased: there is nothing whole to export", row["status"])
        if request_type == "erasure" and erasure_waits(connection, request_id, now):
            # Asked again here: it was confirmed since the run was launched, or somebody launched the run.
            advice = "re-execute the run when that is over" if resumed else "it begins by itself"
            raise NotClaimed(
                f"the erasure waits for an export that its subject was promised: {advice}", row["status"]
            )
        given_up = row["status"] == "processing" and row["attempts"] >= MAX_ATTEMPTS
        if given_up:
            # Each worker died, or failed without being able to record it.
            _end(connection, request_id, row["failure"] or "its worker died", now)
        else:
            attempt = 1 if resumed else row["attempts"] + 1
            _record_claim(connection, request_id, run_id, attempt, now)
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


def _record_claim(
    connection: Connection, request_id: str, run_id: str | None, attempt: int, now: datetime
) -> None:
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
    _append_audit_event(connection, request_id, "intent", run_id, None, {"attempt": attempt})


def enter(connection: Connection, claim: Claim, progress: str, map_version: str | None) -> None:
    """Record the step that the work has reached, and the version of the data map that it uses."""
    connection.execute(
        "UPDATE gdpr_requests SET progress = %s, map_version = coalesce(%s, map_version) "
        "WHERE request_id = %s",
        (progress, map_version, claim.request_id),
    )


def complete(connection: Connection, claim: Claim, now: datetime) -> None:
    """Record that the request is fulfilled, in the transaction that also writes what proves it."""
    connection.execute(
        "UPDATE gdpr_requests SET status = 'completed', outcome = 'fulfilled', progress = 'done', "
        "failure = NULL, completed_at = %s WHERE request_id = %s",
        (now, claim.request_id),
    )
    _append_audit_event(
        connection, claim.request_id, "outcome", claim.run_id, "success", {"attempt": claim.attempt}
    )


def fail(connection: Connection, claim: Claim, reason: str, now: datetime) -> None:
    """Record that the attempt failed, and with the last attempt the request.

    ``reason`` must hold nothing personal.
    """
    if claim.attempt >= MAX_ATTEMPTS:
        _end(connection, claim.request_id, reason, now)
        return
    connection.execute(
        "UPDATE gdpr_requests SET failure = %s, next_attempt_at = %s "
        "WHERE request_id = %s AND status = 'processing'",
        (reason, now + pause_after(claim.attempt), claim.request_id),
    )


def postpone(connection: Connection, claim: Claim, reason: str, now: datetime) -> None:
    """Schedule the request again in five minutes, without counting this attempt."""
    connection.execute(
        "UPDATE gdpr_requests SET failure = %s, next_attempt_at = %s, attempts = attempts - 1 "
        "WHERE request_id = %s AND status = 'processing'",
        (reason, now + POSTPONEMENT, claim.request_id),
    )


def _end(connection: Connection, request_id: str, reason: str, now: datetime) -> None:
    row = connection.execute(
        "UPDATE gdpr_requests SET status = 'failed', outcome = 'error', completed_at = %s, failure = %s "
        "WHERE request_id = %s AND status = 'processing' RETURNING run_id, attempts",
        (now, reason, request_id),
    ).fetchone()
    if row is not None:
        details = {"attempt": row["attempts"], "reason": reason}
        _append_audit_event(connection, request_id, "outcome", row["run_id"], "failed", details)


def pause_after(attempt: int) -> timedelta:
    """Compute the pause after the n-th failed attempt: 1, 2, 4 ... minutes, at most two hours."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(attempt - 1, 16)))


def end_open(connection: Connection, subject: UUID, now: datetime) -> int:
    """Cancel the open requests of an erased subject that nobody works on; returns their number.

    Nothing is left to carry them out with. An export that failed and would be tried again is among them; no
    export is being written at that time.
    """
    return connection.execute(
        "UPDATE gdpr_requests SET status = 'failed', outcome = 'cancelled', completed_at = %s, "
        "progress = NULL, next_attempt_at = NULL WHERE creator_id = %s "
        "AND (status = 'pending' OR (status = 'processing' AND request_type = 'export'))",
        (now, subject),
    ).rowcount


def _append_audit_event(
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
