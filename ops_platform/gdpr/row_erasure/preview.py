"""What an erasure would do, in numbers only: rows by table and role. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.gdpr.data_map import Anonymise, DataMap, Delete, Keep
from ops_platform.gdpr.row_erasure import plan as erasure_plan
from ops_platform.gdpr.row_erasure.plan import Step
from ops_platform.gdpr.schema import Catalogue
from ops_platform.gdpr.subject import Identity, row_predicates


@dataclass(frozen=True)
class Share:
    """Rows of ``table`` that are the subject's in ``role``, and what is done with them."""

    table: str
    role: str
    erasure: str
    rows: int


def preview(connection: Connection, data_map: DataMap, catalogue: Catalogue, who: Identity) -> list[Share]:
    """Every step, in the order of an erasure, those without rows too; a row can be in several.

    Raises what psycopg raises.
    """
    found = []
    for step in erasure_plan.plan(data_map, catalogue).steps:
        belongs = row_predicates.condition(data_map, catalogue, step.table, step.belonging, who, "t")
        filled = [sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(one)) for one in step.columns]
        counted = sql.SQL("SELECT count(*) AS rows FROM {} AS t WHERE {}").format(
            step.table.identifier, sql.SQL(" AND ").join([sql.SQL("({})").format(belongs), *filled])
        )
        row = one_row(connection, counted)
        found.append(Share(str(step.table), step.belonging.role, describe(step), int(row["rows"])))
    return found


def describe(step: Step) -> str:
    """In the data map's words."""
    erasure = step.belonging.erasure
    if step.kind == "empty":
        return f"empty {', '.join(step.columns)}"
    if isinstance(erasure, Delete):
        return "delete" if erasure.otherwise is None else "delete unless referenced"
    if isinstance(erasure, Anonymise):
        return f"anonymise {', '.join(sorted(erasure.columns))}"
    return f"keep: {erasure.basis}; {erasure.term}" if isinstance(erasure, Keep) else "remove"
