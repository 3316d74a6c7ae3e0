"""The condition of a partial index, as PostgreSQL writes it, by column. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

NULL, NOT_NULL = "NULL", "NOT NULL"
"""The conditions that are no value; those have an equals sign before them."""
_COLUMN = r'(?P<column>"(?:[^"]|"")+"|[a-z_][\w$]*)'
_NULLNESS = re.compile(rf"{_COLUMN} IS (?P<negated>NOT )?NULL")
_TRUTH = re.compile(rf"(?P<negated>NOT )?{_COLUMN}")
_EQUALITY = re.compile(
    rf"\(?{_COLUMN}\)?(?:::text)? = (?P<value>'(?:[^']|'')*'|-?[0-9.]+|true|false)(?:::[\w .\"]+)?"
)


def conditions(predicate: str) -> Mapping[str, str] | None:
    """Read the conditions by column: NULL, NOT_NULL, or ``=`` and a value's text; None: not understood."""
    text = predicate.strip()
    parts = re.split(r"\) AND \(", text.removeprefix("(").removesuffix(")")) if " AND " in text else [text]
    found: dict[str, str] = {}
    for part in parts:
        condition = _condition(_bare(part))
        if condition is None or condition[0] in found:
            return None
        found[condition[0]] = condition[1]
    return found


def _bare(text: str) -> str:
    """Take off the parentheses around a whole text."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")") and _closes_last(text):
        text = text[1:-1].strip()
    if text.startswith("(") != text.endswith(")"):
        text = text.removeprefix("(") if text.startswith("(") and text.count("(") > text.count(")") else text
        text = text.removesuffix(")") if text.endswith(")") and text.count(")") > text.count("(") else text
    return text


def _closes_last(text: str) -> bool:
    depth = 0
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return place == len(text) - 1
    return False


def _condition(text: str) -> tuple[str, str] | None:
    if match := _NULLNESS.fullmatch(text):
        return _name(match["column"]), NOT_NULL if match["negated"] else NULL
    if match := _EQUALITY.fullmatch(text):
        value = match["value"]
        if value.startswith("'"):
            value = value[1:-1].replace("''", "'")
        return _name(match["column"]), f"={value}"
    if match := _TRUTH.fullmatch(text):
        return _name(match["column"]), "=false" if match["negated"] else "=true"
    return None


def _name(column: str) -> str:
    return column[1:-1].replace('""', '"') if column.startswith('"') else column
