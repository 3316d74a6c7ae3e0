"""One batch: rows of one relation are changed, proved to be all that changed, and noted in the journal.

All in one transaction of the caller's, REPEATABLE READ: what is read before and after the change can differ
only by our own changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import IsolationLevel, sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.row_erasure import collateral_check
from ops_platform.gdpr.row_erasure.collateral_check import Counters, Counts, Spread
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.row_erasure.others import bystanders
from ops_platform.gdpr.row_erasure.others.bystanders import Neighbour
from ops_platform.gdpr.row_erasure.statements import Change, Writer
from ops_platform.gdpr.schema import Name

LOCK_TIMEOUT = "10s"
AT_ONCE = 100_000
"""Rows that one query looks for at most."""


@dataclass(frozen=True)
class Leaf:
    """A relation that itself holds rows: a table, a partition or an inherited child.

    ``partition_key``: the columns of the partition keys above it, "" for an expression. ``places``: the
    ctids of the rows that wait there, in order.
    """

    name: Name
    oid: int
    partition_key: frozenset[str]
    places: Sequence[str]

    def moves(self, columns: frozenset[str]) -> bool:
        """Tell whether a change of these columns may move a row to another partition."""
        return bool(columns) and ("" in self.partition_key or bool(columns & self.partition_key))


@contextmanager
def snapshot(connection: Connection, *, durable: bool = True) -> Iterator[None]:
    """Open a REPEATABLE READ transaction that fails where a row-level policy would hide rows from it.

    Not ``durable``: its end need not wait for the disk, to which it comes before what is written later.
    """
    previous_level = connection.isolation_level
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            # With row_security off, a policy that would hide rows raises an error instead. Compiling these
            # long statements takes longer than executing them.
            connection.execute(
                "SET LOCAL row_security = off; SET LOCAL jit = off; "
                f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"
                + ("" if durable else "; SET LOCAL synchronous_commit = off")
            )
            yield
    finally:
        connection.isolation_level = previous_level


def waiting(
    connection: Connection, writer: Writer, change: Change, test: sql.Composable | None = None
) -> int:
    """Count the rows that wait for ``change``. ``test``: those for which it is true instead."""
    query = sql.SQL("SELECT count(*) AS rows FROM {} AS t WHERE {}").format(
        change.table.identifier, writer.pending(change) if test is None else test
    )
    row = one_row(connection, query)
    return int(row["rows"])


def any_waiting(connection: Connection, writer: Writer, changes: Sequence[Change]) -> bool:
    """Tell whether rows wait for any of ``changes``, in one round trip."""
    counts = [
        sql.SQL("(SELECT count(*) FROM {} AS t WHERE {})").format(
            change.table.identifier, writer.pending(change)
        )
        for change in changes
    ]
    total = sql.SQL(" + ").join(counts) if counts else sql.SQL("0")
    row = one_row(connection, sql.SQL("SELECT {} AS rows").format(total))
    return bool(row["rows"])


def leaves(connection: Connection, writer: Writer, change: Change) -> list[Leaf]:
    """Find the rows that wait for ``change``, at most AT_ONCE, by the relation that holds them.

    A partitioned or inherited table has several. Rows are looked for once, not for each batch: each scan
    would pass again over everything deleted before.
    """
    query = sql.SQL(
        """
        SELECT found.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, found.places,
               ARRAY(SELECT coalesce(a.attname::text, '') FROM pg_partition_ancestors(c.oid) AS p
                     JOIN pg_partitioned_table AS k ON k.partrelid = p.relid
                     CROSS JOIN unnest(k.partattrs::smallint[]) AS u (attnum)
                     LEFT JOIN pg_attribute AS a
                         ON a.attrelid = p.relid AND a.attnum = u.attnum AND u.attnum > 0
               ) AS partition_key
        FROM (SELECT oid, string_agg(place::text, ';' ORDER BY place) AS places
              FROM (SELECT t.tableoid AS oid, t.ctid AS place FROM {table} AS t WHERE {pending} LIMIT {limit})
                  AS each GROUP BY 1) AS found
        JOIN pg_class AS c ON c.oid = found.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        ORDER BY 2, 3
        """
    ).format(table=change.table.identifier, pending=writer.pending(change), limit=sql.Literal(AT_ONCE))
    return [
        Leaf(
            Name(row["schema"], row["name"]),
            row["oid"],
            frozenset(row["partition_key"]),
            row["places"].split(";"),
        )
        for row in connection.execute(query)
    ]


@dataclass(frozen=True)
class Batches:
    """The changing of batches on one connection, each noted in the journal."""

    connection: Connection
    writer: Writer
    journal: Journal

    def change_rows(
        self, change: Change, leaf: Leaf, places: Sequence[str], *, settled: bool = True
    ) -> tuple[int, int]:
        """Change the rows at ``places`` that still wait; returns their number, and the step's sum so far.

        ``settled``: check deferred constraints at once. Raises Spread and CheckFailed; then roll back.
        """
        own_rows = self.writer.any_role(change.table)
        unforeseen, around = self._unforeseen(change, leaf, places), self._around(change)
        # The planner must see that fetching rows by ctid is cheap.
        before, (beside, *of_others) = collateral_check.look(
            self.connection,
            "SET LOCAL random_page_cost = 0.1",
            collateral_check.neighbours_query(leaf.name, places, own_rows),
            *unforeseen.values(),
            *bystanders.queries(around, leaf.name, leaf.oid, places),
        )
        neighbours, digest = collateral_check.found_neighbours(beside)
        for shown_by, [row] in zip(unforeseen, of_others, strict=False):
            if row["rows"]:
                raise Spread(
                    f"{change.table} ({change.role}): {row['rows']} rows are {shown_by}: "
                    "nothing of it was kept: correct the role, or say in shared what becomes of such rows"
                )
        others = bystanders.found(around, of_others[len(unforeseen) :])
        rows, meant = self._change(change, leaf, places)
        by_triggers, [[beside_now], *others_now] = self._verify(
            before,
            meant,
            [change.table],
            collateral_check.digest_query(leaf.name, neighbours),
            *others.again(),
            moving=leaf.moves(change.sets),
            settled=settled,
        )
        if neighbours and beside_now["digest"] != digest:
            raise Spread(
                f"{leaf.name}: rows that are not the subject's changed with {change.role}'s: "
                "nothing of it was kept: look for triggers and rules of this table"
            )
        for name in others.changed(others_now):
            raise Spread(
                f"{name}: rows of another subject, by its foreign keys, changed "
                f"with {change.table} ({change.role}): nothing of it was kept: look for triggers and rules"
            )
        return rows, self.journal.record_changed(
            change.key, rows, len(neighbours), by_triggers, len(others.owners)
        )

    def _unforeseen(self, change: Change, leaf: Leaf, places: Sequence[str]) -> dict[str, sql.Composable]:
        """Write the counts of rows that are another subject's, too, and about which nobody decided."""
        return {
            shown_by: sql.SQL(
                "SELECT count(*) AS rows FROM ONLY {} AS t WHERE t.ctid = ANY ({}) AND {}"
            ).format(leaf.name.identifier, collateral_check.tids(places), unforeseen)
            for shown_by, unforeseen in self.writer.unforeseen(change).items()
        }

    def _around(self, change: Change) -> tuple[Neighbour, ...]:
        """List the tables with other subjects' rows around. A declared trigger may change what is there."""
        if self.writer.data_map.tables[change.table].triggers:
            return ()
        reach = self.writer.decisions.reach
        return bystanders.around(
            reach.ownership,
            self.writer.identity,
            change.table,
            change.step.belonging,
            deleted=change.kind == "delete",
            of_other_kinds=reach.of_others,
        )

    def verify(self, before: Counters, *tables: Name) -> dict[str, int]:
        """Count the rows that declared triggers of ``tables`` changed on top, by table. Raises Spread.

        Deferred constraints and triggers act now, while what they do can still be compared.
        """
        by_triggers, _ = self._verify(before, {}, tables)
        return by_triggers

    def _verify(
        self,
        before: Counters,
        meant: Mapping[int, Counts],
        tables: Collection[Name],
        *queries: sql.Composable,
        moving: bool = False,
        settled: bool = True,
    ) -> tuple[dict[str, int], list[list[dict[str, Any]]]]:
        """Verify the counts; returns what ``verify`` does, and the rows of ``queries``. Raises Spread."""
        after, locked, results = collateral_check.look_again(
            self.connection, "SET CONSTRAINTS ALL IMMEDIATE" if settled else "", *queries
        )
        done = collateral_check.difference(before, after)
        by_triggers = collateral_check.compare(
            done, meant, after, moving=moving, tolerated=self._cascade_targets(tables)
        )
        for name in locked:
            raise Spread(
                f"{name}: was locked against everybody while rows were changed, as TRUNCATE does: "
                "nothing of it was kept: look for triggers and rules"
            )
        return by_triggers, results

    def _cascade_targets(self, tables: Collection[Name]) -> set[Name] | None:
        """List the tables that deletions cascade into; None where no trigger is declared.

        Declared triggers excuse changes elsewhere, but not there, nor in partitions of them.
        """
        if not any(self.writer.data_map.tables[table].triggers for table in tables):
            return None
        catalogue = self.writer.catalogue
        return {
            part
            for table in tables
            for reference in catalogue.referring(table)
            if reference.on_delete not in ("no action", "restrict")
            for part in catalogue.parts(reference.table)
        }

    def _change(self, change: Change, leaf: Leaf, places: Sequence[str]) -> tuple[int, dict[int, Counts]]:
        """Execute the change; returns the number of rows, and the counts meant for each relation by oid.

        The statement that changes a row checks again that it is the subject's.
        """
        pending = self._still_pending(change, leaf)
        if change.kind == "delete":
            query = sql.SQL("DELETE FROM ONLY {} AS t WHERE t.ctid = ANY ({}) AND {}").format(
                leaf.name.identifier, collateral_check.tids(places), pending
            )
            rows = self.connection.execute(query).rowcount
            self._check_none_refused(change, leaf, rows, places)
            return rows, {leaf.oid: (0, 0, rows)}
        meant: dict[int, Counts] = {}
        stand_in_relation = self.writer.substitutes.make_stand_in(change.values)
        if stand_in_relation is not None:
            meant[stand_in_relation] = (1, 0, 0)
        assignments = self.writer.assignments(change)
        untouched = self._untouched(change, leaf)
        # Only an update of the partitioned table itself can move a row to another partition.
        target = (
            change.table.identifier
            if leaf.moves(change.sets)
            else sql.SQL("ONLY {}").format(leaf.name.identifier)
        )
        query = sql.SQL(
            """
            WITH changed AS (
                UPDATE {target} AS t SET {assignments}
                FROM (SELECT t.ctid AS place, {digest_before} AS digest FROM ONLY {leaf_name} AS t
                      WHERE t.ctid = ANY ({places})) AS p
                WHERE t.ctid = p.place AND {pending}
                RETURNING p.digest = {digest} AS same, {pending} IS TRUE AS still
            )
            SELECT count(*) AS rows, count(*) FILTER (WHERE NOT same) AS other,
                   count(*) FILTER (WHERE still) AS still
            FROM changed
            """
        ).format(
            target=target,
            assignments=sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in assignments.items()
            ),
            # As literals: names and values may hold a per cent sign, which psycopg would read as a parameter.
            places=collateral_check.tids(places),
            leaf_name=leaf.name.identifier,
            digest_before=collateral_check.row_digest(untouched, self.writer.outside(change, before=True)),
            digest=collateral_check.row_digest(untouched, self.writer.outside(change, before=False)),
            pending=pending,
        )
        row = one_row(self.connection, query)
        rows = int(row["rows"])
        self._check_none_refused(change, leaf, rows, places)
        if row["other"]:
            raise Spread(
                f"{change.table} ({change.role}): more columns of {row['other']} rows changed than "
                f"{', '.join(sorted(change.sets))}: nothing of it was kept: name the trigger in triggers"
            )
        if row["still"]:
            raise CheckFailed(
                f"{change.table} ({change.role}): {row['still']} rows are the subject's after "
                f"'{change.action}' as before: look for a trigger that undoes it, or set another column"
            )
        inserted, _, deleted = meant.get(leaf.oid, collateral_check.NONE)
        meant[leaf.oid] = (inserted, rows, deleted)
        return rows, meant

    def _still_pending(self, change: Change, leaf: Leaf) -> sql.Composable:
        """Write the condition that a row of ``leaf`` waits, in a form that no index answers.

        Rows must be fetched by ctid: with an index, each batch would pass again over all of the subject's
        rows, and over all that were deleted.
        """
        return sql.SQL("CASE WHEN t.tableoid = {} THEN {} ELSE false END").format(
            sql.Literal(leaf.oid), self.writer.pending(change, leaf.name)
        )

    def _check_none_refused(self, change: Change, leaf: Leaf, rows: int, places: Sequence[str]) -> None:
        """Raise CheckFailed where rows still wait. Rows that others changed meanwhile do not."""
        if rows == len(places):
            return
        query = sql.SQL("SELECT count(*) AS rows FROM ONLY {} AS t WHERE t.ctid = ANY ({}) AND {}").format(
            leaf.name.identifier, collateral_check.tids(places), self._still_pending(change, leaf)
        )
        refused = one_row(self.connection, query)
        if refused["rows"]:
            raise CheckFailed(
                f"{leaf.name} ({change.role}): '{change.action}' changed {rows} of {rows + refused['rows']} "
                "rows: look for a trigger or rule that refuses it; nothing of this batch was kept"
            )

    def _untouched(self, change: Change, leaf: Leaf) -> set[str]:
        """List the columns whose values must stay. A declared trigger may set the map's plain columns."""
        relations = self.writer.catalogue.relations
        # An inherited table can have columns of its own; a new partition is not in the catalogue yet.
        columns = relations.get(leaf.name, relations[change.table]).columns.values()
        table = self.writer.data_map.tables[change.table]
        free = table.plain if table.triggers else frozenset[str]()
        return {column.name for column in columns if not column.generated} - change.sets - free
