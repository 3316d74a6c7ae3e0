"""Residue scan: a search for a subject's identifiers in every column that can hold one.

Derived from the catalogue alone, to find columns that the data map forgot. An identifier counts where it
stands by itself: ``tom.3`` is not in ``tom.30``. Numbers, and texts too short to identify anybody, are not
searched for: they occur everywhere.
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

MIN_LENGTH = 5
"""Characters of the shortest text that is searched for."""
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
"""Types that cannot hold a name; all others are searched, also user-defined ones."""
_PLAIN = frozenset(("text", "character varying", "character", "citext", "name", "xml", "tsvector"))
"""Types whose text is the value itself; the text of others escapes quotes and backslashes."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_PUNCTUATION = re.compile(r"([!-/:-@\[-^`{-~])")


@dataclass(frozen=True)
class Residue:
    """Hits: the number of rows of ``table`` whose ``column`` holds an identifier."""

    table: Name
    column: str
    rows: int


@dataclass(frozen=True)
class Shared:
    """Names that somebody else has now as well, and conditions for what is theirs, of rows called t.

    ``rows``: of whole rows, by table. ``columns``: of one column, by table and column.
    """

    values: tuple[Any, ...] = ()
    rows: Mapping[Name, sql.Composable] = field(default_factory=dict)
    columns: Mapping[tuple[Name, str], sql.Composable] = field(default_factory=dict)

    def exclude(self, relation: Name, column: str, test: sql.Composable) -> sql.Composable:
        """Restrict ``test`` to what is not theirs."""
        for condition in (self.rows.get(relation), self.columns.get((relation, column))):
            if condition:
                test = sql.SQL("({} AND ({}) IS NOT TRUE)").format(test, condition)
        return test


def _searchable(values: Iterable[Any]) -> tuple[list[str], list[str]]:
    """Select the texts to search for, UUIDs among them, and the UUIDs alone."""
    values = list(values)
    uuids = sorted({str(value).lower() for value in values if isinstance(value, UUID) or _is_uuid(value)})
    texts = sorted(
        {value for value in values if isinstance(value, str) and len(value.strip()) >= MIN_LENGTH}
        | set(uuids)
    )
    return texts, uuids


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def scan(
    connection: Connection,
    catalogue: Catalogue,
    values: Iterable[Any],
    excluded: Mapping[Name, sql.Composable] | None = None,
    shared: Shared | None = None,
) -> list[Residue]:
    """Search each table and materialised view in one pass. Raises what psycopg raises.

    ``excluded``: by table, the condition, of rows called t, for rows to skip. ``shared``: further names,
    which are not searched for everywhere.
    """
    values = list(values)
    hits: list[Residue] = []
    for relation in catalogue.relations.values():
        if relation.kind in ("partition", "view"):
            # A partition's rows are its parent's; a view has none. A child can have columns of its own.
            continue
        where = sql.SQL("{} IS NOT TRUE").format((excluded or {}).get(relation.name, sql.SQL("false")))
        hits += within(connection, relation, values, where, shared)
    return hits


def within(
    connection: Connection,
    relation: Relation,
    values: Iterable[Any],
    where: sql.Composable,
    shared: Shared | None = None,
) -> list[Residue]:
    """Search the rows, called t, for which ``where`` is true. Raises what psycopg raises."""
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
    own, others = _searchable(values), _searchable(shared.values)
    # An address may contain a handle: in an address that is somebody else's now, it is no hit.
    masked = [text for text in others[0] if not any(text.lower() in own_text.lower() for own_text in own[0])]
    for column in relation.columns.values():
        tests = []
        if (test := _test(column, *own, masked)) is not None:
            tests.append(test)
        if (test := _test(column, *others)) is not None:
            tests.append(shared.exclude(relation.name, column.name, test))
        if tests:
            yield column.name, sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def _test(
    column: Column, texts: list[str], uuids: list[str], masked: Sequence[str] = ()
) -> sql.Composable | None:
    """Write the test of one column; None where it holds no names. ``masked``: texts to blank first."""
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
        return _within_bytes(held, texts, uuids, masked)
    escaped = column.array or column.base not in _PLAIN
    text = _masked(sql.SQL("CAST({} AS text)").format(held), masked, escaped=escaped)
    return _matches(text, expression(texts, escaped=escaped))


def _masked(text: sql.Composable, masked: Sequence[str], *, escaped: bool) -> sql.Composable:
    if not masked:
        return text
    return sql.SQL("""regexp_replace({} COLLATE pg_catalog."default", {}, ' ', 'gi')""").format(
        text, sql.Literal(_any_of(masked, escaped=escaped))
    )


def _matches(text: sql.Composable, pattern: str) -> sql.Composable:
    """Match by the database's collation: a column's own may lack regular expressions or non-ASCII case."""
    return sql.SQL('{} COLLATE pg_catalog."default" ~* {}').format(text, sql.Literal(pattern))


def _within_bytes(
    held: sql.Composable, texts: list[str], uuids: list[str], masked: Sequence[str]
) -> sql.Composable:
    """Search for texts among other bytes, and for the 16 bytes of a UUID."""
    # Non-ASCII bytes and backslashes separate words; a name that is not all ASCII is searched as bytes.
    text = sql.SQL("regexp_replace(encode({}, 'escape'), {}, ' ', 'g')").format(
        held, sql.Literal(r"\\([0-7]{3}|\\)")
    )
    raw = [UUID(uuid).bytes for uuid in uuids]
    raw += [form.encode() for name in texts for form in _spellings(name) if not form.isascii()]
    tests = [_matches(_masked(text, masked, escaped=False), expression(texts))]
    tests += [sql.SQL("position({} IN {}) > 0").format(sql.Literal(sequence), held) for sequence in raw]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def _spellings(text: str) -> set[str]:
    """List the spellings of a text: its Unicode normal forms, and percent-encoded as in URLs."""
    forms = {text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))}
    forms |= {quote(form, safe=safe) for form in forms for safe in ("", "@")}
    # A database without a locale ignores case for ASCII letters only.
    return forms | {case(form) for form in forms if not form.isascii() for case in (str.lower, str.upper)}


def expression(texts: Iterable[str], *, escaped: bool = False) -> str:
    """Write a PostgreSQL regular expression for any of ``texts``, standing by itself.

    A UUID is unique, so it counts within a word too: ``usr_<uuid>``, ``<uuid>.jpg``.
    ``escaped``: also as JSON, arrays and rows write them, with a backslash before quotes and backslashes.
    """
    texts = sorted(set(texts))
    anywhere = list[str]()
    for text in texts:
        if _UUID.fullmatch(text):
            digits = text.replace("-", "")
            anywhere += [text, f"(^|[^0-9a-f]){digits}($|[^0-9a-f])"]
    any_of = _any_of(texts, escaped=escaped)
    # A dot or hyphen belongs to a name only when the name continues behind it: "by tom.3." ends a sentence.
    alone = rf"(^|[^[:alnum:]_.-]|(^|[^[:alnum:]_])[.-])({any_of})($|[^[:alnum:]_.-]|[.-]($|[^[:alnum:]_]))"
    return "|".join([alone, *anywhere])


def _any_of(texts: Iterable[str], *, escaped: bool) -> str:
    """Write a regular expression for any of ``texts`` in any of its spellings."""
    names = {spelling for text in texts for spelling in _spellings(text)}
    if escaped:
        for _ in range(2):  # an array of documents escapes twice
            names |= {json.dumps(name, ensure_ascii=ascii)[1:-1] for name in names for ascii in (False, True)}
        # A row type doubles quotes and backslashes.
        names |= {name.replace("\\", "\\\\").replace('"', '""') for name in names}
    return "|".join(_PUNCTUATION.sub(r"\\\1", name) for name in sorted(names))
