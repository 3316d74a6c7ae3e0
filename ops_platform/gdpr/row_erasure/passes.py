"""Passes through an erasure's steps, repeated until one finds nothing left to do.

New rows may arrive during an erasure. The first passes change batch by batch; where new rows keep the
subject's own row from being deleted, later passes change everything in one transaction that locks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import psycopg
from psycopg import sql

from ops_platform.clients import safe_errors
from ops_platform.clients.postgres import Connection
from ops_platform.clients.safe_errors import why
from ops_platform.errors import CheckFailed, ConfigurationError, OpsError, Unavailable
from ops_platform.gdpr.data_map import ByParent, DataMap
from ops_platform.gdpr.row_erasure import batch, collateral_check, residue_scan, statements
from ops_platform.gdpr.row_erasure.batch import Batches, Leaf
from ops_platform.gdpr.row_erasure.collateral_check import Spread
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.row_erasure.others import Reach, Register, register
from ops_platform.gdpr.row_erasure.plan import Plan
from ops_platform.gdpr.row_erasure.pseudonyms import Substitutes
from ops_platform.gdpr.row_erasure.statements import Change, Writer
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import Identity, SparedRows, Times, is_subject, spared_rows

BATCHED_PASSES = 2
"""Passes that change batch by batch, a transaction each."""
LOCKING_PASSES = 40
"""Passes after those, each one transaction that locks the subject's row."""
SPREADS = 5
"""Passes in which more may change than was meant: rows that arrive meanwhile can cause that for a while."""
ROUNDS = 50
"""Searches of one step in one pass: enough for answers to answers, without chasing new rows."""
TRIES = 10
"""Attempts at one transaction that conflicts with others."""
NOWAIT_TRIES = 100
"""Attempts to lock the subject's row while nobody refers to it, before waiting for the lock."""
_CONFLICTS = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)
_PRIVILEGES = (
    "connect as ops_eraser with the privileges of sql/roles, BYPASSRLS among them, or grant them to it"
)
_STILL_REFERENCED = (psycopg.errors.ForeignKeyViolation, psycopg.errors.RestrictViolation)

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """Changes in order. ``together``: in one transaction, at whose end references among them are checked."""

    changes: tuple[Change, ...]
    together: bool


def groups(plan: Plan) -> list[Group]:
    """Group the steps in order: together from the first to the last that a deferred reference links."""
    joined: set[int] = set()
    for reference in plan.deferred:
        linked = [
            number
            for number, step in enumerate(plan.steps)
            if step.table in (reference.table, reference.target) and step.kind != "keep"
        ]
        if linked:
            joined |= set(range(linked[0], linked[-1] + 1))
    grouped: list[Group] = []
    for number, step in enumerate(plan.steps):
        changes = tuple(statements.changes(step))
        if number in joined and grouped and grouped[-1].together:
            grouped[-1] = Group(grouped[-1].changes + changes, True)
        else:
            grouped.append(Group(changes, number in joined))
    return grouped


@dataclass
class Passes:
    """The passes of one erasure for one of its identities.

    ``size``: rows of a batch. ``progress`` is told the table, and the rows of the step changed so far.
    """

    connection: Connection
    data_map: DataMap
    catalogue: Catalogue
    identity: Identity
    journal: Journal
    times: Times
    size: int
    progress: Callable[[str, int], None]
    _blocked: OpsError | None = field(default=None, init=False)

    def run(self, plan: Plan) -> None:
        """Repeat passes until one finds nothing to do. Raises what ``row_erasure.erase`` raises."""
        steps = groups(plan)
        spreads = 0
        for number in range(BATCHED_PASSES + LOCKING_PASSES):
            self._blocked = None
            self._record_shared()
            if number >= BATCHED_PASSES:
                changed = self._locking_pass(steps)
            else:
                changed = self._batched_pass(steps, again=number > 0)
            if self._blocked is None and not changed:
                return
            spreads += isinstance(self._blocked, Spread)
            if spreads > SPREADS:
                break
        raise self._blocked or CheckFailed(
            "rows of the subject come faster than they can be erased: stop what writes them, then try again"
        )

    def counts(self, plan: Plan) -> Iterable[tuple[Change, int]]:
        """Count the rows that wait for each change."""
        writer = self.writer()
        for group in groups(plan):
            for change in group.changes:
                with batch.snapshot(self.connection):
                    yield (
                        change,
                        batch.waiting(self.connection, writer, change),
                    )

    def writer(self) -> Writer:
        """Build the writer of a pass, with the rows that are to be spared now."""
        substitutes = Substitutes(self.journal, self.data_map, self.catalogue, self.identity)
        spared = spared_rows(self.connection, self.data_map, self.catalogue, self.identity, self.times)
        recorded = Register(self.journal).recorded(self._reach(spared))
        return Writer(self.data_map, self.catalogue, self.identity, substitutes, spared, recorded)

    def _reach(self, spared: SparedRows | None) -> Reach:
        return Reach(self.data_map, self.catalogue, self.identity, spared)

    def _record_shared(self) -> None:
        """Write down what others reach, too, as long as it shows.

        Raises CheckFailed where the map does not say what becomes of it.
        """
        if not any(register.possible(self._reach(None))):
            return
        try:
            with batch.snapshot(self.connection):
                spared = spared_rows(
                    self.connection, self.data_map, self.catalogue, self.identity, self.times
                )
                Register(self.journal).record(self._reach(spared), replay=self.times.replay)
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                f"role {self.connection.info.user} may not look for rows that are somebody else's, too: "
                f"{why(error)}: {_PRIVILEGES}"
            ) from None
        except (psycopg.errors.QueryCanceled, *_CONFLICTS) as error:
            raise Unavailable(
                f"the look for rows that are somebody else's, too, was ended: {why(error)}: try again later"
            ) from None

    def _batched_pass(self, steps: Sequence[Group], *, again: bool) -> int:
        writer, changed = self.writer(), 0
        if again and not self._any_waits(writer, steps):
            steps = [
                Group((change,), False)
                for group in steps
                for change in group.changes
                if change.kind == "keep"
            ]
        for group in steps:
            if group.together:
                changed += self._together(writer, group.changes)
            else:
                changed += sum(self._step(writer, change) for change in group.changes)
        return changed

    def _any_waits(self, writer: Writer, steps: Sequence[Group]) -> bool:
        """Tell whether rows wait for any change; mostly there are none in a second pass."""
        changes = [change for group in steps for change in group.changes if change.kind != "keep"]
        try:
            with batch.snapshot(self.connection):
                return batch.any_waiting(self.connection, writer, changes)
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise
            return True  # the pass tries again, and names the table

    def _locking_pass(self, steps: Sequence[Group]) -> int:
        changes = [change for group in steps for change in group.changes]
        return self._together(self.writer(), changes, lock_subject=True)

    def _step(self, writer: Writer, change: Change) -> int:
        """Change batch by batch, each in a transaction; returns the number of rows."""
        batches = Batches(self.connection, writer, self.journal)

        total = 0
        for _ in range(ROUNDS):
            leaves = self._retried(change, lambda: self._search(writer, change), durable=False)
            for leaf in leaves:
                for places in self._batches(leaf):
                    try:
                        rows, so_far = self._retried(
                            change, partial(batches.change_rows, change, leaf, places)
                        )
                    except (Spread, *_STILL_REFERENCED) as error:
                        self._blocked = _blocked(change, error)
                        return total
                    if rows:
                        total += rows
                        self.progress(str(change.table), so_far)
            if not self._search_again(change, leaves):
                break
        return total

    def _search(self, writer: Writer, change: Change) -> list[Leaf]:
        """Find the rows that wait and note their number; rows to be kept are only noted."""
        if change.kind == "keep":
            rows = batch.waiting(self.connection, writer, change)
            self.journal.record_found(change.key, rows)
            if rows and change.step.kind == "keep" and isinstance(change.step.belonging.way, ByParent):
                self.journal.record_kept(change.key, self._count_hits(writer, change.table))
            return []
        leaves = batch.leaves(self.connection, writer, change)
        if leaves:
            self.journal.record_found(change.key, sum(len(leaf.places) for leaf in leaves))
        return leaves

    def _count_hits(self, writer: Writer, table: Name) -> dict[str, int]:
        """Count by column the kept rows that name the subject: later nothing tells them from others."""
        hits = residue_scan.within(
            self.connection,
            self.catalogue.relations[table],
            self.identity.names(self.data_map.subject),
            writer.kept_through_others(table),
        )
        return {hit.column: hit.rows for hit in hits}

    def _batches(self, leaf: Leaf) -> Iterable[Sequence[str]]:
        starts = range(0, len(leaf.places), self.size)
        return (leaf.places[start : start + self.size] for start in starts)

    def _search_again(self, change: Change, leaves: Sequence[Leaf]) -> bool:
        """Tell whether more rows may wait in this pass: the limit was reached, or references are gone now."""
        rows = sum(len(leaf.places) for leaf in leaves)
        return rows >= batch.AT_ONCE or (bool(rows) and change.referenced is False)

    def _together(self, writer: Writer, changes: Sequence[Change], *, lock_subject: bool = False) -> int:
        """Make all changes in one transaction; returns the number of rows.

        ``lock_subject``: keep others from referring to the subject's row.
        """
        batches = Batches(self.connection, writer, self.journal)
        current, nowait_tries = changes[0], NOWAIT_TRIES if lock_subject else 0

        def work() -> list[tuple[Change, int, int]]:
            nonlocal current, nowait_tries
            if lock_subject:
                nowait_tries -= 1
                self._lock_subject(wait=nowait_tries < 0)
            self.connection.execute("SET CONSTRAINTS ALL DEFERRED")
            done = []
            for change in changes:
                current = change
                again = True
                while again:
                    leaves = self._search(writer, change)
                    for leaf in leaves:
                        for places in self._batches(leaf):
                            done.append((change, *batches.change_rows(change, leaf, places, settled=False)))
                    again = self._search_again(change, leaves)
            before = collateral_check.counters(self.connection)
            by_triggers = batches.verify(before, *{change.table for change, _, _ in done})
            if by_triggers:
                self.journal.record_changed(done[-1][0].key, 0, 0, by_triggers)
            return done

        try:
            done = self._retried_transaction(lambda: current, work, tries=TRIES + nowait_tries)
        except (Spread, *_STILL_REFERENCED) as error:
            self._blocked = _blocked(current, error)
            return 0
        for change, rows, so_far in done:
            if rows:
                self.progress(str(change.table), so_far)
        return sum(rows for _, rows, _ in done)

    def _lock_subject(self, *, wait: bool) -> None:
        """Lock the subject's row: while it is locked, no row that refers to it can be inserted.

        After waiting for the lock, the transaction's older snapshot does not show what others did meanwhile.
        """
        subject = self.data_map.subject
        if subject.table not in self.catalogue.relations:
            return
        query = sql.SQL("SELECT FROM {} AS t WHERE {} FOR UPDATE OF t {}").format(
            subject.table.identifier,
            is_subject(subject, self.identity, "t"),
            sql.SQL("" if wait else "NOWAIT"),
        )
        self.connection.execute(query)

    def _retried(self, change: Change, work: Callable[[], T], *, durable: bool = True) -> T:
        return self._retried_transaction(lambda: change, work, durable=durable)

    def _retried_transaction(
        self,
        current: Callable[[], Change],
        work: Callable[[], T],
        *,
        tries: int = TRIES,
        durable: bool = True,
    ) -> T:
        """Run ``work`` in a transaction, again on conflicts. ``current``: the change to name in an error."""
        conflict = ""
        for _ in range(tries):
            try:
                with batch.snapshot(self.connection, durable=durable):
                    return work()
            except _CONFLICTS as error:
                conflict = why(error)
                continue
            except _STILL_REFERENCED:
                raise
            except psycopg.errors.InsufficientPrivilege as error:
                change = current()
                raise ConfigurationError(
                    f"role {self.connection.info.user} may not do '{change.action}' on {change.table}: "
                    f"{why(error)}: {_PRIVILEGES}"
                ) from None
            except psycopg.Error as error:
                if error.sqlstate is None:
                    raise
                change = current()
                raise CheckFailed(
                    f"{change.table} ({change.role}): the database refuses '{change.action}': "
                    f"{_refusal(error)}"
                ) from None
        change = current()
        raise Unavailable(
            f"{change.table} ({change.role}): others keep rows of it locked or change them all the time "
            f"({conflict}): try again later"
        )


def _refusal(error: psycopg.Error) -> str:
    """Say why the server refused a statement, and what to do about that; never with a row's values."""
    # why() leaves out what quotes rows, and the constraint's name says which value it is about.
    reason, state = why(error), error.sqlstate or ""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return f"{reason}: {safe_errors.LET_RUN}, which continues"
    if state[:2] in ("22", "23"):
        where = f" ({error.diag.constraint_name})" if error.diag.constraint_name else ""
        return f"{type(error).__name__}{where}: set values in the data map that the table accepts"
    if state[:2] == "P0":
        return f"{reason}: a trigger of the table does: let it pass what the platform's role writes"
    return f"{reason}: remove the cause, then run it again, which continues"


def _blocked(change: Change, error: Exception) -> OpsError:
    if isinstance(error, OpsError):
        return error
    constraint = error.diag.constraint_name if isinstance(error, psycopg.Error) else None
    table = error.diag.table_name if isinstance(error, psycopg.Error) else None
    return CheckFailed(
        f"{change.table} ({change.role}): rows of {table or 'another table'} still refer to what should go "
        f"({constraint or 'a foreign key'}): let the map say what becomes of them, or stop what writes them"
    )
