"""Erasures from the command line: with tombstone and certificate or, in a foreign database, without."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ops_platform.audit import ledger
from ops_platform.clients import postgres
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import row_erasure, schema
from ops_platform.gdpr.erasure import (
    data_stores,
    inventory,
    joint_erasure,
    pipeline,
    product_inventory,
    unrecorded_id,
)
from ops_platform.gdpr.erasure.checkpoints import Case, Log, NoCheckpoints
from ops_platform.gdpr.erasure.context import DataStores, ErasureContext
from ops_platform.gdpr.erasure.inventory import Inventory
from ops_platform.gdpr.erasure.joint_erasure import Ended, Member
from ops_platform.gdpr.erasure.steps import (
    EraseCache,
    EraseObjects,
    EraseRows,
    ErasureState,
    RecordedErasure,
    Result,
    Step,
    Verify,
    refuse_uncovered,
)
from ops_platform.gdpr.lineage import lineage_store
from ops_platform.gdpr.requests import work_queue
from ops_platform.gdpr.row_erasure import RowErasure
from ops_platform.gdpr.subject import Identity, SubjectKey, subject_key
from ops_platform.gdpr.tombstones import SealingKeys

ACTOR = "cli"


@dataclass(repr=False)
class UnrecordedErasure(ErasureState):
    """An erasure that no ops database knows of. ``key``: the subject's key as text.

    ``keys``: None where no encryption key is configured.
    """

    key: str
    keys: SealingKeys | None = None
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    tell: Callable[[dict[str, Any]], None] = lambda facts: None

    @functools.cached_property
    def erasure_id(self) -> str:
        """The id of the erasure and its pseudonym, the same at every attempt; destroyed at the end.

        It tells who is meant to whoever has the salt and can guess the key: it is printed nowhere.
        """
        return unrecorded_id.derive(self.product, self.subject.kind, self.subject.key)

    def row_erasure(self) -> RowErasure:
        """Describe the erasure of the rows; its cutoff is the beginning of the first attempt."""
        return RowErasure(
            self.erasure_id,
            self.inventory.identity,
            self.inventory.until or self.began,
            later_identities=self.inventory.later_identities,
        )

    def identify(self) -> tuple[Identity, bool]:
        """Find the identifiers of the key now, and whether the subject has a row. Raises CheckFailed."""
        return data_stores.identify(self.product, self.data_map, self.catalogue, self.subject, None)

    def known(self) -> Inventory | None:
        """Read what an earlier attempt wrote down; None when there was none."""
        return product_inventory.find_anywhere(self.databases, self.keys, self.erasure_id)

    def present(self) -> tuple[Inventory, bool]:
        """Take the inventory of the subject as the database is, and whether they have a row."""
        identity, has_row = self.identify()
        return replace(inventory.take(self.data_map, identity), until=self.began), has_row

    def refresh_inventory(self) -> None:
        """Add the subject's present identifiers, and what this attempt knows, to the stored inventory."""
        present, has_row = self.present()
        # Since this attempt found the subject, the product itself may have deleted the row.
        known = inventory.merge(self.inventory, present, sure=has_row)
        self.inventory = product_inventory.keep_everywhere(self.databases, self.keys, self.erasure_id, known)


class _NoSubject(Exception):
    """There is no such subject, and no erasure of one was begun."""


class FindSubject(Step[UnrecordedErasure]):
    """Check what will be needed, find the key's subject, and search for what no rule would erase."""

    name = "preflight"

    def perform(self, state: UnrecordedErasure) -> Result:
        """Set ``catalogue``, ``subject`` and ``inventory``; nothing is written.

        Raises _NoSubject when there is none, CheckFailed when something would be left.
        """
        if not self._find(state):
            raise _NoSubject
        refuse_uncovered(state, state.row_erasure())
        return Result()

    def searches_for(self, state: UnrecordedErasure) -> RowErasure | None:
        """Describe the erasure of the key's subject; None when there is none."""
        return state.row_erasure() if self._find(state) else None

    def _find(self, state: UnrecordedErasure) -> bool:
        state.check()
        state.subject = subject_key.parse(state.product, state.data_map, state.catalogue, "", state.key)
        known, (present, has_row) = state.known(), state.present()
        if known is None:
            product_inventory.refuse_lost(state.databases, state.erasure_id, has_row=has_row)
            if not has_row:
                return False
        state.inventory = inventory.merge(known, present, sure=has_row)
        return True


class KeepInventory(Step[UnrecordedErasure]):
    """Write down who is erased, before anything is: the rows that say it are among what goes."""

    name = "inventory"

    def perform(self, state: UnrecordedErasure) -> Result:
        """Set ``inventory``, with what an earlier attempt wrote down."""
        state.refresh_inventory()
        return Result()


class ForgetProgress(Step[UnrecordedErasure]):
    """Destroy the erasure's journal, and with it the pseudonym and the inventory."""

    name = "done"

    def perform(self, state: UnrecordedErasure) -> Result:
        """Forget the journal of this erasure, after ``tell`` was told what it says of others."""
        state.tell(state.about_others())
        erasure_id = state.erasure_id
        # At home last: a retry learns there whom it is about.
        for database in reversed(state.databases):
            row_erasure.forget(database.connection, erasure_id)
        return Result()


def erase_each(
    ops_url: str, context: ErasureContext, keys: Sequence[str], log: Callable[[int], Log]
) -> Iterator[Ended]:
    """Erase with tombstone and certificate, or go on with erasures that were begun.

    The result is an Outcome, the error a CheckFailed when a request's run has begun it, NotYet while letters
    wait, or what a step of ``pipeline`` raises. ``log``: makes the log of a key by its number, from 1.
    """
    data = context.data

    def opening(place: int, key: str, opened: ExitStack) -> Member[RecordedErasure] | None:
        ops = opened.enter_context(
            postgres.session(ops_url, application="ops-platform erasure", autocommit=True)
        )
        with contextlib.closing(data.product()) as product:
            catalogue = schema.read(product)
            subject = subject_key.parse(product, data.data_map, catalogue, context.term.stanza, key)
            if subject.key in at_work:
                raise joint_erasure.Later
            begun_request = _begun_request(ops, subject)
            _, has_row = data_stores.identify(product, data.data_map, catalogue, subject, None)
        if begun_request is None and not has_row:
            return None
        request_id = begun_request or str(uuid4())
        if not postgres.try_lock(ops, work_queue.lock_name(request_id)):
            raise CheckFailed(f"another process works on this erasure, {request_id}: wait for its end")
        state = opened.enter_context(
            pipeline.opened(context, ops, Case(request_id, subject.key), log=log(place + 1))
        )
        opened.callback(at_work.discard, subject.key)
        at_work.add(subject.key)
        return Member(state, pipeline.STEPS, opened, lambda: _recorded(ops_url, state), pipeline.outcome_of)

    at_work: set[str] = set()
    return joint_erasure.each(keys, opening)


def _recorded(ops_url: str, state: RecordedErasure) -> AbstractContextManager[Any]:
    request_id = state.case.request_id
    return ledger.operation(
        ledger.default_connect(ops_url),
        action="gdpr.erasure",
        object=f"request/{request_id}",
        actor=ACTOR,
        operation_id=request_id,
    )


def _begun_request(ops: Connection, subject: SubjectKey) -> str | None:
    """Find the subject's unfinished erasure from the command line, by its request id.

    Raises CheckFailed when a request of the API has begun it.
    """
    row = ops.execute(
        "SELECT t.gdpr_request_id, r.request_id IS NOT NULL AS has_request FROM erasure_tombstones AS t "
        "LEFT JOIN gdpr_requests AS r ON r.request_id = t.gdpr_request_id WHERE t.stanza = %s "
        "AND t.subject_type = %s AND t.subject_key = %s",
        (subject.stanza, subject.kind, subject.key),
    ).fetchone()
    if row is None:
        return None
    request_id = str(row["gdpr_request_id"])
    if "done" in lineage_store.completed_steps(ops, request_id):
        return None  # a subject who exists now has come back
    if row["has_request"]:
        raise CheckFailed(
            f"the request {request_id} has begun this erasure: launch the job gdpr_erasure for it instead"
        )
    return request_id


ERASING: tuple[Step[ErasureState], ...] = (EraseObjects(), EraseRows(), EraseCache())
STEPS_WITHOUT_TOMBSTONE: tuple[Step[UnrecordedErasure], ...] = (
    FindSubject(),
    KeepInventory(),
    EraseObjects(),
    EraseCache(),
    EraseRows(),
    # A product that still runs may have filled its cache anew until the rows were gone.
    EraseCache(),
    Verify(ERASING, "close the account, try again"),
    ForgetProgress(),
)


def erase_each_without_tombstone(
    stores: DataStores,
    subjects: Sequence[str],
    log: Callable[[int], Log],
    keys: SealingKeys | None = None,
    tell: Callable[[int], Callable[[dict[str, Any]], None]] = lambda number: lambda facts: None,
) -> Iterator[Ended]:
    """Erase in a database that the platform does not manage; the results are lists of effects.

    ``log`` and ``tell`` make those of a key by its number, from 1; ``tell`` is told at the end how others
    were told apart, and what became of rows that were theirs, too.
    Who is meant is kept in the database until the verification has passed, sealed with ``keys``. Afterwards
    nothing records the erasure: a backup brings the subject back. The errors are what the steps raise.
    """
    at_work: set[str] = set()

    def opening(place: int, key: str, opened: ExitStack) -> Member[UnrecordedErasure]:
        spelled = key.strip().lower()  # the product may take both for one key
        if spelled in at_work:
            raise joint_erasure.Later
        product, others = opened.enter_context(stores.connected())
        number = place + 1
        state = UnrecordedErasure(stores, product, NoCheckpoints(), log(number), key, keys, tell=tell(number))
        state.connections = others
        opened.callback(at_work.discard, spelled)
        at_work.add(spelled)
        return Member(state, STEPS_WITHOUT_TOMBSTONE, opened, report=lambda state: state.checkpoints.totals())

    for ended in joint_erasure.each(subjects, opening):
        yield Ended() if isinstance(ended.error, _NoSubject) else ended
