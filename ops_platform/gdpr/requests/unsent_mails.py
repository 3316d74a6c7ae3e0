"""Mails about a subject's requests that have not left yet: their names in the outbox, and their removal."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.requests.sign_in import LINK_LIFETIME

_REMOVE = """
    DELETE FROM mail_outbox AS m WHERE m.sent_at IS NULL AND m.given_up_at IS NULL AND (
        EXISTS (
            SELECT FROM gdpr_requests AS r WHERE r.creator_id = %(subject)s AND r.created_at <= %(until)s
            AND (m.dedup_key = 'gdpr-export:' || r.request_id
                 OR m.dedup_key LIKE 'gdpr-verification:' || r.request_id || ':%%'))
        OR m.dedup_key IN (
            SELECT 'gdpr-sign-in:' || s.id FROM gdpr_sign_ins AS s
            WHERE s.creator_id = %(subject)s AND s.link_expires_at <= %(links_until)s))
"""


def export_key(request_id: str) -> str:
    """Name the mail in the outbox that says that an export is ready."""
    return f"gdpr-export:{request_id}"


def remove(ops: Connection, subject: UUID, made_until: datetime) -> int:
    """Delete the unsent mails about an erased subject's requests and sign-ins; return how many mails.

    They would promise what is gone, to an address that is to be forgotten. Letters to processors and the
    last mail stay. Links that nobody has used go, too; a session that has begun can still show the
    certificate.
    """
    links_until = made_until + LINK_LIFETIME
    removed = ops.execute(
        _REMOVE, {"subject": subject, "until": made_until, "links_until": links_until}
    ).rowcount
    ops.execute(
        "DELETE FROM gdpr_sign_ins WHERE creator_id = %s AND session_hash IS NULL AND link_expires_at <= %s",
        (subject, links_until),
    )
    return removed
