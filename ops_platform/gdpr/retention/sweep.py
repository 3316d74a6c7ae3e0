"""The sweep of one table: rows whose term is over go, batch by batch, each proved before it is committed.

A batch and its note in the journal are one transaction: whoever is killed goes on from the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import psycopg
from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.clients.safe_errors import why
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.retention.due_rows import LATE, DueRows
from ops_platform.gdpr.retention.held_subjects import HeldSubjects, Holds
from ops_platform.gdpr.retention.outcome import Counts
from ops_platform.gdpr.retention.outside_places import OutsidePlaces, unshared
from ops_platform.gdpr.retention.pending_removals import ROLE, PendingRemovals
from ops_platform.gdpr.row_erasure import Journal, Spread, collateral_check, snapshot
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import Identity

BATCH = 5000
"""Rows that are changed in one transaction."""
AT_ONCE = 100_000
"""Rows that one query looks for at most."""
TRIES = 10
"""Attempts at one batch that conflicts with others."""
ROUNDS = 1000
"""Searches of one table in one pass: answers to answers go a level at a time."""
SUBJECTS = 100
"""Rows in one transaction of subjects whose objects or cached keys go with them."""
_CONFLICTS = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
    # Somebody has referred to the row since the snapshot was taken.
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.RestrictViolation,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Sweep:
    """The sweeps of one run. ``product`` is in autocommit mode; rows are due at ``now``."""

    product: Connection
    data_map: DataMap
    catalogue: Catalogue
    holds: Holds
    journal: Journal
    now: datetime
    progress: Callable[[str, int], None] = lambda place, changed: None
    size: int = BATCH
    outside: OutsidePlaces = field(default_factory=OutsidePlaces)
    shared: dict[Name, str] = field(default_factory=dict)
    """Why rows of a table stay whose objects or keys may be somebody else's: the last reason."""

    def take(self, table: Name) -> int:
        """Change every row of ``table`` that may go now; returns their number.

        Raises CheckFailed where others' rows would change, or a trigger refuses; ConfigurationError and
        Unavailable with what this role or the moment lacks.
        """
        total = 0
        self.journal.record_found(self._step(table), 0)
        of_subjects, size = self.of_subjects(table), self.size
        if of_subjects is not None:
            self.finish_outside()
            size = min(size, SUBJECTS)
        for _ in range(ROUNDS):
            places = self._guarded(table, lambda: self._places(table))
            if not places:
                return total
            if of_subjects is not None:
                self.outside.check(of_subjects)
            changed = 0
            self.shared.pop(table, None)
            for (leaf, oid), rows in places.items():
                for start in range(0, len(rows), size):
                    changed += self._batch(table, leaf, oid, rows[start : start + size])
                    if of_subjects is not None:
                        self.finish_outside()
                    self.progress(str(table), total + changed)
            total += changed
            if not changed and table in self.shared:
                rows_left = sum(map(len, places.values()))
                raise CheckFailed(f"{rows_left} rows whose term is over stay: {self.shared[table]}")
            if not changed:
                raise CheckFailed(
                    f"'{self._action(table)}' changed none of {sum(map(len, places.values()))} rows whose "
                    "term is over: look for a trigger or rule of the table that refuses it"
                )
        raise Unavailable("rows are added as fast as they go: the next run goes on")

    def finish_outside(self) -> None:
        """Remove the objects and keys of those whose rows went. Raises what the stores raise."""
        self.outside.finish(self.product, self.data_map, self.journal)

    def count(self, table: Name) -> Counts:
        """Count what is there now, in one query."""

        def work() -> Counts:
            due = self._due(self.holds.now())
            ready, kept = due.due(table, "t"), due.kept(table, "t")
            query = sql.SQL(
                """
                SELECT count(*) FILTER (WHERE due) AS due, count(*) FILTER (WHERE due AND held) AS held,
                       count(*) FILTER (WHERE due AND NOT held AND referenced) AS referenced,
                       count(*) FILTER (WHERE late AND NOT held) AS overdue,
                       count(*) FILTER (WHERE undated) AS undated
                FROM (SELECT {due} IS TRUE AS due, {late} IS TRUE AS late, {undated} AS undated,
                             CASE WHEN {due} THEN {kept} IS TRUE ELSE false END AS held,
                             CASE WHEN {due} THEN {referenced} IS TRUE ELSE false END AS referenced
                      FROM {table} AS t WHERE {due} OR {undated}) AS r
                """
            ).format(
                due=ready,
                late=due.due(table, "t", self.now - LATE),
                undated=due.undated(table, "t"),
                kept=kept,
                referenced=due.referenced(table, "t"),
                table=table.identifier,
            )
            row = one_row(self.product, query)
            return Counts(row["due"], row["held"], row["referenced"], row["overdue"], row["undated"])

        return self._guarded(table, work)

    def foresee(self, table: Name) -> int:
        """Count the rows that a run would change; at most, where rows refer to each other in a circle."""

        def work() -> int:
            query = sql.SQL("SELECT count(*) AS rows FROM {} AS t WHERE {}").format(
                table.identifier, self._due(self.holds.now()).goes(table, "t")
            )
            return int(one_row(self.product, query)["rows"])

        return self._guarded(table, work)

    def _due(self, held: HeldSubjects) -> DueRows:
        return DueRows(self.data_map, self.catalogue, self.now, held.identities)

    def _places(self, table: Name) -> dict[tuple[Name, int], Sequence[str]]:
        """Find rows that may go now, by the relation that holds them: name and oid, to ctids in order."""
        query = sql.SQL(
            """
            SELECT found.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, found.places
            FROM (SELECT oid, string_agg(place::text, ';' ORDER BY place) AS places
                  FROM (SELECT t.tableoid AS oid, t.ctid AS place FROM {table} AS t WHERE {takes}
                        LIMIT {limit}) AS each GROUP BY 1) AS found
            JOIN pg_class AS c ON c.oid = found.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
            ORDER BY 2, 3
            """
        ).format(
            table=table.identifier,
            takes=self._due(self.holds.now()).takes(table, "t"),
            limit=sql.Literal(AT_ONCE),
        )
        return {
            (Name(row["schema"], row["name"]), row["oid"]): row["places"].split(";")
            for row in self.product.execute(query)
        }

    def _batch(self, table: Name, leaf: Name, oid: int, places: Sequence[str]) -> int:
        """Change the rows at ``places`` that may still go, with holds fenced off until it is committed."""

        def work() -> int:
            return self._change(table, leaf, oid, places, self._due(held))

        with self.holds.fenced() as held:
            reason = held.unknown_in(table)
            if reason is not None:
                raise CheckFailed(reason)
            return self._guarded(table, work)

    def _change(self, table: Name, leaf: Name, oid: int, places: Sequence[str], due: DueRows) -> int:
        of_subjects = self.of_subjects(table)
        going = dict[str, Identity]()
        if of_subjects is not None:
            takes = self._takes(table, oid, places, due)
            going, refused = unshared(self.product, of_subjects, leaf, takes)
            if refused is not None:
                self.shared[table] = refused
            if not going:
                return 0
            places = list(going)
        before = collateral_check.counters(self.product, "SET LOCAL random_page_cost = 0.1")
        own_rows = due.due(table, "t")
        neighbours, digest = collateral_check.neighbours(self.product, leaf, places, own_rows)
        takes = self._takes(table, oid, places, due)
        values = due.values(table)
        if values:
            rows = self._update(table, leaf, values, takes, due.waiting(table, "t"))
            meant = {oid: (0, rows, 0)}
        else:
            rows = self.product.execute(
                sql.SQL("DELETE FROM ONLY {} AS t WHERE {}").format(leaf.identifier, takes)
            ).rowcount
            meant = {oid: (0, 0, rows)}
        after, locked = collateral_check.counters_and_locks(self.product, "SET CONSTRAINTS ALL IMMEDIATE")
        by_triggers = collateral_check.compare(
            collateral_check.difference(before, after), meant, after, tolerated=self._cascades(table)
        )
        if locked:
            raise Spread(f"{locked[0]} was locked against everybody, as TRUNCATE does: look for triggers")
        if neighbours and collateral_check.digest(self.product, leaf, neighbours) != digest:
            raise Spread("rows whose term is not over changed: look for triggers and rules of this table")
        self.journal.record_changed(self._step(table), rows, len(neighbours), by_triggers)
        if of_subjects is not None:
            if rows != len(going):
                raise CheckFailed(
                    f"'{self._action(table)}' changed {rows} of {len(going)} rows that name objects or "
                    "cached keys: look for a trigger or rule of the table that refuses it"
                )
            # What it names goes only after the commit: who is killed before that leaves all as it was.
            PendingRemovals(self.product, self.outside.keys).keep(of_subjects, going.values())
        return rows

    def _takes(self, table: Name, oid: int, places: Sequence[str], due: DueRows) -> sql.Composed:
        return sql.SQL("t.ctid = ANY ({}) AND CASE WHEN t.tableoid = {} THEN {} ELSE false END").format(
            collateral_check.tids(places), sql.Literal(oid), due.takes(table, "t")
        )

    def of_subjects(self, table: Name) -> DataMap | None:
        """Find the kind of subject whose objects or cached keys are named by what goes here.

        Raises ConfigurationError where a bucket or the cache is missing.
        """
        term = self.data_map.tables[table].term
        return None if term is None else self.outside.of(self.data_map, table, term)

    def _update(
        self,
        table: Name,
        leaf: Name,
        values: dict[str, sql.Composable],
        takes: sql.Composable,
        waiting: sql.Composable,
    ) -> int:
        """Set the values; the other columns must have the same SHA-256 before and after.

        What a trigger makes of the values would be changed again by each round, and by each run.
        """
        described = self.data_map.tables[table]
        relation = self.catalogue.relations.get(leaf, self.catalogue.relations[table])
        columns = relation.columns.values()
        free = described.plain if described.triggers else frozenset[str]()
        untouched = {column.name for column in columns if not column.generated} - set(values) - free
        digest = collateral_check.row_digest(untouched)
        row = one_row(
            self.product,
            sql.SQL(
                "WITH changed AS (UPDATE ONLY {leaf} AS t SET {assignments} "
                "FROM (SELECT t.ctid AS place, {digest} AS digest FROM ONLY {leaf} AS t WHERE {takes}) AS p "
                "WHERE t.ctid = p.place RETURNING p.digest = {digest} AS same, {waiting} AS still) "
                "SELECT count(*) AS rows, count(*) FILTER (WHERE NOT same) AS other, "
                "count(*) FILTER (WHERE still) AS still FROM changed"
            ).format(
                leaf=leaf.identifier,
                assignments=sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in values.items()
                ),
                digest=digest,
                takes=takes,
                waiting=waiting,
            ),
        )
        if row["other"]:
            raise Spread(
                f"more columns of {row['other']} rows changed than {', '.join(sorted(values))}: "
                "name the trigger in triggers"
            )
        if row["still"]:
            triggers = sorted(trigger.name for trigger in relation.triggers if trigger.acts_on(values))
            raise CheckFailed(
                f"{row['still']} rows do not keep the values that 'anonymise' sets in "
                f"{', '.join(sorted(values))}: look at the table's triggers ({', '.join(triggers)}), and "
                "write in the map what they make of the values"
            )
        return int(row["rows"])

    def _cascades(self, table: Name) -> set[Name] | None:
        """List the tables that deletions cascade into; None where no trigger is declared: see ``compare``."""
        if not self.data_map.tables[table].triggers:
            return None
        return {
            reference.table
            for reference in self.catalogue.referring(table)
            if reference.on_delete not in ("no action", "restrict")
        }

    def _guarded(self, table: Name, work: Callable[[], T]) -> T:
        """Run ``work`` in a transaction that sees all rows, again on conflicts; word what the server says."""
        for _ in range(TRIES):
            try:
                with snapshot(self.product):
                    self.product.execute(
                        "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; "
                        "SET LOCAL jit = off"
                    )
                    return work()
            except _CONFLICTS:
                continue
            except psycopg.errors.InsufficientPrivilege as error:
                raise ConfigurationError(
                    f"role {self.product.info.user} may not do '{self._action(table)}' here: {why(error)}: "
                    "connect as ops_eraser, or grant it that role's privileges"
                ) from None
            except psycopg.Error as error:
                if error.sqlstate is None:
                    raise
                constraint = f" ({error.diag.constraint_name})" if error.diag.constraint_name else ""
                raise CheckFailed(
                    f"the database refuses '{self._action(table)}': {type(error).__name__}{constraint}"
                ) from None
        raise Unavailable("others keep rows locked or refer to them all the time: the next run goes on")

    def _action(self, table: Name) -> str:
        term = self.data_map.tables[table].term
        return "delete" if term is None else term.action

    def _step(self, table: Name) -> tuple[str, str, str]:
        return str(table), ROLE, self._action(table)
