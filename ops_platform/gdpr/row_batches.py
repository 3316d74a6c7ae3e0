"""One batch: some rows of one relation changed, shown to be all that changed, and noted. In one transaction.

The transaction is the caller's, REPEATABLE READ: what is read before and after differs by our own doing only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import IsolationLevel, sql

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr import bystanders
from ops_platform.gdpr.bystanders import Counters, Counts
from ops_platform.gdpr.erasure_journal import Journal
from ops_platform.gdpr.names import Name
from ops_platform.gdpr.row_changes import Change, Writer

LOCK_TIMEOUT = "10s"


@dataclass(frozen=True)
class Leaf:
    """A relation that holds rows itself. ``partition_key``: the columns of it, "" for an expression."""

    name: Name
    oid: int
    partition_key: frozenset[str]
    rows: int

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


def leaves(connection: Connection, writer: Writer, change: Change) -> list[Leaf]:
    """The relations in which rows wait for ``change``: of a partitioned or inherited table several."""
    query = sql.SQL(
        """
        SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, found.rows,
               ARRAY(SELECT coalesce(a.attname::text, '') FROM pg_partition_ancestors(c.oid) AS p
                     JOIN pg_partitioned_table AS k ON k.partrelid = p.relid
                     CROSS JOIN unnest(k.partattrs::smallint[]) AS u (attnum)
                     LEFT JOIN pg_attribute AS a
                         ON a.attrelid = p.relid AND a.attnum = u.attnum AND u.attnum > 0
               ) AS partition_key
        FROM (SELECT t.tableoid AS oid, count(*) AS rows
              FROM {table} AS t WHERE {pending} GROUP BY 1) AS found
        JOIN pg_class AS c ON c.oid = found.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
        ORDER BY 2, 3
        """
    ).format(table=change.table.identifier, pending=writer.pending(change))
    return [
        Leaf(Name(row["schema"], row["name"]), row["oid"], frozenset(row["partition_key"]), row["rows"])
        for row in connection.execute(query)
    ]


@dataclass(frozen=True)
class Batches:
    """``size``: rows of one batch."""

    connection: Connection
    writer: Writer
    journal: Journal
    size: int

    def one(self, change: Change, leaf: Leaf, *, settled: bool = True) -> tuple[int, int]:
        """Change up to ``size`` rows: how many, and how many of this step so far. (0, 0): none is left.

        ``settled``: check deferred constraints at once. Raises Spread and CheckFailed, then roll back.
        """
        before = bystanders.counters(self.connection)
        picked = self._pick(change, leaf)
        if not picked:
            return 0, 0
        places = [row["place"] for row in picked]
        anybody = self.writer.anybody(change.table)
        beside, digest = bystanders.beside(self.connection, leaf.name, places, anybody)
        meant = self._change(change, leaf, picked)
        if settled:
            settle(self.connection)
        also = self.verify(before, meant, change.table, moving=leaf.moves(change.sets))
        if bystanders.digest(self.connection, leaf.name, beside) != digest:
            raise bystanders.Spread(
                f"{leaf.name}: rows that are not the subject's changed with {change.role}'s: "
                "nothing of it was kept: look for triggers and rules of this table"
            )
        return len(places), self.journal.changed(change.key, len(places), len(beside), also)

    def verify(
        self, before: Counters, meant: Mapping[int, Counts], *tables: Name, moving: bool = False
    ) -> dict[str, int]:
        """What declared triggers of ``tables`` changed besides, by table. Raises Spread."""
        after = bystanders.counters(self.connection)
        done = bystanders.difference(before, after)
        also = bystanders.compare(done, meant, after, moving=moving, tolerated=self._strict(tables))
        for name in bystanders.emptied(self.connection):
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

    def _pick(self, change: Change, leaf: Leaf) -> list[dict[str, Any]]:
        query = sql.SQL(
            "SELECT t.ctid::text AS place, {digest} AS digest FROM ONLY {leaf} AS t WHERE {pending} "
            "LIMIT {size} FOR UPDATE OF t"
        ).format(
            digest=bystanders.row_digest(self._untouched(change, leaf)) if change.sets else sql.SQL("NULL"),
            leaf=leaf.name.identifier,
            pending=self.writer.pending(change, leaf.name),
            size=sql.Literal(self.size),
        )
        return self.connection.execute(query).fetchall()

    def _change(self, change: Change, leaf: Leaf, picked: Sequence[Mapping[str, Any]]) -> dict[int, Counts]:
        """What is meant to happen, by relation. The statement that changes a row asks again whose it is."""
        belongs = self.writer.belongs(change)
        places = [row["place"] for row in picked]
        if change.kind == "delete":
            query = sql.SQL("DELETE FROM ONLY {} AS t WHERE t.ctid = ANY (CAST({} AS tid[])) AND {}").format(
                leaf.name.identifier, sql.Literal(places), belongs
            )
            self._all(change, leaf, self.connection.execute(query).rowcount, places)
            return {leaf.oid: (0, 0, len(places))}
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
                FROM unnest(CAST({places} AS tid[]), CAST({digests} AS text[])) AS p (place, digest)
                WHERE t.ctid = p.place AND t.tableoid = {leaf} AND {belongs}
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
            places=sql.Literal(places),
            digests=sql.Literal([one["digest"] for one in picked]),
            leaf=sql.Literal(leaf.oid),
            belongs=belongs,
            digest=bystanders.row_digest(self._untouched(change, leaf)),
            pending=self.writer.pending(change, leaf.name),
        )
        [row] = self.connection.execute(query).fetchall()
        self._all(change, leaf, row["rows"], places)
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
        meant[leaf.oid] = (inserted, len(places), deleted)
        return meant

    def _all(self, change: Change, leaf: Leaf, rows: int, places: Sequence[str]) -> None:
        if rows != len(places):
            raise CheckFailed(
                f"{leaf.name} ({change.role}): '{change.action}' changed {rows} of {len(places)} rows: "
                "look for a trigger or rule that refuses it, and nothing of this batch was kept"
            )

    def _untouched(self, change: Change, leaf: Leaf) -> set[str]:
        """Columns whose values must stay; those that a declared trigger may set are the map's plain ones."""
        relations = self.writer.catalogue.relations
        # An inherited table can have columns of its own; a partition that is new is not known yet.
        columns = relations.get(leaf.name, relations[change.table]).columns.values()
        table = self.writer.data_map.tables[change.table]
        free = table.plain if table.triggers else frozenset[str]()
        return {one.name for one in columns if not one.generated} - change.sets - free


def settle(connection: Connection) -> None:
    """Let deferred constraints and triggers act now, while what they do can still be compared."""
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
