"""The sealer: signs the events since the last seal, copies the seal to the ledger bucket, records it.

Why no event escapes. A seal takes the rows whose transaction id lies in [to_xid of the seal
before, horizon), where the horizon is ``pg_snapshot_xmin(pg_current_snapshot())``: every
transaction below it has ended and, if committed, is visible in that same snapshot; ids handed
out later are never below it. So the range is complete when it is read and final for ever, while
a slow writer merely holds the horizon (and the next seal) back. Ids and timestamps have no such
property: a row with a smaller one can commit later. ``xid`` is the top-level transaction's, so
savepoints change nothing.

Why a crash does no harm. The order is: decide -> put into the bucket (If-None-Match, COMPLIANCE
lock) -> insert into ``audit_seals``. Killed before the put, nothing happened. Killed between, the
next run finds the key taken, checks that object (signature, chain, and the rows themselves) and
adopts it. Two sealers meet at an advisory lock, at If-None-Match, and at the primary key.

Empty periods are sealed once an hour. Not never: events after the last seal could be cut off
unnoticed, and a fresh seal says "nothing happened until now" and keeps the head of the
chain under lock. Not every minute: half a million locked objects a year would prove no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ops_platform.audit.batch import (
    SEALER_LOCK,
    compose,
    end_of_batch,
    horizon,
    own_transactions,
    read_batch,
    snapshot,
)
from ops_platform.audit.keys import PublicKeys, SigningKey
from ops_platform.audit.seal import (
    FIRST_EPOCH,
    GENESIS,
    MalformedSeal,
    Seal,
    SealCopy,
    SignedSeal,
    moment,
    object_key,
    parse,
)
from ops_platform.clients import postgres
from ops_platform.clients.object_store import ObjectExists, ObjectStore
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed

BATCH_ROWS = 10_000
"""Events of one seal, which bounds memory. Only a single transaction with more makes a larger seal."""
QUIET_SECONDS = 3600
DEFAULT_RETENTION_DAYS = 65


class SealRefused(CheckFailed):
    """The ledger is not as the last seal says; another seal would cover that up."""


@dataclass(frozen=True)
class Head:
    """The end of the chain, from which the next seal continues."""

    number: int = 0
    hash: str = GENESIS
    epoch: int = FIRST_EPOCH
    to_xid: int = 0
    sealed_at: datetime | None = None


def seal(
    connection: Connection,
    ledger: ObjectStore,
    key: SigningKey,
    *,
    retention_days: float = DEFAULT_RETENTION_DAYS,
    keys: PublicKeys | None = None,
    batch_rows: int = BATCH_ROWS,
    step: Callable[[str], None] = lambda _name: None,
) -> Seal | None:
    """Seal the next batch; None when there is nothing to seal yet or another sealer is at work.

    Earlier seals may be signed with ``keys`` (default: this key alone). ``step`` is called with the
    name of each step before it happens (tests kill the process there).
    Raises SealRefused when the newest seal or an orphaned copy does not fit, and what the object
    store or PostgreSQL raise when they are away; the next call then catches up.
    """
    known_keys = keys or key.public_keys()
    with own_transactions(connection):
        if not postgres.try_lock(connection, SEALER_LOCK):
            return None
        try:
            step("decide")
            with snapshot(connection):
                head = _head(connection, known_keys)
                copy = _decide(connection, head, key, retention_days, batch_rows)
            if copy is None:
                return None
            step("put")
            copy = _put(connection, ledger, copy, head, known_keys)
            step("insert")
            insert(connection, copy.signed)
            step("done")
            return copy.signed.seal
        finally:
            if not connection.closed:
                postgres.unlock(connection, SEALER_LOCK)


def seal_all(
    connection: Connection,
    ledger: ObjectStore,
    key: SigningKey,
    *,
    retention_days: float = DEFAULT_RETENTION_DAYS,
    keys: PublicKeys | None = None,
    batch_rows: int = BATCH_ROWS,
) -> list[Seal]:
    """Seal until nothing is left to seal, to catch up after S3 was away; return the new seals.

    Raises as ``seal`` does.
    """
    seals: list[Seal] = []
    while (
        new := seal(connection, ledger, key, retention_days=retention_days, keys=keys, batch_rows=batch_rows)
    ) is not None:
        seals.append(new)
    return seals


def last_seal(connection: Connection) -> SignedSeal | None:
    """Read the newest row of ``audit_seals``; None before the first seal. Raises MalformedSeal."""
    row = connection.execute(
        "SELECT document, signature FROM ONLY public.audit_seals ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return None if row is None else parse(row["document"], row["signature"])


def put(ledger: ObjectStore, copy: SealCopy) -> None:
    """Write the copy, locked until its ``retain_until``. Raises ObjectExists when the number is taken."""
    ledger.put(
        copy.signed.key,
        copy.body(),
        if_none_match=True,
        retain_until=moment(copy.signed.seal.retain_until),
        content_type="text/plain; charset=utf-8",
    )


def insert(connection: Connection, signed: SignedSeal) -> None:
    """Record the seal in ``audit_seals``, unless its number is recorded already, and demand the row back.

    Raises SealRefused when the table shows another row, or none.
    """
    seal = signed.seal
    connection.execute(
        """
        INSERT INTO public.audit_seals
            (number, epoch, opens, void_from, from_xid, to_xid, row_count, first_id, last_id, merkle_root,
             previous_hash, sealed_at, key_id, document, signature)
        VALUES (%s, %s, %s, %s, %s::text::xid8, %s::text::xid8, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (number) DO NOTHING
        """,
        (
            seal.number,
            seal.epoch,
            seal.opens,
            seal.void_from,
            str(seal.from_xid),
            str(seal.to_xid),
            seal.rows,
            seal.first_id,
            seal.last_id,
            seal.merkle_root,
            seal.previous,
            moment(seal.sealed_at),
            seal.key_id,
            signed.document,
            signed.signature_text(),
        ),
    )
    kept = connection.execute(
        "SELECT document, signature FROM ONLY public.audit_seals WHERE number = %s", (seal.number,)
    ).fetchall()
    if [(row["document"], row["signature"]) for row in kept] != [(signed.document, signed.signature_text())]:
        raise SealRefused(
            f"audit seal {seal.number} was inserted, and the table does not show it as it was: run "
            "'ops-platform audit verify'"
        )


def _head(connection: Connection, keys: PublicKeys) -> Head:
    try:
        signed = last_seal(connection)
    except MalformedSeal as error:
        raise SealRefused(
            f"the newest audit seal cannot be read: {error}: run 'ops-platform audit verify'"
        ) from None
    if signed is None:
        return Head()
    seal = signed.seal
    if not signed.is_signed_by(keys):
        raise SealRefused(
            f"audit seal {seal.number} is not signed by a known key ({seal.key_id}): add the retired public "
            "key to OPS_AUDIT_PUBLIC_KEY, or run 'ops-platform audit verify' if no key was changed"
        )
    return Head(seal.number, signed.hash, seal.next_epoch, seal.to_xid, moment(seal.sealed_at))


def _decide(
    connection: Connection, head: Head, key: SigningKey, retention_days: float, batch_rows: int
) -> SealCopy | None:
    limit = horizon(connection)
    if limit < head.to_xid:
        raise SealRefused(_missing_events(head.number))
    to_xid = end_of_batch(connection, head.epoch, head.to_xid, limit, batch_rows)
    batch = read_batch(connection, head.epoch, head.to_xid, to_xid)
    if not batch.leaves and head.sealed_at is not None:
        quiet = (datetime.now(UTC) - head.sealed_at).total_seconds()
        if quiet < QUIET_SECONDS:
            return None
    return compose(
        batch,
        key,
        retention_days,
        number=head.number + 1,
        previous=head.hash,
        epoch=head.epoch,
        from_xid=head.to_xid,
        to_xid=to_xid,
    )


def _put(
    connection: Connection, ledger: ObjectStore, copy: SealCopy, head: Head, keys: PublicKeys
) -> SealCopy:
    try:
        put(ledger, copy)
    except ObjectExists:
        return _adopt(connection, ledger, head, keys)
    return copy


def _adopt(connection: Connection, ledger: ObjectStore, head: Head, keys: PublicKeys) -> SealCopy:
    number = head.number + 1
    where = ledger.uri(object_key(number))
    try:
        copy = SealCopy.parse(ledger.get(object_key(number)))
    except MalformedSeal as error:
        raise SealRefused(f"{where} blocks sealing: {error}: find out who wrote it") from None
    seal = copy.signed.seal
    if seal.number != number or not copy.signed.is_signed_by(keys):
        raise SealRefused(f"{where} blocks sealing: it is not signed by a known key: find out who wrote it")
    with snapshot(connection):
        continues = (seal.previous, seal.epoch, seal.from_xid, seal.opens) == (
            head.hash,
            head.epoch,
            head.to_xid,
            None,
        )
        if not continues or horizon(connection) < seal.to_xid:
            raise SealRefused(_missing_events(number))
        batch = read_batch(connection, seal.epoch, seal.from_xid, seal.to_xid)
    if (batch.root, len(batch.leaves)) != (seal.merkle_root, seal.rows):
        raise SealRefused(_missing_events(number))
    return copy


def _missing_events(number: int) -> str:
    return (
        f"audit seal {number} covers events that this ops database does not hold: after a restore open a "
        "new epoch with 'ops-platform audit open-epoch', else run 'ops-platform audit verify'"
    )
