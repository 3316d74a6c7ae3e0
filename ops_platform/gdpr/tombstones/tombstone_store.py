"""Whom not to let come back: written in the ops database and, sealed, under object lock in the ledger.

Both are acknowledged before anything is destroyed, so that a crash later can only repeat an
erasure. The copy's name tells nothing of the subject.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.requests import FINISH_WITHIN
from ops_platform.gdpr.subject import SubjectKey
from ops_platform.gdpr.tombstones import ledger_copies as tombstone_copies
from ops_platform.gdpr.tombstones import legal_holds
from ops_platform.gdpr.tombstones.backup_expiry import BackupTerm
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform.gdpr.tombstones.entry import Tombstone

SALT_BYTES = 32


def write(
    ops: Connection,
    ledger: ObjectStore,
    keys: SealingKeys,
    of: SubjectKey,
    *,
    request_id: str,
    map_version: str,
    term: BackupTerm,
    now: datetime,
) -> Tombstone:
    """The acknowledged tombstone of this request; after it, and not before, things may be destroyed.

    A retry gets the first one, with its cutoff. ``ops`` is an autocommit connection: the row is durable
    before the copy is written. Raises Held, and what the stores raise; then nothing may be destroyed.
    """
    _durable(ops)
    with ops.transaction():
        legal_holds.lock(ops, of)
        found = _of_request(ops, of, request_id)
        if found is None:
            legal_holds.refuse(ops, of)
            found = _insert(ops, of, request_id, map_version, now)
    # Should it take longer than the law allows, ``complete`` lengthens the lock.
    until = term.expires(found.erased_at + FINISH_WITHIN)
    tombstone_copies.put(ledger, keys, found, until)
    with ops.transaction():
        ops.execute(
            "UPDATE erasure_tombstones SET copied_at = coalesce(copied_at, %s), expires_at = %s "
            "WHERE stanza = %s AND subject_type = %s AND subject_key = %s AND gdpr_request_id = %s",
            (now, until, of.stanza, of.kind, of.key, request_id),
        )
    return found


def complete(
    ops: Connection,
    ledger: ObjectStore,
    keys: SealingKeys,
    tombstone: Tombstone,
    term: BackupTerm,
    now: datetime,
) -> datetime:
    """Note that everything is erased; when the last backup expires that can hold the data.

    Backups made while the erasure was at work hold it too: where it took long, the lock is lengthened.
    A second time changes nothing.
    """
    _durable(ops)
    of = tombstone.of
    mine = (of.stanza, of.kind, of.key, tombstone.request_id)
    with ops.transaction():
        row = ops.execute(
            "UPDATE erasure_tombstones SET completed_at = coalesce(completed_at, %s) WHERE stanza = %s "
            "AND subject_type = %s AND subject_key = %s AND gdpr_request_id = %s "
            "RETURNING completed_at",
            (now, *mine),
        ).fetchone()
    if row is None:
        raise CheckFailed(
            f"the tombstone of request {tombstone.request_id} is not in the ops database: "
            "run the job tombstone_replay, which brings it back from the ledger"
        )
    expires = term.expires(row["completed_at"])
    tombstone_copies.put(ledger, keys, tombstone, expires)
    with ops.transaction():
        ops.execute(
            "UPDATE erasure_tombstones SET expires_at = %s WHERE stanza = %s AND subject_type = %s "
            "AND subject_key = %s AND gdpr_request_id = %s",
            (expires, *mine),
        )
    return expires


def of_request(ops: Connection, request_id: str) -> Tombstone | None:
    """Of the request, as far as it is in the ops database."""
    row = ops.execute(_SELECT + "WHERE gdpr_request_id = %s", (request_id,)).fetchone()
    return None if row is None else _tombstone(row)


def read(ops: Connection, stanza: str) -> list[Tombstone]:
    """All of a stanza, the oldest first."""
    rows = ops.execute(_SELECT + "WHERE stanza = %s ORDER BY erased_at, subject_key", (stanza,)).fetchall()
    return [_tombstone(row) for row in rows]


def under_way(ops: Connection, stanza: str) -> set[str]:
    """Request ids of a stanza's erasures that an open request goes on with: its own, or one made since.

    Of one that has a certificate only its own: a later request is about whoever has come back.
    """
    rows = ops.execute(
        "SELECT t.gdpr_request_id FROM erasure_tombstones AS t JOIN gdpr_requests AS r "
        "ON CAST(r.creator_id AS text) = t.subject_key WHERE t.stanza = %s AND r.request_type = 'erasure' "
        "AND r.status IN ('pending', 'processing') AND r.verified_at IS NOT NULL "
        "AND (r.request_id = t.gdpr_request_id "
        "OR NOT EXISTS (SELECT FROM gdpr_certificates AS c WHERE c.request_id = t.gdpr_request_id))",
        (stanza,),
    )
    return {row["gdpr_request_id"] for row in rows}


def adopt(
    ops: Connection,
    tombstone: Tombstone,
    completed_at: datetime | None,
    expires_at: datetime | None,
    now: datetime,
) -> bool:
    """Bring a tombstone of the ledger back into an ops database that has lost it; whether it had.

    Of several of one subject the newest stays. In the caller's transaction.
    """
    done = ops.execute(
        "INSERT INTO erasure_tombstones AS t (stanza, subject_type, subject_key, subject_key_type, "
        "erased_at, completed_at, expires_at, gdpr_request_id, copied_at, map_version, salt) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (stanza, subject_type, subject_key) DO UPDATE SET erased_at = excluded.erased_at, "
        "completed_at = excluded.completed_at, expires_at = excluded.expires_at, "
        "gdpr_request_id = excluded.gdpr_request_id, "
        "copied_at = excluded.copied_at, map_version = excluded.map_version, salt = excluded.salt "
        "WHERE t.erased_at < excluded.erased_at "
        "OR (t.gdpr_request_id = excluded.gdpr_request_id AND t.completed_at IS NULL "
        "AND excluded.completed_at IS NOT NULL)",
        (
            tombstone.of.stanza,
            tombstone.of.kind,
            tombstone.of.key,
            tombstone.of.key_type,
            tombstone.erased_at,
            completed_at,
            expires_at,
            tombstone.request_id,
            now,
            tombstone.map_version,
            tombstone.salt,
        ),
    ).rowcount
    return bool(done)


def expire(ops: Connection, stanza: str, oldest_backup: datetime | None, now: datetime) -> int:
    """Delete tombstones that no backup needs any more; how many. In the caller's transaction.

    With them goes whom the requests and the released holds of the erased were about. ``oldest_backup``:
    when the stanza's oldest set was begun; None when that is not known, which deletes nothing: the
    calculated date is a hope as long as an older set lies there.
    """
    if oldest_backup is None:
        return 0
    gone = ops.execute(
        "DELETE FROM erasure_tombstones WHERE stanza = %s AND expires_at <= %s AND completed_at < %s "
        "RETURNING subject_type, subject_key, subject_key_type, completed_at",
        (stanza, now, oldest_backup),
    ).fetchall()
    for row in gone:
        ops.execute(
            "DELETE FROM gdpr_legal_holds WHERE stanza = %s AND subject_type = %s AND subject_key = %s "
            "AND released_at <= %s",
            (stanza, row["subject_type"], row["subject_key"], row["completed_at"]),
        )
        if row["subject_key_type"] == "uuid":
            ops.execute(
                "UPDATE gdpr_requests SET creator_id = gen_random_uuid() WHERE creator_id = %s::uuid "
                "AND created_at <= %s AND status IN ('completed', 'failed')",
                (row["subject_key"], row["completed_at"]),
            )
    return len(gone)


_SELECT = (
    "SELECT stanza, subject_type, subject_key, subject_key_type, erased_at, gdpr_request_id, "
    "map_version, salt, completed_at FROM erasure_tombstones "
)


def _of_request(ops: Connection, of: SubjectKey, request_id: str) -> Tombstone | None:
    row = ops.execute(
        _SELECT + "WHERE stanza = %s AND subject_type = %s AND subject_key = %s AND gdpr_request_id = %s",
        (of.stanza, of.kind, of.key, request_id),
    ).fetchone()
    return None if row is None else _tombstone(row)


def _insert(ops: Connection, of: SubjectKey, request_id: str, map_version: str, now: datetime) -> Tombstone:
    """A subject who came back and goes again replaces the tombstone of before; its locked copy stays."""
    row = one_row(
        ops,
        "INSERT INTO erasure_tombstones (stanza, subject_type, subject_key, subject_key_type, erased_at, "
        "gdpr_request_id, map_version, salt) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (stanza, subject_type, subject_key) DO UPDATE SET erased_at = excluded.erased_at, "
        "gdpr_request_id = excluded.gdpr_request_id, map_version = excluded.map_version, "
        "salt = excluded.salt, completed_at = NULL, copied_at = NULL, expires_at = NULL "
        "RETURNING stanza, subject_type, subject_key, subject_key_type, erased_at, gdpr_request_id, "
        "map_version, salt, completed_at",
        (
            of.stanza,
            of.kind,
            of.key,
            of.key_type,
            now,
            request_id,
            map_version,
            secrets.token_bytes(SALT_BYTES),
        ),
    )
    return _tombstone(row)


def _tombstone(row: Mapping[str, Any]) -> Tombstone:
    return Tombstone(
        SubjectKey(row["stanza"], row["subject_type"], row["subject_key"], row["subject_key_type"]),
        row["erased_at"],
        row["gdpr_request_id"],
        row["map_version"] or "",
        bytes(row["salt"] or b""),
        row["completed_at"],
    )


def _durable(ops: Connection) -> None:
    if not ops.autocommit:
        raise AssertionError("tombstones are written with an autocommit connection: the row must be durable")
