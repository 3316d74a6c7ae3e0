"""Reuse of a subject's names: rows of people who came later, or who have one of the names by now, are spared.

After a restore that is everybody who came since. While an erasure is under way a name can change hands: as
soon as the subject's row is gone, or renamed, somebody else may register with the address or take the
handle. The rule for a name (any identifier but the key) that a row with another key holds now:

- Until the first erasure of the subject's rows has ended, rows by this name are the subject's when they are
  not newer than the last moment at which the name surely was theirs (``Times.cutoff``).
- After it no such row is left. Rows that hold the name since then are the other person's, whatever their age.
- Rows that do not say when they were created are left alone. Where somebody else had the name before that
  erasure had ended, they may be either person's: the residue scan finds them, and nothing is completed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import (
    Belonging,
    ByArray,
    ByColumn,
    ByMention,
    ByParent,
    DataMap,
    KnownBy,
    holds_of,
)
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import constant_sql, row_predicates
from ops_platform.gdpr.subject.identity import Identity, folded, is_subject, joint_name
from ops_platform.gdpr.subject.row_predicates import SparedRows


@dataclass(frozen=True)
class FirstErasure:
    """The first complete erasure of the subject's rows; newer rows name somebody else.

    ``at``: when it had ended. ``reused_names``: the identifiers that others had by then; None when it used
    another data map, so that rows which the current one names may be left.
    """

    at: datetime
    reused_names: frozenset[str] | None


@dataclass(frozen=True)
class Times:
    """The times that decide whose a row is.

    ``cutoff``: until then the names were the subject's. ``replay``: the erasure is repeated after a restore.
    ``first_erasure``: the first complete erasure, None before its end. ``home``: the database that says who
    has which name now; None: the one whose rows are meant.
    """

    cutoff: datetime
    replay: bool = False
    first_erasure: FirstErasure | None = None
    home: OpenDatabase | None = None


def spared_rows(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, identity: Identity, times: Times
) -> SparedRows | None:
    """Determine the rows to spare, as the database is now; None: all that names the subject is theirs."""
    if times.home is not None:
        alike = frozenset(_held_alike(data_map, catalogue))
        return _spared_elsewhere(times.home, identity, replace(times, home=None), alike)
    if not times.replay and not any(
        _is_by_name(data_map, belonging) for _, belonging in data_map.belongings()
    ):
        return None  # whoever has the name now: it leads to no row
    return _spared(connection, data_map, catalogue, identity, times)


def _spared(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, identity: Identity, times: Times
) -> SparedRows | None:
    others = successors(connection, data_map, catalogue, identity, times.cutoff)
    values = frozenset(folded(value) for value in reused_values(data_map, identity, others))
    names = reused_names(data_map, identity, others)
    if times.replay:
        return SparedRows(
            times.cutoff,
            key_reused=_is_newer(connection, data_map, identity, times.cutoff),
            reused_values=values,
            reused_together=names & {joint_name(columns) for columns in data_map.subject.together},
        )
    if not names:
        return None
    erased_once = times.first_erasure is not None and times.first_erasure.reused_names is not None
    return SparedRows(
        times.cutoff, key_reused=False, reused_names=names, reused_values=values, erased_once=erased_once
    )


def _held_alike(data_map: DataMap, catalogue: Catalogue) -> Iterator[str]:
    """Yield the identifiers that columns hold in which one finds also what differs from it, as in case."""
    for table, belonging in data_map.belongings():
        way = belonging.way
        if isinstance(way, ByColumn | ByArray):
            columns = catalogue.relations[table.name].columns
            yield from (
                held
                for column, held in zip(way.columns, holds_of(way), strict=True)
                if column in columns and columns[column].alike
            )


def _spared_elsewhere(
    home: OpenDatabase, identity: Identity, times: Times, alike: Collection[str]
) -> SparedRows:
    """Determine the rows to spare in another database than that of the subjects.

    ``alike``: identifiers whose texts are equal there when they differ in case.
    """
    place = (home.connection, home.data_map, home.catalogue)
    spared = _spared(*place, identity, times)
    if spared is None:
        spared = SparedRows(times.cutoff, key_reused=False, reused_names=frozenset())
    return replace(spared, namesakes=frozenset(_namesakes(*place, identity, times.cutoff, alike)))


def _namesakes(
    connection: Connection,
    data_map: DataMap,
    catalogue: Catalogue,
    identity: Identity,
    cutoff: datetime,
    alike: Collection[str],
) -> Iterator[str]:
    """Yield the identifiers of which somebody else, who did not come later for sure, has a value, too.

    Of those in ``alike`` also one that differs in case, which no index of the subjects' table may find.
    """
    subject = data_map.subject
    if subject.table not in catalogue.relations:
        return
    columns = {(name,) for name in subject.identifiers} | set(subject.together)
    tests: dict[str, sql.Composable] = {}
    for names in sorted(columns - {subject.key}):
        values = [identity.values.get(name) for name in names]
        if None not in values:
            tests[joint_name(names)] = sql.SQL(" AND ").join(
                _same(sql.Identifier("t", name), value, alike=name in alike)
                for name, value in zip(names, values, strict=True)
            )
    for known in subject.known_by:
        values = list(identity.of(known.name))
        if values:
            column = sql.Identifier("k", known.column)
            held = sql.SQL("({})").format(
                sql.SQL(" OR ").join(_same(column, value, alike=known.name in alike) for value in values)
            )
            tests[known.name] = in_side_table(data_map, catalogue, known, held)
    table = data_map.tables.get(subject.table)
    created = table.created if table is not None else None
    for name, test in tests.items():
        query = sql.SQL("SELECT EXISTS (SELECT FROM {} AS t WHERE {} AND NOT {} AND {}) AS other").format(
            subject.table.identifier,
            test,
            is_subject(subject, identity, "t"),
            sql.SQL("true")
            if created is None
            else sql.SQL("({} > {}) IS NOT TRUE").format(sql.Identifier("t", created), sql.Literal(cutoff)),
        )
        if one_row(connection, query)["other"]:
            yield name


def _same(column: sql.Composable, value: Any, *, alike: bool) -> sql.Composable:
    return equal(column, value) if alike else sql.SQL("{} = {}").format(column, sql.Literal(value))


def _is_by_name(data_map: DataMap, belonging: Belonging) -> bool:
    """Tell whether a role finds rows by an identifier that may be somebody else's later."""
    way = belonging.way
    if isinstance(way, ByParent):
        return False  # as far as the roles that it goes through do
    return isinstance(way, ByMention) or not set(data_map.subject.key) <= set(holds_of(way))


def successors(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, identity: Identity, cutoff: datetime
) -> tuple[Identity, ...]:
    """Find others who have an identifier that was the subject's and is not any more, whenever they came.

    Those who share one with the subject and came after ``cutoff`` are found too, where the subject table
    or the side table says when. Texts are compared without regard to case, as in the residue scan.
    """
    subject = data_map.subject
    if subject.table not in catalogue.relations:
        return ()
    tests = [*_reuse_tests(connection, data_map, catalogue, identity, cutoff)]
    if not tests:
        return ()
    query = sql.SQL("SELECT {columns} FROM {table} AS t WHERE ({tests}) AND NOT {own}").format(
        columns=sql.SQL(", ").join(sql.Identifier("t", name) for name in subject.columns),
        table=subject.table.identifier,
        tests=sql.SQL(" OR ").join(tests),
        own=is_subject(subject, identity, "t"),
    )
    return tuple(
        row_predicates.with_side_tables(
            connection, data_map, catalogue, {name: value for name, value in row.items() if value is not None}
        )
        for row in connection.execute(query).fetchall()
    )


def _reuse_tests(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, identity: Identity, cutoff: datetime
) -> Iterator[sql.Composable]:
    """Write the conditions for subjects, called t, who have a name of ``identity``."""
    subject = data_map.subject
    created = data_map.tables[subject.table].created
    current = _current(connection, data_map, catalogue, identity)
    names = [name for name in subject.identifiers if name not in subject.key]
    given_up = list[Any]()
    for name in names:
        value, column = identity.values.get(name), sql.Identifier("t", name)
        if value is None or str(value).strip() == "":
            continue
        if folded(current.values.get(name)) != folded(value):
            given_up.append(value)
            yield equal(column, value)
        elif created is not None:
            yield sql.SQL("({} = {} AND {} > {})").format(
                column, sql.Literal(value), sql.Identifier("t", created), sql.Literal(cutoff)
            )
    for columns in subject.together:
        values = [identity.values.get(column) for column in columns]
        if None not in values and values != [current.values.get(column) for column in columns]:
            yield sql.SQL("({})").format(
                sql.SQL(" AND ").join(
                    equal(sql.Identifier("t", column), value)
                    for column, value in zip(columns, values, strict=True)
                )
            )
    for known in subject.known_by:
        theirs = {folded(value) for value in current.of(known.name)}
        created = data_map.tables[known.table].created
        for value in identity.of(known.name):
            if folded(value) not in theirs:
                given_up.append(value)
            elif created is not None:
                newer = sql.SQL("{} > {}").format(sql.Identifier("k", created), sql.Literal(cutoff))
                yield in_side_table(
                    data_map,
                    catalogue,
                    known,
                    sql.SQL("{} AND {}").format(equal(sql.Identifier("k", known.column), value), newer),
                )
    if not subject.known_by:
        return
    # A name that is free again may come back in another place: a second address as somebody's first.
    for value in given_up:
        if isinstance(value, str):
            yield from (equal(sql.Identifier("t", name), value) for name in names)
        for known in subject.known_by:
            if isinstance(value, str) or value in identity.of(known.name):
                same = equal(sql.Identifier("k", known.column), value)
                yield in_side_table(data_map, catalogue, known, same)


def equal(column: sql.Composable, value: Any) -> sql.Composable:
    """Compare texts without regard to case, whatever the type of the column."""
    pattern = "lower(CAST({} AS text)) = lower(CAST({} AS text))" if isinstance(value, str) else "{} = {}"
    return sql.SQL(pattern).format(column, sql.Literal(value))


def in_side_table(
    data_map: DataMap, catalogue: Catalogue, known: KnownBy, test: sql.Composable
) -> sql.Composable:
    """Write the condition for subjects t with a row k of the side table for which ``test`` is true."""
    columns = catalogue.relations[known.table].columns
    owned = [
        sql.SQL(" AND ").join(
            [
                *(
                    sql.SQL("{} = {}").format(sql.Identifier("k", column), sql.Identifier("t", held))
                    for column, held in zip(belonging.way.columns, belonging.way.holds, strict=True)
                ),
                *(
                    constant_sql.is_any_of(columns[name], values, "k")
                    for name, values in belonging.where.items()
                ),
            ]
        )
        for belonging in data_map.tables[known.table].belongings
        if isinstance(belonging.way, ByColumn)
        and set(belonging.way.holds) <= set(data_map.subject.columns)
        and (not known.roles or belonging.role in known.roles)
    ]
    return sql.SQL("EXISTS (SELECT FROM {} AS k WHERE {} AND ({}))").format(
        known.table.identifier, test, sql.SQL(" OR ").join(owned) if owned else sql.SQL("false")
    )


def reused_names(data_map: DataMap, identity: Identity, others: Iterable[Identity]) -> frozenset[str]:
    """Name the subject's identifiers of which one of ``others`` has a value now."""
    others = list(others)
    theirs = _folded_names(data_map, others)
    together = [
        joint_name(columns)
        for columns in data_map.subject.together
        for other in others
        if all(
            column in identity.values and folded(identity.values[column]) == folded(other.values.get(column))
            for column in columns
        )
    ]
    return frozenset(together) | frozenset(
        name
        for name, values in _names(data_map, identity)
        if any(folded(value) in theirs for value in values)
    )


def reused_values(data_map: DataMap, identity: Identity, others: Iterable[Identity]) -> tuple[Any, ...]:
    """List the subject's names that one of ``others`` has now, in the subject's spelling."""
    theirs = _folded_names(data_map, others)
    return tuple(
        value for _, values in _names(data_map, identity) for value in values if folded(value) in theirs
    )


def _folded_names(data_map: DataMap, others: Iterable[Identity]) -> set[Any]:
    return {folded(value) for other in others for _, values in _names(data_map, other) for value in values}


def _names(data_map: DataMap, identity: Identity) -> list[tuple[str, tuple[Any, ...]]]:
    """List the identifiers with their values, sorted, without the key and what names nobody by itself."""
    subject = data_map.subject
    return [
        (name, identity.of(name))
        for name in sorted({*identity.values, *identity.known_by})
        if name not in subject.key and name not in subject.parts
    ]


def _current(connection: Connection, data_map: DataMap, catalogue: Catalogue, identity: Identity) -> Identity:
    """Read the identity of the row that has the subject's key now; without one, of the key alone."""
    subject = data_map.subject
    query = sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(
        sql.SQL(", ").join(sql.Identifier("t", name) for name in subject.columns),
        subject.table.identifier,
        is_subject(subject, identity, "t"),
    )
    row = connection.execute(query).fetchone()
    values = {name: identity.values[name] for name in subject.key} if row is None else row
    return row_predicates.with_side_tables(connection, data_map, catalogue, values)


def _is_newer(connection: Connection, data_map: DataMap, identity: Identity, cutoff: datetime) -> bool:
    """Tell whether the row that has the subject's key was created after ``cutoff``."""
    subject = data_map.subject
    table = data_map.tables.get(subject.table)
    created = table.created if table is not None else None
    if created is None:
        return False
    query = sql.SQL("SELECT coalesce(t.{} > {}, false) AS anew FROM {} AS t WHERE {}").format(
        sql.Identifier(created),
        sql.Literal(cutoff),
        subject.table.identifier,
        is_subject(subject, identity, "t"),
    )
    return any(row["anew"] for row in connection.execute(query))
