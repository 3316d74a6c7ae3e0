"""Quick tests in SQL of which texts stand in a value in lower case, which is compared byte by byte."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

_BREAKS = ("\r\n", "\n")
_JSON_BREAKS = (r"\r\n", r"\n")


def breaks(kind: str) -> tuple[str, ...]:
    """List the ends of lines, as they are or as JSON writes them; the last one is part of each."""
    return _JSON_BREAKS if kind == "json" else _BREAKS


def any_position(texts: Sequence[str], lowered: sql.Composable) -> sql.Composable:
    """Write the test for any of ``texts``."""
    if not texts:
        return sql.SQL("false")
    tests = [sql.SQL("position({} IN {}) > 0").format(sql.Literal(text), lowered) for text in texts]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def every_position(texts: Sequence[str], lowered: sql.Composable) -> sql.Composable:
    """Write the test for all of ``texts``."""
    tests = [sql.SQL("position({} IN {}) > 0").format(sql.Literal(text), lowered) for text in texts]
    return sql.SQL("({})").format(sql.SQL(" AND ").join(tests))


def joined(test: sql.Composable, lowered: sql.Composable, ends: Sequence[str]) -> sql.Composable:
    """Write ``test`` of ``JOINED``, what is left of ``lowered`` without the ends of lines."""
    without = lowered
    for line_break in (*(f"={line_break}" for line_break in ends), *ends):
        without = sql.SQL("replace({}, {}, '')").format(without, sql.Literal(line_break))
    return sql.SQL("(SELECT {} FROM (SELECT {} AS text OFFSET 0) AS joined)").format(test, without)


JOINED = sql.Identifier("joined", "text")
