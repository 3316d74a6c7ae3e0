"""Redaction: SQL that puts a text in the place of a subject's identifiers in what others wrote.

The matching is the residue scan's, but for names within addresses: those may be other people's. In JSON only
strings that are values change; keys and numbers stay. What cannot be replaced exactly, as within base64 or
where the text would become too long, is left, and refused before anything is destroyed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from ops_platform.gdpr.schema import Column
from ops_platform.gdpr.spellings import OTHERS, Sought, replaceable

JSON_TYPES = ("json", "jsonb")
TEXT_TYPES = ("text", "character varying", "citext")
_LIMITED = re.compile(r"character varying\(([0-9]+)\)")
_PLACE = "\\u0001"
"""Takes the place of identifiers and of their replacement where texts are compared."""


@dataclass(frozen=True)
class Mention:
    """The identifiers that are sought, the columns in which they may stand, and their replacement."""

    sought: Sought
    columns: tuple[str, ...]
    text: str


def can_redact(column: Column) -> bool:
    """Tell whether values of the column can be redacted."""
    return column.base in (*TEXT_TYPES, *JSON_TYPES) and not column.array and not column.generated


def assignments(mention: Mention, columns: Mapping[str, Column]) -> dict[str, sql.Composable]:
    """Write the new values, by column; those without an identifier stay as they are."""
    values: dict[str, sql.Composable] = {}
    for name in mention.columns:
        values[name] = redacted(mention, columns[name], sql.Identifier("t", name))
    return values


def redacted(mention: Mention, column: Column, held: sql.Composable) -> sql.Composable:
    """Write ``held``, a value of the column, without the identifiers."""
    text = _replaced(mention, column, held, mention.text)
    if column.base in JSON_TYPES:
        text = sql.SQL("CAST({} AS {})").format(text, sql.SQL(column.type))
    return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(
        mention.sought.mention(column, held), text, held
    )


def outside(mention: Mention, columns: Mapping[str, Column], *, before: bool) -> list[sql.Composable]:
    """Write the text of each column outside the identifiers, or outside their replacements."""
    texts: list[sql.Composable] = []
    for name in mention.columns:
        held = sql.Identifier("t", name)
        text = _replaced(mention, columns[name], held, _PLACE) if before else _text(held)
        texts.append(
            sql.SQL("replace({}, {}, {})").format(text, sql.Literal(mention.text), sql.Literal(_PLACE))
        )
    return texts


def anything_to_replace(mention: Mention, columns: Mapping[str, Column]) -> sql.Composable:
    """Write the condition that redaction would change the row."""
    tests = [
        sql.SQL("CASE WHEN {} THEN {} <> {} ELSE false END").format(
            mention.sought.mention(columns[name], held),
            _replaced(mention, columns[name], held, mention.text),
            _text(held),
        )
        for name in mention.columns
        for held in [sql.Identifier("t", name)]
    ]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def left_over(mention: Mention, columns: Mapping[str, Column]) -> sql.Composable:
    """Write the condition that an identifier stands in the row after it is redacted."""
    tests = [
        sql.SQL("({} AND {})").format(
            mention.sought.mention(columns[name], held),
            mention.sought.mention(columns[name], _replaced(mention, columns[name], held, mention.text)),
        )
        for name in mention.columns
        for held in [sql.Identifier("t", name)]
    ]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def _text(held: sql.Composable) -> sql.Composable:
    return sql.SQL('CAST({} AS text) COLLATE pg_catalog."default"').format(held)


def _replaced(mention: Mention, column: Column, held: sql.Composable, replacement: str) -> sql.Composable:
    others = mention.sought.others_pattern()
    pattern, before = replaceable(
        mention.sought.texts, values_of_json=column.base in JSON_TYPES, others=others is not None
    )
    expression: sql.Composable = sql.Literal(pattern)
    if others is not None:
        expression = sql.SQL("replace({}, {}, {})").format(expression, sql.Literal(OTHERS), others)

    def with_(text: str) -> sql.Composable:
        return sql.SQL("regexp_replace({}, {}, {}, 'gi')").format(
            _text(held), expression, sql.Literal(before + text)
        )

    limit = _LIMITED.fullmatch(column.type)
    if limit is None:
        return with_(replacement)
    # What would become too long stays as it is.
    return sql.SQL("CASE WHEN length({}) > {} THEN {} ELSE {} END").format(
        with_(mention.text), sql.Literal(int(limit[1])), _text(held), with_(replacement)
    )
