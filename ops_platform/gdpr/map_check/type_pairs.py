"""The check of pairs of columns of which one says what the other is the id of: a type and an id."""

from __future__ import annotations

import re
from collections.abc import Iterator

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.data_map import ByArray, ByJson, ByMention, DataMap
from ops_platform.gdpr.map_check import json_sampling
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue, Name, Relation

_ID = re.compile(r"(?P<stem>.+?)_?(id|uuid|pk|key)", re.IGNORECASE)


def check(connection: Connection, data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """List the roles by the id of such a pair alone. Raises what psycopg raises."""
    for table, belonging in data_map.belongings():
        relation, way = catalogue.relations.get(table.name), belonging.way
        if relation is None or isinstance(way, ByArray | ByJson | ByMention):
            continue
        for column in way.columns:
            type_column = type_of(relation, column)
            if type_column is None or type_column in belonging.columns:
                continue
            # A foreign key refers to one table only, whatever the other column says.
            if any(
                reference.table == table.name and column in reference.columns
                for reference in catalogue.references
            ):
                continue
            values = _count_values(connection, table.name, type_column)
            several = f"{type_column} has {values} values" if values > 1 else f"{type_column} may say of what"
            yield Finding(
                f"{table.name} ({belonging.role})",
                "type-pair",
                f"is found by {column} alone, but {several}: the same id may be of something else, so say "
                f"which is meant, as in where: {{{type_column}: User}}, or list all",
            )


def type_of(relation: Relation, column: str) -> str | None:
    """Find the column that says of what ``column`` is the id: as Rails, Laravel, Django and Gedmo name it."""
    match = _ID.fullmatch(column)
    if match is None or column not in relation.columns:
        return None
    stem = match["stem"].lower()
    spelled = {f"{stem}{separator}{kind}" for separator in ("_", "") for kind in ("type", "class")}
    if stem == "object":
        spelled |= {"content_type_id", "content_type"}
    return next((name for name in relation.columns if name.lower() in spelled and name != column), None)


def _count_values(connection: Connection, table: Name, column: str) -> int:
    """Count the values of a column in a sample."""
    percentage = json_sampling.block_percentage(connection, table)
    source = sql.SQL("{} TABLESAMPLE SYSTEM ({})").format(table.identifier, sql.Literal(percentage))
    query = sql.SQL(
        "SELECT count(DISTINCT CAST(value AS text)) AS values FROM (SELECT {} AS value FROM {} LIMIT {}) AS s"
    ).format(
        sql.Identifier(column),
        table.identifier if percentage >= 100 else source,
        sql.Literal(json_sampling.SAMPLE),
    )
    return int(one_row(connection, query)["values"])
