"""The rows of a subject as lines of JSON, as the database makes them: what the map shows, others hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import subject_rows
from ops_platform.gdpr.catalogue import Catalogue, Column
from ops_platform.gdpr.data_map import Belonging, ByArray, ByColumn, ByParent, DataMap, Table
from ops_platform.gdpr.export_documents import Documents, pseudonym
from ops_platform.gdpr.subject_rows import Identity

BLOCK = 256 * 1024
"""Bytes of lines that are handed on together; a longer row comes alone."""


@dataclass(frozen=True)
class Block:
    """Whole lines, each one JSON object and a newline."""

    lines: bytes
    rows: int


@dataclass(frozen=True)
class Rows:
    """``salt`` is this export's alone, and kept nowhere: who has it could try names against pseudonyms."""

    data_map: DataMap
    catalogue: Catalogue
    who: Identity
    salt: str

    def columns(self, table: Table, one: Belonging) -> list[Column]:
        """What of a row is shown in this role, in the table's order; none: nothing is."""
        if one.export == "none":
            return []
        shown = table.classified if one.export == "own" else set(one.export)
        return [each for each in self.catalogue.relations[table.name].columns.values() if each.name in shown]

    def blocks(self, connection: Connection, table: Table, one: Belonging) -> Iterator[Block]:
        """In the caller's transaction, as the database sends them. Raises what psycopg raises."""
        # As CSV whose quotes and delimiters no JSON holds: lines come as they are, and nothing is escaped.
        query = sql.SQL(
            "COPY ({}) TO STDOUT WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02', ENCODING 'UTF8')"
        ).format(self.query(table, one))
        held: list[bytes] = []
        size = 0
        with connection.cursor() as cursor, cursor.copy(query) as copy:
            for data in copy:
                held.append(bytes(data))
                size += len(data)
                if size >= BLOCK:
                    yield _block(held)
                    held, size = [], 0
        if held:
            yield _block(held)

    def query(self, table: Table, one: Belonging) -> sql.Composable:
        """One JSON object for each row, of one column."""
        shown = [
            sql.SQL("{} AS {}").format(self._value(table, one, column), sql.Identifier(column.name))
            for column in self.columns(table, one)
        ]
        return sql.SQL("SELECT row_to_json(r) FROM (SELECT {} FROM {} AS t WHERE {}) AS r").format(
            sql.SQL(", ").join(shown), table.name.identifier, self._condition(table, one)
        )

    def _condition(self, table: Table, one: Belonging) -> sql.Composable:
        return subject_rows.condition(self.data_map, self.catalogue, table.name, one, self.who, "t")

    def _value(self, table: Table, one: Belonging, column: Column) -> sql.Composable:
        held = sql.Identifier("t", column.name)
        documents = Documents(self.who, self.salt)
        links = [each for each in table.belongings if each.way.column == column.name]
        if column.name in table.documents:
            return documents.shown(
                table, column.name, sql.SQL("CAST({} AS jsonb)").format(held), own=one.export == "own"
            )
        arrays = {each.way.holds for each in links if isinstance(each.way, ByArray)}
        if arrays:
            return documents.array(held, arrays)
        keys = [each for each in links if isinstance(each.way, ByColumn | ByParent)]
        if keys and one not in keys:
            # It names whom the row belongs to in another role: the subject too, or somebody else.
            mine = sql.SQL(" OR ").join(self._condition(table, each) for each in keys)
            return sql.SQL(
                "CASE WHEN {held} IS NULL THEN NULL WHEN {mine} THEN to_jsonb({held}) "
                "ELSE to_jsonb({pseudonym}) END"
            ).format(
                held=held,
                mine=mine,
                pseudonym=pseudonym(sql.SQL("CAST({} AS text)").format(held), self.salt),
            )
        if column.base == "bytea" and not column.array:
            return sql.SQL("translate(encode(CAST({} AS bytea), 'base64'), E'\\n', '')").format(held)
        return held


def _block(held: list[bytes]) -> Block:
    text = b"".join(held)
    if b"\x01" in text:
        # Quoted is what has line ends in it: a json column's, between its tokens. A space means the same.
        parts = text.split(b"\x01")
        parts[1::2] = [part.replace(b"\r", b" ").replace(b"\n", b" ") for part in parts[1::2]]
        text = b"".join(parts)
    return Block(text, text.count(b"\n"))
