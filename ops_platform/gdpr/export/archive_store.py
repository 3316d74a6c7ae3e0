"""The record of exports, and their end: where an archive is, who was given a link, when all of it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from ops_platform.audit import AuditEvent, ledger
from ops_platform.clients.object_store import ObjectStore, abort_unfinished
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import Unavailable
from ops_platform.gdpr.lineage import Effect
from ops_platform.gdpr.requests import DOWNLOAD_WITHIN

LINK_WITHIN = timedelta(minutes=15)
"""How long a link works; whoever has it needs nothing else."""
FORGOTTEN_AFTER = timedelta(hours=96)
"""What no record speaks of, a killed run's or one of a record that a restore took away, is deleted then."""
ROUNDS = 5


@dataclass(frozen=True)
class Export:
    """A finished export. Times are aware, in UTC; ``sha256`` in hex."""

    request_id: str
    object_key: str
    bytes: int
    sha256: str
    map_version: str
    effects: tuple[Effect, ...]
    completed_at: datetime
    expires_at: datetime
    deleted_at: datetime | None

    def is_over(self, now: datetime) -> bool:
        return self.deleted_at is not None or self.expires_at <= now


def folder(request_id: str) -> str:
    """Where in the bucket all attempts of a request are."""
    return f"{request_id}/"


def find(connection: Connection, request_id: str) -> Export | None:
    row = connection.execute("SELECT * FROM gdpr_exports WHERE request_id = %s", (request_id,)).fetchone()
    return None if row is None else _export(row)


def record(
    connection: Connection,
    request_id: str,
    *,
    object_key: str,
    size: int,
    sha256: str,
    map_version: str,
    effects: Iterable[Effect],
    now: datetime,
) -> Export:
    """The export of the request: this one, or the one that another run recorded first."""
    connection.execute(
        "INSERT INTO gdpr_exports (request_id, object_key, bytes, sha256, map_version, effects, "
        "completed_at, expires_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (request_id) DO NOTHING",
        (
            request_id,
            object_key,
            size,
            sha256,
            map_version,
            Jsonb([asdict(one) for one in effects]),
            now,
            now + DOWNLOAD_WITHIN,
        ),
    )
    found = find(connection, request_id)
    assert found is not None  # noqa: S101 - written just now, or what it met
    return found


def record_download(connection: Connection, export: Export, url_expires_at: datetime, now: datetime) -> None:
    """In the caller's transaction, as a row and as an event under the audit seals."""
    event = ledger.append(
        connection,
        AuditEvent(
            "gdpr_download",
            "event",
            export.request_id,
            "gdpr/exports",
            "data-subject",
            details={"url_expires_at": url_expires_at.isoformat()},
        ),
    )
    connection.execute(
        "INSERT INTO gdpr_downloads (request_id, at, url_expires_at, event_id) VALUES (%s, %s, %s, %s)",
        (export.request_id, now, url_expires_at, event),
    )


def expire(connection: Connection, store: ObjectStore, clock: Callable[[], datetime]) -> int:
    """Delete every version of the exports whose time is over; how many exports that were.

    Commits after each. Raises the store's errors; what was deleted until then is recorded.
    """
    due = connection.execute(
        "SELECT request_id FROM gdpr_exports WHERE deleted_at IS NULL AND expires_at <= %s "
        "ORDER BY expires_at",
        (clock(),),
    ).fetchall()
    connection.commit()
    for row in due:
        _delete(connection, store, row["request_id"], clock())
    return len(due)


def kept(connection: Connection) -> int:
    """How many exports are not deleted yet."""
    row = one_row(connection, "SELECT count(*) AS kept FROM gdpr_exports WHERE deleted_at IS NULL")
    return int(row["kept"])


def sweep(connection: Connection, store: ObjectStore, now: datetime) -> int:
    """Delete what no record speaks of and is older than FORGOTTEN_AFTER; how many versions and uploads.

    The bucket, below the identity's prefix, is for exports alone. Raises the store's errors.
    """
    kept = {
        row["object_key"]
        for row in connection.execute(
            "SELECT object_key FROM gdpr_exports WHERE deleted_at IS NULL"
        ).fetchall()
    }
    connection.commit()
    count = abort_unfinished(store, "", before=now - FORGOTTEN_AFTER)
    for one in store.versions():
        if one.modified_at < now - FORGOTTEN_AFTER and one.key not in kept:
            store.delete(one.key, one.version_id)
            count += 1
    return count


def remove(connection: Connection, store: ObjectStore, subject: UUID, now: datetime) -> Effect:
    """Delete every version of all exports of ``subject``, for an erasure; safe to repeat.

    Also what unfinished attempts left. Commits after each. Raises the store's errors.
    """
    rows = connection.execute(
        "SELECT request_id FROM gdpr_requests WHERE creator_id = %s AND request_type = 'export' ORDER BY id",
        (subject,),
    ).fetchall()
    connection.commit()
    count = sum(_delete(connection, store, row["request_id"], now) for row in rows)
    return Effect("s3", "exports/{request}/", "exports", "delete", count, count, 0)


def clear(store: ObjectStore, request_id: str, *, but: str | None = None) -> int:
    """Delete every version and unfinished upload of a request, except the object ``but``; how many versions.

    Raises Unavailable when there is always something more, and the store's errors.
    """
    count = 0
    for _ in range(ROUNDS):
        abort_unfinished(store, folder(request_id))
        found = [one for one in store.versions(folder(request_id)) if one.key != but]
        if not found:
            return count
        for one in found:
            store.delete(one.key, one.version_id)
            count += not one.delete_marker
    raise Unavailable(f"exports of request {request_id} come as fast as they are deleted: stop its other run")


def _delete(connection: Connection, store: ObjectStore, request_id: str, now: datetime) -> int:
    count = clear(store, request_id)
    connection.execute(
        "UPDATE gdpr_exports SET deleted_at = %s WHERE request_id = %s AND deleted_at IS NULL",
        (now, request_id),
    )
    connection.commit()
    return count


def _export(row: Mapping[str, Any]) -> Export:
    values = {name: row[name] for name in Export.__dataclass_fields__ if name != "effects"}
    return Export(effects=tuple(Effect(**one) for one in row["effects"]), **values)
