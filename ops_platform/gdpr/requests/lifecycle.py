"""A data subject's request and its transitions until the work begins, and its scrubbing when it is over.

Every function works in the caller's transaction and commits nothing. Triggers (sql/ops/0012) allow
only the known transitions and record each of them in gdpr_lineage, so that no writer can forget it.
Nothing here returns or raises an address or a token. No Dagster, no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from ops_platform.clients.mail import outbox
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import OpsError
from ops_platform.gdpr.requests import precedence, unsent_mails, verification_mail
from ops_platform.gdpr.requests import token as tokens
from ops_platform.gdpr.requests.deadlines import MAIL_AGAIN_AFTER, VERIFY_WITHIN, due_at
from ops_platform.gdpr.requests.mail_texts import Language, RequestType
from ops_platform.gdpr.requests.precedence import Choice, ReadyExport

Status = Literal["pending", "processing", "completed", "failed"]
REQUEST_TYPES: tuple[RequestType, ...] = ("erasure", "export")
TRANSITIONS = ("pending", "verified", "processing", "completed", "failed", "cancelled", "expired")
"""The names of transitions: gdpr_lineage counts each as ``status:<name>``."""
MAX_WRONG_TOKENS = 10
"""Wrong tokens that are accepted for one mail; then its token is worthless and the subject must ask again."""
_LIST_LIMIT = 100
"""Requests that a list holds at most."""

_EXPIRE = """
UPDATE gdpr_requests SET status = 'failed', outcome = 'expired', completed_at = %(now)s
WHERE id IN (SELECT id FROM gdpr_requests
             WHERE status = 'pending' AND verified_at IS NULL AND verification_expires_at <= %(now)s {mine}
             ORDER BY id FOR UPDATE SKIP LOCKED)
"""


class RequestError(OpsError):
    """A transition that this request cannot make; nothing was changed."""


class UnknownRequest(RequestError):
    """No such request, or somebody else's, or a token of another one: the caller cannot tell which."""


class TokenExpired(RequestError):
    """The right token, but too late or after too many wrong ones."""


class AlreadyVerified(RequestError):
    """The right token, for the second time."""


class NotPossible(RequestError):
    """The request is past the point where the transition could be made."""


@dataclass(frozen=True)
class Request:
    """One request, without address and token. Times are aware, in UTC."""

    request_id: str
    subject: UUID
    request_type: RequestType
    language: Language
    status: Status
    outcome: str | None
    progress: str | None
    created_at: datetime
    updated_at: datetime
    verified_at: datetime | None
    verification_expires_at: datetime | None
    waits_until: datetime | None
    completed_at: datetime | None

    @property
    def due_at(self) -> datetime | None:
        """The deadline, counted from the verification; None before it."""
        return due_at(self.verified_at)


@dataclass(frozen=True)
class Submission:
    """The open request that a submission led to.

    ``created``: it is new, not one that was open already. ``mailed``: a verification mail was written now.
    """

    request: Request
    created: bool
    mailed: bool


@dataclass(frozen=True)
class Consent:
    """The subject's consent. ``version`` names the wording that was agreed to."""

    version: str


def submit(
    connection: Connection,
    subject: UUID,
    request_type: RequestType,
    *,
    email: str,
    language: Language,
    api_url: str,
    now: datetime,
) -> Submission:
    """Open a request of that type for the subject, or return the one that is open already.

    An open request that is not verified gets a new token and a new mail when its newest mail is older
    than MAIL_AGAIN_AFTER and has left the outbox. Raises RequestError when requests of the subject
    come and end faster than they can be read.
    """
    _expire(connection, now, subject)
    for _ in range(5):
        created = connection.execute(
            "INSERT INTO gdpr_requests (request_id, creator_id, request_type, requestor_email, language, "
            "created_at) VALUES (%s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (creator_id, request_type) WHERE status IN ('pending', 'processing') DO NOTHING "
            "RETURNING *",
            (str(uuid4()), subject, request_type, email, language, now),
        ).fetchone()
        row = (
            created
            or connection.execute(
                "SELECT * FROM gdpr_requests WHERE creator_id = %s "
                "AND request_type = %s AND status IN ('pending', 'processing') FOR UPDATE",
                (subject, request_type),
            ).fetchone()
        )
        if row is None:
            continue  # it ended between the two statements
        if created is None and not _mail_is_due(connection, row, now):
            return Submission(_request(row), created=False, mailed=False)
        mailed_request = _mail(connection, row, email=email, language=language, api_url=api_url, now=now)
        return Submission(mailed_request, created=created is not None, mailed=True)
    raise RequestError("the subject's requests change too fast: try again")


@dataclass(frozen=True)
class Description:
    """A request before it is confirmed; ``export``: what its erasure would delete unless it waits."""

    request: Request
    export: ReadyExport | None


def describe(connection: Connection, request_id: str, typed: str, *, now: datetime) -> Description:
    """Describe the request that the ``typed`` token would verify; the token stays good.

    Raises what ``verify`` raises, and counts a wrong token like it: commit also after UnknownRequest.
    """
    row, _ = _opened(connection, request_id, typed)
    if (
        row["status"] != "pending"
        or row["verification_expires_at"] <= now
        or row["wrong_tokens"] >= MAX_WRONG_TOKENS
    ):
        raise _too_late()
    return Description(_request(row), _endangered_export(connection, row, now))


def verify(
    connection: Connection,
    request_id: str,
    typed: str,
    *,
    now: datetime,
    consent: Consent | None = None,
    choice: Choice | None = None,
) -> Request:
    """Verify the request with the ``typed`` token, which is used up: the request now waits for its work.

    ``choice``: what an erasure does with an export that can still be downloaded. Raises UnknownRequest
    (no such request, wrong or replaced token), TokenExpired, AlreadyVerified or NotPossible (it was
    cancelled). A wrong token is counted: commit also after UnknownRequest.
    """
    row, token = _opened(connection, request_id, typed)
    export = _endangered_export(connection, row, now)
    verified = connection.execute(
        "UPDATE gdpr_requests SET verified_at = %(now)s, progress = 'verified', used_token = "
        "verification_token, verification_token = NULL, consent_version = %(consent)s, "
        "consented_at = CASE WHEN %(consent)s::text IS NOT NULL THEN %(now)s::timestamptz END, "
        "waits_until = %(waits_until)s "
        "WHERE request_id = %(request)s AND verification_token = %(digest)s AND status = 'pending' "
        "AND verified_at IS NULL AND verification_expires_at > %(now)s AND wrong_tokens < %(most)s "
        "RETURNING *",
        {
            "now": now,
            "consent": consent.version if consent else None,
            "waits_until": export.waits_until(choice, now) if export else None,
            "request": request_id,
            "digest": tokens.digest(token),
            "most": MAX_WRONG_TOKENS,
        },
    ).fetchone()
    if verified is None:
        raise _too_late()
    return _request(verified)


def _too_late() -> TokenExpired:
    return TokenExpired("this code is no longer valid: make the request again to get a new one")


def _endangered_export(connection: Connection, row: Mapping[str, Any], now: datetime) -> ReadyExport | None:
    """Find the export that the request of ``row``, if it is an erasure, would delete before its time."""
    erases = row["request_type"] == "erasure"
    return precedence.ready_export(connection, row["creator_id"], now) if erases else None


def _opened(connection: Connection, request_id: str, typed: str) -> tuple[dict[str, Any], str]:
    """Lock the request that the token belongs to; return its row and the token as it was mailed."""
    row = connection.execute(
        "SELECT * FROM gdpr_requests WHERE request_id = %s FOR UPDATE", (request_id,)
    ).fetchone() or {"verification_token": None, "used_token": None}
    token = tokens.read(typed) or ""
    fits, used = tokens.matches(token, row["verification_token"]), tokens.matches(token, row["used_token"])
    if not fits and not used:
        connection.execute(
            "UPDATE gdpr_requests SET wrong_tokens = wrong_tokens + 1 "
            "WHERE request_id = %s AND status = 'pending' AND verified_at IS NULL",
            (request_id,),
        )
        raise UnknownRequest("there is no such request, or a newer mail has replaced this code")
    if row["outcome"] == "cancelled":
        raise NotPossible("this request was cancelled: make a new one")
    if used:
        raise AlreadyVerified("this request was confirmed before: nothing more is to be done")
    return row, token


def cancel(connection: Connection, request_id: str, subject: UUID, *, now: datetime) -> Request:
    """Cancel a request whose work has not begun; one that was cancelled before stays so.

    Raises UnknownRequest when it is not the subject's, NotPossible when it is too late.
    """
    row = connection.execute(
        "UPDATE gdpr_requests SET status = 'failed', outcome = 'cancelled', completed_at = %s, "
        "progress = NULL WHERE request_id = %s AND creator_id = %s AND status = 'pending' "
        "RETURNING *",
        (now, request_id, subject),
    ).fetchone()
    if row is not None:
        return _request(row)
    request = find(connection, request_id, subject)
    if request.outcome == "cancelled":
        return request
    raise NotPossible("the request can no longer be cancelled: its work has begun or it has ended")


def expire(connection: Connection, now: datetime) -> int:
    """End all requests that were not verified in time; returns their number."""
    return _expire(connection, now, None)


def find(connection: Connection, request_id: str, subject: UUID) -> Request:
    """Find a request of the subject's. Raises UnknownRequest also when it is somebody else's."""
    row = connection.execute(
        "SELECT * FROM gdpr_requests WHERE request_id = %s AND creator_id = %s",
        (request_id, subject),
    ).fetchone()
    if row is None:
        raise UnknownRequest("there is no such request")
    return _request(row)


def find_all(connection: Connection, subject: UUID) -> list[Request]:
    """Find the subject's requests, newest first, at most 100."""
    rows = connection.execute(
        "SELECT * FROM gdpr_requests WHERE creator_id = %s ORDER BY id DESC LIMIT %s",
        (subject, _LIST_LIMIT),
    ).fetchall()
    return [_request(row) for row in rows]


def is_erased(connection: Connection, subject: UUID) -> bool:
    """Tell whether an erasure of the subject has been completed, by a request or on the command line."""
    query = (
        "SELECT WHERE EXISTS (SELECT FROM gdpr_requests WHERE creator_id = %(subject)s "
        "AND request_type = 'erasure' AND status = 'completed') "
        "OR has_been_erased(%(subject)s)"
    )
    return connection.execute(query, {"subject": subject}).fetchone() is not None


def scrub(ops: Connection, subject: UUID, made_until: datetime) -> int:
    """Empty the personal fields of an erased subject's requests; how many were changed. The requests stay.

    Of requests of this key that were made by then, whatever became of them. Their unsent mails are deleted.
    A second time changes nothing.
    """
    unsent_mails.remove(ops, subject, made_until)
    return ops.execute(
        "UPDATE gdpr_requests SET requestor_email = '', verification_token = NULL, used_token = NULL "
        "WHERE creator_id = %s AND created_at <= %s "
        "AND (requestor_email <> '' OR verification_token IS NOT NULL OR used_token IS NOT NULL)",
        (subject, made_until),
    ).rowcount


def _expire(connection: Connection, now: datetime, subject: UUID | None) -> int:
    # Locked rows are left to the transaction that holds them: two of these at once must not deadlock.
    # The agent expires everybody's requests and may not read creator_id.
    if subject is None:
        return connection.execute(_EXPIRE.format(mine=""), {"now": now}).rowcount
    mine = "AND creator_id = %(subject)s"
    return connection.execute(_EXPIRE.format(mine=mine), {"now": now, "subject": subject}).rowcount


def _mail_is_due(connection: Connection, row: Mapping[str, Any], now: datetime) -> bool:
    if row["status"] != "pending" or row["verified_at"] is not None:
        return False
    if row["mailed_at"] is None:
        return True
    is_old = now - row["mailed_at"] >= MAIL_AGAIN_AFTER
    return is_old and not outbox.is_waiting(
        connection, verification_mail.dedup_key(row["request_id"], row["mails"])
    )


def _mail(
    connection: Connection,
    row: Mapping[str, Any],
    *,
    email: str,
    language: Language,
    api_url: str,
    now: datetime,
) -> Request:
    token = tokens.new_token()
    export = _endangered_export(connection, row, now)
    changed = one_row(
        connection,
        "UPDATE gdpr_requests SET verification_token = %s, verification_expires_at = %s, wrong_tokens = 0, "
        "mails = mails + 1, mailed_at = %s, language = %s, requestor_email = %s WHERE request_id = %s "
        "RETURNING *",
        (tokens.digest(token), now + VERIFY_WITHIN, now, language, email, row["request_id"]),
    )
    verification_mail.write_mail(
        connection,
        api_url=api_url,
        request_id=changed["request_id"],
        request_type=changed["request_type"],
        language=language,
        email=email,
        token=token,
        number=changed["mails"],
        export_until=export.until if export else None,
        now=now,
    )
    return _request(changed)


def _request(row: Mapping[str, Any]) -> Request:
    values = {name: row[name] for name in Request.__dataclass_fields__ if name != "subject"}
    return Request(subject=row["creator_id"], **values)
