"""Precedence when a subject has or asked for both an export and an erasure: what waits, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from ops_platform.clients.postgres import Connection

EXPORT_FIRST = timedelta(hours=48)
"""Part of the erasure's 72 hours in which an export for the same subject may go first."""
FETCH_WITHIN = timedelta(hours=24)
"""Part of EXPORT_FIRST in which the finished copy may be downloaded before the erasure deletes it."""

ERASURE_WAITS = """
    r.request_type = 'erasure' AND r.status = 'pending' AND r.verified_at > %(now)s - %(first)s
    AND EXISTS (
        SELECT FROM gdpr_requests AS e LEFT JOIN gdpr_exports AS x USING (request_id)
        WHERE e.creator_id = r.creator_id AND e.request_type = 'export'
          AND ((e.status IN ('pending', 'processing') AND e.verified_at IS NOT NULL)
               OR (x.completed_at >= r.verified_at AND x.completed_at > %(now)s - %(fetch)s
                   AND x.deleted_at IS NULL
                   AND NOT EXISTS (SELECT FROM gdpr_downloads AS d
                                   WHERE d.request_id = x.request_id AND d.url_expires_at <= %(now)s))
               OR (r.waits_until > %(now)s AND x.expires_at > %(now)s AND x.deleted_at IS NULL
                   AND NOT EXISTS (SELECT FROM gdpr_downloads AS d
                                   WHERE d.request_id = x.request_id AND d.at >= r.verified_at
                                     AND d.url_expires_at <= %(now)s))))
"""
"""SQL condition: the erasure request ``r`` waits for an export to be written or downloaded."""
ERASURE_HAS_BEGUN = """
    EXISTS (SELECT FROM erasure_tombstones AS t
            WHERE t.subject_key = CAST(r.creator_id AS text)
              AND (t.completed_at IS NULL
                   OR EXISTS (SELECT FROM gdpr_inventories AS i WHERE i.request_id = t.gdpr_request_id)))
"""
"""SQL condition: the subject of ``r`` is being erased, from the tombstone until the inventory is deleted."""


Choice = Literal["wait", "delete"]
"""What becomes of a finished export at an erasure: downloaded first, or deleted at once."""


@dataclass(frozen=True)
class ReadyExport:
    """An export that its subject can still download, ``until``; ``fetched``: they have had a link to it."""

    until: datetime
    fetched: bool

    def waits_until(self, choice: Choice | None, now: datetime) -> datetime | None:
        """Compute until when at most an erasure that is confirmed now waits for a download; None: not at all.

        A mail promised the export. Whoever made no choice gets what was promised, unless they have it.
        """
        if choice == "delete" or (choice is None and self.fetched):
            return None
        return min(self.until, now + EXPORT_FIRST)


def ready_export(connection: Connection, subject: UUID, now: datetime) -> ReadyExport | None:
    """Find the subject's newest export that can still be downloaded; None: there is none."""
    row = connection.execute(
        "SELECT x.expires_at, EXISTS (SELECT FROM gdpr_downloads AS d WHERE d.request_id = x.request_id) "
        "AS fetched FROM gdpr_exports AS x JOIN gdpr_requests AS e USING (request_id) "
        "WHERE e.creator_id = %s AND x.deleted_at IS NULL AND x.expires_at > %s "
        "ORDER BY x.expires_at DESC LIMIT 1",
        (subject, now),
    ).fetchone()
    return None if row is None else ReadyExport(row["expires_at"], row["fetched"])


def erasure_waits_until(connection: Connection, subject: UUID) -> datetime | None:
    """Compute until when at most a confirmed erasure of the subject waits for an export; None: none waits."""
    row = connection.execute(
        "SELECT min(verified_at) AS since FROM gdpr_requests WHERE creator_id = %s "
        "AND request_type = 'erasure' AND status = 'pending' AND verified_at IS NOT NULL",
        (subject,),
    ).fetchone()
    return row["since"] + EXPORT_FIRST if row and row["since"] else None


def erasure_has_begun(connection: Connection, request_id: str) -> bool:
    """Tell whether the subject of this request is being erased."""
    query = f"SELECT FROM gdpr_requests AS r WHERE r.request_id = %s AND {ERASURE_HAS_BEGUN}"
    return connection.execute(query, (request_id,)).fetchone() is not None
