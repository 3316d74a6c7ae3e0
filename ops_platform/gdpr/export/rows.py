"""The subject's rows as lines of JSON, made by the database: what the map exports, other people hidden."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.data_map import Belonging, ByArray, ByColumn, ByParent, DataMap, Table
from ops_platform.gdpr.export import json_lines
from ops_platform.gdpr.export.json_lines import Block
from ops_platform.gdpr.export.json_redaction import Redaction, pseudonym
from ops_platform.gdpr.schema import Catalogue, Column
from ops_platform.gdpr.subject import Identity, constant_sql, row_predicates

TEXTS = {"text", "character varying"}
LONG = 256
"""Bytes from which a text is cheaper to escape here than in the database."""
SAMPLE = 100
"""Rows of a table whose texts are measured for it."""


@dataclass(frozen=True)
class Rows:
    """The rows of one export.

    ``salt`` is this export's alone and stored nowhere: with it, names could be tried against pseudonyms.
    """

    data_map: DataMap
    catalogue: Catalogue
    identity: Identity
    salt: str

    def columns(self, table: Table, belonging: Belonging) -> list[Column]:
        """List the columns exported in this role, in the table's order; empty when the role exports none."""
        if belonging.export == "none":
            return []
        exported = table.classified if belonging.export == "own" else set(belonging.export)
        columns = self.catalogue.relations[table.name].columns.values()
        return [column for column in columns if column.name in exported]

    def blocks(
        self, connection: Connection, table: Table, belonging: Belonging
    ) -> Generator[Block, None, None]:
        """Read the rows in blocks, in the caller's transaction. Raises what psycopg raises."""
        long_texts = self._long_texts(connection, table, belonging)
        return json_lines.read(connection, self._query(table, belonging, long_texts), long_texts)

    def _long_texts(self, connection: Connection, table: Table, belonging: Belonging) -> list[str]:
        """Guess from the table's first rows which columns have long texts. A wrong guess costs only time."""
        exported = self.columns(table, belonging)
        texts = [
            column
            for column in exported
            if column.base in TEXTS
            and not column.array
            and self._value(table, belonging, column) == _reference(column)
        ]
        if not texts:
            return []
        lengths = [
            sql.SQL("avg(octet_length({})) >= {}").format(sql.Identifier(column.name), sql.Literal(LONG))
            for column in texts
        ]
        sample = sql.SQL("SELECT ARRAY[{}] AS long FROM (SELECT * FROM {} LIMIT {}) AS s").format(
            sql.SQL(", ").join(lengths), table.name.identifier, sql.Literal(SAMPLE)
        )
        row = one_row(connection, sample)
        long = [column.name for column, is_long in zip(texts, row["long"], strict=True) if is_long]
        # The JSON object needs one column at least.
        return long if len(long) < len(exported) else long[1:]

    def _query(self, table: Table, belonging: Belonging, long_texts: Sequence[str]) -> sql.Composable:
        """Build the query for one JSON object a row, followed by its long texts."""
        values = [
            sql.SQL("{} AS {}").format(self._value(table, belonging, column), sql.Identifier(column.name))
            for column in self.columns(table, belonging)
            if column.name not in long_texts
        ]
        texts = [sql.SQL(", CAST({} AS text)").format(sql.Identifier("t", name)) for name in long_texts]
        return sql.SQL(
            "SELECT row_to_json(r){} FROM {} AS t CROSS JOIN LATERAL (SELECT {}) AS r WHERE {}"
        ).format(
            sql.Composed(texts),
            table.name.identifier,
            sql.SQL(", ").join(values),
            self._condition(table, belonging),
        )

    def _condition(self, table: Table, belonging: Belonging) -> sql.Composable:
        return row_predicates.condition(
            self.data_map, self.catalogue, table.name, belonging, self.identity, "t"
        )

    def _names_somebody(self, table: Table, belonging: Belonging) -> sql.Composable:
        """Write the condition for rows whose columns hold somebody's key: all, or those of ``where``."""
        columns = self.catalogue.relations[table.name].columns
        tests = [
            constant_sql.is_any_of(columns[name], values, "t") for name, values in belonging.where.items()
        ]
        return sql.SQL("({})").format(sql.SQL(" AND ").join(tests)) if tests else sql.SQL("true")

    def _value(self, table: Table, belonging: Belonging, column: Column) -> sql.Composable:
        reference = _reference(column)
        redaction = Redaction(self.identity, self.salt)
        links = [linking for linking in table.belongings if column.name in linking.way.columns]
        if column.name in table.documents:
            return redaction.document(
                table,
                column.name,
                sql.SQL("CAST({} AS jsonb)").format(reference),
                own=belonging.export == "own",
            )
        arrays = {linking.way.holds for linking in links if isinstance(linking.way, ByArray)}
        if arrays:
            return redaction.array(reference, arrays)
        keys = [linking for linking in links if isinstance(linking.way, ByColumn | ByParent)]
        if keys and belonging not in keys:
            # The column names the row's owner in another role: the subject too, or somebody else.
            mine = sql.SQL(" OR ").join(self._condition(table, linking) for linking in keys)
            return sql.SQL(
                "CASE WHEN {value} IS NULL THEN NULL WHEN {mine} OR ({somebody}) IS NOT TRUE "
                "THEN to_jsonb({value}) ELSE to_jsonb({pseudonym}) END"
            ).format(
                value=reference,
                mine=mine,
                somebody=sql.SQL(" OR ").join(self._names_somebody(table, linking) for linking in keys),
                pseudonym=pseudonym(sql.SQL("CAST({} AS text)").format(reference), self.salt),
            )
        if column.base == "bytea" and not column.array:
            return sql.SQL("translate(encode(CAST({} AS bytea), 'base64'), E'\\n', '')").format(reference)
        return reference


def _reference(column: Column) -> sql.Identifier:
    return sql.Identifier("t", column.name)
