"""The events that one seal covers: the range that is final, its leaves and its root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg.pq import TransactionStatus

from ops_platform.audit import encoding
from ops_platform.audit.keys import SigningKey
from ops_platform.audit.merkle import MerkleTree
from ops_platform.audit.seal import Seal, SealCopy, sign, timestamp
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import OpsError

SEALER_LOCK = "audit/seal"
"""Advisory lock that a sealer holds from its decision until its seal is recorded."""


@dataclass(frozen=True)
class Batch:
    """Each event of a range as (id, leaf hash), ordered by (xid, id), and the root over them in hex.

    ``next_xid``: the lowest transaction id that had not been given when they were read.
    """

    leaves: list[tuple[int, bytes]]
    root: str
    next_xid: int


@contextmanager
def own_transactions(connection: Connection) -> Iterator[None]:
    """Put the connection into autocommit mode for the block: each step is a transaction of its own.

    Raises OpsError when the connection is inside a transaction.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise OpsError("the ledger was given a connection inside a transaction: commit first")
    before = connection.autocommit
    connection.autocommit = True
    try:
        yield
    finally:
        if not connection.closed:
            connection.autocommit = before


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Run the block in a read-only transaction with one snapshot throughout."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def horizon(connection: Connection) -> int:
    """Return the lowest transaction id that had not ended when the current snapshot was taken."""
    row = one_row(connection, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin")
    return int(row["xmin"])


def next_xid(connection: Connection) -> int:
    """Return the lowest transaction id that had not been given when the current snapshot was taken."""
    row = one_row(connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS xmax")
    return int(row["xmax"])


def end_of_batch(connection: Connection, epoch: int, from_xid: int, limit: int, rows: int) -> int:
    """Find the end of a batch of about ``rows`` events from ``from_xid`` on: ``limit`` or less.

    The end is always between two transactions; a transaction with more events makes a larger batch.
    """
    query = """
        SELECT xid::text AS at FROM ONLY public.audit_events
        WHERE epoch = %s AND xid >= %s::text::xid8 AND xid < %s::text::xid8
        ORDER BY epoch, xid, id LIMIT 1 OFFSET %s
    """
    next_row = connection.execute(query, (epoch, str(from_xid), str(limit), rows)).fetchone()
    if next_row is None:
        return limit
    first_row = one_row(connection, query, (epoch, str(from_xid), str(limit), 0))
    return max(int(next_row["at"]), int(first_row["at"]) + 1)


def read_batch(connection: Connection, epoch: int, from_xid: int, to_xid: int | None) -> Batch:
    """Read the events of ``epoch`` in [from_xid, to_xid) (None: no end) that the current snapshot sees."""
    tree = MerkleTree()
    leaves = []
    condition, parameters = "epoch = %s AND xid >= %s::text::xid8", [epoch, str(from_xid)]
    if to_xid is not None:
        condition, parameters = f"{condition} AND xid < %s::text::xid8", [*parameters, str(to_xid)]
    for leaf in encoding.leaves(connection, condition, parameters):
        tree.add(leaf.hash)
        leaves.append((leaf.id, leaf.hash))
    return Batch(leaves, tree.root().hex(), next_xid(connection))


def compose(
    batch: Batch,
    key: SigningKey,
    retention_days: float,
    *,
    number: int,
    previous: str,
    epoch: int,
    from_xid: int,
    to_xid: int,
    opens: int | None = None,
    void_from: int | None = None,
) -> SealCopy:
    """Compose and sign the seal over a batch; its copy is to be locked for ``retention_days``."""
    now = datetime.now(UTC)
    ids = [event_id for event_id, _ in batch.leaves]
    seal = Seal(
        epoch=epoch,
        number=number,
        from_xid=from_xid,
        to_xid=to_xid,
        rows=len(ids),
        first_id=min(ids, default=None),
        last_id=max(ids, default=None),
        merkle_root=batch.root,
        previous=previous,
        sealed_at=timestamp(now),
        # Whole seconds, because object stores drop fractions.
        retain_until=timestamp((now + timedelta(days=retention_days)).replace(microsecond=0)),
        key_id=key.key_id,
        opens=opens,
        void_from=void_from,
        next_xid=batch.next_xid,
    )
    return SealCopy(sign(seal, key), batch.leaves)
