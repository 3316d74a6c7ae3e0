"""The places where names of an erased subject stay, because somebody of another kind has them, too.

The residue scan passes over these; whoever reads the certificate must be able to see where.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.row_erasure import residue_scan
from ops_platform.gdpr.schema import Catalogue, Name
from ops_platform.gdpr.subject import Identity, other_kinds


def of_other_kinds(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, identities: Iterable[Identity]
) -> list[dict[str, Any]]:
    """Count the rows of other kinds in which a name of the subject's stands: ``place`` and ``rows``, sorted.

    Raises what psycopg raises.
    """
    rows: dict[tuple[Name, str], int] = {}
    for identity in identities:
        for theirs in other_kinds.find(connection, data_map, catalogue, identity):
            searched = [
                *((table, None, test) for table, test in theirs.rows.items()),
                *((table, column, test) for (table, column), test in theirs.columns.items()),
            ]
            for table, only, test in searched:
                hits = residue_scan.within(
                    connection, catalogue.relations[table], [theirs.value], test, only=only
                )
                for hit in hits:
                    rows[hit.place] = max(rows.get(hit.place, 0), hit.rows)
    return [
        {"place": f"{table}.{column}", "rows": number} for (table, column), number in sorted(rows.items())
    ]
