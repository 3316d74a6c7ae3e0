"""Sign-in by a mailed link, for a subject's own requests and nothing else: the link, and its session.

Both are random and stored as SHA-256; the link stands in its mail, too, in the outbox until that has left.
A link works once; its session can look, download and cancel, but not make requests.
Every function works in the caller's transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ops_platform.clients.mail import outbox
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.requests import mail_texts
from ops_platform.gdpr.requests import token as tokens
from ops_platform.gdpr.requests.mail_texts import Language

STATUS_PAGE = "/api/gdpr/status"
LINK_LIFETIME = timedelta(minutes=60)
"""Counted from asking; a mail server that knows us not yet may put the mail off for half of it."""
SESSION_LIFETIME = timedelta(minutes=15)
SUBJECTS_LIMIT = 5
"""Accounts with the same address that get a link each."""
CANDIDATES_LIMIT = 100
"""Accounts with requests of the typed address, the newest first, whose address on record is looked up."""
NOBODY = UUID(int=0)
OnRecord = Callable[[UUID], str | None]
"""Finds the address that the product has for a subject now; None: there is no such account."""


@dataclass(frozen=True)
class Session:
    """A session that has just begun; its token is known to nobody else."""

    token: str
    expires_at: datetime


def send_link(
    connection: Connection,
    typed: str,
    on_record: OnRecord,
    *,
    language: Language,
    api_url: str,
    now: datetime,
) -> int:
    """Mail a link to each subject whose requests have the ``typed`` address; return the number of mails.

    Where ``on_record`` finds another address now, the mailbox may have changed hands: no mail. Where it
    finds none any more, only while the subject is being erased: the mails about it go to the address of the
    request, too. It is asked in any case, so that its failure does not tell whose address is known.
    """
    typed = typed.strip()
    rows = connection.execute(
        "SELECT creator_id, (array_agg(requestor_email ORDER BY id DESC))[1] AS email, "
        "bool_or(request_type = 'erasure' AND status = 'processing') AS being_erased FROM gdpr_requests "
        # Limits count by Python's small letters: what has others in PostgreSQL would pass them.
        "WHERE lower(requestor_email) = lower(%(typed)s) AND lower(%(typed)s) = %(lower)s "
        "AND requestor_email <> '' GROUP BY 1 ORDER BY max(id) DESC LIMIT %(most)s",
        {"typed": typed, "lower": typed.lower(), "most": CANDIDATES_LIMIT},
    ).fetchall()
    if not rows:
        on_record(NOBODY)
    sent = 0
    for row in rows:
        if _is_theirs(on_record(row["creator_id"]), address_hash(row["email"]), row["being_erased"]):
            _mail(connection, row["creator_id"], row["email"], language, api_url, now)
            sent += 1
        if sent == SUBJECTS_LIMIT:
            break
    return sent


def address_hash(email: str) -> str:
    """Compute the hex SHA-256 of an address in small letters."""
    return hashlib.sha256(email.strip().lower().encode("utf-8", "replace")).hexdigest()


def _is_theirs(current: str | None, mailed_hash: str | None, being_erased: bool) -> bool:
    if mailed_hash is None:
        return False
    return being_erased if current is None else address_hash(current) == mailed_hash


def _mail(
    connection: Connection, subject: UUID, email: str, language: Language, api_url: str, now: datetime
) -> None:
    token = tokens.new_token()
    row = one_row(
        connection,
        "INSERT INTO gdpr_sign_ins (creator_id, address_hash, link_hash, link_expires_at) "
        "VALUES (%s, %s, %s, %s) RETURNING id",
        (subject, address_hash(email), tokens.digest(token), now + LINK_LIFETIME),
    )
    text = mail_texts.sign_in(language, link=f"{status_page(api_url, language)}#token={token}")
    outbox.put(
        connection,
        f"gdpr-sign-in:{row['id']}",
        email,
        text.subject,
        text.body,
        give_up_after=LINK_LIFETIME,
        now=now,
    )


def status_page(api_url: str, language: Language) -> str:
    """Build the URL of the status page."""
    return f"{api_url.rstrip('/')}{STATUS_PAGE}?lang={language}"


def begin_session(connection: Connection, typed: str, on_record: OnRecord, now: datetime) -> Session | None:
    """Use a link's token up; None when there is no such link, or it was used, or it is too late.

    Also when the mailbox that it went to is not the subject's any more.
    """
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
    if begun is None:
        return None
    if not is_still_theirs(connection, token, on_record):
        end_session(connection, token, now)
        return None
    return Session(token, begun["session_expires_at"])


def is_still_theirs(connection: Connection, session: str, on_record: OnRecord) -> bool:
    """Tell whether the session's link went to the address that the product has now, as for ``send_link``."""
    row = connection.execute(
        "SELECT s.creator_id, s.address_hash, EXISTS (SELECT FROM gdpr_requests AS r "
        "WHERE r.creator_id = s.creator_id AND r.request_type = 'erasure' AND r.status = 'processing') "
        "AS being_erased FROM gdpr_sign_ins AS s WHERE s.session_hash = %s",
        (tokens.digest(session),),
    ).fetchone()
    return row is not None and _is_theirs(
        on_record(row["creator_id"]), row["address_hash"], row["being_erased"]
    )


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
