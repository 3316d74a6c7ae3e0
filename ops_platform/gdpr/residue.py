"""What is left of a subject, looked up in every column that can hold a name, whatever the map says.

Derived from the catalogue alone: a column that the map forgot is where this is for. An identifier counts
where it stands by itself: ``tom.3`` is not in ``tom.30``. Numbers, and texts too short to tell anybody
apart, are not looked for: they stand everywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.catalogue import Catalogue, Column, Relation
from ops_platform.gdpr.names import Name

SHORTEST = 5
"""Characters of a text that is looked for."""
_TEXTS = (
    "text",
    "character varying",
    "character",
    "citext",
    "name",
    "json",
    "jsonb",
    "xml",
    "tsvector",
    "hstore",
)


@dataclass(frozen=True)
class Residue:
    """Rows of a table whose ``column`` holds an identifier."""

    table: Name
    column: str
    rows: int


def searchable(values: Iterable[Any]) -> tuple[list[str], list[str]]:
    """Of identifiers: the texts to be looked for, UUIDs among them, and the UUIDs."""
    uuids = sorted({str(one) for one in values if isinstance(one, UUID)})
    texts = sorted(
        {one for one in values if isinstance(one, str) and len(one.strip()) >= SHORTEST} | set(uuids)
    )
    return texts, uuids


def scan(
    connection: Connection,
    catalogue: Catalogue,
    values: Iterable[Any],
    beyond: Mapping[Name, sql.Composable] | None = None,
) -> list[Residue]:
    """One pass over each table and materialised view. Raises what psycopg raises.

    ``beyond``: conditions, of rows called t, under which a row of a table is not looked at.
    """
    texts, uuids = searchable(values)
    if not texts:
        return []
    found = []
    for relation in catalogue.relations.values():
        if relation.kind in ("partition", "view"):
            # A partition's rows are its parent's; a view has none. A child can have columns of its own.
            continue
        tests = list(_tests(relation, texts, uuids))
        if not tests:
            continue
        query = sql.SQL("SELECT {} FROM {} AS t WHERE {} IS NOT TRUE").format(
            sql.SQL(", ").join(
                sql.SQL("count(*) FILTER (WHERE {}) AS {}").format(test, sql.Identifier(f"c{number}"))
                for number, (_, test) in enumerate(tests)
            ),
            relation.name.identifier,
            (beyond or {}).get(relation.name, sql.SQL("false")),
        )
        [row] = connection.execute(query).fetchall()
        found += [
            Residue(relation.name, column, int(row[f"c{number}"]))
            for number, (column, _) in enumerate(tests)
            if row[f"c{number}"]
        ]
    return found


def _tests(relation: Relation, texts: list[str], uuids: list[str]) -> Iterator[tuple[str, sql.Composable]]:
    for column in relation.columns.values():
        test = _test(column, texts, uuids)
        if test is not None:
            yield column.name, test


def _test(column: Column, texts: list[str], uuids: list[str]) -> sql.Composable | None:
    held = sql.Identifier("t", column.name)
    if column.base == "uuid":
        if not uuids:
            return None
        if column.array:
            return sql.SQL("{} && CAST({} AS uuid[])").format(held, sql.Literal(uuids))
        return sql.SQL("{} = ANY (CAST({} AS uuid[]))").format(held, sql.Literal(uuids))
    if column.base not in _TEXTS:
        return None
    document = column.array or column.base in ("json", "jsonb")
    pattern = expression(texts, escaped=document)
    return sql.SQL("CAST({} AS text) ~* {}").format(held, sql.Literal(pattern))


def expression(texts: Iterable[str], *, escaped: bool = False) -> str:
    """A regular expression of PostgreSQL's for any of ``texts``, standing by itself.

    ``escaped``: also as JSON and arrays write them, with a backslash before quotes and backslashes.
    """
    ways = set(texts)
    if escaped:
        ways |= {json.dumps(one, ensure_ascii=False)[1:-1] for one in ways}
    any_of = "|".join(re.sub(r"([^\w\s])", r"\\\1", one) for one in sorted(ways))
    # A dot or hyphen belongs to a name only when it goes on behind it: "by tom.3." ends a sentence.
    return rf"(^|[^[:alnum:]_.-]|(^|[^[:alnum:]_])[.-])({any_of})($|[^[:alnum:]_.-]|[.-]($|[^[:alnum:]_]))"
