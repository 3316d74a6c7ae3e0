"""The register of shared rows: what an erasure decided about them before it destroyed anything.

Steps take away what shows that a row is shared: a link row, a reference. So it is written down beside the
journal, as a hash of each row's key, and every later batch and attempt goes by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed
from ops_platform.gdpr.data_map import Belonging, Handling
from ops_platform.gdpr.row_erasure.journal import Journal
from ops_platform.gdpr.row_erasure.others.reach import ROW, Reach, Way
from ops_platform.gdpr.schema import Catalogue, Name

SHOWN = 10
"""Roles that one refusal names; the preview names all."""


@dataclass(frozen=True)
class SharedRows:
    """The number of rows of a role that others reach, by which ways, and what the map says of them.

    ``becomes`` is None where it says nothing: then nothing is erased. ``by_law``: rows among them are kept by
    law as those of another kind of subject, so that they may not be deleted.
    """

    table: str
    role: str
    rows: int
    reached_by: Mapping[str, int]
    becomes: Handling | None
    by_law: bool = False

    @property
    def refused(self) -> bool:
        """Tell whether nothing is erased because of them."""
        return self.becomes is None or self.loses_what_is_kept

    @property
    def loses_what_is_kept(self) -> bool:
        """Tell whether a row that the law keeps would be deleted."""
        return self.by_law and self.becomes in (None, "delete")

    def __str__(self) -> str:
        ways = ", ".join(f"{rows} {way}" for way, rows in self.reached_by.items())
        return f"{self.table} ({self.role}): {self.rows} rows: {ways}"


def find(connection: Connection, reach: Reach) -> list[SharedRows]:
    """Count the rows that the erasure would delete or change and that others reach, by role.

    Raises what psycopg raises.
    """
    return [
        found
        for table, belonging, ways in possible(reach)
        if (found := _count(connection, reach, table, belonging, ways)).rows
    ]


def refuse(shared: list[SharedRows], *, replay: bool = False) -> None:
    """Raise CheckFailed where the map does not say what becomes of rows that others reach.

    And, in a ``replay`` too, where it would delete what the law keeps as another kind's.
    """
    kept = [rows for rows in shared if rows.loses_what_is_kept]
    if kept:
        raise CheckFailed(
            "rows that the data map wants to erase are kept by law as those of subjects of another kind, and "
            f"were left: {_places(kept)}: let the role take out only its own reference (anonymise), or keep "
            "the rows (shared: stand_in, or keep), then try again"
        )
    undecided = [] if replay else [rows for rows in shared if rows.refused]
    if undecided:
        raise CheckFailed(
            f"rows that the data map wants to erase are somebody else's, too, and were left: "
            f"{_places(undecided)}: correct the role, or say in it what becomes of such rows, as in shared: "
            "delete (or keep, or stand_in), then try again"
        )


def _places(shared: list[SharedRows]) -> str:
    more = len(shared) - SHOWN
    return "; ".join(map(str, shared[:SHOWN])) + (f"; and {more} more roles" if more > 0 else "")


def possible(reach: Reach) -> Iterator[tuple[Name, Belonging, list[Way]]]:
    """Yield the roles whose rows others may reach, as far as the catalogue knows."""
    for table, belonging in reach.data_map.belongings():
        if table.name in reach.catalogue.relations and (ways := reach.ways(table.name, belonging)):
            yield table.name, belonging, ways


@dataclass(frozen=True)
class Recorded:
    """The roles of an erasure of which rows are in the register, and tests for these rows."""

    erasure_id: str = ""
    roles: frozenset[tuple[str, str]] = frozenset()

    def test(
        self, catalogue: Catalogue, table: Name, belonging: Belonging, alias: str = ROW
    ) -> sql.Composable | None:
        """Write the condition that row ``alias`` is in the register for this role; None: no row is."""
        if (str(table), belonging.role) not in self.roles:
            return None
        return sql.SQL(
            "EXISTS (SELECT FROM ops_platform.erasure_shared_rows AS shared WHERE shared.erasure_id = {} "
            "AND shared.table_name = {} AND shared.role = {} AND shared.row_hash = {})"
        ).format(
            sql.Literal(self.erasure_id),
            sql.Literal(str(table)),
            sql.Literal(belonging.role),
            _hash(catalogue, table, alias),
        )


@dataclass(frozen=True)
class Register:
    """The register of one erasure, in the database whose rows it erases."""

    journal: Journal

    @property
    def _connection(self) -> Connection:
        return self.journal.connection

    def record(self, reach: Reach, *, replay: bool = False) -> None:
        """Write down the shared rows, on the disk before anything of them is destroyed.

        In the caller's transaction. ``replay``: rows of which the map says nothing are left, for the first
        erasure would have refused to take them. Raises CheckFailed for such rows otherwise, and for those
        that the law keeps.
        """
        shared = {(rows.table, rows.role): rows for rows in find(self._connection, reach)}
        refuse(list(shared.values()), replay=replay)
        if not replay:
            self._forget_undecided(reach)
        for table, belonging, ways in possible(reach):
            if (str(table), belonging.role) in shared:
                self._insert(reach, table, belonging, ways)

    def _forget_undecided(self, reach: Reach) -> None:
        """Delete what a replay that interrupted this erasure wrote down of rows that it left."""
        recorded = self.recorded(reach).roles
        for table, belonging in reach.data_map.belongings():
            role = (str(table.name), belonging.role)
            if belonging.shared is None and role in recorded:
                self._connection.execute(
                    "DELETE FROM ops_platform.erasure_shared_rows "
                    "WHERE erasure_id = %s AND table_name = %s AND role = %s",
                    (self.journal.erasure_id, *role),
                )

    def recorded(self, reach: Reach) -> Recorded:
        """Read the roles of which rows are recorded; nothing is read where no role can be shared."""
        if not any(possible(reach)):
            return Recorded()
        rows = self._read(
            "SELECT DISTINCT table_name, role FROM ops_platform.erasure_shared_rows WHERE erasure_id = %s"
        )
        return Recorded(self.journal.erasure_id, frozenset((row["table_name"], row["role"]) for row in rows))

    def summary(self) -> list[dict[str, Any]]:
        """Count the recorded rows by table, role, what became of them, and who reached them."""
        return self._read(
            "SELECT table_name AS table, role, becomes, reached_by, count(*)::int AS rows "
            "FROM ops_platform.erasure_shared_rows WHERE erasure_id = %s "
            "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        )

    def _read(self, query: LiteralString) -> list[dict[str, Any]]:
        try:
            with self._connection.transaction():
                return self._connection.execute(query, (self.journal.erasure_id,)).fetchall()
        except psycopg.errors.UndefinedTable:
            return []  # nothing was written down by an older version
        except psycopg.errors.InsufficientPrivilege:
            with self.journal.place_for_progress():
                raise

    def _insert(self, reach: Reach, table: Name, belonging: Belonging, ways: list[Way]) -> None:
        query = sql.SQL(
            """
            INSERT INTO ops_platform.erasure_shared_rows
                (erasure_id, table_name, role, row_hash, becomes, reached_by)
            SELECT DISTINCT ON (s.row_hash) {erasure_id}, {table_name}, {role}, s.row_hash, {becomes},
                   array_remove(ARRAY[{reached}], NULL)
            FROM (SELECT {hash} AS row_hash, {tests} FROM {table} AS t WHERE {found}) AS s WHERE {any}
            ON CONFLICT (erasure_id, table_name, role, row_hash) DO UPDATE SET becomes = excluded.becomes
            """
        ).format(
            erasure_id=sql.Literal(self.journal.erasure_id),
            table_name=sql.Literal(str(table)),
            role=sql.Literal(belonging.role),
            becomes=sql.Literal(belonging.shared or "keep"),
            reached=sql.SQL(", ").join(
                sql.SQL("CASE WHEN s.{} THEN {} END").format(
                    sql.Identifier(f"way_{n}"), sql.Literal(way.text)
                )
                for n, way in enumerate(ways)
            ),
            hash=_hash(reach.catalogue, table, ROW),
            tests=_tests(ways),
            table=table.identifier,
            found=reach.found(table, belonging),
            any=_any(ways),
        )
        with self.journal.place_for_progress(), self._connection.transaction():
            self._connection.execute("SET LOCAL synchronous_commit = on")
            self._connection.execute(query)


def _count(
    connection: Connection, reach: Reach, table: Name, belonging: Belonging, ways: list[Way]
) -> SharedRows:
    query = sql.SQL(
        "SELECT count(*) AS rows, {counts} FROM (SELECT {tests} FROM {table} AS t WHERE {found}) AS s "
        "WHERE {any}"
    ).format(
        counts=sql.SQL(", ").join(
            sql.SQL("count(*) FILTER (WHERE s.{way}) AS {way}").format(way=sql.Identifier(f"way_{n}"))
            for n in range(len(ways))
        ),
        tests=_tests(ways),
        table=table.identifier,
        found=reach.found(table, belonging),
        any=_any(ways),
    )
    row = connection.execute(query).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    counts = {way.text: int(row[f"way_{n}"]) for n, way in enumerate(ways) if row[f"way_{n}"]}
    by_law = any(way.by_law and way.text in counts for way in ways)
    return SharedRows(str(table), belonging.role, int(row["rows"]), counts, belonging.shared, by_law)


def _tests(ways: list[Way]) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(way.test, sql.Identifier(f"way_{n}")) for n, way in enumerate(ways)
    )


def _any(ways: list[Way]) -> sql.Composable:
    return sql.SQL(" OR ").join(sql.SQL("s.{}").format(sql.Identifier(f"way_{n}")) for n in range(len(ways)))


def _hash(catalogue: Catalogue, table: Name, alias: str) -> sql.Composable:
    """Write the SHA-256 of what names a row: its key, else a unique index, else the whole row."""
    relation = catalogue.relations[table]
    columns = relation.key or relation.unique_names or tuple(relation.columns)
    row = sql.SQL(", ").join(sql.Identifier(alias, column) for column in columns)
    return sql.SQL("sha256(convert_to(CAST(ROW({}) AS text), getdatabaseencoding()))").format(row)
