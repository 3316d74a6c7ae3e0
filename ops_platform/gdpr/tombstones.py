"""Whom not to let come back: written in the ops database and, sealed, under object lock in the ledger.

Both are acknowledged before anything is destroyed, so that a crash later can only repeat an
erasure. The copy's name tells nothing of the subject.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ops_platform.clients.object_store import ObjectExists, ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import legal_holds
from ops_platform.gdpr.backup_term import BackupTerm
from ops_platform.gdpr.deadlines import FINISH_WITHIN
from ops_platform.gdpr.sealed import SealingKeys
from ops_platform.gdpr.subject_key import SubjectKey

LEDGER_PREFIX = "tombstones/"
"""Below it, in the ledger bucket: ``<stanza>/<opaque id>``."""
PURPOSE = "tombstone"
SALT_BYTES = 32
READERS = 8


@dataclass(frozen=True)
class Tombstone:
    """``erased_at`` is the cutoff: what is newer is not erased again. ``salt`` makes the commitment."""

    of: SubjectKey
    erased_at: datetime
    request_id: str
    map_version: str
    salt: bytes
    completed_at: datetime | None = None

    @property
    def ledger_key(self) -> str:
        """The same for the same tombstone, and nothing that anybody could guess a subject by."""
        named = f"{self.request_id} {self.erased_at.astimezone(UTC).isoformat()} {self.salt.hex()}"
        return f"{LEDGER_PREFIX}{self.of.stanza}/{hashlib.sha256(named.encode()).hexdigest()[:40]}"


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
    _copy(ledger, keys, found, until)
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
    _copy(ledger, keys, tombstone, expires)
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


def from_ledger(
    ledger: ObjectStore, keys: SealingKeys, stanza: str | None = None, *, now: datetime | None = None
) -> list[Tombstone]:
    """All that the locked copies say, the oldest first; needs no database. ``stanza`` None: of every one.

    A copy whose lock has ended and whose key was dropped is forgotten, as it was meant to be. Raises
    CheckFailed or ConfigurationError for another one that cannot be read: it might be anybody's.
    """
    prefix = LEDGER_PREFIX if stanza is None else f"{LEDGER_PREFIX}{stanza}/"
    moment = now or datetime.now(UTC)
    ledger.client  # noqa: B018 - built once, before threads share it

    def read_one(named: tuple[str, str | None]) -> Tombstone | None:
        key, version = named
        sealed = ledger.get(key, version)
        if not keys.opens(sealed) and not _locked(ledger, key, moment):
            return None
        one = _parse(keys.open(sealed, PURPOSE), key)
        if one.ledger_key != key:
            raise CheckFailed(
                f"{ledger.uri(key)} is filed under another name than its own: look who wrote it"
            )
        return one

    with ThreadPoolExecutor(READERS, thread_name_prefix="tombstones") as pool:
        found = [one for one in pool.map(read_one, _first_versions(ledger, prefix)) if one is not None]
    return sorted(found, key=lambda one: (one.erased_at, one.of.key))


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

    With them goes whom the requests of the erased were about. ``oldest_backup``: when the stanza's
    oldest set was begun; None when that is not known, which deletes nothing: the calculated date is a
    hope as long as an older set lies there.
    """
    if oldest_backup is None:
        return 0
    gone = ops.execute(
        "DELETE FROM erasure_tombstones WHERE stanza = %s AND expires_at <= %s AND completed_at < %s "
        "RETURNING subject_key, subject_key_type, completed_at",
        (stanza, now, oldest_backup),
    ).fetchall()
    for row in gone:
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
    row = ops.execute(
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
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING
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


def _copy(ledger: ObjectStore, keys: SealingKeys, tombstone: Tombstone, until: datetime) -> None:
    """Written once, or once more where its lock ends too soon. Raises CheckFailed when it is not locked."""
    key = tombstone.ledger_key
    # S3 keeps whole seconds.
    until = until.replace(microsecond=0) + timedelta(seconds=1)
    body = keys.seal(_document(tombstone), PURPOSE)
    try:
        ledger.put(key, body, if_none_match=True, retain_until=until)
    except ObjectExists:
        lock = ledger.retention(key)
        if lock is None or lock.until < until - timedelta(seconds=1):
            ledger.put(key, body, retain_until=until)
    lock = ledger.retention(key)
    if lock is None or lock.mode != "COMPLIANCE" or lock.until < until - timedelta(seconds=1):
        raise CheckFailed(
            f"{ledger.uri(key)} is not locked: create the ledger bucket with object lock; nothing was erased"
        )
    if _parse(keys.open(ledger.get(key), PURPOSE), key).ledger_key != key:
        raise CheckFailed(f"{ledger.uri(key)} holds another tombstone: look who wrote it; nothing was erased")


def _locked(ledger: ObjectStore, key: str, moment: datetime) -> bool:
    """Whether any version of the copy is still under lock."""
    locks = (ledger.retention(key, one.version_id) for one in ledger.versions(key) if not one.delete_marker)
    return any(lock is not None and lock.until > moment for lock in locks)


def _first_versions(ledger: ObjectStore, prefix: str) -> Iterator[tuple[str, str | None]]:
    """Each key with its oldest body: what was put over it later, or a delete marker, hides nothing."""
    first: dict[str, tuple[datetime, str | None]] = {}
    for stored in ledger.versions(prefix):
        # Listed newest first, and times are whole seconds: of equal ones the later in the list is older.
        if not stored.delete_marker and (
            stored.key not in first or stored.modified_at <= first[stored.key][0]
        ):
            first[stored.key] = (stored.modified_at, stored.version_id)
    for key, (_, version) in first.items():
        yield key, version


def _document(one: Tombstone) -> bytes:
    return json.dumps(
        {
            "format": 1,
            "stanza": one.of.stanza,
            "subject_type": one.of.kind,
            "subject_key": one.of.key,
            "subject_key_type": one.of.key_type,
            "erased_at": one.erased_at.astimezone(UTC).isoformat(),
            "request_id": one.request_id,
            "map_version": one.map_version,
            "salt": one.salt.hex(),
        },
        sort_keys=True,
    ).encode()


def _parse(plain: bytes, key: str) -> Tombstone:
    document = json.loads(plain)
    if document.get("format") != 1:
        raise CheckFailed(f"the tombstone {key} was written by another version: use that one")
    return Tombstone(
        SubjectKey(
            document["stanza"],
            document["subject_type"],
            document["subject_key"],
            document["subject_key_type"],
        ),
        datetime.fromisoformat(document["erased_at"]),
        document["request_id"],
        document["map_version"],
        bytes.fromhex(document["salt"]),
    )


def _durable(ops: Connection) -> None:
    if not ops.autocommit:
        raise AssertionError("tombstones are written with an autocommit connection: the row must be durable")
