"""The quick look at a whole row: all texts of it at once, for several people.

Whatever the test of a single value finds passes: each of its own quick looks is for texts within the value,
which stand in the row's texts, too. What passes here is then tested value by value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from psycopg import sql

from ops_platform.gdpr.spellings.anchors import ENTITIES
from ops_platform.gdpr.spellings.column_test import Kind, Sought, phone_clue
from ops_platform.gdpr.spellings.positions import (
    JOINED,
    any_position,
    breaks,
    joined,
)

LARGE = 4_000_000
"""Bytes from which a row's texts are not looked at together, but one after the other."""
_BETWEEN = "\u0001"
_ARGUMENTS = 90
"""Arguments of one call: PostgreSQL allows 100."""


def together(texts: Sequence[sql.Composable]) -> sql.Composable:
    """Write all texts of a row as one, in lower case; NULL where they are large."""
    sizes = [sql.SQL("coalesce(octet_length({}), 0)::bigint").format(text) for text in texts]
    return sql.SQL('CASE WHEN {} < {} THEN lower({} COLLATE "C") END').format(
        _sum(sizes), sql.Literal(LARGE), _concatenated(texts)
    )


def _sum(numbers: Sequence[sql.Composable]) -> sql.Composable:
    """Write the sum in halves: PostgreSQL limits the depth of an expression."""
    if len(numbers) == 1:
        return numbers[0]
    half = len(numbers) // 2
    return sql.SQL("({} + {})").format(_sum(numbers[:half]), _sum(numbers[half:]))


def _concatenated(texts: Sequence[sql.Composable]) -> sql.Composable:
    if len(texts) == 1:
        return sql.SQL("coalesce({}, '')").format(texts[0])
    parts = list(texts)
    while len(parts) > _ARGUMENTS:
        parts = [
            _concatenated(parts[start : start + _ARGUMENTS]) for start in range(0, len(parts), _ARGUMENTS)
        ]
    return sql.SQL("concat_ws({}, {})").format(sql.Literal(_BETWEEN), sql.SQL(", ").join(parts))


def passes(
    people: Iterable[Sought],
    lowered: sql.Composable,
    texts: Sequence[sql.Composable],
    kinds: Collection[Kind],
) -> sql.Composable | None:
    """Write the test for a row that may name any of these people; None where each row may.

    ``lowered``: what ``together`` has written of its ``texts``, which are of these ``kinds``.
    """
    clues = [sought.clues(among_bytes="bytes" in kinds) for sought in people if sought.texts]
    if not all(one.certain for one in clues):
        return None
    words = frozenset[str]().union(*(one.words for one in clues))
    encoded = frozenset[str]().union(*(one.encoded for one in clues))
    phones = frozenset[str]().union(*(one.phones for one in clues))
    tests = [_any(words | encoded, lowered)] if words or encoded else []
    tests += [sql.SQL("({})").format(phone_clue(number, lowered)) for number in sorted(phones)]
    if words or encoded:
        tests += [_over_lines(words, encoded, lowered, texts, one) for one in sorted({*map(breaks, kinds)})]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests)) if tests else sql.SQL("false")


def _any(texts: Collection[str], lowered: sql.Composable) -> sql.Composable:
    """Write the test for any of ``texts``.

    One after the other: an expression of them all is ten times slower in a row's few hundred characters.
    """
    entities = [text for text in ENTITIES if text in texts]
    test = any_position(sorted({*texts} - {*entities}), lowered)
    if not entities:
        return test
    # Few texts have the sign that all entities have.
    return sql.SQL("({} OR ({} AND {}))").format(
        test, any_position(["#"], lowered), any_position(entities, lowered)
    )


def _over_lines(
    words: Collection[str],
    encoded: Collection[str],
    lowered: sql.Composable,
    texts: Sequence[sql.Composable],
    ends: tuple[str, ...],
) -> sql.Composable:
    """Write the test for texts that the end of a line parts: in quoted-printable, and in base64."""
    base64 = [any_position(["base64"], lowered)] if encoded else []
    base64 += [
        sql.SQL("(position({} IN {text}) > 0 AND position(' ' IN {text}) = 0)").format(
            sql.Literal(ends[-1]), text=sql.SQL('({} COLLATE "C")').format(text)
        )
        for text in (texts if encoded else ())
    ]
    soft = any_position([f"={line_break}" for line_break in ends], lowered)
    return sql.SQL("CASE WHEN {} THEN ({}) AND {} ELSE false END").format(
        any_position(ends[-1:], lowered),
        sql.SQL(" OR ").join([soft, *base64]),
        joined(_any({*words, *encoded}, JOINED), lowered, ends),
    )
