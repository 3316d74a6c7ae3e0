"""Verification of the ledger: events against seals, seals against each other and against the bucket.

One pass over three streams in the same order (seals by number, copies by number, events by
epoch and transaction id): time is linear in the events, memory is one batch. Nothing is
repaired or written.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from psycopg import errors as pg_errors

from ops_platform.audit import catalogue
from ops_platform.audit.batch import SEALER_LOCK, own_transactions, snapshot
from ops_platform.audit.catalogue import EPOCH_COLUMN
from ops_platform.audit.chain import WITHOUT_ROW, Chain, Link
from ops_platform.audit.copies import CopyStore
from ops_platform.audit.dating import Dating, time_of
from ops_platform.audit.encoding import Leaf
from ops_platform.audit.findings import Finding, Mark, Verification
from ops_platform.audit.keys import PublicKeys
from ops_platform.audit.merkle import MerkleTree
from ops_platform.audit.reading import LedgerSource, StoredLedger, open_copy, pin
from ops_platform.audit.seal import Seal, SignedSeal, moment
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed

SEALER_WAIT = "10s"
NAMED_EVENTS = 20
"""Events that are named for one seal; the others are counted."""


def verify(connection: Connection, ledger: CopyStore, public_key: str | PublicKeys) -> list[Finding]:
    """List the differences between the ledger and its seals; ``check`` returns notes and counts, too."""
    keys = PublicKeys.parse(public_key) if isinstance(public_key, str) else public_key
    return check(connection, ledger, keys).findings


def check(
    connection: Connection,
    ledger: CopyStore,
    keys: PublicKeys,
    *,
    now: datetime | None = None,
    since: Mark | None = None,
) -> Verification:
    """Verify the ledger: the server's catalogue first, then its rows.

    With ``since``, the mark of an earlier verification, only what came after it is compared, and what was
    before is counted. Rows are not read where the catalogue says that a query would not show them.
    Raises what PostgreSQL and the object store raise: an unverified ledger does not count as intact.
    """
    result, now = Verification(), now or datetime.now(UTC)
    with own_transactions(connection):
        with snapshot(connection):
            pin(connection)
            facts = catalogue.read_facts(connection)
            if not {"public.audit_events", "public.audit_seals"} & facts.keys():
                raise CheckFailed("the database has no ledger: run 'ops-platform migrate'")
            differences = catalogue.compare(facts, catalogue.recorded())
            result.findings.extend(differences)
            if unreadable := [one.where for one in differences if catalogue.forbids_reading(one)]:
                result.add_finding(
                    "rows", f"not read: what a query would show is decided by {', '.join(unreadable)}"
                )
                return result
            walk = _Walk(StoredLedger(connection), ledger, keys, now, result, since)
            walk.compare()
            walk.compare_epoch(catalogue.epoch_of_new_events(facts))
        _settle(connection, walk.chain.waiting, result)
    if not result.findings:
        result.mark = walk.mark()
    return result


def check_copy(
    path: Path, ledger: CopyStore, keys: PublicKeys, *, taken_at: datetime | None = None
) -> Verification:
    """Verify an export's directory, or a plain SQL dump in a file that was made at ``taken_at``.

    Raises CheckFailed when it is not a whole one, and what the object store raises.
    """
    result = Verification()
    source, manifest = open_copy(path, taken_at)
    with closing(source):
        if manifest is None:
            result.note("a dump has no catalogue: what its server would have shown is not judged")
        else:
            result.findings.extend(catalogue.compare(manifest.catalogue, catalogue.recorded()))
        if source.taken_at is None:
            result.note("the time of the dump is not given: seals that were made after it count as removed")
        else:
            result.note(f"as of {source.taken_at:%Y-%m-%d %H:%M:%S} UTC")
        walk = _Walk(source, ledger, keys, datetime.now(UTC), result, None)
        walk.compare()
        for signed in walk.chain.waiting:
            result.add_finding(f"seal {signed.seal.number}", WITHOUT_ROW)
    return result


def _settle(connection: Connection, waiting: list[SignedSeal], result: Verification) -> None:
    """Look once more for the rows of seals that were only in the bucket, when no sealer is at work."""
    if not waiting:
        return
    with connection.transaction():
        pin(connection)
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (SEALER_WAIT,))
        try:
            with connection.transaction():
                connection.execute(
                    "SELECT pg_advisory_xact_lock_shared(%s)", (postgres.lock_key(SEALER_LOCK),)
                )
        except pg_errors.LockNotAvailable:
            result.note(f"somebody has held the sealer's lock for {SEALER_WAIT} and more")
        rows = connection.execute(
            "SELECT number, document FROM ONLY public.audit_seals WHERE number = ANY (%s)",
            ([signed.seal.number for signed in waiting],),
        )
        documents = {row["number"]: row["document"] for row in rows}
    for signed in waiting:
        number = signed.seal.number
        if documents.get(number) == signed.document:
            result.note(f"seal {number} and later ones were made while this ran")
        elif number in documents:
            result.add_finding(
                f"seal {number}", "its row differs from the locked copy: the row was rewritten"
            )
        else:
            result.add_finding(
                f"seal {number}", f"{WITHOUT_ROW}; if its sealer died a moment ago, the next one records it"
            )


class _Walk:
    """The stream of events, compared range by range with the stream of seals."""

    def __init__(
        self,
        source: LedgerSource,
        ledger: CopyStore,
        keys: PublicKeys,
        now: datetime,
        result: Verification,
        since: Mark | None,
    ) -> None:
        self._source, self._ledger, self._now, self._result = source, ledger, now, result
        self._since = since
        self.chain = Chain(source, ledger, keys, now, result, since)
        self._start = (since.epoch, since.to_xid) if since else (0, 0)
        self._events = source.leaves(*self._start)
        self._event: Leaf | None = None
        self._dating = Dating()

    def compare(self) -> None:
        """Compare all, and count the rows once more."""
        self._result.since = self._since.number if self._since else 0
        try:
            self._event = next(self._events, None)
            for link in self.chain.links():
                if not (link.void or link.known):
                    self._compare_range(link)
                if not link.void:
                    self._dating.add(link.signed.seal)
            self._count_unsealed(self.chain.epoch, self.chain.to_xid)
        finally:
            self._events.close()
        self._compare_counts()

    def mark(self) -> Mark | None:
        """Return where the next verification can go on; None before the first seal."""
        newest, chain = self.chain.newest, self.chain
        if newest is None:
            return None
        before = self._since.events if self._since else 0
        return Mark(newest.seal.number, newest.hash, chain.epoch, chain.to_xid, before + self._result.events)

    def compare_epoch(self, default: str) -> None:
        """Compare the epoch that new events get with that of the chain."""
        if default != str(self.chain.epoch):
            self._result.add_finding(
                EPOCH_COLUMN,
                f"new events get epoch {default}, not {self.chain.epoch}: no seal would cover them",
            )

    def _compare_counts(self) -> None:
        """Compare the rows that were read in the order of seals with those that the table's pages hold."""
        counted = self._source.scanned(*self._start)
        if counted is None:
            return
        before, after = counted
        self._result.rows_by_scan = after
        if after != self._result.rows_by_index:
            self._result.add_finding(
                "public.audit_events",
                f"its pages hold {after} rows where its index has {self._result.rows_by_index}: one lies",
            )
        if self._since is not None and before != self._since.events:
            self._result.add_finding(
                "public.audit_events",
                f"holds {before} events up to seal {self._since.number}, where {self._since.events} were "
                "verified: removed, or inserted behind the seals; verify it in full",
            )

    def _take(self) -> Leaf | None:
        event, self._event = self._event, next(self._events, None)
        self._result.rows_by_index += event is not None
        return event

    def _compare_range(self, link: Link) -> None:
        """Compare the events of the seal's range with the seal."""
        seal = link.signed.seal
        expected = self._expected(link)
        end = None if seal.opens is not None else seal.to_xid
        tree, differing = MerkleTree(), []
        misdated, sealed_at = _Named(self._result), moment(seal.sealed_at)
        self._report_uncovered(before=(seal.epoch, seal.from_xid))
        while (
            (event := self._event) is not None
            and event.epoch == seal.epoch
            and (end is None or event.xid < end)
        ):
            self._take()
            self._result.events += 1
            tree.add(event.hash)
            misdated.add(event.id, self._dating.problem(event, sealed_at))
            if expected is not None:
                sealed = expected.pop(event.id, None)
                if sealed is None:
                    differing.append((event.id, "was inserted into a sealed range"))
                elif sealed != event.hash:
                    differing.append((event.id, "was changed after it was sealed"))
        misdated.close(f"seal {seal.number}")
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
        next_xid, misdated = self._source.next_xid(), _Named(self._result)
        while (event := self._event) is not None and event.epoch == epoch:
            self._take()
            misdated.add(event.id, self._dating.problem(event, self._source.taken_at or self._now))
            if next_xid is not None and event.xid >= next_xid:
                self._result.add_finding(
                    f"event {event.id}", "claims a transaction that does not exist yet: forged"
                )
            self._result.unsealed += 1
            if (at := time_of(event)) is not None:
                self._result.oldest_unsealed_at = min(self._result.oldest_unsealed_at or at, at)
        misdated.close("events without a seal")
        self._report_uncovered(before=None)


class _Named:
    """Problems of events, of which the first are named and the others counted."""

    def __init__(self, result: Verification) -> None:
        self._result, self._count = result, 0

    def add(self, event_id: int, problem: str | None) -> None:
        """Take what is wrong with an event, if anything is."""
        if problem is None:
            return
        self._count += 1
        if self._count <= NAMED_EVENTS:
            self._result.add_finding(f"event {event_id}", problem)

    def close(self, where: str) -> None:
        """Tell how many there were beyond those named."""
        if self._count > NAMED_EVENTS:
            self._result.add_finding(where, f"{self._count - NAMED_EVENTS} more of its events are misdated")


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
