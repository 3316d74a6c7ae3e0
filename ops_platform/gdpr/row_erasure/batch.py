"""One batch: some rows of one relation changed, shown to be all that changed, and noted. In one transaction.

The transaction is the caller's, REPEATABLE READ: what is read before and after differs by our own doing only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import IsolationLevel, sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.row_erasure import collateral_check as bystanders
from ops_platform.gdpr.row_erasure.collateral_check import Counters, Counts
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.row_erasure.statements import Change, Writer
from ops_platform.gdpr.schema import Name

LOCK_TIMEOUT = "10s"
AT_ONCE = 100_000
"""Rows that are looked for at once."""


@dataclass(frozen=True)
class Leaf:
    """A relation that holds rows itself. ``partition_key``: the columns of it, "" for an expression.

    ``places``: the ctids of rows that wait there, in their order.
    """

    name: Name
    oid: int
    partition_key: frozenset[str]
    places: Sequence[str]

    def moves(self, columns: frozenset[str]) -> bool:
        """Whether a row may belong elsewhere when these change."""
        return bool(columns) and ("" in self.partition_key or bool(columns & self.partition_key))


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """A transaction that sees one moment and its own changes, and no row-level policy hides rows from it."""
    before = connection.isolation_level
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            # Where a policy would hide rows from this role, an error, and not a part of the rows.
            connection.execute(f"SET LOCAL row_security = off; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            yield
    finally:
        connection.isolation_level = before


def waiting(connection: Connection, writer: Writer, change: Change) -> int:
    """Rows that wait for ``change``."""
    query = sql.SQL("SELECT count(*) AS rows FROM {} AS t WHERE {}").format(
        change.table.identifier, writer.pending(change)
    )
    row = one_row(connection, query)
    return int(row["rows"])


def leaves(connection: Connection, writer: Writer, change: Change) -> list[Leaf]:
    """Where rows wait for ``change``, up to AT_ONCE: of a partitioned or inherited table several relations.

    Rows are looked for once and not for each batch: a scan passes over all that has been deleted before.
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
    connection: Connection
    writer: Writer
    journal: Journal

    def one(
        self, change: Change, leaf: Leaf, places: Sequence[str], *, settled: bool = True
    ) -> tuple[int, int]:
        """Change what waits at ``places`` still: how many rows, and how many of this step so far.

        ``settled``: check deferred constraints at once. Raises Spread and CheckFailed, then roll back.
        """
        # Rows are fetched by their place: that it costs little must not be missed by the planner.
        before = bystanders.counters(self.connection, "SET LOCAL random_page_cost = 0.1")
        anybody = self.writer.anybody(change.table)
        beside, digest = bystanders.beside(self.connection, leaf.name, places, anybody)
        rows, meant = self._change(change, leaf, places)
        also = self.verify(before, meant, change.table, moving=leaf.moves(change.sets), settled=settled)
        if beside and bystanders.digest(self.connection, leaf.name, beside) != digest:
            raise bystanders.Spread(
                f"{leaf.name}: rows that are not the subject's changed with {change.role}'s: "
                "nothing of it was kept: look for triggers and rules of this table"
            )
        return rows, self.journal.changed(change.key, rows, len(beside), also)

    def verify(
        self,
        before: Counters,
        meant: Mapping[int, Counts],
        *tables: Name,
        moving: bool = False,
        settled: bool = True,
    ) -> dict[str, int]:
        """What declared triggers of ``tables`` changed besides, by table. Raises Spread.

        ``settled``: deferred constraints and triggers act now, while what they do can still be compared.
        """
        after, emptied = bystanders.afterwards(
            self.connection, "SET CONSTRAINTS ALL IMMEDIATE" if settled else ""
        )
        done = bystanders.difference(before, after)
        also = bystanders.compare(done, meant, after, moving=moving, tolerated=self._strict(tables))
        for name in emptied:
            raise bystanders.Spread(
                f"{name}: was locked against everybody while rows were changed, as TRUNCATE does: "
                "nothing of it was kept: look for triggers and rules"
            )
        return also

    def _strict(self, tables: Collection[Name]) -> set[Name] | None:
        """None: no trigger is declared. Else where nothing may change even so: where deletions spread."""
        if not any(self.writer.data_map.tables[one].triggers for one in tables):
            return None
        return {
            one.table
            for table in tables
            for one in self.writer.catalogue.referring(table)
            if one.on_delete not in ("no action", "restrict")
        }

    def _change(self, change: Change, leaf: Leaf, places: Sequence[str]) -> tuple[int, dict[int, Counts]]:
        """How many rows, and what is meant to happen to which relation.

        The statement that changes a row asks again whose it is.
        """
        pending = self._still(change, leaf)
        if change.kind == "delete":
            query = sql.SQL("DELETE FROM ONLY {} AS t WHERE t.ctid = ANY ({}) AND {}").format(
                leaf.name.identifier, bystanders.tids(places), pending
            )
            rows = self.connection.execute(query).rowcount
            self._refused(change, leaf, rows, places)
            return rows, {leaf.oid: (0, 0, rows)}
        meant: dict[int, Counts] = {}
        relation = self.writer.substitutes.stand_in(change.values)
        if relation is not None:
            meant[relation] = (1, 0, 0)
        assignments = self.writer.assignments(change)
        # A row that goes to another partition goes by way of the table that has them all.
        target = (
            change.table.identifier
            if leaf.moves(change.sets)
            else sql.SQL("ONLY {}").format(leaf.name.identifier)
        )
        query = sql.SQL(
            """
            WITH changed AS (
                UPDATE {target} AS t SET {assignments}
                FROM (SELECT t.ctid AS place, {digest} AS digest FROM ONLY {leaf_name} AS t
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
            # As literals: names and values may hold a per cent sign, which parameters would be looked for in.
            places=bystanders.tids(places),
            leaf_name=leaf.name.identifier,
            digest=bystanders.row_digest(self._untouched(change, leaf)),
            pending=pending,
        )
        row = one_row(self.connection, query)
        rows = int(row["rows"])
        self._refused(change, leaf, rows, places)
        if row["other"]:
            raise bystanders.Spread(
                f"{change.table} ({change.role}): more columns of {row['other']} rows changed than "
                f"{', '.join(sorted(change.sets))}: nothing of it was kept: name the trigger in triggers"
            )
        if row["still"]:
            raise CheckFailed(
                f"{change.table} ({change.role}): {row['still']} rows are the subject's after "
                f"'{change.action}' as before: look for a trigger that undoes it, or set another column"
            )
        inserted, _, deleted = meant.get(leaf.oid, bystanders.NONE)
        meant[leaf.oid] = (inserted, rows, deleted)
        return rows, meant

    def _still(self, change: Change, leaf: Leaf) -> sql.Composable:
        """Whether a row of ``leaf`` waits, in a form that no index answers: rows are fetched by their place.

        By an index each batch would pass over all of the subject's rows again, and all that were deleted.
        """
        return sql.SQL("CASE WHEN t.tableoid = {} THEN {} ELSE false END").format(
            sql.Literal(leaf.oid), self.writer.pending(change, leaf.name)
        )

    def _refused(self, change: Change, leaf: Leaf, rows: int, places: Sequence[str]) -> None:
        """Rows that others changed meanwhile are not there; all others must be done."""
        if rows == len(places):
            return
        query = sql.SQL("SELECT count(*) AS rows FROM ONLY {} AS t WHERE t.ctid = ANY ({}) AND {}").format(
            leaf.name.identifier, bystanders.tids(places), self._still(change, leaf)
        )
        left = one_row(self.connection, query)
        if left["rows"]:
            raise CheckFailed(
                f"{leaf.name} ({change.role}): '{change.action}' changed {rows} of {rows + left['rows']} "
                "rows: look for a trigger or rule that refuses it; nothing of this batch was kept"
            )

    def _untouched(self, change: Change, leaf: Leaf) -> set[str]:
        """Columns whose values must stay; those that a declared trigger may set are the map's plain ones."""
        relations = self.writer.catalogue.relations
        # An inherited table can have columns of its own; a partition that is new is not known yet.
        columns = relations.get(leaf.name, relations[change.table]).columns.values()
        table = self.writer.data_map.tables[change.table]
        free = table.plain if table.triggers else frozenset[str]()
        return {one.name for one in columns if not one.generated} - change.sets - free
