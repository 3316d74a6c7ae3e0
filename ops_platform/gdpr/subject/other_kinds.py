"""What the map gives to other kinds of subject by a name that the erased subject has, too.

A person can be of several kinds, with one address, and keys of different kinds can be equal. Each kind is
erased by itself, so such rows stay, and nothing in them is left over from the erased one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.data_map import Anonymise, Belonging, ByColumn, ByMention, DataMap, Keep, Remove
from ops_platform.gdpr.schema import Catalogue, Column, Name
from ops_platform.gdpr.spellings import is_uuid
from ops_platform.gdpr.subject import constant_sql, name_reuse, row_predicates
from ops_platform.gdpr.subject.identity import Identity, folded

_TEXTS = frozenset(("text", "character varying", "character", "citext", "name"))


@dataclass(frozen=True)
class Theirs:
    """What other kinds have by ``value``: conditions of rows called t, by table, and by table and column."""

    value: Any
    rows: dict[Name, sql.Composable] = field(default_factory=dict)
    columns: dict[tuple[Name, str], sql.Composable] = field(default_factory=dict)

    def exclude(self, relation: Name, column: str, test: sql.Composable) -> sql.Composable:
        """Restrict ``test`` to what is not theirs."""
        for condition in (self.rows.get(relation), self.columns.get((relation, column))):
            if condition is not None:
                test = sql.SQL("({} AND ({}) IS NOT TRUE)").format(test, condition)
        return test


def find(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, identity: Identity
) -> tuple[Theirs, ...]:
    """Find what other kinds have now by the subject's names; nothing for names that they do not have."""
    found = (
        _of_value(connection, data_map, catalogue, value)
        for value in (dict.fromkeys(identity.names(data_map.subject)) if data_map.others else ())
    )
    return tuple(theirs for theirs in found if theirs.rows or theirs.columns)


def _of_value(connection: Connection, data_map: DataMap, catalogue: Catalogue, value: Any) -> Theirs:
    places = [
        (table.name, belonging, sql.SQL("({})").format(sql.SQL(" OR ").join(tests)))
        for other in data_map.others
        for people in [_people(connection, other, catalogue, value)]
        for table, belonging in other.belongings()
        # Nothing tells who is meant by a word in a text.
        if not isinstance(belonging.way, ByMention)
        and (
            tests := [
                *(
                    row_predicates.condition(other, catalogue, table.name, belonging, person, "t")
                    for person in people
                ),
                *_of_erased(other, catalogue, table.name, belonging),
            ]
        )
    ]
    theirs = Theirs(value)
    for table, belonging, test in _existing(connection, places):
        # Where their erasure would only change columns of the row, the rest of it is not theirs.
        columns = _columns(belonging)
        for column in columns:
            _add(theirs.columns, (table, column), test)
        if not columns:
            _add(theirs.rows, table, test)
    return theirs


def _people(connection: Connection, other: DataMap, catalogue: Catalogue, value: Any) -> list[Identity]:
    """List the identities of those of the other kind who have this value, and of who had it alone.

    When nobody has it, nothing is theirs by it: nobody would ever erase it.
    """
    subject, relations = other.subject, catalogue.relations
    named = {
        name: held
        for name in subject.identifiers
        if (held := _held(relations[subject.table].columns[name], value)) is not None
    }
    known_by = {
        known.name: held
        for known in subject.known_by
        if (held := _held(relations[known.table].columns[known.column], value)) is not None
    }
    tests = [name_reuse.equal(sql.Identifier("t", name), held) for name, held in named.items()]
    tests += [
        name_reuse.in_side_table(
            other, catalogue, known, name_reuse.equal(sql.Identifier("k", known.column), known_by[known.name])
        )
        for known in subject.known_by
        if known.name in known_by
    ]
    if not tests:
        return []
    query = sql.SQL("SELECT {columns} FROM {table} AS t WHERE {tests}").format(
        columns=sql.SQL(", ").join(sql.Identifier("t", name) for name in subject.columns),
        table=subject.table.identifier,
        tests=sql.SQL(" OR ").join(tests),
    )
    people = list[Identity]()
    for row in connection.execute(query).fetchall():
        values = {name: held for name, held in row.items() if held is not None}
        person = row_predicates.with_side_tables(connection, other, catalogue, values)
        # Also by the value alone, in the subject's spelling, which may differ in capitals.
        people += [person, *_alone(person, named, known_by)]
    return people


def _alone(person: Identity, named: Mapping[str, Any], known_by: Mapping[str, Any]) -> Iterator[Identity]:
    """Yield an identity of each name that the person has."""
    for name, held in named.items():
        if folded(held) in map(folded, person.of(name)):
            yield Identity({name: held})
    for name, held in known_by.items():
        if folded(held) in map(folded, person.of(name)):
            yield Identity({}, {name: (held,)})


def _of_erased(
    other: DataMap, catalogue: Catalogue, table: Name, belonging: Belonging
) -> Iterator[sql.Composable]:
    """Write the condition for rows that the law keeps of those who are erased: who they were is not known."""
    way, subject = belonging.way, other.subject
    if not isinstance(belonging.erasure, Keep) or not isinstance(way, ByColumn):
        return
    held = dict(zip(way.holds, way.columns, strict=True))
    if not set(subject.key) <= set(held):
        return
    columns = catalogue.relations[table].columns
    yield sql.SQL("({where} AND NOT EXISTS (SELECT FROM {table} AS s WHERE {same}))").format(
        where=sql.SQL(" AND ").join(
            [
                *(sql.SQL("{} IS NOT NULL").format(sql.Identifier("t", column)) for column in way.columns),
                *(
                    constant_sql.is_any_of(columns[name], values, "t")
                    for name, values in belonging.where.items()
                ),
            ]
        ),
        table=subject.table.identifier,
        same=sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("s", name), sql.Identifier("t", held[name]))
            for name in subject.key
        ),
    )


def _held(column: Column, value: Any) -> Any:
    """Convert the value to the column's type; None when it cannot hold it, and for numbers."""
    if column.array:
        return None
    if column.base == "uuid" and is_uuid(value):
        return UUID(str(value))
    return str(value) if column.base in _TEXTS and isinstance(value, str | UUID) else None


def _existing(
    connection: Connection, places: Sequence[tuple[Name, Belonging, sql.Composable]]
) -> Iterator[tuple[Name, Belonging, sql.Composable]]:
    """Yield the places with rows: most names are of one kind only, and long conditions slow the search."""
    if not places:
        return
    tests = [
        sql.SQL("EXISTS (SELECT FROM {} AS t WHERE {}) AS {}").format(
            table.identifier, test, sql.Identifier(f"c{number}")
        )
        for number, (table, _, test) in enumerate(places)
    ]
    there = one_row(connection, sql.SQL("SELECT {}").format(sql.SQL(", ").join(tests)))
    yield from (place for number, place in enumerate(places) if there[f"c{number}"])


def _columns(belonging: Belonging) -> frozenset[str]:
    """List the columns that are theirs in a row of which their erasure would only change these."""
    if isinstance(belonging.erasure, Anonymise):
        return belonging.columns | frozenset(belonging.erasure.columns)
    return belonging.columns if isinstance(belonging.erasure, Remove) else frozenset()


def _add(conditions: dict[Any, sql.Composable], key: object, test: sql.Composable) -> None:
    known = conditions.get(key)
    conditions[key] = test if known is None else sql.SQL("({} OR {})").format(known, test)
