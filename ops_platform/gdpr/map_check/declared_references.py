"""The check of references that the map declares where the database has no foreign key."""

from __future__ import annotations

from collections.abc import Iterator

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import DataMap, Table
from ops_platform.gdpr.map_check import foreign_keys
from ops_platform.gdpr.map_check.evidence import value_sampling
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue, Name, Reference


def check(connection: Connection, data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """List declared references that lead nowhere, to people, or not where their values say.

    A reason for the column stands above all. Raises what psycopg raises.
    """
    for table in data_map.tables.values():
        relation = catalogue.relations.get(table.name)
        for column, (target, to) in table.refers.items():
            if relation is None or column not in relation.columns or column in table.reasons:
                continue
            yield from _reference(connection, table, column, target, to, data_map, catalogue)


def _reference(
    connection: Connection,
    table: Table,
    column: str,
    target: Name,
    to: str,
    data_map: DataMap,
    catalogue: Catalogue,
) -> Iterator[Finding]:
    where, place = f"{table.name}.{column}", f"{target}.{to}"
    relation = catalogue.relations.get(target)
    if relation is None or to not in relation.columns:
        yield Finding(where, "no-such-column", f"refers to {place}, which is not there: correct it in refers")
        return
    if not relation.identified_by([to]):
        message = f"refers to {place}, which several rows can share: name a column with a unique index"
        yield Finding(where, "not-unique", message)
        return
    reference = Reference("", table.name, (column,), target, (to,), "no action", False)
    if finding := foreign_keys.uncovered(reference, data_map, catalogue):
        yield finding
        return
    found = value_sampling.share(connection, table.name, column, target, to)
    if found.values and not found.mostly:
        yield Finding(
            where,
            "untrue-reference",
            f"refers to {place}, but only {found.there} of {found.values} sampled values are there: "
            "correct it in refers, or say in reasons why the rest is nobody's",
        )
