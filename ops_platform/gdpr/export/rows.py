"""The rows of a subject as lines of JSON, as the database makes them: what the map shows, others hidden."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.data_map import Belonging, ByArray, ByColumn, ByParent, DataMap, Table
from ops_platform.gdpr.export import json_lines as export_lines
from ops_platform.gdpr.export.json_lines import Block
from ops_platform.gdpr.export.json_redaction import Documents, pseudonym
from ops_platform.gdpr.schema import Catalogue, Column
from ops_platform.gdpr.subject import Identity, row_predicates

TEXTS = {"text", "character varying"}
LONG = 256
"""Bytes from which a text is cheaper to escape here than in the database."""
SAMPLE = 100
"""Rows that are looked at for it."""


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

    def blocks(self, connection: Connection, table: Table, one: Belonging) -> Generator[Block, None, None]:
        """In the caller's transaction, as the database sends them. Raises what psycopg raises."""
        beside = self._beside(connection, table, one)
        return export_lines.read(connection, self._query(table, one, beside), beside)

    def _beside(self, connection: Connection, table: Table, one: Belonging) -> list[str]:
        """Columns whose texts are long, as the first rows of the table go. A wrong guess costs time only."""
        shown = self.columns(table, one)
        texts = [
            each
            for each in shown
            if each.base in TEXTS and not each.array and self._value(table, one, each) == _held(each)
        ]
        if not texts:
            return []
        lengths = [
            sql.SQL("avg(octet_length({})) >= {}").format(sql.Identifier(each.name), sql.Literal(LONG))
            for each in texts
        ]
        sample = sql.SQL("SELECT ARRAY[{}] AS long FROM (SELECT * FROM {} LIMIT {}) AS s").format(
            sql.SQL(", ").join(lengths), table.name.identifier, sql.Literal(SAMPLE)
        )
        row = one_row(connection, sample)
        long = [each.name for each, is_long in zip(texts, row["long"], strict=True) if is_long]
        # One column at least is in the JSON.
        return long if len(long) < len(shown) else long[1:]

    def _query(self, table: Table, one: Belonging, beside: Sequence[str]) -> sql.Composable:
        """One JSON object for each row, and texts that come beside it."""
        shown = [
            sql.SQL("{} AS {}").format(self._value(table, one, column), sql.Identifier(column.name))
            for column in self.columns(table, one)
            if column.name not in beside
        ]
        texts = [sql.SQL(", CAST({} AS text)").format(sql.Identifier("t", name)) for name in beside]
        return sql.SQL(
            "SELECT row_to_json(r){} FROM {} AS t CROSS JOIN LATERAL (SELECT {}) AS r WHERE {}"
        ).format(
            sql.Composed(texts),
            table.name.identifier,
            sql.SQL(", ").join(shown),
            self._condition(table, one),
        )

    def _condition(self, table: Table, one: Belonging) -> sql.Composable:
        return row_predicates.condition(self.data_map, self.catalogue, table.name, one, self.who, "t")

    def _value(self, table: Table, one: Belonging, column: Column) -> sql.Composable:
        held = _held(column)
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


def _held(column: Column) -> sql.Identifier:
    return sql.Identifier("t", column.name)
