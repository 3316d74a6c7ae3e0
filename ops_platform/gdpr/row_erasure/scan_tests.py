"""The tests of one search, in SQL: for its names in a value of any column, without what is others' now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql
from psycopg.abc import AdaptContext

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.schema import Column, Name, Relation
from ops_platform.gdpr.spellings import Lexemes, Sought, lexemes
from ops_platform.gdpr.subject import Theirs

VALUE, LOWERED = sql.Identifier("u", "value"), sql.Identifier("u", "lowered")
"""A value of any column as text, and in lower case."""


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


class _Written(sql.Composable):
    """SQL that is written already: a scan uses the same tests for all its relations."""

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        """Return it."""
        written: bytes = self._obj
        return written


@dataclass(frozen=True)
class _Names:
    """Some of the names of a search. ``theirs``: what other kinds have by them."""

    sought: Sought
    shared: Shared | None
    theirs: Theirs | None
    masked: tuple[str, ...]

    def exclude(self, relation: Name, column: str, test: sql.Composable) -> sql.Composable:
        if self.shared is not None:
            test = self.shared.exclude(relation, column, test)
        return self.theirs.exclude(relation, column, test) if self.theirs is not None else test

    def excludes(self, relation: Name, column: str) -> bool:
        """Tell whether anything is excluded."""
        return self.exclude(relation, column, _NOTHING) is not _NOTHING


_NOTHING = sql.SQL("")


class SearchTests:
    """The tests of one search for ``values``, which are written once for all relations."""

    def __init__(self, connection: Connection, values: Sequence[Any], shared: Shared) -> None:
        self._connection = connection
        self._written: dict[tuple[int, str], sql.Composable] = {}
        self._lexemes: dict[int, Lexemes | None] = {}
        theirs = {of_kind.value: of_kind for of_kind in shared.kinds}
        own, others = Sought.of(values), Sought.of(shared.values)
        # An address may contain a handle: in an address that is somebody else's now, it is no hit.
        masked = tuple(
            text
            for text in (*others.texts, *shared.others)
            if not any(text.lower() in own_text.lower() for own_text in own.texts)
        )
        self._parts = [
            *(_Names(sought, None, of_kind, masked) for sought, of_kind in _by_kinds(values, theirs)),
            *(_Names(sought, shared, of_kind, ()) for sought, of_kind in _by_kinds(shared.values, theirs)),
        ]

    @property
    def people(self) -> list[Sought]:
        """All names that are searched for."""
        return [part.sought for part in self._parts]

    def text_of(self, column: Column) -> sql.Composable | None:
        """Write the text that is searched of a column of the row called t; None where it holds no names."""
        values = (sought.value(column, sql.Identifier("t", column.name)) for sought in self.people)
        return next((value for value in values if value is not None), None)

    def lexemes(self, column: Column) -> list[sql.Composable]:
        """Write the tests of a text search vector as such; none for other columns."""
        held = sql.Identifier("t", column.name)
        tests = [self._lexemes_test(number, column, held) for number in range(len(self._parts))]
        return [test for test in tests if test is not None]

    def of(self, relation: Relation, places: Mapping[int, Column]) -> sql.Composable | None:
        """Write the test of a value of any of these columns, by their numbers; None where none is tested."""
        alike: dict[str, list[int]] = {}
        branches: list[tuple[list[int], sql.Composable]] = []
        for place, column in places.items():
            if any(part.excludes(relation.name, column.name) for part in self._parts) or (
                column.base in ("uuid", "tsvector")
            ):
                if (test := self._single(relation, column)) is not None:
                    branches.append(([place], test))
            elif self.text_of(column) is not None:
                alike.setdefault(Sought.kind(column), []).append(place)
        for kind, numbers in alike.items():
            column = places[numbers[0]]
            tests = [
                self._test(number, column) for number, part in enumerate(self._parts) if part.sought.texts
            ]
            assert tests, kind  # noqa: S101 - it has a text
            branches.append((numbers, any_test(tests)))
        if not branches:
            return None
        return sql.SQL("CASE {} ELSE false END").format(
            sql.SQL(" ").join(
                sql.SQL("WHEN u.place IN ({}) THEN {}").format(
                    sql.SQL(", ").join(map(sql.Literal, numbers)), test
                )
                for numbers, test in branches
            )
        )

    def _single(self, relation: Relation, column: Column) -> sql.Composable | None:
        held = sql.Identifier("t", column.name)
        tests = []
        for number, part in enumerate(self._parts):
            found = [part.sought.uuid_test(column, held), self._lexemes_test(number, column, held)]
            if part.sought.value(column, held) is not None:
                found.append(self._test(number, column))
            of_part = [test for test in found if test is not None]
            if of_part:
                tests.append(part.exclude(relation.name, column.name, any_test(of_part)))
        return any_test(tests) if tests else None

    def _test(self, number: int, column: Column) -> sql.Composable:
        """Write the test of a text of a column of this kind."""
        key = (number, Sought.kind(column))
        if key not in self._written:
            part = self._parts[number]
            test = part.sought.test(column, VALUE, LOWERED, part.masked)
            self._written[key] = _Written(test.as_bytes(self._connection))
        return self._written[key]

    def _lexemes_test(self, number: int, column: Column, held: sql.Composable) -> sql.Composable | None:
        sought = self._parts[number].sought
        if column.base != "tsvector" or column.array or not sought.texts:
            return None
        if number not in self._lexemes:
            self._lexemes[number] = lexemes.of(self._connection, sought.texts)
        found = self._lexemes[number]
        return None if found is None else found.test(held)


def any_test(tests: Sequence[sql.Composable]) -> sql.Composable:
    """Write the condition that one of them is true."""
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def _by_kinds(values: Sequence[Any], theirs: Mapping[Any, Theirs]) -> list[tuple[Sought, Theirs | None]]:
    """Take those values apart that other kinds of subject have, too."""
    alone = Sought.of(value for value in values if value not in theirs)
    return [(alone, None), *((Sought.of([value]), theirs[value]) for value in values if value in theirs)]
