"""What an erasure would do, in numbers only: rows by table and role. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import subject_rows
from ops_platform.gdpr.catalogue import Catalogue
from ops_platform.gdpr.data_map import Anonymise, DataMap, Delete, Erasure, Keep
from ops_platform.gdpr.subject_rows import Identity


@dataclass(frozen=True)
class Share:
    """Rows of ``table`` that are the subject's in ``role``, and what is done with them."""

    table: str
    role: str
    erasure: str
    rows: int


def preview(connection: Connection, data_map: DataMap, catalogue: Catalogue, who: Identity) -> list[Share]:
    """Every role, those without rows too; a row can be in several. Raises what psycopg raises."""
    found = []
    for table, one in data_map.belongings():
        belongs = subject_rows.condition(data_map, catalogue, table.name, one, who, "t")
        query = sql.SQL("SELECT count(*) AS rows FROM {} AS t WHERE {}").format(
            table.name.identifier, belongs
        )
        [row] = connection.execute(query).fetchall()
        found.append(Share(str(table.name), one.role, describe(one.erasure), int(row["rows"])))
    return found


def describe(erasure: Erasure) -> str:
    """In the data map's words."""
    if isinstance(erasure, Delete):
        return "delete" if erasure.otherwise is None else "delete unless referenced"
    if isinstance(erasure, Anonymise):
        return f"anonymise {', '.join(sorted(erasure.columns))}"
    return f"keep: {erasure.basis}; {erasure.term}" if isinstance(erasure, Keep) else "remove"
