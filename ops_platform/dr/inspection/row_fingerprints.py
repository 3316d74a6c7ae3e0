"""Rows of tables as numbers: how many, and for append-only ones a hash that does not depend on order.

The hash of a set of rows is the sum of two 64-bit hashes of each row's text, so that what was
appended can be added to what was there: recurring work on large tables is O(new rows).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed

EXACT_ROWS = 1_000_000
"""Tables are counted up to here; of larger ones it is known that they are."""

Columns = tuple[tuple[str, str], ...]
"""Name and type of each column, in their order."""

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
class Closed:
    """The rows of an append-only table whose ``column`` is older than a marker.

    ``columns`` is what was hashed: a column added later does not change it.
    """

    column: str
    rows: int
    low: int
    high: int
    columns: Columns = ()

    def __add__(self, other: Closed) -> Closed:
        return replace(
            self, rows=self.rows + other.rows, low=self.low + other.low, high=self.high + other.high
        )

    def as_json(self) -> dict[str, object]:
        return {
            "column": self.column,
            "rows": self.rows,
            # The sums pass 2^53: as text.
            "low": str(self.low),
            "high": str(self.high),
            "columns": [list(one) for one in self.columns],
        }

    @classmethod
    def parse(cls, value: Mapping[str, object]) -> Closed:
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
class Live:
    """A table's rows (None: more than EXACT_ROWS) and how many were ever inserted and deleted.

    ``oid`` tells a table from another one of its name, ``file`` changes when it is rewritten:
    TRUNCATE deletes rows that nobody counts.
    """

    rows: int | None
    inserted: int
    deleted: int
    oid: int = 0
    file: int = 0


@dataclass(frozen=True)
class Counted:
    """All tables of a database. ``unread``: those that could not be counted, for want of rights."""

    tables: Mapping[str, Live]
    unread: tuple[str, ...]


def fix_session(connection: Connection) -> None:
    """Make the texts of rows the same wherever they are read."""
    for statement in _SESSION:
        connection.execute(statement)


def columns(connection: Connection, table: str) -> Columns:
    """Of ``table`` (``schema.table``); none when there is no such table."""
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


def limit(kind: str, marker: datetime) -> datetime | date | None:
    """Rows stamped earlier than this are closed; None for a type that holds no time.

    Dates and times without a zone are some zone's: closed a day later, whichever it is.
    """
    if kind.startswith("timestamp") and kind.endswith("with time zone"):
        return marker
    earlier = marker.astimezone(UTC).replace(tzinfo=None) - timedelta(days=1)
    if kind == "date":
        return earlier.date()
    return earlier if kind.startswith("timestamp") else None


def closed(
    connection: Connection,
    table: str,
    column: str,
    until: datetime,
    since: datetime | None = None,
    hashed: Columns | None = None,
) -> Closed:
    """Rows of ``table`` stamped from ``since`` to before ``until``; of them ``hashed``, or all columns.

    One sequential scan, however large the table is. Raises CheckFailed when there is no such table
    or column, or it holds no time.
    """
    present = columns(connection, table)
    kind = dict(present).get(column)
    if kind is None:
        raise CheckFailed(f"there is no {table}.{column}: correct append_only in backups.yaml")
    end = limit(kind, until)
    if end is None:
        raise CheckFailed(f"{table}.{column} is no date or time: correct append_only in backups.yaml")
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
        columns=sql.SQL(", ").join(sql.Identifier("t", one) for one, _ in chosen),
        table=sql.Identifier(schema, name),
        condition=sql.SQL(" AND ").join(conditions),
    )
    start = None if since is None else limit(kind, since)
    row = one_row(connection, query, {"until": end, "since": start})
    return Closed(column, int(row["rows"]), int(row["low"]), int(row["high"]), chosen)


def live(connection: Connection) -> Counted:
    """All tables, partitions by themselves; the unlogged are left out: a recovery empties them."""
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
    found, unread = {}, []
    for row in rows:
        name = f"{row['schema']}.{row['name']}"
        if not row["readable"]:
            unread.append(name)
            continue
        count = _count(connection, row["schema"], row["name"])
        found[name] = Live(count, int(row["inserted"]), int(row["deleted"]), row["oid"], row["file"])
    return Counted(found, tuple(unread))


def statistics_epoch(connection: Connection) -> str:
    """Changes whenever the counts of inserts and deletes may have begun anew: by hand, or in a crash."""
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
