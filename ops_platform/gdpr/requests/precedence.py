"""Precedence when a subject has or asked for both an export and an erasure: what waits, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from ops_platform.clients.postgres import Connection

EXPORT_FIRST = timedelta(hours=48)
"""Part of the erasure's 72 hours in which an export for the same subject may go first."""
FETCH_WITHIN = timedelta(hours=24)
"""Part of EXPORT_FIRST in which the finished copy may be downloaded before the erasure deletes it."""

SHORTEST_DOWNLOAD = timedelta(hours=3)
"""A link is given out at the start of a download, which can be slow or fail: the copy stays so long after."""

ERASURE_HAS_BEGUN = """
    EXISTS (SELECT FROM erasure_tombstones AS t
            WHERE t.subject_key = CAST(r.creator_id AS text) AND t.requestable
              AND (t.completed_at IS NULL
                   OR EXISTS (SELECT FROM gdpr_inventories AS i WHERE i.request_id = t.gdpr_request_id)))
"""
"""SQL condition: the subject of ``r`` is being erased, from the tombstone until the inventory is deleted."""
WAIT_ENDS = """
    CASE
        WHEN x.request_id IS NULL THEN CASE
            WHEN e.status NOT IN ('pending', 'processing') OR e.verified_at IS NULL THEN NULL
            WHEN r.status = 'pending' OR e.verified_at < r.verified_at + %(first)s
                THEN r.verified_at + %(first)s
            ELSE e.verified_at + %(first)s
        END
        WHEN x.deleted_at IS NOT NULL THEN NULL
        WHEN x.completed_at >= r.verified_at OR r.waits_until IS NOT NULL THEN least(
            x.expires_at,
            CASE WHEN x.received_at > r.verified_at THEN x.received_at END,
            CASE
                WHEN x.completed_at < r.verified_at THEN r.waits_until
                WHEN x.completed_at < r.verified_at + %(first)s
                    THEN least(x.completed_at + %(fetch)s, r.verified_at + %(first)s)
                WHEN r.status = 'pending' THEN x.completed_at + %(fetch)s
            END,
            (SELECT max(d.at) FROM gdpr_downloads AS d
             WHERE d.request_id = x.request_id AND d.at > r.verified_at)
                + greatest(%(download)s, x.bytes * interval '8 microseconds')
        )
    END
"""
"""SQL value: until when the erasure ``r`` waits for the export ``e``, recorded as ``x``; NULL: not at all.

An export that is being written has the erasure's 48 hours; a copy has a day of them, or the time that the
person chose. After a download has begun, SHORTEST_DOWNLOAD, or what the bytes take at 1 Mbit/s; not at all
when the person has said since that they have it. An erasure that is late, because its attempts fail or a
hold is on it, grants the whole time of a later copy.
"""
_WAIT = {"first": EXPORT_FIRST, "fetch": FETCH_WITHIN, "download": SHORTEST_DOWNLOAD}
ERASURE_WAITS = f"""
    r.request_type = 'erasure' AND NOT {ERASURE_HAS_BEGUN}
    AND EXISTS (
        SELECT FROM gdpr_requests AS e LEFT JOIN gdpr_exports AS x USING (request_id)
        WHERE e.creator_id = r.creator_id AND e.request_type = 'export' AND {WAIT_ENDS} > %(now)s)
"""
"""SQL condition: the erasure request ``r``, of whatever status, waits for an export; see ``waiting``."""
_OPEN = "r.verified_at IS NOT NULL AND (r.status IN ('pending', 'processing') OR r.outcome = 'error')"
_HAVE_SAID = f"""
    x.received_at > coalesce((
        SELECT max(r.verified_at) FROM gdpr_requests AS e JOIN gdpr_requests AS r
            ON r.creator_id = e.creator_id AND r.request_type = 'erasure'
        WHERE e.request_id = x.request_id AND {_OPEN}), '-infinity')
"""  # noqa: S608 - our own texts
"""SQL condition: the subject of the export ``x`` has said that they have it, since the newest open erasure.

What was said before was not said of an erasure that offers to wait.
"""
_HAVE_HAD_A_LINK = "EXISTS (SELECT FROM gdpr_downloads AS d WHERE d.request_id = x.request_id)"


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


def waiting(now: datetime) -> dict[str, object]:
    """Return the parameters of ERASURE_WAITS at that time."""
    return {**_WAIT, "now": now}


def erasure_waits(connection: Connection, request_id: str, now: datetime) -> bool:
    """Tell whether this erasure must not begin yet, because of an export that its subject was promised."""
    query = f"SELECT FROM gdpr_requests AS r WHERE r.request_id = %(id)s AND {ERASURE_WAITS}"
    return connection.execute(query, {"id": request_id, **waiting(now)}).fetchone() is not None


def copy_stays_until(connection: Connection, export_id: str) -> datetime | None:
    """Compute until when an erasure waits for this finished export; None: there is no confirmed erasure."""
    query = f"""
        SELECT min({WAIT_ENDS}) AS until FROM gdpr_requests AS e JOIN gdpr_exports AS x USING (request_id)
        JOIN gdpr_requests AS r ON r.creator_id = e.creator_id AND r.request_type = 'erasure'
        WHERE e.request_id = %(id)s AND {_OPEN} AND NOT {ERASURE_HAS_BEGUN}
    """  # noqa: S608 - our own texts
    row = connection.execute(query, {"id": export_id, **_WAIT}).fetchone()
    return None if row is None else row["until"]


@dataclass(frozen=True)
class Waits:
    """Until when open erasures wait, and finished exports stay because of them, by request.

    None: an erasure that waits for nothing, an export that goes with it.
    """

    erasures: dict[str, datetime | None]
    exports: dict[str, datetime | None]


def waits(connection: Connection, subject: UUID) -> Waits:
    """Find what the subject's open erasures and exports mean for each other."""
    query = f"""
        SELECT r.request_id AS erasure, e.request_id AS export, x.request_id IS NOT NULL AS is_ready,
            {WAIT_ENDS} AS until
        FROM gdpr_requests AS r
        JOIN gdpr_requests AS e ON e.creator_id = r.creator_id AND e.request_type = 'export'
        LEFT JOIN gdpr_exports AS x ON x.request_id = e.request_id
        WHERE r.creator_id = %(subject)s AND r.request_type = 'erasure' AND {_OPEN}
    """  # noqa: S608 - our own texts
    rows = connection.execute(query, {"subject": subject, **_WAIT}).fetchall()
    found = Waits({}, {})
    for row in rows:
        until, earlier = row["until"], found.erasures.get(row["erasure"])
        found.erasures[row["erasure"]] = max(filter(None, (until, earlier)), default=None)
        if row["is_ready"]:
            before = found.exports.get(row["export"], until)
            found.exports[row["export"]] = min(until, before) if until and before else None
    return found


def receive_copy(connection: Connection, export_id: str, now: datetime) -> bool:
    """Record that the subject has this copy: no erasure that is confirmed by now waits for it any more.

    In the caller's transaction. False when no link to it was ever given out: then they cannot have it, and
    nothing is changed.
    """
    query = f"""
        UPDATE gdpr_exports AS x SET received_at = CASE WHEN {_HAVE_SAID} THEN received_at ELSE %(now)s END
        WHERE request_id = %(id)s AND {_HAVE_HAD_A_LINK}
    """  # noqa: S608 - our own texts
    return bool(connection.execute(query, {"now": now, "id": export_id}).rowcount)


def downloaded(connection: Connection, export_ids: Sequence[str]) -> set[str]:
    """Select those of the exports to which a link was given out, and that their subject has not said to have.

    What they said before the newest open erasure does not count.
    """
    query = f"""
        SELECT request_id FROM gdpr_exports AS x
        WHERE request_id = ANY (%s) AND ({_HAVE_SAID}) IS NOT TRUE AND {_HAVE_HAD_A_LINK}
    """  # noqa: S608 - our own texts
    return {row["request_id"] for row in connection.execute(query, (list(export_ids),))}


def erasure_has_begun(connection: Connection, request_id: str) -> bool:
    """Tell whether the subject of this request is being erased."""
    query = f"SELECT FROM gdpr_requests AS r WHERE r.request_id = %s AND {ERASURE_HAS_BEGUN}"
    return connection.execute(query, (request_id,)).fetchone() is not None
