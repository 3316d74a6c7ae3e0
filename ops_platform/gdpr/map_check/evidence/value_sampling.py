"""Samples of a column's values, compared with the keys of a table."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.map_check import json_sampling
from ops_platform.gdpr.schema import Name, Relation

MOSTLY = 0.95
"""The share of values from which on a column is taken to hold the keys: rows that are gone leave some."""
HARDLY = 0.5
"""The share below which no rows that are gone explain what is missing."""
VALUES = 500
"""Distinct values of a sample that are looked up."""


@dataclass(frozen=True)
class Share:
    """``there`` of ``values`` distinct values of a sample, NULL left out, are keys of the table."""

    values: int
    there: int

    @property
    def mostly(self) -> bool:
        """Whether so many are keys that the column can be taken to hold them."""
        return self.values > 0 and self.there >= MOSTLY * self.values

    @property
    def hardly(self) -> bool:
        """Whether so few are keys that the column cannot be taken to hold them."""
        return self.values > 0 and self.there < HARDLY * self.values


def share(connection: Connection, table: Name, column: str, target: Name, to: str) -> Share:
    """Compare a sample of a column with the keys of ``target``, in an index of ``to``; again the same sample.

    Raises what psycopg raises, also where the two types cannot be compared.
    """
    query = sql.SQL(
        """
        SELECT count(*) AS values, count(*) FILTER (WHERE EXISTS (
            SELECT FROM {target} AS t WHERE t.{to} = s.value)) AS there
        FROM ({sample}) AS s
        """
    ).format(target=target.identifier, to=sql.Identifier(to), sample=_sample(connection, table, column))
    row = one_row(connection, query)
    return Share(row["values"], row["there"])


def share_elsewhere(
    connection: Connection, table: Name, column: str, other: Connection, target: Relation, to: str
) -> Share:
    """Compare such a sample with the keys of ``target``, which is in the database of ``other``.

    Raises what psycopg raises.
    """
    query = sql.SQL("SELECT CAST(s.value AS text) AS value FROM ({}) AS s")
    values = [row["value"] for row in connection.execute(query.format(_sample(connection, table, column)))]
    row = one_row(
        other,
        sql.SQL(
            "SELECT count(*) AS there FROM unnest(CAST({} AS {}[])) AS s (value) "
            "WHERE EXISTS (SELECT FROM {} AS t WHERE t.{} = s.value)"
        ).format(
            sql.Literal(values),
            sql.SQL(target.columns[to].type),
            target.name.identifier,
            sql.Identifier(to),
        ),
    )
    return Share(len(values), row["there"])


def _sample(connection: Connection, table: Name, column: str) -> sql.Composable:
    """Write the query for a sample of a column's distinct values, called value."""
    percentage = json_sampling.block_percentage(connection, table)
    # With another sample each time, a map that passed would be refused by the next run.
    source = sql.SQL("{} TABLESAMPLE SYSTEM ({}) REPEATABLE (0)").format(
        table.identifier, sql.Literal(percentage)
    )
    return sql.SQL(
        """
        SELECT DISTINCT value FROM (
            SELECT {column} AS value FROM {source} WHERE {column} IS NOT NULL LIMIT {rows}) AS r
        LIMIT {values}
        """
    ).format(
        column=sql.Identifier(column),
        source=table.identifier if percentage >= 100 else source,
        rows=sql.Literal(json_sampling.SAMPLE),
        values=sql.Literal(VALUES),
    )
