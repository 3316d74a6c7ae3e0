"""Constants of the data map's ``where`` as SQL of their column's type."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from ops_platform.gdpr.data_map import Constant
from ops_platform.gdpr.schema import Column


def is_any_of(column: Column, values: Sequence[Constant], alias: str) -> sql.Composable:
    """Write the condition for rows, called ``alias``, whose column has one of ``values``, NULL included."""
    reference = sql.Identifier(alias, column.name)
    given = [typed(value, column) for value in values if value.value is not None]
    tests = [sql.SQL("{} IN ({})").format(reference, sql.SQL(", ").join(given))] if given else []
    if len(given) < len(values):
        tests.append(sql.SQL("{} IS NULL").format(reference))
    return tests[0] if len(tests) == 1 else sql.SQL("({})").format(sql.SQL(" OR ").join(tests))


def typed(constant: Constant, column: Column) -> sql.Composable:
    """Write a value of the map as one of the column's type; ``map_check`` refuses what it cannot hold."""
    value = constant.value
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return sql.SQL("CAST({} AS {})").format(sql.Literal(text), sql.SQL(column.type))
