"""Row counts of tables, and for append-only tables a hash that does not depend on the rows' order.

The hash of a set of rows is the sum of two 64-bit hashes of each row's text, so that the hash of
appended rows can be added to the earlier one: recurring work on large tables is O(new rows).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed

EXACT_ROWS = 1_000_000
"""Rows are counted up to here; of a larger table it is only known that it is larger."""

Columns = tuple[tuple[str, str], ...]
"""Name and type of each column, in the table's order."""

# The text of a row depends on these.
_SESSION = (
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO, YMD'",
    "SET IntervalStyle = 'postgres'",
    "SET extra_float_digits = 1",
    "SET bytea_output = 'hex'",
    "SET lc_monetary = 'C'",
    "SET search_path = pg_catalog",
    "SET row_security = off",
)


@dataclass(frozen=True)
class ClosedRows:
    """The rows of an append-only table whose ``column`` is older than a marker: number and hash.

    ``low`` and ``high`` are the two sums of row hashes. ``columns`` are those that were hashed: a
    column added later does not change the hash.
    """

    column: str
    rows: int
    low: int
    high: int
    columns: Columns = ()

    def __add__(self, other: ClosedRows) -> ClosedRows:
        return replace(
            self, rows=self.rows + other.rows, low=self.low + other.low, high=self.high + other.high
        )

    def as_json(self) -> dict[str, object]:
        """Return the form that is signed in a reference; the sums are text."""
        return {
            "column": self.column,
            "rows": self.rows,
            # JSON numbers are exact up to 2^53 only.
            "low": str(self.low),
            "high": str(self.high),
            "columns": [list(column) for column in self.columns],
        }

    @classmethod
    def parse(cls, value: Mapping[str, object]) -> ClosedRows:
        """Read what ``as_json`` returned."""
        columns = value["columns"]
        assert isinstance(columns, list)  # noqa: S101 - it was signed
        return cls(
            str(value["column"]),
            int(str(value["rows"])),
            int(str(value["low"])),
            int(str(value["high"])),
            tuple((str(name), str(kind)) for name, kind in columns),
        )


@dataclass(frozen=True)
class LiveTable:
    """A table's rows (None: more than EXACT_ROWS) and how many were ever inserted and deleted.

    ``oid`` tells a table from another one of its name. ``file`` changes when the table is rewritten:
    TRUNCATE deletes rows without counting them.
    """

    rows: int | None
    inserted: int
    deleted: int
    oid: int = 0
    file: int = 0


@dataclass(frozen=True)
class LiveTables:
    """All tables of a database. ``unread``: those that could not be counted for lack of privileges."""

    tables: Mapping[str, LiveTable]
    unread: tuple[str, ...]


def fix_session(connection: Connection) -> None:
    """Set what the text of a row depends on, so that it is the same in every session."""
    for statement in _SESSION:
        connection.execute(statement)


def table_columns(connection: Connection, table: str) -> Columns:
    """Read the columns of ``table`` (``schema.table``); none when there is no such table."""
    schema, _, name = table.partition(".")
    rows = connection.execute(
        """
        SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p')
          AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
        """,
        (schema, name),
    ).fetchall()
    return tuple((row["name"], row["type"]) for row in rows)


def closing_limit(kind: str, marker: datetime) -> datetime | date | None:
    """Return the stamp before which rows are closed; None for a type that holds no time.

    Dates and times without a zone may be of any zone, so their rows close a day later.
    """
    if kind.startswith("timestamp") and kind.endswith("with time zone"):
        return marker
    earlier = marker.astimezone(UTC).replace(tzinfo=None) - timedelta(days=1)
    if kind == "date":
        return earlier.date()
    return earlier if kind.startswith("timestamp") else None


def closed_rows(
    connection: Connection,
    table: str,
    column: str,
    until: datetime,
    since: datetime | None = None,
    hashed: Columns | None = None,
) -> ClosedRows:
    """Count and hash the rows of ``table`` stamped from ``since`` to before ``until``.

    Hashes the columns ``hashed``; None: all. One sequential scan, however large the table is. Raises
    CheckFailed when there is no such table or column, or it holds no time.
    """
    present = table_columns(connection, table)
    kind = dict(present).get(column)
    if kind is None:
        raise CheckFailed(f"there is no {table}.{column}: correct append_only in backups.yaml")
    end = closing_limit(kind, until)
    if end is None:
        raise CheckFailed(f"{table}.{column} is not a date or time: correct append_only in backups.yaml")
    chosen = present if hashed is None else hashed
    schema, _, name = table.partition(".")
    stamp = sql.Identifier(column)
    conditions = [sql.SQL("{} < %(until)s").format(stamp)]
    if since is not None:
        conditions.append(sql.SQL("{} >= %(since)s").format(stamp))
    # OFFSET 0: else each row's text is made twice.
    query = sql.SQL(
        """
        SELECT count(*) AS rows, coalesce(sum(hashtextextended(row, 0)::numeric), 0) AS low,
               coalesce(sum(hashtextextended(row, 1)::numeric), 0) AS high
        FROM (SELECT ROW({columns})::text COLLATE "C" AS row FROM {table} AS t
              WHERE {condition} OFFSET 0) AS r
        """
    ).format(
        columns=sql.SQL(", ").join(sql.Identifier("t", column_name) for column_name, _ in chosen),
        table=sql.Identifier(schema, name),
        condition=sql.SQL(" AND ").join(conditions),
    )
    start = None if since is None else closing_limit(kind, since)
    row = one_row(connection, query, {"until": end, "since": start})
    return ClosedRows(column, int(row["rows"]), int(row["low"]), int(row["high"]), chosen)


def live_tables(connection: Connection) -> LiveTables:
    """Count the rows of all tables, each partition by itself.

    Unlogged tables are left out: a recovery empties them.
    """
    rows = connection.execute(
        """
        SELECT n.nspname AS schema, c.relname AS name, c.oid::bigint AS oid,
               coalesce(pg_relation_filenode(c.oid), 0)::bigint AS file,
               coalesce(s.n_tup_ins, 0) AS inserted, coalesce(s.n_tup_del, 0) AS deleted,
               has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')
                   AND NOT row_security_active(c.oid) AS readable
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
        WHERE c.relkind = 'r' AND c.relpersistence = 'p'
          AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
        ORDER BY 1, 2
        """
    ).fetchall()
    tables, unread = {}, []
    for row in rows:
        name = f"{row['schema']}.{row['name']}"
        if not row["readable"]:
            unread.append(name)
            continue
        count = _count(connection, row["schema"], row["name"])
        tables[name] = LiveTable(count, int(row["inserted"]), int(row["deleted"]), row["oid"], row["file"])
    return LiveTables(tables, tuple(unread))


def statistics_epoch(connection: Connection) -> str:
    """Return a text that changes when the statistics may have been reset: by hand, or in a crash."""
    row = one_row(
        connection,
        """
        SELECT concat_ws('/', (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
                         (SELECT stats_reset FROM pg_stat_wal)) AS epoch
        """,
    )
    return str(row["epoch"])


def _count(connection: Connection, schema: str, name: str) -> int | None:
    query = sql.SQL("SELECT count(*) AS rows FROM (SELECT FROM {} LIMIT %s) AS t").format(
        sql.Identifier(schema, name)
    )
    row = one_row(connection, query, (EXACT_ROWS + 1,))
    rows = int(row["rows"])
    return None if rows > EXACT_ROWS else rows
