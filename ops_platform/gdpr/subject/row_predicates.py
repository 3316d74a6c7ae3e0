"""The rows that belong to a subject, as SQL conditions that indexes can answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import (
    EVERY,
    Belonging,
    ByArray,
    ByColumn,
    ByJson,
    ByParent,
    DataMap,
    JsonPath,
)
from ops_platform.gdpr.schema import Catalogue, Name


@dataclass(frozen=True)
class Identity:
    """The values of the subject's identifiers, by column, without those that are NULL or unknown."""

    values: Mapping[str, Any]


def identity(connection: Connection, data_map: DataMap, catalogue: Catalogue, key: str) -> Identity | None:
    """Read the identity of the subject with this key, given as text.

    None when there is no such row, or when the key's type cannot hold the text. Raises what psycopg raises.
    """
    subject = data_map.subject
    column = catalogue.relations[subject.table].columns[subject.key]
    query = sql.SQL("SELECT {columns} FROM {table} WHERE {key} = CAST(%s AS {type})").format(
        columns=sql.SQL(", ").join(sql.Identifier(name) for name in subject.identifiers),
        table=subject.table.identifier,
        key=sql.Identifier(subject.key),
        type=sql.SQL(column.type),
    )
    try:
        with connection.transaction():
            row = connection.execute(query, (key,)).fetchone()
    except psycopg.DataError:
        return None
    if row is None:
        return None
    return Identity({name: value for name, value in row.items() if value is not None})


@dataclass(frozen=True)
class SparedRows:
    """Rows that an erasure spares: newer than ``cutoff``, they are somebody else's, where that can be told.

    ``key_reused``: the row with the subject's key is itself newer, so that the key proves nothing either.
    ``reused_names``: the identifiers that somebody else has now; None after a restore, when any may be.
    ``erased_once``: the subject's rows by these names have been erased since; rows that hold such a name
    now are somebody else's.
    """

    cutoff: datetime
    key_reused: bool
    reused_names: frozenset[str] | None = None
    erased_once: bool = False


def condition(
    data_map: DataMap,
    catalogue: Catalogue,
    table: Name,
    belonging: Belonging,
    identity: Identity,
    alias: str,
    spared: SparedRows | None = None,
) -> sql.Composable:
    """Write the condition for rows of ``table``, called ``alias``, that are the subject's in this role.

    ``spared``: rows to leave out; see ``name_reuse``.
    """
    way = belonging.way
    if isinstance(way, ByParent):
        return _through_parent(
            data_map, catalogue, way, identity, sql.Identifier(alias, way.column), alias, spared
        )
    held = _holds_identifier(way, catalogue, table, identity, alias)
    by_key = way.holds == data_map.subject.key
    if spared is None or (by_key and not spared.key_reused):
        return held
    created = data_map.tables[table].created
    if spared.reused_names is not None:
        if way.holds not in spared.reused_names:
            return held
        if created is None or spared.erased_once:
            return sql.SQL("false")
    if created is None:
        # Where the key is reused, its new owner has names of their own, too.
        return sql.SQL("false") if spared.key_reused else held
    # A row whose time of creation is NULL counts as old.
    return sql.SQL("({held} AND ({created} > {cutoff}) IS NOT TRUE)").format(
        held=held, created=sql.Identifier(alias, created), cutoff=sql.Literal(spared.cutoff)
    )


def _holds_identifier(
    way: ByColumn | ByArray | ByJson, catalogue: Catalogue, table: Name, identity: Identity, alias: str
) -> sql.Composable:
    column = sql.Identifier(alias, way.column)
    if way.holds not in identity.values:
        # No row can hold an identifier that the subject does not have.
        return sql.SQL("false")
    value = identity.values[way.holds]
    if isinstance(way, ByColumn):
        return sql.SQL("{} = {}").format(column, sql.Literal(value))
    if isinstance(way, ByArray):
        array_type = catalogue.relations[table].columns[way.column].type
        return sql.SQL("{} @> CAST({} AS {})").format(column, sql.Literal([value]), sql.SQL(array_type))
    return _holds_in_json(way, value, column, catalogue.relations[table].columns[way.column].type)


def _through_parent(
    data_map: DataMap,
    catalogue: Catalogue,
    way: ByParent,
    identity: Identity,
    column: sql.Composable,
    alias: str,
    spared: SparedRows | None,
) -> sql.Composable:
    inner = f"{alias}_"
    roles = [
        condition(data_map, catalogue, way.table, belonging, identity, inner, spared)
        for belonging in data_map.tables[way.table].belongings
        if not way.roles or belonging.role in way.roles
    ]
    return sql.SQL("{column} IN (SELECT {to} FROM {table} AS {inner} WHERE {roles})").format(
        column=column,
        to=sql.Identifier(inner, way.to),
        table=way.table.identifier,
        inner=sql.Identifier(inner),
        roles=sql.SQL(" OR ").join(roles) if roles else sql.SQL("false"),
    )


def _holds_in_json(way: ByJson, value: Any, column: sql.Composable, column_type: str) -> sql.Composable:
    """Test by containment, which a GIN index on the document answers."""
    document = column if column_type == "jsonb" else sql.SQL("{}::jsonb").format(column)
    patterns = [_document_with(way.path, str(value))]
    if isinstance(value, int):
        # A number may be written as a JSON number or as a string.
        patterns.append(_document_with(way.path, value))
    # To PostgreSQL an array contains each scalar among its elements: without a path only equality is exact.
    test = sql.SQL("{} @> {}" if way.path.steps else "{} = {}")
    tests = [test.format(document, sql.Literal(Jsonb(pattern))) for pattern in patterns]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def _document_with(path: JsonPath, value: Any) -> Any:
    """Build the smallest document that holds ``value`` at ``path``."""
    for step in reversed(path.steps):
        value = [value] if step == EVERY else {step: value}
    return value
