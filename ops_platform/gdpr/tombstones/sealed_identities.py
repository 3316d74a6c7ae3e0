"""Who the subjects of tombstones were, sealed, for as long as a backup can bring their rows back.

A tombstone holds the key alone. Where the product had deleted the account's row by the restored moment, the
key leads to nothing, and the rows that name the subject otherwise would stay: a replay reads the names here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform.gdpr.tombstones.entry import Tombstone

LEDGER_PREFIX = "identities/"
READERS = 8


def purpose(request_id: str) -> str:
    """Bind the seal to the request: it does not open in another's place."""
    return f"inventory of request {request_id}"


def keep(
    ops: Connection,
    ledger: ObjectStore,
    keys: SealingKeys,
    tombstone: Tombstone,
    sealed: bytes,
    until: datetime,
) -> None:
    """Store the sealed identity of a tombstone's subject, first a copy in the ledger, locked ``until``.

    It replaces an earlier one; a copy that says the same and is locked as long is not written again. ``ops``
    commits by itself. Raises CheckFailed when the copy is not locked.
    """
    # A crash between the two must not leave a row that looks as if the copy were there.
    _keep_copy(ledger, keys, tombstone, sealed, until)
    ops.execute(
        "INSERT INTO gdpr_sealed_identities AS i (request_id, sealed) VALUES (%s, %s) "
        "ON CONFLICT (request_id) DO UPDATE SET sealed = excluded.sealed WHERE i.sealed <> excluded.sealed",
        (tombstone.request_id, sealed),
    )


def find(ops: Connection, request_id: str) -> bytes | None:
    """Read the sealed identity of a request's subject; None when there is none."""
    return _stored(ops, [request_id]).get(request_id)


def attach(ops: Connection, tombstones: Iterable[Tombstone]) -> list[Tombstone]:
    """Give the tombstones the sealed identities that the ops database has.

    A database that is older than the table has none: a restore must not wait for a migration, and in an
    emergency the ledger has them, too.
    """
    tombstones = list(tombstones)
    if not _has_place(ops):
        return tombstones
    stored = _stored(ops, [tombstone.request_id for tombstone in tombstones])
    return [replace(tombstone, identity=stored.get(tombstone.request_id)) for tombstone in tombstones]


def attach_copies(ledger: ObjectStore, keys: SealingKeys, tombstones: Iterable[Tombstone]) -> list[Tombstone]:
    """Give the tombstones the sealed identities that the ledger has; needs no database.

    Of several versions the newest that is genuine, whatever was put over it or deleted since.
    """
    versions: dict[str, list[str | None]] = {}
    for version in ledger.versions(LEDGER_PREFIX):
        if not version.delete_marker:  # listed newest first
            versions.setdefault(version.key, []).append(version.version_id)
    ledger.client  # noqa: B018 - build it once, before threads share it

    def read(tombstone: Tombstone) -> Tombstone:
        copy = _newest_genuine(ledger, keys, tombstone, versions.get(_ledger_key(tombstone), ()))
        return tombstone if copy is None else replace(tombstone, identity=copy[1])

    with ThreadPoolExecutor(READERS, thread_name_prefix="identities") as pool:
        return list(pool.map(read, tombstones))


def adopt(ops: Connection, tombstone: Tombstone) -> None:
    """Bring the tombstone's identity back into an ops database that has lost it or knows less.

    In the caller's transaction. One that is older than the table takes none: the ledger has it.
    """
    if tombstone.identity is not None and _has_place(ops):
        ops.execute(
            "INSERT INTO gdpr_sealed_identities (request_id, sealed) VALUES (%s, %s) "
            "ON CONFLICT (request_id) DO UPDATE SET sealed = excluded.sealed",
            (tombstone.request_id, tombstone.identity),
        )


def forget(ops: Connection) -> None:
    """Delete the identities whose tombstone is gone, or another's by now; in the caller's transaction."""
    ops.execute(
        "DELETE FROM gdpr_sealed_identities AS i WHERE NOT EXISTS (SELECT FROM erasure_tombstones AS t "
        "WHERE t.gdpr_request_id = i.request_id)"
    )


def _keep_copy(
    ledger: ObjectStore, keys: SealingKeys, tombstone: Tombstone, sealed: bytes, until: datetime
) -> None:
    # S3 keeps whole seconds.
    until = until.replace(microsecond=0) + timedelta(seconds=1)
    key, bound = _ledger_key(tombstone), purpose(tombstone.request_id)
    versions = [
        version.version_id
        for version in ledger.versions(key)
        if version.key == key and not version.delete_marker
    ]
    copy = _newest_genuine(ledger, keys, tombstone, versions)
    if (
        copy is not None
        and keys.open(copy[1], bound) == keys.open(sealed, bound)
        and _is_locked(ledger, key, copy[0], until)
    ):
        return
    if not _is_locked(ledger, key, ledger.put(key, sealed, retain_until=until), until):
        raise CheckFailed(
            f"{ledger.uri(key)} is not locked: create the ledger bucket with object lock, then go on"
        )


def _is_locked(ledger: ObjectStore, key: str, version_id: str | None, until: datetime) -> bool:
    lock = ledger.retention(key, version_id)
    return lock is not None and lock.mode == "COMPLIANCE" and lock.until >= until - timedelta(seconds=1)


def _newest_genuine(
    ledger: ObjectStore, keys: SealingKeys, tombstone: Tombstone, version_ids: Iterable[str | None]
) -> tuple[str | None, bytes] | None:
    """Read the first of the versions that is genuine, with its version id; None when none is.

    Raises ConfigurationError when none is, and one was sealed by a key that is missing.
    """
    unreadable: ConfigurationError | None = None
    for version_id in version_ids:
        sealed = ledger.get(_ledger_key(tombstone), version_id)
        try:
            keys.open(sealed, purpose(tombstone.request_id))
        except CheckFailed:
            continue
        except ConfigurationError as error:  # anybody can write the id of a key that nobody has
            unreadable = unreadable or error
            continue
        return version_id, sealed
    if unreadable is not None:
        raise unreadable
    return None


def _has_place(ops: Connection) -> bool:
    row = one_row(ops, "SELECT to_regclass('public.gdpr_sealed_identities') IS NOT NULL AS found")
    return bool(row["found"])


def _stored(ops: Connection, request_ids: list[str]) -> Mapping[str, bytes]:
    rows = ops.execute(
        "SELECT request_id, sealed FROM gdpr_sealed_identities WHERE request_id = ANY (%s)", (request_ids,)
    )
    return {row["request_id"]: bytes(row["sealed"]) for row in rows}


def _ledger_key(tombstone: Tombstone) -> str:
    return f"{LEDGER_PREFIX}{tombstone.subject_key.stanza}/{tombstone.opaque_id}"
