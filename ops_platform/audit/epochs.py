"""Opening a new epoch of the ledger after its database was restored to an earlier time.

The restored database lacks the newest events and seals, and its transaction ids run through
numbers that lost seals already used. The bucket still has those seals. A signed opening names
them as lost, seals what the restored database holds beyond its own last seal, and raises the
epoch that new events carry, so that the chain goes on and the loss stays on record.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import errors as pg_errors
from psycopg import sql

from ops_platform.audit.batch import SEALER_LOCK, compose, horizon, own_transactions, read_batch
from ops_platform.audit.keys import PublicKeys, SigningKey
from ops_platform.audit.seal import (
    FIRST_EPOCH,
    GENESIS,
    PREFIX,
    MalformedSeal,
    Seal,
    SealCopy,
    SignedSeal,
    number_of,
    object_key,
)
from ops_platform.audit.sealer import DEFAULT_RETENTION_DAYS, SealRefused, insert, last_seal, put
from ops_platform.clients import postgres
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.errors import Unavailable

WRITERS_WAIT = "30s"


def open_epoch(
    owner: Connection,
    ledger: ObjectStore,
    key: SigningKey,
    *,
    retention_days: float = DEFAULT_RETENTION_DAYS,
    keys: PublicKeys | None = None,
) -> Seal:
    """Open the next epoch, as the owner of the tables, and return the opening seal.

    Safe to repeat after a crash: the next opening names as lost an opening that reached only the
    bucket. Raises SealRefused when the database's own last seal is not the bucket's (then it
    was not merely restored), Unavailable when writers do not pause within WRITERS_WAIT.
    """
    known_keys = keys or key.public_keys()
    with own_transactions(owner):
        if not postgres.try_lock(owner, SEALER_LOCK):
            raise Unavailable("a sealer is at work: stop the agent, then open the epoch")
        try:
            with owner.transaction():
                _stop_writers(owner)
                own_last = last_seal(owner)
                lost = list(_seals_after(ledger, own_last, known_keys))
                copy = _opening(owner, own_last, lost, key, retention_days)
                put(ledger, copy)
                for signed in (*lost, copy.signed):
                    insert(owner, signed)
                seal = copy.signed.seal
                # A default, not a lookup: it changes for every writer at once, whatever its snapshot.
                owner.execute(
                    sql.SQL("ALTER TABLE public.audit_events ALTER COLUMN epoch SET DEFAULT {}").format(
                        sql.Literal(seal.next_epoch)
                    )
                )
            return seal
        finally:
            if not owner.closed:
                postgres.unlock(owner, SEALER_LOCK)


def _stop_writers(owner: Connection) -> None:
    try:
        owner.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(WRITERS_WAIT)))
        owner.execute("LOCK TABLE public.audit_events IN ACCESS EXCLUSIVE MODE")
    except pg_errors.LockNotAvailable:
        raise Unavailable(
            f"events are still being written after {WRITERS_WAIT}: stop the agent and all runs, then repeat"
        ) from None


def _seals_after(ledger: ObjectStore, own_last: SignedSeal | None, keys: PublicKeys) -> Iterator[SignedSeal]:
    """Read the bucket's seals after the database's ``own_last``, each checked against the one before."""
    number, previous = (own_last.seal.number, own_last.hash) if own_last else (0, GENESIS)
    if own_last is not None and _read(ledger, number).hash != previous:
        raise SealRefused(
            f"audit seal {number} of the database is not the one in the bucket: this database was not merely "
            "restored: run 'ops-platform audit verify'"
        )
    for stored in ledger.list(PREFIX, start_after=object_key(number)):
        if number_of(stored.key) != number + 1:
            raise SealRefused(f"{ledger.uri(stored.key)} is not seal {number + 1}: find out what is missing")
        signed = _read(ledger, number + 1)
        if signed.seal.previous != previous or not signed.is_signed_by(keys):
            raise SealRefused(
                f"{ledger.uri(stored.key)} does not continue the chain: run 'ops-platform audit verify'"
            )
        yield signed
        number, previous = signed.seal.number, signed.hash


def _read(ledger: ObjectStore, number: int) -> SignedSeal:
    try:
        signed = SealCopy.parse(ledger.get(object_key(number))).signed
    except MalformedSeal as error:
        raise SealRefused(f"{ledger.uri(object_key(number))} cannot be read: {error}") from None
    if signed.seal.number != number:
        raise SealRefused(f"{ledger.uri(object_key(number))} is seal {signed.seal.number}: it was moved")
    return signed


def _opening(
    owner: Connection,
    own_last: SignedSeal | None,
    lost: list[SignedSeal],
    key: SigningKey,
    retention_days: float,
) -> SealCopy:
    newest = lost[-1] if lost else own_last
    epoch = own_last.seal.next_epoch if own_last else FIRST_EPOCH
    from_xid = own_last.seal.to_xid if own_last else 0
    opens = (newest.seal.next_epoch if newest else FIRST_EPOCH) + 1
    number = newest.seal.number + 1 if newest else 1
    return compose(
        # No upper limit at the horizon: no writer is running, so all existing events are final.
        read_batch(owner, epoch, from_xid, None),
        key,
        retention_days,
        number=number,
        previous=newest.hash if newest else GENESIS,
        epoch=epoch,
        from_xid=from_xid,
        to_xid=horizon(owner),
        opens=opens,
        void_from=own_last.seal.number + 1 if own_last else 1,
    )
