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
MAX = 4 << 20
"""Bytes of texts and bytes in a row up to which it is sent whole."""
STORED = 64 << 10
"""Bytes, as they are stored, of other values up to which a row is: compressed, 250 times as much at most."""
FIXED = frozenset(
    (
        *("smallint", "integer", "bigint", "real", "double precision", "numeric", "boolean", "uuid", "date"),
        *("timestamp with time zone", "timestamp without time zone", "time without time zone"),
        *("time with time zone", "interval", "inet", "cidr", "macaddr", "oid", "money"),
    )
)
"""Types without large values."""
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
        large = self._large(table, belonging) if self._has_large(connection, table) else None
        query = self._query(table, belonging, long_texts, large)

        def piecewise(place: str) -> sql.Composable:
            oid, _, ctid = place.partition(" ")
            row = sql.SQL("t.tableoid = CAST({} AS oid) AND t.ctid = CAST({} AS tid)").format(
                sql.Literal(oid), sql.Literal(ctid)
            )
            return json_lines.pieces(self._lines(table, belonging, row))

        return json_lines.read(connection, query, long_texts, piecewise if large is not None else None)

    def _has_large(self, connection: Connection, table: Table) -> bool:
        """Tell whether rows may be large: no value of MAX bytes can be stored in less than STORED."""
        row = one_row(
            connection,
            "SELECT coalesce(sum(pg_relation_size(c.reltoastrelid)), 0) >= %s AS large FROM ("
            "SELECT CAST(%s AS regclass) AS relid "
            "UNION SELECT relid FROM pg_partition_tree(CAST(%s AS regclass)) "
            "UNION SELECT inhrelid FROM pg_inherits) AS part JOIN pg_class AS c ON c.oid = part.relid "
            "WHERE c.reltoastrelid <> 0",
            (STORED, *[table.name.identifier.as_string(connection)] * 2),
        )
        return bool(row["large"])

    def _large(self, table: Table, belonging: Belonging) -> sql.Composable | None:
        """Write the condition for rows that are sent in pieces; the values' sizes are known without them."""
        columns = self.columns(table, belonging)
        plain = [column for column in columns if column.base in (*TEXTS, "bytea") and not column.array]
        packed = [
            column for column in columns if column not in plain and (column.array or column.base not in FIXED)
        ]
        tests = [
            sql.SQL("{} > {}").format(
                sql.SQL(" + ").join(
                    sql.SQL("coalesce({}({}), 0)").format(sql.SQL(function), _reference(column))
                    for column in some
                ),
                sql.Literal(limit),
            )
            for some, function, limit in (
                (plain, "octet_length", MAX),
                (packed, "pg_column_size", STORED),
            )
            if some
        ]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(tests)) if tests else None

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

    def _query(
        self,
        table: Table,
        belonging: Belonging,
        long_texts: Sequence[str],
        large: sql.Composable | None = None,
    ) -> sql.Composable:
        """Build the query for one JSON object a row, followed by its long texts.

        ``large``: the rows of which only the place is sent, as a last column.
        """
        shown: list[sql.Composable] = [sql.SQL("row_to_json(r.*)")]
        shown += [sql.SQL("CAST({} AS text)").format(sql.Identifier("t", name)) for name in long_texts]
        if large is not None:
            shown = [sql.SQL("CASE WHEN {} THEN NULL ELSE {} END").format(large, value) for value in shown]
            place = "CAST(t.tableoid AS text) || ' ' || CAST(t.ctid AS text)"
            shown.append(sql.SQL("CASE WHEN {} THEN {} END").format(large, sql.SQL(place)))
        return sql.SQL("SELECT {} {}").format(
            sql.SQL(", ").join(shown),
            self._source(table, belonging, self._exported_here(table, belonging), long_texts),
        )

    def _lines(self, table: Table, belonging: Belonging, condition: sql.Composable) -> sql.Composable:
        """Build the query for the lines of some rows, as bytes."""
        return sql.SQL("SELECT convert_to(CAST(row_to_json(r.*) AS text), 'UTF8') AS line {}").format(
            self._source(table, belonging, condition)
        )

    def _source(
        self, table: Table, belonging: Belonging, condition: sql.Composable, left_out: Sequence[str] = ()
    ) -> sql.Composable:
        """Write what follows a query's columns: rows called t, and what is shown of each, called r.

        A column of the product's may be called r as well: ``r.*`` is ours in any case.
        """
        values = [
            sql.SQL("{} AS {}").format(self._value(table, belonging, column), sql.Identifier(column.name))
            for column in self.columns(table, belonging)
            if column.name not in left_out
        ]
        return sql.SQL("FROM {} AS t CROSS JOIN LATERAL (SELECT {}) AS r WHERE {}").format(
            table.name.identifier, sql.SQL(", ").join(values), condition
        )

    def _exported_here(self, table: Table, belonging: Belonging) -> sql.Composable:
        """Write the condition for the role's rows, without those that a child or partition exports whole."""
        condition = self._condition(table, belonging)
        for child in self.data_map.tables.values():
            whole = [role for role in child.belongings if role.export == "own"]
            if not whole or child.name == table.name or child.name not in self.catalogue.parts(table.name):
                continue
            theirs = sql.SQL(" OR ").join(
                row_predicates.condition(
                    self.data_map, self.catalogue, child.name, role, self.identity, "part"
                )
                for role in whole
            )
            condition = sql.SQL(
                "({} AND NOT EXISTS (SELECT FROM {} AS part "
                "WHERE part.tableoid = t.tableoid AND part.ctid = t.ctid AND ({})))"
            ).format(condition, child.name.identifier, theirs)
        return condition

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
        links = [linking for linking in table.everyones if column.name in linking.way.columns]
        if column.name in table.documents:
            return redaction.document(
                table,
                column.name,
                sql.SQL("CAST({} AS jsonb)").format(reference),
                own=belonging.export == "own",
            )
        # Keys of other kinds of subject are other people's, even if they are equal.
        ours = [linking for linking in links if linking in table.belongings]
        if any(isinstance(linking.way, ByArray) for linking in links):
            return redaction.array(
                reference, {linking.way.holds for linking in ours if isinstance(linking.way, ByArray)}
            )
        keys = [linking for linking in links if isinstance(linking.way, ByColumn | ByParent)]
        if keys and belonging not in keys:
            # The column names the row's owner in another role: the subject too, or somebody else.
            own = [self._condition(table, linking) for linking in keys if linking in ours]
            mine = sql.SQL(" OR ").join(own) if own else sql.SQL("false")
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
