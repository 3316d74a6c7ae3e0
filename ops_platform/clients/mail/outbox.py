"""``mail_outbox`` of the ops database: mail is written in the transaction that decides on it, and sent later.

The wording of mails does not live here. Delivery is at least once: a process that dies between
the server's answer and the commit sends the same message, with the same Message-ID, again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from ops_platform.clients.mail.smtp import Attachment, Mail, Mailer, MailRefused
from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError, Unavailable

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=15)
GIVE_UP_AFTER = timedelta(hours=24)
"""By then a mail is out of date, unless its writer says otherwise: a verification token is valid so long."""
MAX_MAILS_PER_ROUND = 20
"""Bounds the duration of a round."""
MAX_FAILURES_PER_ROUND = 3
"""After so many failures in a row the server is to blame, not the mails: the others are not tried."""


@dataclass(frozen=True)
class Round:
    """Counts of the mails that one round sent, postponed and gave up."""

    sent: int = 0
    postponed: int = 0
    given_up: int = 0


def put(
    connection: Connection,
    dedup_key: str,
    recipient: str,
    subject: str,
    body: str,
    *,
    attachments: Sequence[Attachment] = (),
    give_up_after: timedelta = GIVE_UP_AFTER,
    now: datetime,
) -> None:
    """Write a mail in the caller's transaction; a second mail with the same ``dedup_key`` is ignored.

    ``give_up_after``: how long it is worth being sent.
    """
    connection.execute(
        "INSERT INTO mail_outbox (dedup_key, recipient, subject, body, attachments, created_at, "
        "next_attempt_at, give_up_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (dedup_key) DO NOTHING",
        (
            dedup_key,
            recipient,
            subject,
            body,
            Jsonb([asdict(attachment) for attachment in attachments]),
            now,
            now,
            now + give_up_after,
        ),
    )


def is_waiting(connection: Connection, dedup_key: str) -> bool:
    """Return whether the mail of this key is still to be sent."""
    row = connection.execute(
        "SELECT sent_at IS NULL AND given_up_at IS NULL AS waiting FROM mail_outbox WHERE dedup_key = %s",
        (dedup_key,),
    ).fetchone()
    return bool(row and row["waiting"])


def send_due(connection: Connection, mailer: Mailer, clock: Callable[[], datetime]) -> Round:
    """Send the mails that are due, each in a transaction of its own. Several senders share the work.

    A mail that the server postpones gets a time for the next attempt; one that is refused for good, or
    too old, is given up and its text deleted. Raises Unavailable when mails were postponed and none sent.
    """
    total, failures, last_error = Round(), 0, None
    for _ in range(MAX_MAILS_PER_ROUND):
        try:
            outcome = _send_one(connection, mailer, clock())
        except Unavailable as error:
            connection.commit()
            total = _add(total, Round(postponed=1))
            failures, last_error = failures + 1, error
            if failures >= MAX_FAILURES_PER_ROUND:
                break
            continue
        connection.commit()
        if outcome is None:
            break
        total, failures = _add(total, outcome), 0
    if last_error is not None and not total.sent:
        raise last_error
    return total


def _send_one(connection: Connection, mailer: Mailer, now: datetime) -> Round | None:
    """Send the next due mail; None when no mail is due. The caller commits, also after Unavailable."""
    row = connection.execute(
        "SELECT id, dedup_key, recipient, subject, body, attachments, attempts, created_at, "
        "coalesce(give_up_at, created_at + %s) AS give_up_at FROM mail_outbox "
        "WHERE sent_at IS NULL AND given_up_at IS NULL AND next_attempt_at <= %s "
        "ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED",
        (GIVE_UP_AFTER, now),
    ).fetchone()
    if row is None:
        return None
    if now >= row["give_up_at"]:
        _finish(connection, row["id"], "given_up_at", now, None)
        return Round(given_up=1)
    attachments = [Attachment(**attachment) for attachment in row["attachments"]]
    try:
        message_id = _message_id(row["dedup_key"], row["created_at"], mailer.sender_address)
        mailer.send(Mail([row["recipient"]], row["subject"], row["body"], message_id, attachments))
    except (MailRefused, ConfigurationError) as error:
        _finish(connection, row["id"], "given_up_at", now, str(error))
        return Round(given_up=1)
    except Unavailable as error:
        _postpone(connection, row, now, str(error))
        raise
    except Exception as error:
        # An unforeseen mail must not stop those behind it; the error's text may quote the mail.
        reason = f"the mail cannot be sent: {type(error).__name__}"
        _postpone(connection, row, now, reason)
        raise Unavailable(reason) from None
    _finish(connection, row["id"], "sent_at", now, None)
    return Round(sent=1)


def _message_id(dedup_key: str, created_at: datetime, sender: str) -> str:
    """Name the mail: the same at each attempt, and never another's, also after the database was restored.

    Numbers of rows are given out anew then, and a receiver would drop the other mail as a repetition.
    """
    digest = hashlib.sha256(f"{dedup_key}\n{created_at.astimezone(UTC).isoformat()}".encode()).hexdigest()
    return f"<{digest[:40]}@{sender.rpartition('@')[2] or 'localhost'}>"


def _postpone(connection: Connection, row: dict[str, Any], now: datetime, reason: str) -> None:
    connection.execute(
        "UPDATE mail_outbox SET attempts = attempts + 1, next_attempt_at = %s, last_error = %s WHERE id = %s",
        # Looked at when its time is over: its text is to be cleared then.
        (min(now + pause_after(row["attempts"] + 1), row["give_up_at"]), reason, row["id"]),
    )


def pause_after(attempts: int) -> timedelta:
    """Compute a mail's pause after ``attempts`` failed attempts: 10 s, 20 s, 40 s ... 15 min."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(attempts - 1, 16)))


_FINISH = {
    column: "UPDATE mail_outbox SET recipient = NULL, subject = NULL, body = NULL, attachments = '[]', "  # noqa: S608
    f"attempts = attempts + 1, {column} = %s, last_error = coalesce(%s, last_error) WHERE id = %s"
    for column in ("sent_at", "given_up_at")
}


def _finish(connection: Connection, row_id: int, column: str, now: datetime, error: str | None) -> None:
    connection.execute(_FINISH[column], (now, error, row_id))


def _add(left: Round, right: Round) -> Round:
    return Round(left.sent + right.sent, left.postponed + right.postponed, left.given_up + right.given_up)
