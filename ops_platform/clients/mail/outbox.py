"""``mail_outbox`` of the ops database: mail written with the decision to send it, sent afterwards.

What a mail says is its writer's affair. Delivery is at least once: a process that dies between
the server's answer and the commit sends the same message, with the same Message-ID, again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ops_platform.clients.mail.smtp import Mail, Mailer, MailRefused
from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError, Unavailable

FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=15)
GIVE_UP_AFTER = timedelta(hours=24)
"""What a mail is about has passed by then: a verification token lives as long."""
ROUND = 20
"""Mails of one round at most, so that a round ends."""
FAILURES_OF_A_ROUND = 3
"""So many in a row are the server's, not the mails': the others are not tried."""


@dataclass(frozen=True)
class Round:
    """What one round did."""

    sent: int = 0
    put_off: int = 0
    given_up: int = 0


def put(
    connection: Connection, dedup_key: str, recipient: str, subject: str, body: str, *, now: datetime
) -> None:
    """Write a mail in the caller's transaction; the same key a second time changes nothing."""
    connection.execute(
        "INSERT INTO mail_outbox (dedup_key, recipient, subject, body, created_at, next_attempt_at) "
        "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (dedup_key) DO NOTHING",
        (dedup_key, recipient, subject, body, now, now),
    )


def is_waiting(connection: Connection, dedup_key: str) -> bool:
    """Whether that mail is still to be sent."""
    row = connection.execute(
        "SELECT sent_at IS NULL AND given_up_at IS NULL AS waiting FROM mail_outbox WHERE dedup_key = %s",
        (dedup_key,),
    ).fetchone()
    return bool(row and row["waiting"])


def send_due(connection: Connection, mailer: Mailer, clock: Callable[[], datetime]) -> Round:
    """Send what is due, each mail in a transaction of its own. Several senders share the work.

    Raises Unavailable when nothing went through and something was put off; when each is tried next
    is recorded. A mail that is refused for good, or too old, is given up and forgotten.
    """
    done, failures, last = Round(), 0, None
    for _ in range(ROUND):
        try:
            one = _send_one(connection, mailer, clock())
        except Unavailable as error:
            connection.commit()
            done = _add(done, Round(put_off=1))
            failures, last = failures + 1, error
            if failures >= FAILURES_OF_A_ROUND:
                break
            continue
        connection.commit()
        if one is None:
            break
        done, failures = _add(done, one), 0
    if last is not None and not done.sent:
        raise last
    return done


def _send_one(connection: Connection, mailer: Mailer, now: datetime) -> Round | None:
    """The next due mail; None when there is none. The caller commits, also after Unavailable."""
    row = connection.execute(
        "SELECT id, dedup_key, recipient, subject, body, attempts, created_at FROM mail_outbox "
        "WHERE sent_at IS NULL AND given_up_at IS NULL AND next_attempt_at <= %s "
        "ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED",
        (now,),
    ).fetchone()
    if row is None:
        return None
    if now - row["created_at"] >= GIVE_UP_AFTER:
        _finish(connection, row["id"], "given_up_at", now, None)
        return Round(given_up=1)
    domain = mailer.sender.rpartition("@")[2] or "localhost"
    mail = Mail([row["recipient"]], row["subject"], row["body"], f"<outbox.{row['id']}@{domain}>")
    try:
        mailer.send(mail)
    except (MailRefused, ConfigurationError) as error:
        _finish(connection, row["id"], "given_up_at", now, str(error))
        return Round(given_up=1)
    except Unavailable as error:
        _put_off(connection, row, now, str(error))
        raise
    except Exception as error:
        # A mail that nobody foresaw must not stop those behind it; what it says may be in the error's text.
        reason = f"the mail cannot be sent: {type(error).__name__}"
        _put_off(connection, row, now, reason)
        raise Unavailable(reason) from None
    _finish(connection, row["id"], "sent_at", now, None)
    return Round(sent=1)


def _put_off(connection: Connection, row: dict[str, Any], now: datetime, reason: str) -> None:
    connection.execute(
        "UPDATE mail_outbox SET attempts = attempts + 1, next_attempt_at = %s, last_error = %s WHERE id = %s",
        (now + pause_after(row["attempts"] + 1), reason, row["id"]),
    )


def pause_after(attempts: int) -> timedelta:
    """How long a mail waits after its n-th failed attempt: 10 s, 20 s, 40 s ... 15 min."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(attempts - 1, 16)))


_FINISH = {
    column: "UPDATE mail_outbox SET recipient = NULL, subject = NULL, body = NULL, "  # noqa: S608
    f"attempts = attempts + 1, {column} = %s, last_error = coalesce(%s, last_error) WHERE id = %s"
    for column in ("sent_at", "given_up_at")
}


def _finish(connection: Connection, row_id: int, column: str, now: datetime, error: str | None) -> None:
    connection.execute(_FINISH[column], (now, error, row_id))


def _add(one: Round, other: Round) -> Round:
    return Round(one.sent + other.sent, one.put_off + other.put_off, one.given_up + other.given_up)
