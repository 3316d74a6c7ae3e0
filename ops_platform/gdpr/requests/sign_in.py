"""Sign-in by a mailed link, for a subject's own requests and nothing else: the link, and its session.

Both are random and stored only as SHA-256. A link works once; its session can look, download and cancel,
but not make requests. Every function works in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from ops_platform.clients.mail import outbox
from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.requests import mail_texts
from ops_platform.gdpr.requests import token as tokens
from ops_platform.gdpr.requests.mail_texts import Language

STATUS_PAGE = "/api/gdpr/status"
LINK_LIFETIME = timedelta(minutes=15)
SESSION_LIFETIME = timedelta(minutes=15)
SUBJECTS_LIMIT = 5
"""Accounts with the same address that get a link each."""


@dataclass(frozen=True)
class Session:
    """A session that has just begun; its token is known to nobody else."""

    token: str
    expires_at: datetime


def send_link(
    connection: Connection,
    typed: str,
    on_record: Callable[[UUID], str | None],
    *,
    language: Language,
    api_url: str,
    now: datetime,
) -> int:
    """Mail a link to each subject whose requests have the ``typed`` address; return the number of mails.

    ``on_record`` finds the address that the product has for a subject now. Where that is another, the
    mailbox may have changed hands: no mail. Where there is none any more, only while the subject is being
    erased: the mails about it go to the address of the request, too.
    """
    rows = connection.execute(
        "SELECT creator_id, requestor_email, "
        "bool_or(request_type = 'erasure' AND status = 'processing') AS being_erased FROM gdpr_requests "
        "WHERE lower(requestor_email) = lower(%s) AND requestor_email <> '' GROUP BY 1, 2 LIMIT %s",
        (typed.strip(), SUBJECTS_LIMIT),
    ).fetchall()
    sent = 0
    for row in rows:
        current = on_record(row["creator_id"])
        same = current is not None and current.lower() == row["requestor_email"].lower()
        if not same and not (current is None and row["being_erased"]):
            continue
        _mail(connection, row["creator_id"], row["requestor_email"], language, api_url, now)
        sent += 1
    return sent


def _mail(
    connection: Connection, subject: UUID, email: str, language: Language, api_url: str, now: datetime
) -> None:
    token = tokens.new_token()
    connection.execute(
        "INSERT INTO gdpr_sign_ins (creator_id, link_hash, link_expires_at) VALUES (%s, %s, %s)",
        (subject, tokens.digest(token), now + LINK_LIFETIME),
    )
    text = mail_texts.sign_in(language, link=f"{status_page(api_url, language)}#token={token}")
    outbox.put(connection, f"gdpr-sign-in:{uuid4()}", email, text.subject, text.body, now=now)


def status_page(api_url: str, language: Language) -> str:
    """Build the URL of the status page."""
    return f"{api_url.rstrip('/')}{STATUS_PAGE}?lang={language}"


def begin_session(connection: Connection, typed: str, now: datetime) -> Session | None:
    """Use a link's token up; None when there is no such link, or it was used, or it is too late."""
    token = tokens.new_token()
    begun = connection.execute(
        "UPDATE gdpr_sign_ins SET session_hash = %s, session_expires_at = %s "
        "WHERE link_hash = %s AND session_hash IS NULL AND link_expires_at > %s RETURNING session_expires_at",
        (
            tokens.digest(token),
            now + SESSION_LIFETIME,
            tokens.digest(tokens.read(typed) or ""),
            now,
        ),
    ).fetchone()
    return None if begun is None else Session(token, begun["session_expires_at"])


def subject_of(connection: Connection, session: str, now: datetime) -> UUID | None:
    """Find whose session it is; None when there is no such session, or it is over."""
    row = connection.execute(
        "SELECT creator_id FROM gdpr_sign_ins WHERE session_hash = %s AND session_expires_at > %s",
        (tokens.digest(session), now),
    ).fetchone()
    return None if row is None else row["creator_id"]


def end_session(connection: Connection, session: str, now: datetime) -> None:
    """End a session; nothing happens when there is none."""
    connection.execute(
        "UPDATE gdpr_sign_ins SET session_expires_at = %s "
        "WHERE session_hash = %s AND session_expires_at > %s",
        (now, tokens.digest(session), now),
    )
