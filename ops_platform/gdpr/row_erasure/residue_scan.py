"""Residue scan: a search for subjects' identifiers in every column that can hold one.

Derived from the catalogue alone, to find columns that the data map forgot. In which spellings an identifier
is found, and which identifiers are not searched for, is said in ``gdpr.spellings``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from ops_platform.clients import safe_errors
from ops_platform.clients.postgres import Connection
from ops_platform.clients.safe_errors import why
from ops_platform.errors import ConfigurationError, Unavailable
from ops_platform.gdpr.row_erasure.scan_query import Part, ScanQuery
from ops_platform.gdpr.row_erasure.scan_tests import SearchTests, Shared
from ops_platform.gdpr.schema import Catalogue, Name, Relation

NOT_READ = ("partition", "view")
"""A partition's rows are its parent's; a view has none. A child can have columns of its own."""
AT_ONCE = 50
"""Subjects of one query at most: each makes it longer."""
_ALL = sql.SQL("true")


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
class Image:
    """What is searched in place of the rows of a relation, which are called t.

    ``table`` writes what is read of it, ``rows`` the subquery for those that are read.
    """

    table: Callable[[Relation], sql.Composable]
    rows: Callable[[Relation, sql.Composable], sql.Composable]


@dataclass(frozen=True)
class Search:
    """A search for one subject's identifiers.

    ``excluded``: by table, the condition, of rows called t, for rows to skip. ``shared``: further names,
    which are not searched for everywhere.
    """

    values: tuple[Any, ...]
    excluded: Mapping[Name, sql.Composable] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)
    image: Image | None = None


def scan(
    connection: Connection,
    catalogue: Catalogue,
    values: Iterable[Any],
    excluded: Mapping[Name, sql.Composable] | None = None,
) -> list[Residue]:
    """Search each table and materialised view in one pass; see ``Search``. Raises what psycopg raises."""
    [hits] = scan_each(connection, catalogue, [Search(tuple(values), excluded or {})])
    return hits


def scan_each(
    connection: Connection, catalogue: Catalogue, searches: Sequence[Search]
) -> list[list[Residue]]:
    """Search for several subjects in one pass through each table; returns the hits of each search.

    Their images read the same rows. Raises what psycopg raises.
    """
    hits: list[list[Residue]] = [[] for _ in searches]
    tests = [SearchTests(connection, search.values, search.shared) for search in searches]
    for relation in catalogue.relations.values():
        if relation.kind in NOT_READ:
            continue
        parts = [
            Part(
                tests[number],
                search.excluded.get(relation.name),
                None if search.image is None else partial(search.image.rows, relation),
            )
            for number, search in enumerate(searches)
        ]
        table = next(
            (search.image.table(relation) for search in searches if search.image), relation.name.identifier
        )
        for start in range(0, len(searches), AT_ONCE):
            found = _count(connection, relation, parts[start : start + AT_ONCE], table)
            for number, residue in enumerate(found, start):
                hits[number] += residue
    return hits


def within(
    connection: Connection,
    relation: Relation,
    values: Iterable[Any],
    where: sql.Composable,
    source: sql.Composable | None = None,
    only: str | None = None,
) -> list[Residue]:
    """Search the rows, called t, for which ``where`` is true. Raises what psycopg raises.

    ``source``: a subquery with the relation's columns to search in its place. ``only``: the one column to
    search.
    """
    tests = SearchTests(connection, tuple(values), Shared())
    [hits] = _count(connection, relation, [Part(tests)], source or relation.name.identifier, where, only)
    return hits


def _count(
    connection: Connection,
    relation: Relation,
    parts: Sequence[Part],
    table: sql.Composable,
    where: sql.Composable = _ALL,
    only: str | None = None,
) -> list[list[Residue]]:
    """Count the hits of each search by column. Of a single search, rows to skip are not read further."""
    columns = [column for name, column in relation.columns.items() if only in (None, name)]
    [first, *others] = parts
    if not others and first.skipped is not None:
        where, parts = sql.SQL("({}) IS NOT TRUE").format(first.skipped), [replace(first, skipped=None)]
    hits: list[list[Residue]] = [[] for _ in parts]
    query = ScanQuery(relation, columns, parts, table, where).compose()
    if query is None:
        return hits
    try:
        rows = connection.execute(query).fetchall()
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
    for row in sorted(rows, key=lambda row: int(row["place"])):
        column = columns[row["place"]].name
        hits[row["search"]].append(Residue(relation.name, column, int(row["hits"])))
    return hits
