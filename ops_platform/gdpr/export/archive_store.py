"""The store of finished exports: records of archives and download links, and the deletion of archives."""

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

LINK_LIFETIME = timedelta(minutes=15)
"""Validity of a download link; whoever has the link needs nothing else."""
FORGOTTEN_AFTER = timedelta(hours=96)
"""Age at which objects without a record are deleted: of a killed run, or of a record lost in a restore."""
ROUNDS = 5
"""Rounds of listing and deleting in which ``clear`` must come to an end."""


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
        """Tell whether the archive is deleted or past its term."""
        return self.deleted_at is not None or self.expires_at <= now


def folder(request_id: str) -> str:
    """Return the key prefix of all archives of a request."""
    return f"{request_id}/"


def find(connection: Connection, request_id: str) -> Export | None:
    """Return the request's finished export, or None."""
    row = connection.execute("SELECT * FROM gdpr_exports WHERE request_id = %s", (request_id,)).fetchone()
    return None if row is None else _export(row)


def kept_until(connection: Connection, request_ids: Iterable[str]) -> dict[str, datetime]:
    """Map those of the requests whose export is not deleted to the end of its time."""
    rows = connection.execute(
        "SELECT request_id, expires_at FROM gdpr_exports WHERE request_id = ANY (%s) AND deleted_at IS NULL",
        (list(request_ids),),
    )
    return {row["request_id"]: row["expires_at"] for row in rows}


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
    """Record a finished export, unless another run was first; return the one that is recorded.

    ``size`` in bytes, ``sha256`` in hex.
    """
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
            Jsonb([asdict(effect) for effect in effects]),
            now,
            now + DOWNLOAD_WITHIN,
        ),
    )
    export = find(connection, request_id)
    assert export is not None  # noqa: S101 - inserted just now, or there before
    return export


def record_download(connection: Connection, export: Export, url_expires_at: datetime, now: datetime) -> None:
    """Record a download link in the caller's transaction, as a row and as an audit event."""
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
    """Delete every version of the exports whose time is over; return how many exports that were.

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


def count_kept(connection: Connection) -> int:
    """Count the exports that are not deleted yet."""
    row = one_row(connection, "SELECT count(*) AS kept FROM gdpr_exports WHERE deleted_at IS NULL")
    return int(row["kept"])


def sweep(connection: Connection, store: ObjectStore, now: datetime) -> int:
    """Delete objects without a record that are older than FORGOTTEN_AFTER; return how many.

    The count is of versions and unfinished uploads. The bucket, below the identity's prefix, is for
    exports alone. Raises the store's errors.
    """
    kept_keys = {
        row["object_key"]
        for row in connection.execute(
            "SELECT object_key FROM gdpr_exports WHERE deleted_at IS NULL"
        ).fetchall()
    }
    connection.commit()
    count = abort_unfinished(store, "", before=now - FORGOTTEN_AFTER)
    for version in store.versions():
        if version.modified_at < now - FORGOTTEN_AFTER and version.key not in kept_keys:
            store.delete(version.key, version.version_id)
            count += 1
    return count


def remove(connection: Connection, store: ObjectStore, subject: UUID, now: datetime) -> Effect:
    """Delete every version of all exports of ``subject``, for an erasure; safe to repeat.

    The leavings of unfinished attempts go too. Commits after each. Raises the store's errors.
    """
    rows = connection.execute(
        "SELECT request_id FROM gdpr_requests WHERE creator_id = %s AND request_type = 'export' ORDER BY id",
        (subject,),
    ).fetchall()
    connection.commit()
    count = sum(_delete(connection, store, row["request_id"], now) for row in rows)
    return Effect("s3", "exports/{request}/", "exports", "delete", count, count, 0)


def clear(store: ObjectStore, request_id: str, *, kept_key: str | None = None) -> int:
    """Delete every version and upload of a request but the object ``kept_key``; return how many versions.

    Raises Unavailable when more keeps coming, and the store's errors.
    """
    count = 0
    for _ in range(ROUNDS):
        abort_unfinished(store, folder(request_id))
        versions = [version for version in store.versions(folder(request_id)) if version.key != kept_key]
        if not versions:
            return count
        for version in versions:
            store.delete(version.key, version.version_id)
            count += not version.delete_marker
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
    return Export(effects=tuple(Effect(**effect) for effect in row["effects"]), **values)
