"""The events that one seal covers: which range is final, and its leaves and root."""

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


@dataclass(frozen=True)
class Batch:
    """(id, leaf hash) of each event of a range in the order (xid, id), and the root over them, hex."""

    leaves: list[tuple[int, bytes]]
    root: str


@contextmanager
def own_transactions(connection: Connection) -> Iterator[None]:
    """The connection in autocommit mode: each step is a transaction of its own."""
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
    """A read-only transaction that sees one moment throughout."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def horizon(connection: Connection) -> int:
    """The oldest transaction id that the current snapshot does not see the end of."""
    rows = connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin").fetchall()
    return int(rows[0]["xmin"])


def end_of_batch(connection: Connection, epoch: int, from_xid: int, limit: int, rows: int) -> int:
    """Where a batch that starts at ``from_xid`` ends so that it has about ``rows`` events: ``limit`` or less.

    Always between two transactions; one that alone has more events makes a larger batch.
    """
    query = """
        SELECT xid::text AS at FROM audit_events
        WHERE epoch = %s AND xid >= %s::text::xid8 AND xid < %s::text::xid8
        ORDER BY epoch, xid, id LIMIT 1 OFFSET %s
    """
    past = connection.execute(query, (epoch, str(from_xid), str(limit), rows)).fetchone()
    if past is None:
        return limit
    first = one_row(connection, query, (epoch, str(from_xid), str(limit), 0))
    return max(int(past["at"]), int(first["at"]) + 1)


def read_batch(connection: Connection, epoch: int, from_xid: int, to_xid: int | None) -> Batch:
    """The events of ``epoch`` in [from_xid, to_xid) (None: no end) that the current snapshot sees."""
    tree = MerkleTree()
    taken = []
    condition, parameters = "epoch = %s AND xid >= %s::text::xid8", [epoch, str(from_xid)]
    if to_xid is not None:
        condition, parameters = f"{condition} AND xid < %s::text::xid8", [*parameters, str(to_xid)]
    for leaf in encoding.leaves(connection, condition, parameters):
        tree.add(leaf.hash)
        taken.append((leaf.id, leaf.hash))
    return Batch(taken, tree.root().hex())


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
    """Sign what was read; the copy is to be locked for ``retention_days``."""
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
        # Whole seconds: object stores cut the rest off.
        retain_until=timestamp((now + timedelta(days=retention_days)).replace(microsecond=0)),
        key_id=key.key_id,
        opens=opens,
        void_from=void_from,
    )
    return SealCopy(sign(seal, key), batch.leaves)
