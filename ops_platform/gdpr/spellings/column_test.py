"""SQL tests for a person's identifiers in a column: a quick look for anchors, then the whole expressions."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from psycopg import sql

from ops_platform.gdpr.schema import Column
from ops_platform.gdpr.spellings import (
    anchors,
    base64_pattern,
    bytes_pattern,
    phone_pattern,
    searched_values,
    text_pattern,
)
from ops_platform.gdpr.spellings.anchors import Anchors
from ops_platform.gdpr.spellings.characters import spelled
from ops_platform.gdpr.spellings.positions import JOINED, any_position, breaks, every_position, joined
from ops_platform.gdpr.spellings.searched_values import is_phone

NAMELESS = frozenset(
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
Kind = Literal["text", "json", "bytes"]
_REMEMBERED = 64
"""People whose expressions are kept."""
_SHORTEST_BASE64 = 12
"""Bytes of the shortest value that is looked at for base64."""


@dataclass(frozen=True)
class Clues:
    """What must stand in a value, in lower case, for an identifier to be found there.

    One of ``words``, or one of ``encoded`` in base64; of ``phones`` what ``phone_clue`` tests. Not
    ``certain``: there are identifiers without such texts.
    """

    words: frozenset[str]
    encoded: frozenset[str]
    phones: frozenset[str]
    certain: bool


@dataclass(frozen=True)
class Sought:
    """The identifiers of one person that are searched for: texts, with the UUIDs among them, and UUIDs.

    ``others``: a query for the column ``address``: other people's, which ``mention`` passes over.
    """

    texts: tuple[str, ...]
    uuids: tuple[str, ...]
    others: sql.Composable | None = field(default=None, compare=False)

    @classmethod
    def of(cls, values: Iterable[Any]) -> Sought:
        """Select from ``values`` what can be searched for; see ``why_skipped`` for the rest."""
        return cls(*searched_values.searched(values))

    def value(self, column: Column, held: sql.Composable) -> sql.Composable | None:
        """Write the text that is searched of a value ``held`` in a column.

        None where it holds no names, or is compared otherwise.
        """
        if not self.texts or column.base in NAMELESS or column.base == "uuid":
            return None
        if column.base != "bytea":
            return sql.SQL("CAST({} AS text)").format(held)
        if not column.array:
            return sql.SQL("encode({}, 'escape')").format(held)
        return sql.SQL(
            "array_to_string(ARRAY(SELECT encode(b.one, 'escape') FROM unnest({}) AS b (one)), ' ')"
        ).format(held)

    def searches(self, column: Column) -> bool:
        """Tell whether a column of this type is searched: others hold no names."""
        held = sql.Identifier(column.name)
        return self.value(column, held) is not None or self.uuid_test(column, held) is not None

    @staticmethod
    def kind(column: Column) -> Kind:
        """Tell columns apart whose texts are tested differently."""
        return "json" if column.base in ("json", "jsonb") else "bytes" if column.base == "bytea" else "text"

    @staticmethod
    def lowered(value: sql.Composable) -> sql.Composable:
        """Write ``value`` with ASCII letters in lower case: this is quick, whatever the database's locale."""
        return sql.SQL('lower({} COLLATE "C")').format(value)

    def test(
        self,
        column: Column,
        value: sql.Composable,
        lowered: sql.Composable,
        masked: Sequence[str] = (),
        *,
        in_addresses: bool = True,
    ) -> sql.Composable:
        """Write the test of a text that ``value`` has written. ``masked``: texts to blank first.

        ``in_addresses``: also for a name that is the first part of an address that is none of them.
        """
        ends = breaks(self.kind(column))
        tests = [self._plain(column, _masked(value, masked), lowered, ends, in_addresses)]
        tests += [_phone(phone, _masked(value, masked), lowered) for phone in self.texts if is_phone(phone)]
        if self._anchors.base64:
            tests.append(self._encoded(value, lowered, ends))
        return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))

    def _plain(
        self,
        column: Column,
        value: sql.Composable,
        lowered: sql.Composable,
        ends: Sequence[str],
        in_addresses: bool,
    ) -> sql.Composable:
        words = (*self._anchors.words, *(self._wide_words if column.base == "bytea" else ()))
        # Quoted-printable may break the line within an anchor.
        broken = sql.SQL("({} AND {})").format(
            any_position(ends[-1:], lowered),
            any_position([f"={line_break}" for line_break in ends], lowered),
        )
        quick = sql.SQL("({} OR ({} AND {}))").format(
            any_position(words, lowered), broken, joined(any_position(words, JOINED), lowered, ends)
        )
        if not self._words:
            return sql.SQL("false")
        tests: list[sql.Composable] = []
        text = (
            value
            if column.base != "bytea"
            else sql.SQL("regexp_replace({}, {}, ' ', 'g')").format(
                # Other bytes separate words.
                value,
                sql.Literal(r"\\([0-7]{3}|\\)"),
            )
        )
        for identifier in self._words:
            test = _matches(text, self._word_patterns[identifier, in_addresses])
            if anchors.needed(identifier, encoded=True):
                test = sql.SQL(
                    "CASE WHEN {plain} OR ({encoders} AND {encoded}) OR {entity} OR {broken} THEN {test} "
                    "ELSE false END"
                ).format(
                    plain=every_position(anchors.needed(identifier, encoded=False), lowered),
                    encoders=any_position(anchors.ENCODERS, lowered),
                    encoded=every_position(anchors.needed(identifier, encoded=True), lowered),
                    entity=any_position(anchors.ENTITIES, lowered),
                    broken=broken,
                    test=test,
                )
            tests.append(test)
        if column.base == "bytea":
            accented = [
                every_position(anchors.needed(text, encoded=True), lowered)
                for text in self._words
                if not text.isascii() and anchors.needed(text, encoded=True)
            ]
            among_bytes = _matches(value, self._bytes_pattern)
            if not self._anchors.without:
                among_bytes = sql.SQL("CASE WHEN {} THEN {} ELSE false END").format(
                    sql.SQL(" OR ").join([any_position(self._wide_words, lowered), *accented]), among_bytes
                )
            tests.append(among_bytes)
        found = sql.SQL("({})").format(sql.SQL(" OR ").join(tests))
        if self._anchors.without:
            return found
        return sql.SQL("CASE WHEN {} THEN {} ELSE false END").format(quick, found)

    def _encoded(self, value: sql.Composable, lowered: sql.Composable, ends: Sequence[str]) -> sql.Composable:
        """Write the test for base64, also of values in lines, and of parts of mails, which say so."""
        return sql.SQL(
            "CASE WHEN octet_length({lowered}) >= {length} AND ({anchors} OR ({broken} "
            "AND (position('base64' IN {lowered}) > 0 OR position(' ' IN {lowered}) = 0) "
            "AND {joined})) THEN {test} ELSE false END"
        ).format(
            lowered=lowered,
            length=sql.Literal(_SHORTEST_BASE64),
            anchors=any_position(self._anchors.base64, lowered),
            broken=any_position(ends[-1:], lowered),
            joined=joined(any_position(self._anchors.base64, JOINED), lowered, ends),
            test=_matches(value, self._base64_pattern, exactly=True),
        )

    def clues(self, *, among_bytes: bool) -> Clues:
        """List what ``test`` needs to find anything; ``among_bytes``: also in a column of bytes."""
        return Clues(
            words=frozenset((*self._anchors.words, *(self._wide_words if among_bytes else ()))),
            encoded=frozenset(self._anchors.base64),
            phones=frozenset(filter(is_phone, self.texts)),
            certain=not self._anchors.without,
        )

    def mention(self, column: Column, held: sql.Composable) -> sql.Composable:
        """Write the whole test of a value of a text or of JSON, to be used in any condition.

        A name counts only where it is not a part of an address, which may be anybody's.
        """
        if not self.texts:
            return sql.SQL("false")
        value: sql.Composable = sql.SQL("CAST({} AS text)").format(held)
        computed = [sql.SQL("{} AS lowered").format(self.lowered(value))]
        if (others := self.others_pattern()) is not None:
            computed.append(sql.SQL("{} AS others").format(others))
            value = sql.SQL(
                """regexp_replace({} COLLATE pg_catalog."default", mention.others, ' ', 'gi')"""
            ).format(value)
        test = self.test(column, value, sql.Identifier("mention", "lowered"), in_addresses=False)
        return sql.SQL("(SELECT {} FROM (SELECT {} OFFSET 0) AS mention)").format(
            test, sql.SQL(", ").join(computed)
        )

    def others_pattern(self) -> sql.Composable | None:
        """Write, as SQL, the expression for any address of ``others``; None without that query."""
        if self.others is None:
            return None
        address: sql.Composable = sql.SQL(r"regexp_replace(o.address, '([^[:alnum:]])', '\\\1', 'g')")
        # First all to one character each: what stands for the next has some of them in it.
        places = {char: chr(number) for number, char in enumerate("@+._-", 3)}
        pairs = [("\\" + char, place) for char, place in places.items()]
        for searched, put in (*pairs, *((place, spelled(char)) for char, place in places.items())):
            address = sql.SQL("replace({}, {}, {})").format(address, sql.Literal(searched), sql.Literal(put))
        # Without any it matches nothing.
        return sql.SQL("(SELECT coalesce(string_agg({}, '|'), '$x') FROM ({}) AS o)").format(
            address, self.others
        )

    def uuid_test(self, column: Column, held: sql.Composable) -> sql.Composable | None:
        """Write the test of a column of UUIDs; None for other columns, and without UUIDs to search for."""
        if column.base != "uuid" or not self.uuids:
            return None
        if column.array:
            return sql.SQL("CAST({} AS uuid[]) && CAST({} AS uuid[])").format(
                held, sql.Literal(list(self.uuids))
            )
        return sql.SQL("{} = ANY (CAST({} AS uuid[]))").format(held, sql.Literal(list(self.uuids)))

    @functools.cached_property
    def _words(self) -> tuple[str, ...]:
        """The texts that are no telephone numbers."""
        return tuple(text for text in self.texts if not is_phone(text))

    @property
    def _anchors(self) -> Anchors:
        return _anchors_of(self.texts)

    @property
    def _word_patterns(self) -> dict[tuple[str, bool], str]:
        """The expression for each of the words, by whether it counts within an address."""
        return _word_patterns_of(self._words)

    @property
    def _bytes_pattern(self) -> str:
        return _bytes_pattern_of(self._words)

    @property
    def _base64_pattern(self) -> str:
        return _base64_pattern_of(self.texts)

    @functools.cached_property
    def _wide_words(self) -> tuple[str, ...]:
        """The anchors of two bytes a character, and the bytes of UUIDs."""
        raw = [bytes_pattern.as_written(UUID(uuid).bytes).lower() for uuid in self.uuids]
        return (*("\\000".join(word) for word in self._anchors.words), *raw)


def phone_clue(number: str, lowered: sql.Composable) -> sql.Composable:
    """Write the quick look for a telephone number; most texts have digits, few have these."""
    return sql.SQL("{} AND position({} IN translate({}, {}, '')) > 0").format(
        any_position(anchors.last_digits(number), lowered),
        sql.Literal(phone_pattern.end(number)),
        lowered,
        sql.Literal(phone_pattern.GAPS),
    )


def _phone(number: str, value: sql.Composable, lowered: sql.Composable) -> sql.Composable:
    """Write the test for a telephone number."""
    return sql.SQL("CASE WHEN {} THEN {} ELSE false END").format(
        phone_clue(number, lowered), _matches(value, text_pattern.expression([number]))
    )


def _masked(value: sql.Composable, masked: Sequence[str]) -> sql.Composable:
    if not masked:
        return value
    return sql.SQL("""regexp_replace({} COLLATE pg_catalog."default", {}, ' ', 'gi')""").format(
        value, sql.Literal(text_pattern.any_of(masked))
    )


def _matches(value: sql.Composable, pattern: str, *, exactly: bool = False) -> sql.Composable:
    """Match by the database's collation: a column's own may lack regular expressions or non-ASCII case."""
    operator = sql.SQL("~" if exactly else "~*")
    return sql.SQL('{} COLLATE pg_catalog."default" {} {}').format(value, operator, sql.Literal(pattern))


# A scan tests hundreds of columns with the same expressions, and rows with mentions are looked for at every
# batch: each takes milliseconds to write.


@functools.lru_cache(_REMEMBERED)
def _anchors_of(texts: tuple[str, ...]) -> Anchors:
    return anchors.of(texts)


@functools.lru_cache(_REMEMBERED)
def _word_patterns_of(words: tuple[str, ...]) -> dict[tuple[str, bool], str]:
    return {
        (word, in_addresses): text_pattern.expression([word], in_addresses=in_addresses)
        for word in words
        for in_addresses in (True, False)
    }


@functools.lru_cache(_REMEMBERED)
def _bytes_pattern_of(words: tuple[str, ...]) -> str:
    return bytes_pattern.expression(words)


@functools.lru_cache(_REMEMBERED)
def _base64_pattern_of(texts: tuple[str, ...]) -> str:
    return base64_pattern.expression(texts) or ""
