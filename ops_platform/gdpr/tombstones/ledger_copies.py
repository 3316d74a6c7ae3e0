"""Copies of tombstones in the ledger: sealed, under object lock, readable without a database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from ops_platform.clients.object_store import ObjectExists, ObjectStore
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.tombstones.encryption import SealingKeys
from ops_platform.gdpr.tombstones.entry import LEDGER_PREFIX, Tombstone, document, parse

PURPOSE = "tombstone"
READERS = 8


def put(ledger: ObjectStore, keys: SealingKeys, tombstone: Tombstone, until: datetime) -> None:
    """Write the copy, locked until ``until``; write it again only where its lock ends earlier.

    Raises CheckFailed when the copy is not locked, or is not this tombstone's.
    """
    key = tombstone.ledger_key
    # S3 keeps whole seconds.
    until = until.replace(microsecond=0) + timedelta(seconds=1)
    body = keys.seal(document(tombstone), PURPOSE)
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
    if parse(keys.open(ledger.get(key), PURPOSE), key).ledger_key != key:
        raise CheckFailed(
            f"{ledger.uri(key)} holds another tombstone: find out who wrote it; nothing was erased"
        )


def read(
    ledger: ObjectStore, keys: SealingKeys, stanza: str | None = None, *, now: datetime | None = None
) -> list[Tombstone]:
    """Read the tombstones from the locked copies, the oldest first. ``stanza`` None: of every stanza.

    Needs no database. A copy whose lock has ended and whose encryption key was dropped is skipped: it was
    meant to be forgotten. Raises CheckFailed or ConfigurationError for any other copy that cannot be read:
    it might be any subject's.
    """
    prefix = LEDGER_PREFIX if stanza is None else f"{LEDGER_PREFIX}{stanza}/"
    moment = now or datetime.now(UTC)
    ledger.client  # noqa: B018 - build it once, before threads share it

    def read_copy(copy: tuple[str, str | None]) -> Tombstone | None:
        key, version = copy
        sealed = ledger.get(key, version)
        if not keys.opens(sealed) and not _locked(ledger, key, moment):
            return None
        tombstone = parse(keys.open(sealed, PURPOSE), key)
        if tombstone.ledger_key != key:
            raise CheckFailed(
                f"{ledger.uri(key)} is filed under another name than its own: find out who wrote it"
            )
        return tombstone

    with ThreadPoolExecutor(READERS, thread_name_prefix="tombstones") as pool:
        copies = pool.map(read_copy, _first_versions(ledger, prefix))
        tombstones = [tombstone for tombstone in copies if tombstone is not None]
    return sorted(tombstones, key=lambda tombstone: (tombstone.erased_at, tombstone.subject_key.key))


def _locked(ledger: ObjectStore, key: str, moment: datetime) -> bool:
    """Tell whether any version of the copy is still locked."""
    locks = (
        ledger.retention(key, version.version_id)
        for version in ledger.versions(key)
        if not version.delete_marker
    )
    return any(lock is not None and lock.until > moment for lock in locks)


def _first_versions(ledger: ObjectStore, prefix: str) -> Iterator[tuple[str, str | None]]:
    """Yield each key with its oldest version: neither a later version nor a delete marker can hide it."""
    first: dict[str, tuple[datetime, str | None]] = {}
    for stored in ledger.versions(prefix):
        # Listed newest first, with times in whole seconds: among equal times the last is the oldest.
        if not stored.delete_marker and (
            stored.key not in first or stored.modified_at <= first[stored.key][0]
        ):
            first[stored.key] = (stored.modified_at, stored.version_id)
    for key, (_, version) in first.items():
        yield key, version
