"""An SQL expression that takes a value out of a JSONB document and keeps the rest of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from ops_platform.gdpr.data_map.json_path import EVERY, JsonPath


def without(document: sql.Composable, path: JsonPath, values: Sequence[Any]) -> sql.Composable:
    """Build the expression for ``document`` (jsonb) without ``values`` at ``path``.

    The innermost array element that holds one of them is removed whole; without an array around it, the
    member itself.
    """
    sought = sql.SQL(", ").join(
        sql.Literal(Jsonb(spelling)) for value in values for spelling in spellings(value)
    )
    return _without(document, path.steps, sought, itertools.count())


def spellings(value: Any) -> list[Any]:
    """List how a document may hold a value: as text and, if it is a number, as one."""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return [*dict.fromkeys((str(value), str(int(value)))), int(value)]
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        return [str(value), float(value)]
    return [str(value), value] if isinstance(value, int) else [str(value)]


def _without(
    document: sql.Composable, steps: tuple[str, ...], sought: sql.Composable, numbers: Iterator[int]
) -> sql.Composable:
    if EVERY not in steps:
        # Remove the member; a document that is nothing but the value becomes JSON's null.
        emptied = sql.SQL("{} #- {}").format(document, sql.Literal(list(steps)))
        return sql.SQL("CASE WHEN {holds} THEN {emptied} ELSE {document} END").format(
            holds=_holds(document, steps, sought),
            emptied=emptied if steps else sql.SQL("'null'::jsonb"),
            document=document,
        )
    first, rest = steps[0], steps[1:]
    if first != EVERY:
        inner = sql.SQL("{} -> {}").format(document, sql.Literal(first))
        return sql.SQL(
            "CASE WHEN jsonb_typeof({inner}) IN ('object', 'array') "
            "THEN jsonb_set({document}, ARRAY[{name}], {edited}) ELSE {document} END"
        ).format(
            inner=sql.SQL("({})").format(inner),
            document=document,
            name=sql.Literal(first),
            edited=_without(sql.SQL("({})").format(inner), rest, sought, numbers),
        )
    alias = f"e{next(numbers)}"
    element = sql.Identifier(alias, "value")
    inside = EVERY in rest
    # The outer CASE does not keep a set-returning function from a value that is not an array; the inner does.
    return sql.SQL(
        "CASE WHEN jsonb_typeof({document}) = 'array' THEN ("
        "SELECT coalesce(jsonb_agg({kept} ORDER BY {alias}.place), '[]') "
        "FROM jsonb_array_elements(CASE WHEN jsonb_typeof({document}) = 'array' THEN {document} "
        "ELSE '[]' END) WITH ORDINALITY AS {alias} (value, place) WHERE {stays}) ELSE {document} END"
    ).format(
        document=document,
        alias=sql.Identifier(alias),
        kept=_without(element, rest, sought, numbers) if inside else element,
        stays=sql.SQL("true") if inside else sql.SQL("NOT {}").format(_holds(element, rest, sought)),
    )


def _holds(document: sql.Composable, steps: tuple[str, ...], sought: sql.Composable) -> sql.Composable:
    """Build the test for the value below ``steps``, which are members: digits are no index of an array."""
    member = document
    for step in steps:
        member = sql.SQL("({} -> {})").format(member, sql.Literal(step))
    return sql.SQL("coalesce({} IN ({}), false)").format(member, sought)
