"""Pass after pass through an erasure's steps, until one finds nothing left to do.

Rows may come while others go. Passes first change batch by batch; where new rows keep the subject's own
from being deleted, later ones change all in one transaction that holds the subject's row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import psycopg
from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, ConfigurationError, OpsError, Unavailable
from ops_platform.gdpr.data_map import ByParent, DataMap
from ops_platform.gdpr.row_erasure import batch as row_batches
from ops_platform.gdpr.row_erasure import collateral_check as bystanders
from ops_platform.gdpr.row_erasure import residue_scan as residue
from ops_platform.gdpr.row_erasure import statements as row_changes
from ops_platform.gdpr.row_erasure.batch import Batches, Leaf
from ops_platform.gdpr.row_erasure.collateral_check import Spread
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.row_erasure.plan import Plan
from ops_platform.gdpr.row_erasure.pseudonyms import Substitutes
from ops_platform.gdpr.row_erasure.statements import Change, Writer
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import Identity, Times, sparing

APART = 2
"""Passes that change batch by batch, before those that do all in one transaction."""
CLOSING = 40
SPREADS = 5
"""Passes in which more changed than was meant: rows that came meanwhile can be the cause, for a while."""
ROUNDS = 50
"""How often a step is looked through in one pass: answers to answers so deep, but new rows are not chased."""
TRIES = 10
"""Of one transaction, when it meets others."""
MOMENTS = 100
"""How often a moment is sought in which nobody refers to the subject's row, before it is waited for."""
_MET = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)
_REFERRED = (psycopg.errors.ForeignKeyViolation, psycopg.errors.RestrictViolation)

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """``together``: in one transaction, because references among these rows are checked at its end."""

    changes: tuple[Change, ...]
    together: bool


def groups(plan: Plan) -> list[Group]:
    """The steps in their order; from the first to the last one that a deferred reference links, together."""
    joined: set[int] = set()
    for reference in plan.deferred:
        linked = [
            number
            for number, step in enumerate(plan.steps)
            if step.table in (reference.table, reference.target) and step.kind != "keep"
        ]
        if linked:
            joined |= set(range(linked[0], linked[-1] + 1))
    found: list[Group] = []
    for number, step in enumerate(plan.steps):
        changes = tuple(row_changes.changes(step))
        if number in joined and found and found[-1].together:
            found[-1] = Group(found[-1].changes + changes, True)
        else:
            found.append(Group(changes, number in joined))
    return found


@dataclass
class Passes:
    connection: Connection
    data_map: DataMap
    catalogue: Catalogue
    who: Identity
    journal: Journal
    times: Times
    size: int
    progress: Callable[[str, int], None]
    _blocked: OpsError | None = field(default=None, init=False)

    def run(self, plan: Plan) -> None:
        """Raises what ``row_erasure.erase`` raises."""
        steps = groups(plan)
        spreads = 0
        for number in range(APART + CLOSING):
            self._blocked = None
            changed = self._closing(steps) if number >= APART else self._apart(steps)
            if self._blocked is None and not changed:
                return
            spreads += isinstance(self._blocked, Spread)
            if spreads > SPREADS:
                break
        raise self._blocked or CheckFailed(
            "rows of the subject come faster than they can be erased: stop what writes them, then try again"
        )

    def counts(self, plan: Plan) -> Iterable[tuple[Change, int]]:
        """Rows that wait for each change."""
        writer = self.writer()
        for group in groups(plan):
            for change in group.changes:
                with row_batches.snapshot(self.connection):
                    yield (
                        change,
                        row_batches.waiting(self.connection, writer, change),
                    )

    def writer(self) -> Writer:
        substitutes = Substitutes(self.journal, self.data_map, self.catalogue)
        spared = sparing(self.connection, self.data_map, self.who, self.times)
        return Writer(self.data_map, self.catalogue, self.who, substitutes, spared)

    def _apart(self, steps: Sequence[Group]) -> int:
        writer, changed = self.writer(), 0
        for group in steps:
            if group.together:
                changed += self._together(writer, group.changes)
            else:
                changed += sum(self._step(writer, change) for change in group.changes)
        return changed

    def _closing(self, steps: Sequence[Group]) -> int:
        return self._together(self.writer(), [one for group in steps for one in group.changes], close=True)

    def _step(self, writer: Writer, change: Change) -> int:
        """Batch by batch, a transaction for each."""
        batches = Batches(self.connection, writer, self.journal)

        total = 0
        for _ in range(ROUNDS):
            found = self._met(change, lambda: self._look(writer, change))
            for leaf in found:
                for places in self._batches(leaf):
                    try:
                        rows, so_far = self._met(change, partial(batches.one, change, leaf, places))
                    except (Spread, *_REFERRED) as error:
                        self._blocked = _blocked(change, error)
                        return total
                    if rows:
                        total += rows
                        self.progress(str(change.table), so_far)
            if not self._again(change, found):
                break
        return total

    def _look(self, writer: Writer, change: Change) -> list[Leaf]:
        """Rows that wait, noted; none of those that are kept."""
        if change.kind == "keep":
            rows = row_batches.waiting(self.connection, writer, change)
            self.journal.found(change.key, rows)
            if rows and isinstance(change.step.belonging.way, ByParent):
                self.journal.kept(change.key, self._named(writer, change.table))
            return []
        found = row_batches.leaves(self.connection, writer, change)
        if found:
            self.journal.found(change.key, sum(len(leaf.places) for leaf in found))
        return found

    def _named(self, writer: Writer, table: Name) -> dict[str, int]:
        """In rows that are kept, and later cannot be told from others: those that name the subject."""
        found = residue.within(
            self.connection,
            self.catalogue.relations[table],
            self.who.values.values(),
            writer.kept_through_others(table),
        )
        return {one.column: one.rows for one in found}

    def _batches(self, leaf: Leaf) -> Iterable[Sequence[str]]:
        return (leaf.places[at : at + self.size] for at in range(0, len(leaf.places), self.size))

    def _again(self, change: Change, found: Sequence[Leaf]) -> bool:
        """Whether to look again in the same pass: there may be more, or what was referred to is free now."""
        rows = sum(len(leaf.places) for leaf in found)
        return rows >= row_batches.AT_ONCE or (bool(rows) and change.referenced is False)

    def _together(self, writer: Writer, changes: Sequence[Change], *, close: bool = False) -> int:
        """All in one transaction. ``close``: that keeps others from referring to the subject's row."""
        batches = Batches(self.connection, writer, self.journal)
        at, moments = changes[0], MOMENTS if close else 0

        def work() -> list[tuple[Change, int, int]]:
            nonlocal at, moments
            if close:
                moments -= 1
                self._hold(wait=moments < 0)
            self.connection.execute("SET CONSTRAINTS ALL DEFERRED")
            done = []
            for change in changes:
                at = change
                again = True
                while again:
                    found = self._look(writer, change)
                    for leaf in found:
                        for places in self._batches(leaf):
                            done.append((change, *batches.one(change, leaf, places, settled=False)))
                    again = self._again(change, found)
            before = bystanders.counters(self.connection)
            also = batches.verify(before, {}, *{one.table for one, _, _ in done})
            if also:
                self.journal.changed(done[-1][0].key, 0, 0, also)
            return done

        try:
            done = self._met_together(lambda: at, work, tries=TRIES + moments)
        except (Spread, *_REFERRED) as error:
            self._blocked = _blocked(at, error)
            return 0
        for change, rows, so_far in done:
            if rows:
                self.progress(str(change.table), so_far)
        return sum(rows for _, rows, _ in done)

    def _hold(self, *, wait: bool) -> None:
        """While the subject's row is locked, no row that refers to it can come.

        Whoever waits for it does not see, in the snapshot taken before, what others did until they let go.
        """
        subject = self.data_map.subject
        query = sql.SQL("SELECT FROM {} AS t WHERE t.{} = {} FOR UPDATE OF t {}").format(
            subject.table.identifier,
            sql.Identifier(subject.key),
            sql.Literal(self.who.values[subject.key]),
            sql.SQL("" if wait else "NOWAIT"),
        )
        self.connection.execute(query)

    def _met(self, change: Change, work: Callable[[], T]) -> T:
        return self._met_together(lambda: change, work)

    def _met_together(self, at: Callable[[], Change], work: Callable[[], T], *, tries: int = TRIES) -> T:
        """Once more where another transaction was in the way. ``at``: what is being done, for the error."""
        for _ in range(tries):
            try:
                with row_batches.snapshot(self.connection):
                    return work()
            except _MET:
                continue
            except _REFERRED:
                raise
            except psycopg.errors.InsufficientPrivilege:
                raise ConfigurationError(
                    f"role {self.connection.info.user} may not do '{at().action}' on {at().table}, or a "
                    "policy hides rows from it: connect as ops_eraser, or grant it that role's privileges"
                ) from None
            except psycopg.Error as error:
                if error.sqlstate is None:
                    raise
                # Never its text, which quotes rows.
                where = f" ({error.diag.constraint_name})" if error.diag.constraint_name else ""
                raise CheckFailed(
                    f"{at().table} ({at().role}): the database refuses '{at().action}': "
                    f"{type(error).__name__}{where}: let the map set what the table takes"
                ) from None
        raise Unavailable(
            f"{at().table} ({at().role}): others keep rows of it locked or change them all the time: "
            "try again later"
        )


def _blocked(change: Change, error: Exception) -> OpsError:
    if isinstance(error, OpsError):
        return error
    constraint = error.diag.constraint_name if isinstance(error, psycopg.Error) else None
    table = error.diag.table_name if isinstance(error, psycopg.Error) else None
    return CheckFailed(
        f"{change.table} ({change.role}): rows of {table or 'another table'} still refer to what should go "
        f"({constraint or 'a foreign key'}): let the map say what becomes of them, or stop what writes them"
    )
