"""The review of a data map against all its databases: what ``map check`` finds, and what it notes.

More than an erasure asks for (``gdpr.map_check``): also doubts, and terms that cannot be carried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ops_platform.gdpr import map_check
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.map_check import Finding, derived_values
from ops_platform.gdpr.retention import term_check
from ops_platform.gdpr.transparency import gaps


def findings(databases: Iterable[OpenDatabase]) -> list[Finding]:
    """List the findings, sorted, each place with its database's name. Raises what psycopg raises."""
    return sorted(
        finding for database in databases for finding in in_its_database(database, of_database(database))
    )


def of_database(database: OpenDatabase) -> set[Finding]:
    """Collect the findings of one database, its places as its part of the map names them."""
    return {
        *map_check.check_database(database),
        *map_check.doubts(database.connection, database.data_map),
        *term_check.check(database.data_map, database.catalogue),
    }


def erased_kinds(data_map: DataMap, kinds: Iterable[str]) -> list[Finding]:
    """List the ``kinds`` that were erased and are not in a map with ``databases``, which has one kind only.

    Their tombstones would refuse the replay of every restore.
    """
    if not data_map.databases:
        return []
    return [
        Finding(
            "databases",
            "erased-kind",
            f"a {kind} was erased, too, and a restore replays nothing by a map that does not have this kind: "
            f"leave databases out, and let the map have {kind} and {data_map.subject.kind}",
        )
        for kind in sorted(set(kinds) - {data_map.subject.kind})
    ]


def notes(databases: Sequence[OpenDatabase]) -> list[Finding]:
    """List what refuses nothing: what the map leaves unsaid, and what is computed from erased values.

    ``databases``: the home database first. Raises what psycopg raises.
    """
    derived = [
        note
        for database in databases
        for note in in_its_database(
            database,
            derived_values.notes(database.connection, database.data_map, database.catalogue),
        )
    ]
    return [*gaps.notes(databases[0].data_map), *derived]


def in_its_database(database: OpenDatabase, found: Iterable[Finding]) -> list[Finding]:
    """Name each place among those of other databases."""
    return [replace(finding, where=database.data_map.place(finding.where)) for finding in found]
