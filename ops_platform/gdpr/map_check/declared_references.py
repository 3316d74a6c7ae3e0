"""The check of references that the map declares where the database has no foreign key."""

from __future__ import annotations

from collections.abc import Iterator

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import DataMap, Table
from ops_platform.gdpr.map_check import foreign_keys, row_links
from ops_platform.gdpr.map_check.evidence import value_sampling
from ops_platform.gdpr.map_check.evidence.value_sampling import Share
from ops_platform.gdpr.map_check.finding import Finding
from ops_platform.gdpr.schema import Catalogue, Name, Reference


def check(connection: Connection, data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """List declared references that lead nowhere, to people, or hardly ever where they say.

    A reason for the column stands above all. Raises what psycopg raises.
    """
    for table, column, target, to in _undecided(data_map, catalogue):
        wrong = _wrong(table, column, target, to, data_map, catalogue)
        if wrong is not None:
            yield wrong
            continue
        found = value_sampling.share(connection, table.name, column, target, to)
        if found.hardly:
            yield _untrue(table, column, target, to, found)


def doubts(connection: Connection, data_map: DataMap, catalogue: Catalogue) -> Iterator[Finding]:
    """List declared references of which more values are missing than rows that are gone leave.

    Rows go every day: this is for whoever writes the map, not for a run that must be done in time. Raises
    what psycopg raises.
    """
    for table, column, target, to in _undecided(data_map, catalogue):
        if _wrong(table, column, target, to, data_map, catalogue) is None:
            found = value_sampling.share(connection, table.name, column, target, to)
            if found.values and not found.mostly:
                yield _untrue(table, column, target, to, found)


def _undecided(data_map: DataMap, catalogue: Catalogue) -> Iterator[tuple[Table, str, Name, str]]:
    for table in data_map.tables.values():
        relation = catalogue.relations.get(table.name)
        for column, (target, to) in table.refers.items():
            if relation is not None and column in relation.columns and column not in table.reasons:
                yield table, column, target, to


def _wrong(
    table: Table, column: str, target: Name, to: str, data_map: DataMap, catalogue: Catalogue
) -> Finding | None:
    """Find what the catalogue and the map alone say against a declared reference."""
    where, place = f"{table.name}.{column}", f"{target}.{to}"
    relation = catalogue.relations.get(target)
    if relation is None or to not in relation.columns:
        return Finding(
            where, "no-such-column", f"refers to {place}, which is not there: correct it in refers"
        )
    if not relation.identified_by([to]):
        message = f"refers to {place}, which several rows can share: name a column with a unique index"
        return Finding(where, "not-unique", message)
    own, other = catalogue.relations[table.name].columns[column], relation.columns[to]
    if row_links.family(own) != row_links.family(other) or own.array or other.array:
        message = f"is {own.type}, and refers to {place}, which is {other.type}: say in reasons what it holds"
        return Finding(where, "other-type", message)
    reference = Reference("", table.name, (column,), target, (to,), "no action", False)
    return foreign_keys.uncovered(reference, data_map, catalogue)


def _untrue(table: Table, column: str, target: Name, to: str, found: Share) -> Finding:
    return Finding(
        f"{table.name}.{column}",
        "untrue-reference",
        f"refers to {target}.{to}, but only {found.there} of {found.values} sampled values are there: "
        "correct it in refers, or say in reasons why the rest is nobody's",
    )
