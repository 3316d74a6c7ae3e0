"""Rows of tables as numbers: how many, and for append-only ones a hash that does not depend on order.

The hash of a set of rows is the sum of two 64-bit hashes of each row's text, so that what was
appended can be added to what was there: recurring work is O(new rows).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed

EXACT_ROWS = 1_000_000
"""Tables that are estimated to be larger are not counted."""

# The text of a row depends on these.
_SESSION = (
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO, YMD'",
    "SET IntervalStyle = 'postgres'",
    "SET extra_float_digits = 1",
    "SET bytea_output = 'hex'",
    "SET search_path = pg_catalog",
    "SET row_security = off",
)


@dataclass(frozen=True)
class Closed:
    """The rows of an append-only table whose ``column`` is older than a marker."""

    column: str
    rows: int
    low: int
    high: int

    def __add__(self, other: Closed) -> Closed:
        return Closed(self.column, self.rows + other.rows, self.low + other.low, self.high + other.high)

    def as_json(self) -> dict[str, object]:
        # The sums pass 2^53: as text.
        return {"column": self.column, "rows": self.rows, "low": str(self.low), "high": str(self.high)}

    @classmethod
    def parse(cls, value: Mapping[str, object]) -> Closed:
        return cls(
            str(value["column"]), int(str(value["rows"])), int(str(value["low"])), int(str(value["high"]))
        )


@dataclass(frozen=True)
class Live:
    """A table's rows (None: too large to count) and how many were ever inserted and deleted."""

    rows: int | None
    inserted: int
    deleted: int


def fix_session(connection: Connection) -> None:
    """Make the texts of rows the same wherever they are read."""
    for statement in _SESSION:
        connection.execute(statement)


def closed(
    connection: Connection, table: str, column: str, until: datetime, since: datetime | None = None
) -> Closed:
    """Rows of ``table`` (``schema.table``) with ``since <= column < until``.

    Raises CheckFailed when there is no such table or column.
    """
    schema, _, name = table.partition(".")
    exists = connection.execute(
        """
        SELECT 1 FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s AND a.attnum > 0 AND NOT a.attisdropped
        """,
        (schema, name, column),
    ).fetchone()
    if exists is None:
        raise CheckFailed(f"there is no {table}.{column}: correct append_only in backups.yaml")
    query = sql.SQL(
        """
        SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) AS low,
               coalesce(sum(hashtextextended(t::text, 1)::numeric), 0) AS high
        FROM {table} AS t
        WHERE {column} < %(until)s AND (%(since)s::timestamptz IS NULL OR {column} >= %(since)s)
        """
    ).format(table=sql.Identifier(schema, name), column=sql.Identifier(column))
    row = connection.execute(query, {"until": until, "since": since}).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return Closed(column, int(row["rows"]), int(row["low"]), int(row["high"]))


def live(connection: Connection) -> dict[str, Live]:
    """All tables that we may read, partitions by themselves; the unlogged are empty after a recovery."""
    rows = connection.execute(
        """
        SELECT n.nspname AS schema, c.relname AS name, c.reltuples AS estimate,
               coalesce(s.n_tup_ins, 0) AS inserted, coalesce(s.n_tup_del, 0) AS deleted
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
        WHERE c.relkind = 'r' AND c.relpersistence = 'p'
          AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
          AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')
        ORDER BY 1, 2
        """
    ).fetchall()
    found = {}
    for row in rows:
        count = None if row["estimate"] > EXACT_ROWS else _count(connection, row["schema"], row["name"])
        found[f"{row['schema']}.{row['name']}"] = Live(count, int(row["inserted"]), int(row["deleted"]))
    return found


def _count(connection: Connection, schema: str, name: str) -> int:
    query = sql.SQL("SELECT count(*) AS rows FROM {}").format(sql.Identifier(schema, name))
    row = connection.execute(query).fetchone()
    return int(row["rows"]) if row else 0
