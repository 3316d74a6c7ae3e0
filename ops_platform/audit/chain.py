"""The chain of seals as a verifier walks it: rows of ``audit_seals`` beside their locked copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ops_platform.audit.batch import horizon
from ops_platform.audit.copies import CopySeen, copies
from ops_platform.audit.findings import Verification
from ops_platform.audit.keys import PublicKeys
from ops_platform.audit.seal import (
    FIRST_EPOCH,
    GENESIS,
    MalformedSeal,
    SealCopy,
    SignedSeal,
    moment,
    object_key,
    parse,
)
from ops_platform.clients.object_store import ObjectStore
from ops_platform.clients.postgres import Connection

ADOPTION = timedelta(minutes=10)
"""How long the newest copy may wait for its row: a sealer that died in between adopts it."""

_COLUMNS = """
    number, epoch, opens, void_from, from_xid::text AS from_xid, to_xid::text AS to_xid, row_count,
    first_id, last_id, merkle_root, previous_hash, sealed_at, key_id, document, signature
"""


@dataclass(frozen=True)
class Link:
    """One seal of the chain. ``void``: a signed opening says that its events were lost with a restore."""

    signed: SignedSeal
    copy: SealCopy | None
    void: bool


@dataclass(frozen=True)
class _Pair:
    """The row and the copy of one number."""

    number: int
    row: dict[str, Any] | None
    seen: CopySeen | None


class Chain:
    """Walks the seals by number and writes what differs into ``result``.

    ``epoch`` and ``to_xid`` say where the events behind the last seal walked start.
    """

    def __init__(
        self,
        connection: Connection,
        ledger: ObjectStore,
        keys: PublicKeys,
        now: datetime,
        result: Verification,
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._keys = keys
        self._now = now
        self._result = result
        self._number = 0
        self._previous = GENESIS
        self.epoch = FIRST_EPOCH
        self.to_xid = 0

    def links(self) -> Iterator[Link]:
        """Every seal that can be read, in order; after the last, the lock on its copy is checked."""
        if not self._ledger.object_lock_enabled():
            self._result.find(self._ledger.uri(), "the bucket has no object lock: its copies prove nothing")
        void = self._void_numbers()
        final = horizon(self._connection)
        newest: SignedSeal | None = None
        for pair in self._pairs():
            signed = self._seal(pair)
            if signed is None:
                continue
            if pair.row is None and signed.seal.to_xid > final and self._is_fresh(signed):
                # Sealed after our snapshot was taken: its events are not all visible in it.
                self._result.note(f"seal {pair.number} and later ones were made while this ran")
                break
            newest = signed
            self._check_chain(signed, pair.number in void)
            yield Link(signed, pair.seen.copy if pair.seen else None, pair.number in void)
        if newest is not None:
            self._check_lock(newest)

    def _pairs(self) -> Iterator[_Pair]:
        """Rows and copies merged by number."""
        with self._connection.cursor(name="audit_seals_by_number") as rows:
            rows.itersize = 500
            rows.execute(f"SELECT {_COLUMNS} FROM audit_seals ORDER BY number")  # noqa: S608
            seen = self._numbered_copies()
            row, copy = next(rows, None), next(seen, None)
            while row is not None or copy is not None:
                row_number = row["number"] if row is not None else None
                copy_number = copy.number if copy is not None else None
                number = min(n for n in (row_number, copy_number) if n is not None)
                pair = _Pair(
                    number, row if row_number == number else None, copy if copy_number == number else None
                )
                if pair.row is not None:
                    row = next(rows, None)
                if pair.seen is not None:
                    copy = next(seen, None)
                yield pair

    def _numbered_copies(self) -> Iterator[CopySeen]:
        for seen in copies(self._ledger):
            for problem in seen.problems:
                self._result.find(f"copy {self._ledger.uri(seen.key)}", problem)
            if seen.number is not None:
                yield seen

    def _void_numbers(self) -> set[int]:
        """Seals that a signed opening of an epoch declares lost with a restore."""
        void: set[int] = set()
        query = "SELECT document, signature FROM audit_seals WHERE opens IS NOT NULL ORDER BY number"
        for row in self._connection.execute(query):
            try:
                signed = parse(row["document"], row["signature"])
            except MalformedSeal:
                continue
            seal = signed.seal
            if seal.void_from is None or not signed.is_signed_by(self._keys):
                continue
            lost = range(seal.void_from, seal.number)
            void.update(lost)
            what = f"the events of seals {lost[0]} to {lost[-1]} were lost" if lost else "nothing was lost"
            self._result.note(f"epoch {seal.opens} was opened at {seal.sealed_at} after a restore: {what}")
        return void

    def _seal(self, pair: _Pair) -> SignedSeal | None:
        """The seal of this number, from its copy if that is genuine, else from its row."""
        where = f"seal {pair.number}"
        mine = self._from_row(pair.row, where) if pair.row is not None else None
        copy = pair.seen.copy.signed if pair.seen and pair.seen.copy else None
        if copy is not None:
            if not copy.is_signed_by(self._keys):
                self._result.find(f"copy {self._ledger.uri(object_key(pair.number))}", self._unsigned(copy))
                copy = None
            elif copy.seal.number != pair.number:
                self._result.find(
                    f"copy {self._ledger.uri(object_key(pair.number))}", f"is seal {copy.seal.number}, moved"
                )
                copy = None
        if pair.row is None and copy is not None:
            self._without_row(copy, where)
        elif mine is not None and copy is not None and mine.document != copy.document:
            self._result.find(
                where, "the row differs from the locked copy in the bucket: the row was rewritten"
            )
        elif mine is not None and pair.seen is None:
            self._without_copy(mine, where)
        signed = copy or mine
        if signed is not None and pair.seen is not None and pair.seen.hidden and self._is_locked(signed):
            self._result.find(f"copy {self._ledger.uri(pair.seen.key)}", "is hidden by a delete marker")
        return signed

    def _is_locked(self, signed: SignedSeal) -> bool:
        return moment(signed.seal.retain_until) > self._now

    def _is_fresh(self, signed: SignedSeal) -> bool:
        return self._now - moment(signed.seal.sealed_at) <= ADOPTION

    def _from_row(self, row: dict[str, Any], where: str) -> SignedSeal | None:
        try:
            signed = parse(row["document"], row["signature"])
        except MalformedSeal as error:
            self._result.find(where, str(error))
            return None
        if not signed.is_signed_by(self._keys):
            self._result.find(where, self._unsigned(signed))
        seal = signed.seal
        told = {
            "number": seal.number,
            "epoch": seal.epoch,
            "opens": seal.opens,
            "void_from": seal.void_from,
            "from_xid": str(seal.from_xid),
            "to_xid": str(seal.to_xid),
            "row_count": seal.rows,
            "first_id": seal.first_id,
            "last_id": seal.last_id,
            "merkle_root": seal.merkle_root,
            "previous_hash": seal.previous,
            "sealed_at": moment(seal.sealed_at),
            "key_id": seal.key_id,
        }
        for column, value in told.items():
            if row[column] != value:
                self._result.find(where, f"column {column} is not what the signed document says")
        return signed

    def _unsigned(self, signed: SignedSeal) -> str:
        if self._keys.knows(signed.seal.key_id):
            return "its signature is not that of its document: forged or altered"
        return (
            f"signed with an unknown key {signed.seal.key_id}: forged, or a retired public key is not given"
        )

    def _without_row(self, copy: SignedSeal, where: str) -> None:
        # Deleted rows are not told from a sealer that died before its insert, except by time.
        if self._is_fresh(copy):
            self._result.note(
                f"{where} was made a moment ago and is in the bucket only: the sealer records it"
            )
        else:
            self._result.find(
                where,
                "in the bucket but not in the database: removed from audit_seals, or restored to before it",
            )

    def _without_copy(self, mine: SignedSeal, where: str) -> None:
        if self._is_locked(mine):
            self._result.find(where, "its copy is missing from the bucket, though its lock has not ended")
        else:
            self._result.note(
                "seals older than their object lock have no copy any more: signatures and chain hold them"
            )

    def _check_chain(self, signed: SignedSeal, void: bool) -> None:
        seal, number = signed.seal, signed.seal.number
        where = f"seal {number}"
        self._result.seals += 1
        follows = number == self._number + 1
        if not follows:
            missing = f"seal {self._number + 1}"
            if number > self._number + 2:
                missing = f"seals {self._number + 1} to {number - 1}"
            self._result.find(missing, "missing from the database and from the bucket")
        elif seal.previous != self._previous:
            self._result.find(where, f"does not continue seal {number - 1}: the chain is broken here")
        self._number, self._previous = number, signed.hash
        if void:
            return
        if follows and (seal.epoch, seal.from_xid) != (self.epoch, self.to_xid):
            self._result.find(
                where, f"starts at {seal.epoch}/{seal.from_xid}, not where the one before ended"
            )
        self.epoch, self.to_xid = seal.next_epoch, seal.to_xid

    def _check_lock(self, newest: SignedSeal) -> None:
        promised = moment(newest.seal.retain_until)
        self._result.last_sealed_at = moment(newest.seal.sealed_at)
        if not self._is_locked(newest) or self._ledger.head(newest.key) is None:
            return
        lock = self._ledger.retention(newest.key)
        if lock is None or lock.mode != "COMPLIANCE" or lock.until < promised:
            self._result.find(
                f"copy {self._ledger.uri(newest.key)}", "is not locked as long as the seal says"
            )
