"""Which rows belong to a subject: the data map's ways as SQL conditions that indexes can answer."""

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
    """The values of the subject's identifiers, by column; those that are NULL, or unknown, are not in it."""

    values: Mapping[str, Any]


def identity(connection: Connection, data_map: DataMap, catalogue: Catalogue, key: str) -> Identity | None:
    """Of the subject whose key reads ``key``; None when there is no such row, or it is no key at all.

    Raises what psycopg raises.
    """
    subject = data_map.subject
    column = catalogue.relations[subject.table].columns[subject.key]
    query = sql.SQL("SELECT {columns} FROM {table} WHERE {key} = CAST(%s AS {type})").format(
        columns=sql.SQL(", ").join(sql.Identifier(one) for one in subject.identifiers),
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
class Sparing:
    """Rows newer than ``cutoff`` are not the erased person's, where that can be told.

    ``anew``: the row that has the subject's key is itself newer, so the key alone says nothing either.
    ``names``: the identifiers that somebody else has now; None, after a restore: any may be.
    ``swept``: rows by these have been erased since, what holds them now is the other's.
    """

    cutoff: datetime
    anew: bool
    names: frozenset[str] | None = None
    swept: bool = False


def condition(
    data_map: DataMap,
    catalogue: Catalogue,
    table: Name,
    one: Belonging,
    who: Identity,
    alias: str,
    sparing: Sparing | None = None,
) -> sql.Composable:
    """True of the rows of ``table``, called ``alias``, that are the subject's in this role."""
    way = one.way
    if isinstance(way, ByParent):
        return _through(data_map, catalogue, way, who, sql.Identifier(alias, way.column), alias, sparing)
    held = _held(way, catalogue, table, who, alias)
    keyed = way.holds == data_map.subject.key
    if sparing is None or (keyed and not sparing.anew):
        return held
    created = data_map.tables[table].created
    if sparing.names is not None:
        if way.holds not in sparing.names:
            return held
        if created is None or sparing.swept:
            return sql.SQL("false")
    if created is None:
        # Then who has the subject's key now has their own names, too.
        return sql.SQL("false") if sparing.anew else held
    # What does not say when it came into being is old.
    return sql.SQL("({held} AND ({created} > {cutoff}) IS NOT TRUE)").format(
        held=held, created=sql.Identifier(alias, created), cutoff=sql.Literal(sparing.cutoff)
    )


def _held(
    way: ByColumn | ByArray | ByJson, catalogue: Catalogue, table: Name, who: Identity, alias: str
) -> sql.Composable:
    column = sql.Identifier(alias, way.column)
    if way.holds not in who.values:
        # Nothing can hold what the subject has not.
        return sql.SQL("false")
    value = who.values[way.holds]
    if isinstance(way, ByColumn):
        return sql.SQL("{} = {}").format(column, sql.Literal(value))
    if isinstance(way, ByArray):
        kind = catalogue.relations[table].columns[way.column].type
        return sql.SQL("{} @> CAST({} AS {})").format(column, sql.Literal([value]), sql.SQL(kind))
    return _within(way, value, column, catalogue.relations[table].columns[way.column].type)


def _through(
    data_map: DataMap,
    catalogue: Catalogue,
    way: ByParent,
    who: Identity,
    column: sql.Composable,
    alias: str,
    sparing: Sparing | None,
) -> sql.Composable:
    inner = f"{alias}_"
    roles = [
        condition(data_map, catalogue, way.table, one, who, inner, sparing)
        for one in data_map.tables[way.table].belongings
        if not way.roles or one.role in way.roles
    ]
    return sql.SQL("{column} IN (SELECT {to} FROM {table} AS {inner} WHERE {roles})").format(
        column=column,
        to=sql.Identifier(inner, way.to),
        table=way.table.identifier,
        inner=sql.Identifier(inner),
        roles=sql.SQL(" OR ").join(roles) if roles else sql.SQL("false"),
    )


def _within(way: ByJson, value: Any, column: sql.Composable, kind: str) -> sql.Composable:
    """By containment, which a GIN index on the document answers."""
    document = column if kind == "jsonb" else sql.SQL("{}::jsonb").format(column)
    wanted = [_around(way.path, str(value))]
    if isinstance(value, int):
        # Of a number one writes the digits, another the text.
        wanted.append(_around(way.path, value))
    # An array contains, in PostgreSQL's eyes, a value that is one of its elements; it is not that value.
    test = sql.SQL("{} @> {}" if way.path.steps else "{} = {}")
    either = [test.format(document, sql.Literal(Jsonb(one))) for one in wanted]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(either))


def _around(path: JsonPath, value: Any) -> Any:
    """The smallest document that holds ``value`` at ``path``."""
    for step in reversed(path.steps):
        value = [value] if step == EVERY else {step: value}
    return value
