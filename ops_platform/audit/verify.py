"""Verification of the ledger: events against seals, seals against each other and against the bucket.

One pass over three streams in the same order (seals by number, copies by number, events by
epoch and transaction id): time is linear in the events, memory is one batch. Nothing is
repaired or written.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from ops_platform.audit import encoding
from ops_platform.audit.batch import own_transactions, snapshot
from ops_platform.audit.chain import Chain, Link
from ops_platform.audit.encoding import Leaf
from ops_platform.audit.findings import Finding, Verification
from ops_platform.audit.keys import PublicKeys
from ops_platform.audit.merkle import MerkleTree
from ops_platform.audit.seal import Seal
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection

NAMED_EVENTS = 20
"""Events that are named for one seal; the others are counted."""


def verify(connection: Connection, ledger: ObjectStore, public_key: str | PublicKeys) -> list[Finding]:
    """List the differences between the ledger and its seals; ``check`` returns notes and counts, too."""
    keys = PublicKeys.parse(public_key) if isinstance(public_key, str) else public_key
    return check(connection, ledger, keys).findings


def check(
    connection: Connection, ledger: ObjectStore, keys: PublicKeys, *, now: datetime | None = None
) -> Verification:
    """Verify the whole ledger.

    Raises what PostgreSQL and the object store raise: an unverified ledger does not count as intact.
    """
    with own_transactions(connection), snapshot(connection):
        return _Events(connection, ledger).compare(keys, now or datetime.now(UTC))


class _Events:
    """The stream of events, compared range by range with the stream of seals."""

    def __init__(self, connection: Connection, ledger: ObjectStore) -> None:
        self._connection = connection
        self._ledger = ledger
        self._result = Verification()
        self._events = encoding.leaves(connection)
        self._event: Leaf | None = None

    def compare(self, keys: PublicKeys, now: datetime) -> Verification:
        chain = Chain(self._connection, self._ledger, keys, now, self._result)
        try:
            self._event = next(self._events, None)
            for link in chain.links():
                if not link.void:
                    self._compare_range(link)
            self._count_unsealed(chain.epoch, chain.to_xid)
        finally:
            self._events.close()
        return self._result

    def _take(self) -> Leaf | None:
        event, self._event = self._event, next(self._events, None)
        return event

    def _compare_range(self, link: Link) -> None:
        """Compare the events of the seal's range with the seal."""
        seal = link.signed.seal
        expected = self._expected(link)
        end = None if seal.opens is not None else seal.to_xid
        tree, differing = MerkleTree(), []
        self._report_uncovered(before=(seal.epoch, seal.from_xid))
        while (
            (event := self._event) is not None
            and event.epoch == seal.epoch
            and (end is None or event.xid < end)
        ):
            self._take()
            self._result.events += 1
            tree.add(event.hash)
            if expected is not None:
                sealed = expected.pop(event.id, None)
                if sealed is None:
                    differing.append((event.id, "was inserted into a sealed range"))
                elif sealed != event.hash:
                    differing.append((event.id, "was changed after it was sealed"))
        if tree.size == seal.rows and tree.root().hex() == seal.merkle_root:
            return
        differing.extend((event_id, "was removed after it was sealed") for event_id in expected or ())
        for event_id, what in sorted(differing)[:NAMED_EVENTS]:
            self._result.add_finding(f"event {event_id}", f"{what} (seal {seal.number})")
        if len(differing) > NAMED_EVENTS:
            self._result.add_finding(
                f"seal {seal.number}", f"{len(differing) - NAMED_EVENTS} more of its events differ"
            )
        if not differing:
            self._result.add_finding(f"seal {seal.number}", _unnamed(seal, tree.size))

    def _expected(self, link: Link) -> dict[int, bytes] | None:
        """Return the sealed leaves by event id, from the copy; None when there is no trustworthy copy."""
        if link.copy is None or link.copy.signed.document != link.signed.document:
            return None
        if _root(leaf for _, leaf in link.copy.leaves) != link.signed.seal.merkle_root:
            self._result.add_finding(
                f"copy {self._ledger.uri(link.signed.key)}", "its list of leaves is damaged"
            )
            return None
        return dict(link.copy.leaves)

    def _report_uncovered(self, before: tuple[int, int] | None) -> None:
        """Report the events before (epoch, xid) (None: all that are left), which no seal's range covers."""
        ids: list[int] = []
        count = 0
        while self._event is not None and (before is None or (self._event.epoch, self._event.xid) < before):
            event = self._take()
            count += 1
            if event is not None and len(ids) < NAMED_EVENTS:
                ids.append(event.id)
        if count:
            names = ", ".join(str(event_id) for event_id in ids) + (" ..." if count > len(ids) else "")
            where = f"event {names}" if count == 1 else f"events {names} ({count})"
            self._result.add_finding(
                where, "in no seal's range: inserted behind the seals, or their seal is missing"
            )

    def _count_unsealed(self, epoch: int, to_xid: int) -> None:
        """Count the events behind the last seal, and report those that cannot be genuine."""
        self._report_uncovered(before=(epoch, to_xid))
        rows = self._connection.execute(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS xmax"
        ).fetchall()
        xmax = int(rows[0]["xmax"])
        while (event := self._event) is not None and event.epoch == epoch:
            self._take()
            if event.xid >= xmax:
                self._result.add_finding(
                    f"event {event.id}", "claims a transaction that does not exist yet: forged"
                )
            at = datetime.fromtimestamp(event.occurred_us / 1_000_000, UTC)
            oldest = self._result.oldest_unsealed_at
            self._result.unsealed += 1
            self._result.oldest_unsealed_at = at if oldest is None else min(oldest, at)
        self._report_uncovered(before=None)


def _root(leaves: Iterable[bytes]) -> str:
    tree = MerkleTree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root().hex()


def _unnamed(seal: Seal, count: int) -> str:
    ids = f"ids {seal.first_id} to {seal.last_id}"
    if count != seal.rows:
        return f"{count} events where {seal.rows} were sealed ({ids})"
    return f"its {seal.rows} events ({ids}) are not those that were sealed"
