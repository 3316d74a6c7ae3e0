"""Sampling of JSONB documents: the paths at which they hold values."""

from __future__ import annotations

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.data_map import DataMap, JsonPath, leaves
from ops_platform.gdpr.map_check.coverage import JSON_TYPES, SampledPaths
from ops_platform.gdpr.schema import Catalogue, Name

SAMPLE = 5000
"""Documents read of each column; of a larger table, from blocks drawn at random."""
LARGEST = 1 << 20
"""Bytes of the largest document, as text, that is read."""
_AT_ONCE = 5


def sample(connection: Connection, data_map: DataMap, catalogue: Catalogue) -> SampledPaths:
    """Sample every column that the map lists in ``documents``. Raises what psycopg raises."""
    sampled_paths: dict[tuple[Name, str], set[JsonPath]] = {}
    for table in data_map.tables.values():
        relation = catalogue.relations.get(table.name)
        for column in sorted(table.documents):
            if relation and column in relation.columns and relation.columns[column].type in JSON_TYPES:
                sampled_paths[table.name, column] = _paths(connection, table.name, column)
    return sampled_paths


def _paths(connection: Connection, table: Name, column: str) -> set[JsonPath]:
    percentage = block_percentage(connection, table)
    source = sql.SQL("{} TABLESAMPLE SYSTEM ({})").format(table.identifier, sql.Literal(percentage))
    query = sql.SQL(
        "SELECT {column} AS document FROM {source} "
        "WHERE pg_column_size({column}) <= {largest} AND octet_length(CAST({column} AS text)) <= {largest} "
        "LIMIT {limit}"
    ).format(
        largest=sql.Literal(LARGEST),
        column=sql.Identifier(column),
        source=table.identifier if percentage >= 100 else source,
        limit=sql.Literal(SAMPLE),
    )
    paths: set[JsonPath] = set()
    # A server-side cursor needs a transaction, also on a connection in autocommit mode.
    with connection.transaction(), connection.cursor("documents") as cursor:
        # A few at a time: parsed, a document takes ten times its size.
        cursor.itersize = _AT_ONCE
        for row in cursor.execute(query):
            paths |= set(leaves(row["document"]))
    return paths


def block_percentage(connection: Connection, table: Name) -> float:
    """Estimate the percentage of blocks with about twice SAMPLE rows; 100 for a table with no more."""
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
