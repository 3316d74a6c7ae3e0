"""Residue scan: a search for subjects' identifiers in every column that can hold one.

Derived from the catalogue alone, to find columns that the data map forgot. In which spellings an identifier
is found, and which identifiers are not searched for, is said in ``gdpr.spellings``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from ops_platform.clients import safe_errors
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.clients.safe_errors import why
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.gdpr.schema import Catalogue, Column, Name, Relation
from ops_platform.gdpr.spellings import Lexemes, Sought, lexemes
from ops_platform.gdpr.subject import Theirs

Source = Callable[[Relation], sql.Composable | None]
NOT_READ = ("partition", "view")
"""A partition's rows are its parent's; a view has none. A child can have columns of its own."""
_COUNTS = 1000
"""Figures of one query: PostgreSQL allows 1,664."""


@dataclass(frozen=True)
class Residue:
    """Hits: the number of rows of ``table`` whose ``column`` holds an identifier."""

    table: Name
    column: str
    rows: int

    @property
    def place(self) -> tuple[Name, str]:
        """The relation and the column."""
        return self.table, self.column


@dataclass(frozen=True)
class Shared:
    """Names that somebody else has now as well, and conditions for what is theirs, of rows called t.

    ``rows``: of whole rows, by table. ``columns``: of one column, by table and column. ``others``: names of
    other people, within which the subject's are no hits. ``kinds``: what other kinds of subject have.
    """

    values: tuple[Any, ...] = ()
    rows: Mapping[Name, sql.Composable] = field(default_factory=dict)
    columns: Mapping[tuple[Name, str], sql.Composable] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    kinds: tuple[Theirs, ...] = ()

    def exclude(self, relation: Name, column: str, test: sql.Composable) -> sql.Composable:
        """Restrict ``test`` to what is not theirs."""
        for condition in (self.rows.get(relation), self.columns.get((relation, column))):
            if condition:
                test = sql.SQL("({} AND ({}) IS NOT TRUE)").format(test, condition)
        return test


@dataclass(frozen=True)
class Search:
    """A search for one subject's identifiers.

    ``excluded``: by table, the condition, of rows called t, for rows to skip. ``shared``: further names,
    which are not searched for everywhere.
    """

    values: tuple[Any, ...]
    excluded: Mapping[Name, sql.Composable] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)


def scan(
    connection: Connection,
    catalogue: Catalogue,
    values: Iterable[Any],
    excluded: Mapping[Name, sql.Composable] | None = None,
    shared: Shared | None = None,
    source: Source = lambda relation: None,
) -> list[Residue]:
    """Search each table and materialised view in one pass; see ``Search``. Raises what psycopg raises.

    ``source``: the subquery to search in place of a relation.
    """
    search = Search(tuple(values), excluded or {}, shared or Shared())
    [hits] = scan_each(connection, catalogue, [search], source)
    return hits


def scan_each(
    connection: Connection,
    catalogue: Catalogue,
    searches: Sequence[Search],
    source: Source = lambda relation: None,
) -> list[list[Residue]]:
    """Search for several subjects in one pass through each table; returns the hits of each search.

    ``source``: the subquery to search in place of a relation. Raises what psycopg raises.
    """
    hits: list[list[Residue]] = [[] for _ in searches]
    tests = [_Tests(connection, search.values, search.shared) for search in searches]
    for relation in catalogue.relations.values():
        if relation.kind in NOT_READ:
            continue
        conditions = [search.excluded.get(relation.name) for search in searches]
        at_once = max(1, _COUNTS // max(1, len(relation.columns)))
        for start in range(0, len(searches), at_once):
            some = list(zip(tests, conditions, strict=True))[start : start + at_once]
            for number, residue in enumerate(
                _count(connection, relation, some, source=source(relation)), start
            ):
                hits[number] += residue
    return hits


def within(
    connection: Connection,
    relation: Relation,
    values: Iterable[Any],
    where: sql.Composable,
    shared: Shared | None = None,
    source: sql.Composable | None = None,
    only: str | None = None,
) -> list[Residue]:
    """Search the rows, called t, for which ``where`` is true. Raises what psycopg raises.

    ``source``: a subquery with the relation's columns to search in its place. ``only``: the one column to
    search.
    """
    tests = _Tests(connection, tuple(values), shared or Shared())
    [hits] = _count(connection, relation, [(tests, None)], where, source, only)
    return hits


@dataclass
class _Tests:
    """The tests of one search."""

    connection: Connection
    values: tuple[Any, ...]
    shared: Shared
    _lexemes: dict[Sought, Lexemes | None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.own, self.others = Sought.of(self.values), Sought.of(self.shared.values)
        theirs = {of_kind.value: of_kind for of_kind in self.shared.kinds}
        self._own = _by_kinds(self.values, theirs)
        self._others = _by_kinds(self.shared.values, theirs)
        # An address may contain a handle: in an address that is somebody else's now, it is no hit.
        self.masked = [
            text
            for text in (*self.others.texts, *self.shared.others)
            if not any(text.lower() in own_text.lower() for own_text in self.own.texts)
        ]

    def of(self, relation: Relation, column: Column, lowered: sql.Composable) -> sql.Composable | None:
        """Write the test of a column of the row called t; None where it holds no names."""
        tests = []
        for sought, theirs in self._own:
            if (test := self._test(sought, column, lowered, self.masked)) is not None:
                tests.append(theirs.exclude(relation.name, column.name, test) if theirs else test)
        for sought, theirs in self._others:
            if (test := self._test(sought, column, lowered)) is not None:
                test = self.shared.exclude(relation.name, column.name, test)
                tests.append(theirs.exclude(relation.name, column.name, test) if theirs else test)
        return sql.SQL("({})").format(sql.SQL(" OR ").join(tests)) if tests else None

    def _test(
        self, sought: Sought, column: Column, lowered: sql.Composable, masked: Sequence[str] = ()
    ) -> sql.Composable | None:
        held = sql.Identifier("t", column.name)
        value = sought.value(column, held)
        if value is None:
            return sought.uuid_test(column, held)
        test = sought.test(column, value, lowered, masked)
        if column.base == "tsvector" and not column.array:
            if sought not in self._lexemes:
                self._lexemes[sought] = lexemes.of(self.connection, sought.texts)
            if (found := self._lexemes[sought]) is not None:
                test = sql.SQL("({} OR {})").format(test, found.test(held))
        return test


def _by_kinds(values: Sequence[Any], theirs: Mapping[Any, Theirs]) -> list[tuple[Sought, Theirs | None]]:
    """Take those values apart that other kinds of subject have, too."""
    alone = Sought.of(value for value in values if value not in theirs)
    return [(alone, None), *((Sought.of([value]), theirs[value]) for value in values if value in theirs)]


def _count(
    connection: Connection,
    relation: Relation,
    tests: Sequence[tuple[_Tests, sql.Composable | None]],
    where: sql.Composable | None = None,
    source: sql.Composable | None = None,
    only: str | None = None,
) -> list[list[Residue]]:
    """Count the hits of each search by column. Of a single search, rows to skip are not read further."""
    columns = [column for name, column in relation.columns.items() if only in (None, name)]
    lowered = dict(_lowered(relation, columns, tests))
    counts: list[tuple[int, str, sql.Composable]] = []
    if len(tests) == 1 and tests[0][1] is not None:
        where = sql.SQL("({}) IS NOT TRUE").format(tests[0][1])
        tests = [(tests[0][0], None)]
    for number, (search, excluded) in enumerate(tests):
        for column in columns:
            computed = lowered.get(column.name)
            text = sql.Identifier("t", computed[0]) if computed else sql.Identifier("t", column.name)
            test = search.of(relation, column, text)
            if test is not None:
                if excluded is not None:
                    test = sql.SQL("({}) IS NOT TRUE AND {}").format(excluded, test)
                counts.append((number, column.name, test))
    hits: list[list[Residue]] = [[] for _ in tests]
    if not counts:
        return hits
    # OFFSET 0 keeps the planner from computing the lowered texts again for each anchor.
    query = sql.SQL(
        "SELECT {counts} FROM (SELECT {columns} FROM {table} AS t WHERE {where} OFFSET 0) AS t"
    ).format(
        counts=sql.SQL(", ").join(
            sql.SQL("count(*) FILTER (WHERE {}) AS {}").format(test, sql.Identifier(f"c{place}"))
            for place, (_, _, test) in enumerate(counts)
        ),
        columns=sql.SQL(", ").join(
            (
                sql.SQL("t.*"),
                *(sql.SQL("{} AS {}").format(text, sql.Identifier(name)) for name, text in lowered.values()),
            )
        ),
        table=relation.name.identifier if source is None else source,
        where=where or sql.SQL("true"),
    )
    try:
        row = one_row(connection, query)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"role {connection.info.user} may not look for what is left in {relation.name}: {why(error)}: "
            "connect as ops_eraser, or give this role BYPASSRLS and SELECT on every table"
        ) from None
    except psycopg.errors.QueryCanceled as error:
        raise Unavailable(
            f"the search of {relation.name} for what is left was ended: {why(error)}: {safe_errors.LET_RUN}"
        ) from None
    except psycopg.errors.LockNotAvailable as error:
        raise Unavailable(
            f"{relation.name} could not be searched for what is left: {why(error)}: another session holds it "
            "locked: wait for its end, then try again"
        ) from None
    for place, (number, column_name, _) in enumerate(counts):
        if row[f"c{place}"]:
            hits[number].append(Residue(relation.name, column_name, int(row[f"c{place}"])))
    return hits


def _lowered(
    relation: Relation, columns: Sequence[Column], tests: Sequence[tuple[_Tests, sql.Composable | None]]
) -> Iterator[tuple[str, tuple[str, sql.Composable]]]:
    """Yield each searched one of the columns, a name that no column has, and its text in lower case."""
    names = (name for number in itertools.count() if (name := f"lowered_{number}") not in relation.columns)
    for column in columns:
        held = sql.Identifier("t", column.name)
        for search, _ in tests:
            value = search.own.value(column, held) or search.others.value(column, held)
            if value is not None:
                yield column.name, (next(names), Sought.lowered(value))
                break
