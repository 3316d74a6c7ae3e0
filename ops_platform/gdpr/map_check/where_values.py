"""The check that columns can hold the values that the map gives in ``where``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import Constant, DataMap
from ops_platform.gdpr.map_check import row_links
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue, Column
from ops_platform.gdpr.subject import constant_sql


def check(connection: Connection, data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """List the values that their column's type cannot hold or compare. Raises what psycopg raises."""
    for table, belonging in data_map.belongings():
        relation = catalogue.relations.get(table.name)
        for name, constants in belonging.where.items():
            column = relation.columns.get(name) if relation else None
            for constant in constants if column else ():
                assert column is not None  # noqa: S101 - there is nothing to loop over then
                if not _can_hold(connection, column, constant):
                    yield Finding(
                        f"{table.name} ({belonging.role})",
                        "other-type",
                        f"where wants {name} to be {_shown(constant.value)}, which {column.type} cannot hold",
                    )


def _shown(value: Any) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else repr(value)
        if isinstance(value, str)
        else str(value)
    )


def _can_hold(connection: Connection, column: Column, constant: Constant) -> bool:
    if constant.value is None:
        return True
    if isinstance(constant.value, bool) and column.base != "boolean":
        return False
    held, given = constant_sql.typed(constant, column), sql.Literal(str(constant.value))
    # A cast shortens what is too long, and rounds.
    same = {
        "text": sql.SQL("CAST({} AS text) = {}").format(held, given),
        "number": sql.SQL("CAST({} AS numeric) = CAST({} AS numeric)").format(held, given),
    }.get(row_links.family(column) if not column.array else "", sql.SQL("{} = {}").format(held, held))
    try:
        with connection.transaction():
            row = connection.execute(sql.SQL("SELECT {} AS same").format(same)).fetchone()
    except psycopg.Error as error:
        # Not a value of the type, against a domain's constraint, or of a type without equality.
        if (error.sqlstate or "")[:2] in ("22", "23", "42"):
            return False
        raise
    return bool(row and row["same"])
