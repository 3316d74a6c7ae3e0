"""Store of tombstones: a row in the ops database and a sealed copy under object lock in the ledger.

Both are acknowledged before anything is destroyed, so that after a crash an erasure is at worst
repeated. The copy's name tells nothing of the subject.
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
from ops_platform.gdpr.tombstones import ledger_copies, legal_holds, sealed_identities
from ops_platform.gdpr.tombstones.backup_expiry import BackupTerm
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform.gdpr.tombstones.entry import Tombstone

SALT_BYTES = 32


def write(
    ops: Connection,
    ledger: ObjectStore,
    keys: SealingKeys,
    subject_key: SubjectKey,
    *,
    request_id: str,
    map_version: str,
    term: BackupTerm,
    now: datetime,
) -> Tombstone:
    """Write the tombstone of this request and return it once acknowledged: only then may data be destroyed.

    A retry gets the first tombstone, with its cutoff. ``ops`` is an autocommit connection: the row is
    durable before the copy is written. Raises Held, and what the stores raise; then nothing may be destroyed.
    """
    _require_autocommit(ops)
    with ops.transaction():
        legal_holds.lock(ops, subject_key)
        tombstone = _of_subject_and_request(ops, subject_key, request_id)
        if tombstone is None:
            legal_holds.refuse(ops, subject_key)
            tombstone = _insert(ops, subject_key, request_id, map_version, now)
    # If the erasure takes longer than its deadline, ``complete`` extends the lock.
    until = term.expires(tombstone.erased_at + FINISH_WITHIN)
    ledger_copies.put(ledger, keys, tombstone, until)
    with ops.transaction():
        ops.execute(
            "UPDATE erasure_tombstones SET copied_at = coalesce(copied_at, %s), expires_at = %s "
            "WHERE stanza = %s AND subject_type = %s AND subject_key = %s AND gdpr_request_id = %s",
            (now, until, subject_key.stanza, subject_key.kind, subject_key.key, request_id),
        )
    return tombstone


def complete(
    ops: Connection,
    ledger: ObjectStore,
    keys: SealingKeys,
    tombstone: Tombstone,
    term: BackupTerm,
    now: datetime,
) -> datetime:
    """Record that everything is erased; returns when the last backup expires that can hold the data.

    Backups made during the erasure hold it too: where the erasure took long, the lock is extended. A second
    call changes nothing. Raises CheckFailed when the ops database has lost the tombstone.
    """
    _require_autocommit(ops)
    subject_key = tombstone.subject_key
    row_key = (subject_key.stanza, subject_key.kind, subject_key.key, tombstone.request_id)
    with ops.transaction():
        row = ops.execute(
            "UPDATE erasure_tombstones SET completed_at = coalesce(completed_at, %s) WHERE stanza = %s "
            "AND subject_type = %s AND subject_key = %s AND gdpr_request_id = %s "
            "RETURNING completed_at",
            (now, *row_key),
        ).fetchone()
    if row is None:
        raise CheckFailed(
            f"the tombstone of request {tombstone.request_id} is not in the ops database: "
            "run the job tombstone_replay, which brings it back from the ledger"
        )
    expires = term.expires(row["completed_at"])
    ledger_copies.put(ledger, keys, tombstone, expires)
    with ops.transaction():
        ops.execute(
            "UPDATE erasure_tombstones SET expires_at = %s WHERE stanza = %s AND subject_type = %s "
            "AND subject_key = %s AND gdpr_request_id = %s",
            (expires, *row_key),
        )
    return expires


def refuse_other_kind(ops: Connection, subject_key: SubjectKey) -> None:
    """Raise CheckFailed where requests were about another kind of subject than this one is of.

    Their keys may be equal: whoever asked as one would be erased as the other.
    """
    if not subject_key.requestable:
        return
    row = ops.execute(
        "SELECT subject_type FROM erasure_tombstones WHERE stanza = %s AND requestable "
        "AND subject_type <> %s LIMIT 1",
        (subject_key.stanza, subject_key.kind),
    ).fetchone()
    if row is not None:
        raise CheckFailed(
            f"requests have been about a {row['subject_type']} so far, and the first kind of subject in the "
            f"data map is {subject_key.kind}: put {row['subject_type']} first, and leave databases out "
            "where the map has them: they go with one kind only; nothing was destroyed"
        )


def kinds(ops: Connection, stanza: str) -> list[str]:
    """List the kinds of subject of whom there are tombstones, sorted."""
    rows = ops.execute(
        "SELECT DISTINCT subject_type AS kind FROM erasure_tombstones WHERE stanza = %s", (stanza,)
    )
    return sorted(row["kind"] for row in rows)


def of_request(ops: Connection, request_id: str) -> Tombstone | None:
    """Read the tombstone of a request; None when the ops database has none."""
    row = ops.execute(_SELECT + "WHERE gdpr_request_id = %s", (request_id,)).fetchone()
    return None if row is None else _tombstone(row)


def read(ops: Connection, stanza: str) -> list[Tombstone]:
    """Read all tombstones of a stanza, the oldest first."""
    rows = ops.execute(_SELECT + "WHERE stanza = %s ORDER BY erased_at, subject_key", (stanza,)).fetchall()
    return [_tombstone(row) for row in rows]


def under_way(ops: Connection, stanza: str) -> set[str]:
    """List the request ids of a stanza's erasures that an open request continues.

    That is the erasure's own request or, before its certificate, a later one of the same subject; after the
    certificate a later request is about somebody who has come back.
    """
    rows = ops.execute(
        "SELECT t.gdpr_request_id FROM erasure_tombstones AS t JOIN gdpr_requests AS r "
        "ON CAST(r.creator_id AS text) = t.subject_key AND t.requestable "
        "WHERE t.stanza = %s AND r.request_type = 'erasure' "
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
    """Bring a tombstone of the ledger back into an ops database that has lost it; True when it had.

    Of several of one subject the newest stays. In the caller's transaction.
    """
    changed = ops.execute(
        "INSERT INTO erasure_tombstones AS t (stanza, subject_type, subject_key, subject_key_type, "
        "requestable, erased_at, completed_at, expires_at, gdpr_request_id, copied_at, map_version, salt) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (stanza, subject_type, subject_key) DO UPDATE SET erased_at = excluded.erased_at, "
        "completed_at = excluded.completed_at, expires_at = excluded.expires_at, "
        "gdpr_request_id = excluded.gdpr_request_id, "
        "copied_at = excluded.copied_at, map_version = excluded.map_version, salt = excluded.salt "
        "WHERE t.erased_at < excluded.erased_at "
        "OR (t.gdpr_request_id = excluded.gdpr_request_id AND t.completed_at IS NULL "
        "AND excluded.completed_at IS NOT NULL)",
        (
            tombstone.subject_key.stanza,
            tombstone.subject_key.kind,
            tombstone.subject_key.key,
            tombstone.subject_key.key_type,
            tombstone.subject_key.requestable,
            tombstone.erased_at,
            completed_at,
            expires_at,
            tombstone.request_id,
            now,
            tombstone.map_version,
            tombstone.salt,
        ),
    ).rowcount
    return bool(changed)


def expire(ops: Connection, stanza: str, oldest_backup: datetime | None, now: datetime) -> int:
    """Delete tombstones that no backup needs any more; returns their number. In the caller's transaction.

    Released holds of the erased subjects are deleted with them, and their requests lose the subject's key.
    ``oldest_backup``: the start of the stanza's oldest set; None when it is not known, which deletes
    nothing: the calculated expiry proves nothing while an older set is still in the repository.
    """
    if oldest_backup is None:
        return 0
    expired = ops.execute(
        "DELETE FROM erasure_tombstones WHERE stanza = %s AND expires_at <= %s AND completed_at < %s "
        "RETURNING subject_type, subject_key, subject_key_type, requestable, completed_at",
        (stanza, now, oldest_backup),
    ).fetchall()
    sealed_identities.forget(ops)
    for row in expired:
        ops.execute(
            "DELETE FROM gdpr_legal_holds WHERE stanza = %s AND subject_type = %s AND subject_key = %s "
            "AND released_at <= %s",
            (stanza, row["subject_type"], row["subject_key"], row["completed_at"]),
        )
        if row["requestable"] and row["subject_key_type"] == "uuid":
            ops.execute(
                "UPDATE gdpr_requests SET creator_id = gen_random_uuid() WHERE creator_id = %s::uuid "
                "AND created_at <= %s AND status IN ('completed', 'failed')",
                (row["subject_key"], row["completed_at"]),
            )
    return len(expired)


_SELECT = (
    "SELECT stanza, subject_type, subject_key, subject_key_type, requestable, erased_at, gdpr_request_id, "
    "map_version, salt, completed_at FROM erasure_tombstones "
)


def _of_subject_and_request(ops: Connection, subject_key: SubjectKey, request_id: str) -> Tombstone | None:
    row = ops.execute(
        _SELECT + "WHERE stanza = %s AND subject_type = %s AND subject_key = %s AND gdpr_request_id = %s",
        (subject_key.stanza, subject_key.kind, subject_key.key, request_id),
    ).fetchone()
    return None if row is None else _tombstone(row)


def _insert(
    ops: Connection, subject_key: SubjectKey, request_id: str, map_version: str, now: datetime
) -> Tombstone:
    """Insert the row. It replaces that of an earlier erasure of the subject, whose locked copy stays."""
    row = one_row(
        ops,
        "INSERT INTO erasure_tombstones (stanza, subject_type, subject_key, subject_key_type, requestable, "
        "erased_at, gdpr_request_id, map_version, salt) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (stanza, subject_type, subject_key) DO UPDATE SET erased_at = excluded.erased_at, "
        "gdpr_request_id = excluded.gdpr_request_id, map_version = excluded.map_version, "
        "salt = excluded.salt, completed_at = NULL, copied_at = NULL, expires_at = NULL "
        "RETURNING stanza, subject_type, subject_key, subject_key_type, requestable, erased_at, "
        "gdpr_request_id, map_version, salt, completed_at",
        (
            subject_key.stanza,
            subject_key.kind,
            subject_key.key,
            subject_key.key_type,
            subject_key.requestable,
            now,
            request_id,
            map_version,
            secrets.token_bytes(SALT_BYTES),
        ),
    )
    return _tombstone(row)


def _tombstone(row: Mapping[str, Any]) -> Tombstone:
    return Tombstone(
        SubjectKey(
            row["stanza"],
            row["subject_type"],
            row["subject_key"],
            row["subject_key_type"],
            row["requestable"],
        ),
        row["erased_at"],
        row["gdpr_request_id"],
        row["map_version"] or "",
        bytes(row["salt"] or b""),
        row["completed_at"],
    )


def _require_autocommit(ops: Connection) -> None:
    if not ops.autocommit:
        raise AssertionError("tombstones are written with an autocommit connection: the row must be durable")
