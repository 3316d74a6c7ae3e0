"""What JSONB documents hold, looked up in a sample: where in them there are values."""

from __future__ import annotations

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.data_map import DataMap, JsonPath, leaves
from ops_platform.gdpr.map_check.coverage import JSON_TYPES, Seen
from ops_platform.gdpr.schema import Catalogue, Name

SAMPLE = 5000
"""Documents that are looked at in each column; of a larger table, of blocks drawn at random."""
_AT_ONCE = 50


def sample(connection: Connection, data_map: DataMap, catalogue: Catalogue) -> Seen:
    """Of every column whose parts the map tells apart. Raises what psycopg raises."""
    found: dict[tuple[Name, str], set[JsonPath]] = {}
    for table in data_map.tables.values():
        relation = catalogue.relations.get(table.name)
        for column in sorted(table.documents):
            if relation and column in relation.columns and relation.columns[column].type in JSON_TYPES:
                found[table.name, column] = paths(connection, table.name, column)
    return found


def paths(connection: Connection, table: Name, column: str) -> set[JsonPath]:
    """Where documents of ``column`` hold values."""
    blocks = share(connection, table)
    source = sql.SQL("{} TABLESAMPLE SYSTEM ({})").format(table.identifier, sql.Literal(blocks))
    query = sql.SQL(
        "SELECT {column} AS document FROM {source} WHERE {column} IS NOT NULL LIMIT {limit}"
    ).format(
        column=sql.Identifier(column),
        source=table.identifier if blocks >= 100 else source,
        limit=sql.Literal(SAMPLE),
    )
    found: set[JsonPath] = set()
    # A cursor of the server's lives in a transaction, also where each statement is one of its own.
    with connection.transaction(), connection.cursor("documents") as cursor:
        # A few at a time: one may be ten megabytes.
        cursor.itersize = _AT_ONCE
        for row in cursor.execute(query):
            found |= set(leaves(row["document"]))
    return found


def share(connection: Connection, table: Name) -> float:
    """Per cent of the blocks that hold about twice SAMPLE rows; 100 of a table that is not larger."""
    row = one_row(
        connection,
        """
        SELECT coalesce(sum(c.reltuples), 0)::float AS rows
        FROM pg_partition_tree(to_regclass(%(table)s)) AS p JOIN pg_class AS c ON c.oid = p.relid
        WHERE p.isleaf
        """,
        {"table": table.identifier.as_string(connection)},
    )
    rows = row["rows"]
    return 100.0 if rows <= 2 * SAMPLE else round(200.0 * SAMPLE / rows, 6)
