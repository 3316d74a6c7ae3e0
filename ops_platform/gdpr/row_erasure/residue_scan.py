"""What is left of a subject, looked up in every column that can hold a name, whatever the map says.

Derived from the catalogue alone: a column that the map forgot is where this is for. An identifier counts
where it stands by itself: ``tom.3`` is not in ``tom.30``. Numbers, and texts too short to tell anybody
apart, are not looked for: they stand everywhere.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import UUID

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.schema import Catalogue, Column, Name, Relation

SHORTEST = 5
"""Characters of a text that is looked for."""
_NAMELESS = frozenset(
    (
        *("smallint", "integer", "bigint", "numeric", "real", "double precision", "money", "boolean"),
        *("date", "interval", "time without time zone", "time with time zone"),
        *("timestamp without time zone", "timestamp with time zone", "oid", "xid", "xid8", "tid", "pg_lsn"),
        *("bit", "bit varying", "point", "line", "lseg", "box", "path", "polygon", "circle"),
        *("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"),
        *("int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange"),
        *("tstzmultirange", "inet", "cidr", "macaddr", "macaddr8", '"char"'),
    )
)
"""Types that no name fits into; all others are looked through, those that somebody made too."""
_PLAIN = frozenset(("text", "character varying", "character", "citext", "name", "xml", "tsvector"))
"""Types whose text is the value itself; of others quotes and backslashes are written with a backslash."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_SIGN = re.compile(r"([!-/:-@\[-^`{-~])")


@dataclass(frozen=True)
class Residue:
    """Rows of a table whose ``column`` holds an identifier."""

    table: Name
    column: str
    rows: int


@dataclass(frozen=True)
class Shared:
    """Names that somebody else has now as well, and what is theirs: all that a row says, or one column of it.

    Conditions of rows called t.
    """

    values: tuple[Any, ...] = ()
    rows: Mapping[Name, sql.Composable] = field(default_factory=dict)
    columns: Mapping[tuple[Name, str], sql.Composable] = field(default_factory=dict)

    def named(self, relation: Name, column: str, test: sql.Composable) -> sql.Composable:
        """``test``, but not of what is theirs."""
        theirs = [one for one in (self.rows.get(relation), self.columns.get((relation, column))) if one]
        for one in theirs:
            test = sql.SQL("({} AND ({}) IS NOT TRUE)").format(test, one)
        return test


def searchable(values: Iterable[Any]) -> tuple[list[str], list[str]]:
    """Of identifiers: the texts to be looked for, UUIDs among them, and the UUIDs."""
    values = list(values)
    uuids = sorted({str(one).lower() for one in values if isinstance(one, UUID) or _is_uuid(one)})
    texts = sorted(
        {one for one in values if isinstance(one, str) and len(one.strip()) >= SHORTEST} | set(uuids)
    )
    return texts, uuids


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def scan(
    connection: Connection,
    catalogue: Catalogue,
    values: Iterable[Any],
    beyond: Mapping[Name, sql.Composable] | None = None,
    shared: Shared | None = None,
) -> list[Residue]:
    """One pass over each table and materialised view. Raises what psycopg raises.

    ``beyond``: conditions, of rows called t, under which a row of a table is not looked at. ``shared``: more
    names, which are not looked for everywhere.
    """
    values = list(values)
    found: list[Residue] = []
    for relation in catalogue.relations.values():
        if relation.kind in ("partition", "view"):
            # A partition's rows are its parent's; a view has none. A child can have columns of its own.
            continue
        where = sql.SQL("{} IS NOT TRUE").format((beyond or {}).get(relation.name, sql.SQL("false")))
        found += within(connection, relation, values, where, shared)
    return found


def within(
    connection: Connection,
    relation: Relation,
    values: Iterable[Any],
    where: sql.Composable,
    shared: Shared | None = None,
) -> list[Residue]:
    """Of the rows, called t, for which ``where`` is true. Raises what psycopg raises."""
    tests = list(_tests(relation, values, shared or Shared()))
    if not tests:
        return []
    query = sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(
        sql.SQL(", ").join(
            sql.SQL("count(*) FILTER (WHERE {}) AS {}").format(test, sql.Identifier(f"c{number}"))
            for number, (_, test) in enumerate(tests)
        ),
        relation.name.identifier,
        where,
    )
    row = one_row(connection, query)
    return [
        Residue(relation.name, column, int(row[f"c{number}"]))
        for number, (column, _) in enumerate(tests)
        if row[f"c{number}"]
    ]


def _tests(relation: Relation, values: Iterable[Any], shared: Shared) -> Iterator[tuple[str, sql.Composable]]:
    own, others = searchable(values), searchable(shared.values)
    # An address holds a handle, too: where it is somebody else's now, the handle in it is no hit by itself.
    around = [one for one in others[0] if not any(one.lower() in each.lower() for each in own[0])]
    for column in relation.columns.values():
        tests = []
        if (test := _test(column, *own, around)) is not None:
            tests.append(test)
        if (test := _test(column, *others)) is not None:
            tests.append(shared.named(relation.name, column.name, test))
        if tests:
            yield column.name, sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def _test(
    column: Column, texts: list[str], uuids: list[str], but: Sequence[str] = ()
) -> sql.Composable | None:
    """``but``: texts in which nothing is looked for."""
    if not texts:
        return None
    held = sql.Identifier("t", column.name)
    if column.base == "uuid":
        if not uuids:
            return None
        if column.array:
            return sql.SQL("CAST({} AS uuid[]) && CAST({} AS uuid[])").format(held, sql.Literal(uuids))
        return sql.SQL("{} = ANY (CAST({} AS uuid[]))").format(held, sql.Literal(uuids))
    if column.base in _NAMELESS:
        return None
    if column.base == "bytea" and not column.array:
        return _within_bytes(held, texts, uuids, but)
    escaped = column.array or column.base not in _PLAIN
    text = _without(sql.SQL("CAST({} AS text)").format(held), but, escaped=escaped)
    return _matches(text, expression(texts, escaped=escaped))


def _without(text: sql.Composable, but: Sequence[str], *, escaped: bool) -> sql.Composable:
    if not but:
        return text
    return sql.SQL("""regexp_replace({} COLLATE pg_catalog."default", {}, ' ', 'gi')""").format(
        text, sql.Literal(_any_of(but, escaped=escaped))
    )


def _matches(text: sql.Composable, pattern: str) -> sql.Composable:
    """By the database's collation: a column's may know no regular expressions, or only ASCII letters."""
    return sql.SQL('{} COLLATE pg_catalog."default" ~* {}').format(text, sql.Literal(pattern))


def _within_bytes(
    held: sql.Composable, texts: list[str], uuids: list[str], but: Sequence[str]
) -> sql.Composable:
    """Texts as they stand among other bytes, and the 16 bytes of a UUID."""
    # What is no ASCII text, backslashes too, separates; a name that is not all ASCII is compared as it is.
    text = sql.SQL("regexp_replace(encode({}, 'escape'), {}, ' ', 'g')").format(
        held, sql.Literal(r"\\([0-7]{3}|\\)")
    )
    raw = [UUID(one).bytes for one in uuids]
    raw += [form.encode() for one in texts for form in _spellings(one) if not form.isascii()]
    tests = [_matches(_without(text, but, escaped=False), expression(texts))]
    tests += [sql.SQL("position({} IN {}) > 0").format(sql.Literal(one), held) for one in raw]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def _spellings(text: str) -> set[str]:
    """As Unicode can write it, and as addresses of the web do."""
    forms = {text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))}
    forms |= {quote(one, safe=safe) for one in forms for safe in ("", "@")}
    # In a database without a locale, only ASCII letters are the same in both cases.
    return forms | {change(one) for one in forms if not one.isascii() for change in (str.lower, str.upper)}


def expression(texts: Iterable[str], *, escaped: bool = False) -> str:
    """A regular expression of PostgreSQL's for any of ``texts``, standing by itself.

    A UUID is nobody else's, so it counts inside of a name too: ``usr_<uuid>``, ``<uuid>.jpg``.
    ``escaped``: also as JSON, arrays and rows write them, with a backslash before quotes and backslashes.
    """
    texts = sorted(set(texts))
    wherever = list[str]()
    for one in texts:
        if _UUID.fullmatch(one):
            digits = one.replace("-", "")
            wherever += [one, f"(^|[^0-9a-f]){digits}($|[^0-9a-f])"]
    any_of = _any_of(texts, escaped=escaped)
    # A dot or hyphen belongs to a name only when it goes on behind it: "by tom.3." ends a sentence.
    alone = rf"(^|[^[:alnum:]_.-]|(^|[^[:alnum:]_])[.-])({any_of})($|[^[:alnum:]_.-]|[.-]($|[^[:alnum:]_]))"
    return "|".join([alone, *wherever])


def _any_of(texts: Iterable[str], *, escaped: bool) -> str:
    """A regular expression for any of ``texts``, however it is written."""
    names = {spelling for one in texts for spelling in _spellings(one)}
    if escaped:
        for _ in range(2):  # an array of documents does it again
            names |= {json.dumps(one, ensure_ascii=ascii)[1:-1] for one in names for ascii in (False, True)}
        # A row writes quotes twice.
        names |= {one.replace("\\", "\\\\").replace('"', '""') for one in names}
    return "|".join(_SIGN.sub(r"\\\1", one) for one in sorted(names))
