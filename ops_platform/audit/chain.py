"""Walking the chain of seals to verify it: rows of ``audit_seals`` beside their locked copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ops_platform.audit.copies import BucketCopy, CopyStore, copies
from ops_platform.audit.findings import Mark, Verification
from ops_platform.audit.keys import PublicKeys
from ops_platform.audit.reading import LedgerSource
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

ADOPTION = timedelta(minutes=10)
"""Time in which a copy without a row may be one that its sealer is just recording."""
OVERDUE = timedelta(hours=2)
"""Age of the newest seal at which its sealer is dead, or later seals were removed: one an hour is made."""


WITHOUT_ROW = "in the bucket but not in the database: removed from audit_seals, or restored to before it"


@dataclass(frozen=True)
class Link:
    """One seal of the chain. ``void``: a signed opening of an epoch says that a restore lost its events.

    ``known``: it is the one that an earlier verification ended with.
    """

    signed: SignedSeal
    copy: SealCopy | None
    void: bool
    known: bool = False


@dataclass(frozen=True)
class _Pair:
    """The row and the copy of one seal number."""

    number: int
    row: dict[str, Any] | None
    copy: BucketCopy | None


class Chain:
    """Walks the seals by number and adds the differences to ``result``.

    ``epoch`` and ``to_xid`` are where the events behind the last seal of the walk start; ``waiting`` are
    seals so new that their sealer may just be recording them. With ``since`` the walk begins at that seal.
    """

    def __init__(
        self,
        source: LedgerSource,
        ledger: CopyStore,
        keys: PublicKeys,
        now: datetime,
        result: Verification,
        since: Mark | None = None,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._keys = keys
        self._now = now
        self._result = result
        self._since = since
        self._number = since.number - 1 if since else 0
        self._previous = GENESIS
        self.epoch = since.epoch if since else FIRST_EPOCH
        self.to_xid = since.to_xid if since else 0
        self.newest: SignedSeal | None = None
        self.waiting: list[SignedSeal] = []

    def links(self) -> Iterator[Link]:
        """Yield every seal that can be read, in order; check the lock on the last one's copy at the end."""
        locked = self._ledger.object_lock_enabled()
        if locked is None:
            self._result.note("the copies of seals are files: whether their objects are locked is not known")
        elif not locked:
            self._result.add_finding(
                self._ledger.uri(), "the bucket has no object lock: its copies prove nothing"
            )
        void = self._void_numbers()
        final = self._source.final()
        for pair in self._pairs():
            signed = self._seal(pair)
            if signed is None:
                continue
            if pair.row is None and self._is_later(signed, final):
                break
            self.newest = signed
            known = self._since is not None and pair.number == self._since.number
            self._check_chain(signed, pair.number in void, known)
            yield Link(signed, pair.copy.content if pair.copy else None, pair.number in void, known)
        if self.newest is not None:
            if locked is not None:
                self._check_lock(self.newest)
            self._result.last_sealed_at = moment(self.newest.seal.sealed_at)
            self._check_age(self.newest)

    def _is_later(self, signed: SignedSeal, final: int | None) -> bool:
        """Tell whether a seal without a row was made after what is read was taken, and note it."""
        number, taken_at = signed.seal.number, self._source.taken_at
        if taken_at is not None:
            if moment(signed.seal.sealed_at) <= taken_at:
                return False
            self._result.note(
                f"seal {number} and later ones were made after this copy of {taken_at:%F %T} UTC"
            )
            return True
        # Sealed after our snapshot was taken: its events are not all visible in it.
        return final is not None and signed.seal.to_xid > final and self._is_fresh(signed)

    def _pairs(self) -> Iterator[_Pair]:
        """Merge rows and copies by number."""
        rows = self._source.seals(self._number)
        numbered = self._numbered_copies()
        row, copy = next(rows, None), next(numbered, None)
        while row is not None or copy is not None:
            row_number = row["number"] if row is not None else None
            copy_number = copy.number if copy is not None else None
            number = min(n for n in (row_number, copy_number) if n is not None)
            pair = _Pair(
                number, row if row_number == number else None, copy if copy_number == number else None
            )
            self._result.seal_rows += pair.row is not None
            if pair.row is not None:
                row = next(rows, None)
            if pair.copy is not None:
                copy = next(numbered, None)
            yield pair

    def _numbered_copies(self) -> Iterator[BucketCopy]:
        for copy in copies(self._ledger, self._number):
            for problem in copy.problems:
                self._result.add_finding(f"copy {self._ledger.uri(copy.key)}", problem)
            if copy.number is not None:
                yield copy

    def _void_numbers(self) -> set[int]:
        """Read the numbers of the seals that a signed opening of an epoch declares lost with a restore."""
        void: set[int] = set()
        for document, signature in self._source.openings():
            try:
                signed = parse(document, signature)
            except MalformedSeal:
                continue
            seal = signed.seal
            if seal.void_from is None or not signed.is_signed_by(self._keys):
                continue
            lost = range(seal.void_from, seal.number)
            void.update(lost)
            loss = f"the events of seals {lost[0]} to {lost[-1]} were lost" if lost else "nothing was lost"
            self._result.note(f"epoch {seal.opens} was opened at {seal.sealed_at} after a restore: {loss}")
        return void

    def _seal(self, pair: _Pair) -> SignedSeal | None:
        """Return the seal of this number, from its copy if that is genuine, else from its row."""
        where = f"seal {pair.number}"
        from_row = self._from_row(pair.row, where) if pair.row is not None else None
        from_copy = pair.copy.content.signed if pair.copy and pair.copy.content else None
        if from_copy is not None:
            copy_name = f"copy {self._ledger.uri(object_key(pair.number))}"
            if not from_copy.is_signed_by(self._keys):
                self._result.add_finding(copy_name, self._unsigned(from_copy))
                from_copy = None
            elif from_copy.seal.number != pair.number:
                self._result.add_finding(copy_name, f"is seal {from_copy.seal.number}, moved")
                from_copy = None
        if pair.row is None and from_copy is not None:
            self._without_row(from_copy, where)
        elif from_row is not None and from_copy is not None and from_row.document != from_copy.document:
            self._result.add_finding(
                where, "the row differs from the locked copy in the bucket: the row was rewritten"
            )
        elif from_row is not None and pair.copy is None:
            self._without_copy(from_row, where)
        signed = from_copy or from_row
        if signed is not None and pair.copy is not None and pair.copy.hidden and self._is_locked(signed):
            self._result.add_finding(
                f"copy {self._ledger.uri(pair.copy.key)}", "is hidden by a delete marker"
            )
        return signed

    def _is_locked(self, signed: SignedSeal) -> bool:
        return moment(signed.seal.retain_until) > self._now

    def _is_fresh(self, signed: SignedSeal) -> bool:
        return self._now - moment(signed.seal.sealed_at) <= ADOPTION

    def _from_row(self, row: dict[str, Any], where: str) -> SignedSeal | None:
        try:
            signed = parse(row["document"], row["signature"])
        except MalformedSeal as error:
            self._result.add_finding(where, str(error))
            return None
        if not signed.is_signed_by(self._keys):
            self._result.add_finding(where, self._unsigned(signed))
        seal = signed.seal
        expected = {
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
        for column, value in expected.items():
            if row[column] != value:
                self._result.add_finding(where, f"column {column} is not what the signed document says")
        return signed

    def _unsigned(self, signed: SignedSeal) -> str:
        if self._keys.knows(signed.seal.key_id):
            return "its signature is not that of its document: forged or altered"
        return (
            f"signed with an unknown key {signed.seal.key_id}: forged, or a retired public key is not given"
        )

    def _without_row(self, copy: SignedSeal, where: str) -> None:
        taken_at = self._source.taken_at
        if taken_at is not None and moment(copy.seal.sealed_at) > taken_at:
            return
        if taken_at is None and self._is_fresh(copy):
            # Deleted, or its sealer has not recorded it yet: that can be told when no sealer is at work.
            self.waiting.append(copy)
            return
        self._result.add_finding(where, WITHOUT_ROW)

    def _without_copy(self, row: SignedSeal, where: str) -> None:
        if self._is_locked(row):
            self._result.add_finding(
                where, "its copy is missing from the bucket, though its lock has not ended"
            )
        else:
            self._result.note(
                "seals older than their object lock have no copy any more: signatures and chain hold them"
            )

    def _check_chain(self, signed: SignedSeal, void: bool, known: bool) -> None:
        seal, number = signed.seal, signed.seal.number
        where = f"seal {number}"
        self._result.seals += not known
        follows = number == self._number + 1
        if not follows:
            missing = f"seal {self._number + 1}"
            if number > self._number + 2:
                missing = f"seals {self._number + 1} to {number - 1}"
            self._result.add_finding(missing, "missing from the database and from the bucket")
        elif known and self._since is not None and signed.hash != self._since.hash:
            self._result.add_finding(where, "is not the one that the verification before this one found good")
        elif not known and seal.previous != self._previous:
            self._result.add_finding(where, f"does not continue seal {number - 1}: the chain is broken here")
        self._number, self._previous = number, signed.hash
        if void:
            return
        if follows and not known and (seal.epoch, seal.from_xid) != (self.epoch, self.to_xid):
            self._result.add_finding(
                where, f"starts at {seal.epoch}/{seal.from_xid}, not where the one before ended"
            )
        self.epoch, self.to_xid = seal.next_epoch, seal.to_xid

    def _check_lock(self, newest: SignedSeal) -> None:
        promised = moment(newest.seal.retain_until)
        if not self._is_locked(newest) or self._ledger.head(newest.key) is None:
            return
        lock = self._ledger.retention(newest.key)
        if lock is None or lock.mode != "COMPLIANCE" or lock.until < promised:
            self._result.add_finding(
                f"copy {self._ledger.uri(newest.key)}", "is not locked as long as the seal says"
            )

    def _check_age(self, newest: SignedSeal) -> None:
        seal, now = newest.seal, self._source.taken_at or self._now
        age = now - moment(seal.sealed_at)
        if age > OVERDUE:
            hours = age.total_seconds() / 3600
            self._result.add_finding(
                f"seal {seal.number}",
                f"is the newest, {hours:.0f} hours old, though one is made each hour: the sealer is dead, or "
                "later seals were removed",
            )
