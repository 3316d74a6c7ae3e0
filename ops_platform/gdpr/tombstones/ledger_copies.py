"""Copies of tombstones in the ledger: sealed, under object lock, and readable without any database."""

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
    """Written once, or once more where its lock ends too soon. Raises CheckFailed when it is not locked."""
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
        raise CheckFailed(f"{ledger.uri(key)} holds another tombstone: look who wrote it; nothing was erased")


def read(
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
        one = parse(keys.open(sealed, PURPOSE), key)
        if one.ledger_key != key:
            raise CheckFailed(
                f"{ledger.uri(key)} is filed under another name than its own: look who wrote it"
            )
        return one

    with ThreadPoolExecutor(READERS, thread_name_prefix="tombstones") as pool:
        found = [one for one in pool.map(read_one, _first_versions(ledger, prefix)) if one is not None]
    return sorted(found, key=lambda one: (one.erased_at, one.of.key))


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
