"""An erasure from the first look to the certificate: the order of its steps, and what holds between them.

Each step finds what an earlier attempt has done and adopts it: whoever is killed anywhere is followed by
an attempt that finishes. Nothing is destroyed before the tombstone, and nothing is certified while
something is left. What the steps do is in the modules that they are named after.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from ops_platform.clients.postgres import Connection
from ops_platform.clients.waiting import wait_until
from ops_platform.errors import CheckFailed, Unavailable
from ops_platform.gdpr import certificates, row_erasure
from ops_platform.gdpr import certificates as certificate
from ops_platform.gdpr.certificates import Issued
from ops_platform.gdpr.erasure import data_stores as erasure_parts
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.erasure import processor_notices as processors
from ops_platform.gdpr.erasure.checkpoints import At, Case, Course
from ops_platform.gdpr.erasure.context import ErasureContext
from ops_platform.gdpr.erasure.data_stores import Log
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.export import archive_store
from ops_platform.gdpr.lineage import Effect, lineage_store
from ops_platform.gdpr.requests import work_queue
from ops_platform.gdpr.row_erasure import Erasing
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.scrub import scrub
from ops_platform.gdpr.subject import SubjectKey, subject_key
from ops_platform.gdpr.tombstones import Tombstone, legal_holds, tombstone_store

STEPS = (
    "preflight",
    "tombstone",
    "inventory",
    "objects",
    "rows",
    "cache",
    "processors",
    "verification",
    "certificate",
    "done",
)
ROUNDS = 5
"""Verifications that may find something new: a subject may go on using the product meanwhile."""

Finish = Callable[[Connection, Issued], None]
"""What ends the request, in the transaction that ends the erasure."""


@dataclass(frozen=True)
class Outcome:
    """All that was done over all attempts, and the statement of it."""

    effects: tuple[Effect, ...]
    certificate: Issued


def run(
    context: ErasureContext,
    ops: Connection,
    case: Case,
    *,
    finish: Finish = lambda ops, issued: None,
    enter: Callable[[str], None] = lambda step: None,
    at: At = lambda step, when: None,
    log: Log = lambda line: None,
) -> Outcome:
    """Erase the subject, or go on where an earlier attempt stopped. ``ops`` is an autocommit connection.

    ``enter`` is told each step in the transaction that records the one before. Raises Held, CheckFailed,
    Unavailable, ConfigurationError, NotYet while letters wait, or what psycopg raises; then the next
    attempt goes on.
    """
    with contextlib.closing(context.data.product()) as product:
        return _Erasure(context, ops, product, case, enter, at, log).run(finish)


def outcome(ops: Connection, request_id: str) -> Outcome | None:
    """Of an erasure that is done; None when there is no certificate."""
    issued = certificates.find(ops, request_id)
    return (
        None
        if issued is None
        else Outcome(tuple(lineage_store.totals(lineage_store.of(ops, request_id))), issued)
    )


class _Erasure:
    """One attempt."""

    def __init__(
        self,
        context: ErasureContext,
        ops: Connection,
        product: Connection,
        case: Case,
        enter: Callable[[str], None],
        at: At,
        log: Log,
    ) -> None:
        self._context, self._ops, self._product, self._case = context, ops, product, case
        self._map = context.data.data_map
        self._course = Course(ops, case, self._map.version, enter, at, log)
        self._log = log

    def run(self, finish: Finish) -> Outcome:
        found, of = self._preflight()
        tombstone = self._tombstone(of)
        taken = self._inventory(found, of, tombstone)
        self._course.once("objects", lambda: self._objects(of, taken, tombstone))
        self._course.once(
            "rows", lambda: self._rows(found, of, tombstone), lambda: self._taken(found, of, tombstone)
        )
        taken = self._known(found, of, tombstone)
        self._course.once("cache", lambda: self._keys(taken, tombstone))
        self._course.once("processors", lambda: self._letters(taken))
        if "certificate" not in self._course.done:
            self._verification(found, of, tombstone, taken)
        issued = self._certificate(tombstone)
        self._end(of, tombstone, issued, finish)
        return Outcome(tuple(self._course.totals()), issued)

    # --- steps ---------------------------------------------------------------------------------------------

    def _preflight(self) -> tuple[Catalogue, SubjectKey]:
        self._course.begin("preflight")
        found = erasure_parts.check(self._product, self._context.data)
        self._context.ledger.check()
        if self._context.exports is not None:
            self._context.exports.check()
        of = subject_key.parse(self._product, self._map, found, self._context.term.stanza, self._case.subject)
        if tombstone_store.of_request(self._ops, self._case.request_id) is None:
            legal_holds.refuse(self._ops, of)
        who, there = erasure_parts.identify(self._product, self._map, found, of, self._case.email)
        rows = erasure_parts.counts(self._product, self._map, found, who)
        self._log(f"{sum(rows.values())} rows in {len(rows)} roles" if there else "there is no such account")
        self._course.finish("preflight", [], {"rows": rows, "account": there})
        return found, of

    def _tombstone(self, of: SubjectKey) -> Tombstone:
        self._course.begin("tombstone")
        written = tombstone_store.write(
            self._ops,
            self._context.ledger,
            self._context.keys,
            of,
            request_id=self._case.request_id,
            map_version=self._map.version,
            term=self._context.term,
            now=self._context.clock(),
        )
        self._log("the tombstone is in the ops database and, sealed and locked, in the ledger")
        self._course.finish("tombstone", [])
        return written

    def _inventory(self, found: Catalogue, of: SubjectKey, tombstone: Tombstone) -> Inventory:
        self._course.begin("inventory")
        keys, request_id = self._context.keys, self._case.request_id
        with self._ops.transaction():
            taken = self._known(found, of, tombstone)
            # An erasure of the same subject that was given up half-way may be all that knows their names.
            for earlier in self._unfinished(of):
                known = inventory.find(self._ops, keys, earlier)
                if known is not None:
                    taken = inventory.keep(self._ops, keys, request_id, known)
        # Counted before anything is destroyed: an attempt that is killed later cannot say what it removed.
        new = "inventory" not in self._course.done
        mine = self._apart(taken, tombstone)
        there = erasure_parts.objects_and_keys(self._context.data, mine) if new else []
        self._course.finish("inventory", there)
        return taken

    def _known(self, found: Catalogue, of: SubjectKey, tombstone: Tombstone) -> Inventory:
        """With what the subject is called now: they may have changed that since the last look."""
        who, there = erasure_parts.identify(self._product, self._map, found, of, self._case.email)
        # Whose row the product deleted by itself had their address when they confirmed the request.
        until = tombstone.erased_at if there else self._case.confirmed_at or tombstone.erased_at
        taken, request_id = replace(inventory.take(self._map, who), until=until), self._case.request_id
        with self._ops.transaction():
            return inventory.keep(self._ops, self._context.keys, request_id, taken, sure=there)

    def _apart(self, taken: Inventory, tombstone: Tombstone) -> Inventory:
        return erasure_parts.apart(self._product, self._map, self._erasing(taken, tombstone), taken)

    def _objects(self, of: SubjectKey, taken: Inventory, tombstone: Tombstone) -> list[Effect]:
        subject = _uuid(of)
        if subject is not None and work_queue.export_under_way(self._ops, subject):
            # It read what was there before, and would leave its archive behind.
            raise work_queue.NotYet(
                "an export of the same subject is being written: the erasure goes on after it"
            )
        mine = self._apart(taken, tombstone)
        effects = erasure_parts.objects(self._context.data, mine, self._log)
        if self._context.exports is not None and subject is not None:
            now = self._context.clock()
            effects.append(archive_store.remove(self._ops, self._context.exports, subject, now))
        return effects

    def _rows(self, found: Catalogue, of: SubjectKey, tombstone: Tombstone) -> list[Effect]:
        taken = self._known(found, of, tombstone)
        what = self._erasing(taken, tombstone)
        effects = erasure_parts.rows(self._product, self._map, found, what, self._log)
        # What was put below a name since it was looked there, before somebody else can have that name.
        mine = self._apart(taken, tombstone)
        return effects + erasure_parts.objects(self._context.data, mine, self._log)

    def _taken(self, found: Catalogue, of: SubjectKey, tombstone: Tombstone) -> dict[str, Any]:
        what = self._erasing(self._known(found, of, tombstone), tombstone)
        return {"taken": erasure_parts.names_taken(self._product, self._map, what)}

    def _rows_again(self, found: Catalogue, of: SubjectKey, tombstone: Tombstone) -> None:
        done = self._rows(found, of, tombstone)
        self._course.record("rows", done, self._taken(found, of, tombstone))

    def _keys(self, taken: Inventory, tombstone: Tombstone) -> list[Effect]:
        # Of a shared name once: what the cache holds there afterwards is the other's.
        mine, new = self._apart(taken, tombstone), "cache" not in self._course.done
        return erasure_parts.keys(self._context.data, mine, shared=new)

    def _erasing(self, taken: Inventory, tombstone: Tombstone) -> Erasing:
        return Erasing(
            self._case.request_id,
            taken.who,
            tombstone.erased_at,
            also=taken.also,
            named_until=taken.until,
            gone=self._course.gone(),
        )

    def _letters(self, taken: Inventory) -> list[Effect]:
        with self._ops.transaction():
            return processors.write(self._ops, self._map, taken, self._case.request_id, self._context.clock())

    def _verification(self, found: Catalogue, of: SubjectKey, tombstone: Tombstone, taken: Inventory) -> None:
        self._course.begin("verification")
        if (gone := self._course.gone()) is not None and gone.taken is None:
            self._rows_again(found, of, tombstone)  # the map has changed since
        for _ in range(ROUNDS):
            what = self._erasing(taken, tombstone)
            left = erasure_parts.left(self._product, self._context.data, found, what, taken)
            if not left:
                break
            self._log(f"there is something new in {erasure_parts.places(left)}: once more")
            self._course.record("objects", self._objects(of, taken, tombstone))
            self._rows_again(found, of, tombstone)
            self._course.record("cache", self._keys(taken, tombstone))
        else:
            raise CheckFailed(
                f"{erasure_parts.places(left)} fill again while they are erased: close the account in the "
                "product, then re-execute the run"
            )
        erasure_parts.refuse_residue(self._product, self._map, found, what)
        self._log("nothing is left: not in what the map names, and not in any other column")
        self._course.finish("verification", self._letters_left(taken), {"remaining": 0, "residue_rows": 0})

    def _letters_left(self, taken: Inventory) -> list[Effect]:
        """What became of the letters, once all have left. Raises NotYet."""
        request_id = self._case.request_id

        def left() -> bool:
            return not processors.remaining(self._ops, self._map, request_id)

        if not left():
            self._letters(taken)  # one that was given up is written anew
            with contextlib.suppress(Unavailable):
                wait_until(left, self._context.letter_seconds, "letters leave", interval=0.5)
        if not left():
            waiting = erasure_parts.places(processors.remaining(self._ops, self._map, request_id))
            raise work_queue.NotYet(
                f"the letter to {waiting} has not left yet: is the agent running, and the mail server?"
            )
        return processors.effects(self._ops, self._map, request_id)

    def _certificate(self, tombstone: Tombstone) -> Issued:
        self._course.begin("certificate")
        expires = tombstone_store.complete(
            self._ops,
            self._context.ledger,
            self._context.keys,
            tombstone,
            self._context.term,
            self._context.clock(),
        )
        issued = certificates.find(self._ops, self._case.request_id)
        if issued is None or "certificate" not in self._course.done:
            composed = certificate.compose(
                tombstone,
                self._map,
                self._course.totals(),
                proof=erasure_parts.proof(self._product, self._case.request_id),
                residue={},
                backups_expire_at=expires,
                now=self._context.clock(),
            )
            issued = certificates.issue(
                self._ops,
                self._context.ledger,
                self._context.signing_key,
                composed,
                keys=self._context.public_keys,
            )
        self._log(f"certificate {issued.certificate_id}; the last backup with the data expires {expires:%F}")
        self._course.finish("certificate", [], {"certificate_id": issued.certificate_id})
        return issued

    def _end(self, of: SubjectKey, tombstone: Tombstone, issued: Issued, finish: Finish) -> None:
        self._course.begin("done")
        # With it goes the pseudonym: from now on nothing leads from what was anonymised to the subject.
        over = [self._case.request_id, *self._unfinished(of)]
        for request_id in over:
            row_erasure.forget(self._product, request_id)
        now, subject = self._context.clock(), _uuid(of)
        with self._ops.transaction():
            if "done" not in self._course.done:
                finish(self._ops, issued)
            if subject is not None:
                work_queue.end_open(self._ops, subject, now)
                scrub(self._ops, subject, now)
            for request_id in over:
                inventory.forget(self._ops, request_id)
            if "done" not in self._course.done:
                self._course.append("done")
        self._course.at("done", "after")

    def _unfinished(self, of: SubjectKey) -> list[str]:
        """Other erasures of this subject that left an inventory."""
        subject = _uuid(of)
        rows = self._ops.execute(
            "SELECT r.request_id FROM gdpr_requests AS r JOIN gdpr_inventories AS i USING (request_id) "
            "WHERE r.creator_id = %s AND r.request_id <> %s ORDER BY r.id",
            (subject, self._case.request_id),
        )
        return [] if subject is None else [row["request_id"] for row in rows]


def _uuid(of: SubjectKey) -> UUID | None:
    return UUID(of.key) if of.key_type == "uuid" else None
