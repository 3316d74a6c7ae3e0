"""Personal fields of an erased subject's requests: emptied. The requests stay, without the person."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ops_platform.clients.postgres import Connection


def scrub(ops: Connection, subject: UUID, made_until: datetime) -> int:
    """Of requests of this key that were made by then, whatever became of them; how many were changed.

    In the caller's transaction; a second time changes nothing.
    """
    return ops.execute(
        "UPDATE gdpr_requests SET requestor_email = '', verification_token = NULL, used_token = NULL "
        "WHERE creator_id = %s AND created_at <= %s "
        "AND (requestor_email <> '' OR verification_token IS NOT NULL OR used_token IS NOT NULL)",
        (subject, made_until),
    ).rowcount
