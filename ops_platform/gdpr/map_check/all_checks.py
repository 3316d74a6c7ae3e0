"""All checks of a data map against a live database."""

from __future__ import annotations

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import schema
from ops_platform.gdpr.connections import OpenDatabase
from ops_platform.gdpr.data_map import DataMap, kinds
from ops_platform.gdpr.map_check import (
    accepted_places,
    coverage,
    declared_references,
    feasibility,
    json_sampling,
    shared_handling,
    type_pairs,
    undecided_columns,
    where_values,
)
from ops_platform.gdpr.map_check.finding import Finding


def check(connection: Connection, data_map: DataMap) -> list[Finding]:
    """List the findings, sorted; none means that every column is classified and the map can be carried out.

    For every kind of subject in the map's file; not for its other databases, see ``check_database``.
    Raises what psycopg raises.
    """
    return check_database(OpenDatabase(data_map, connection, schema.read(connection)))


def check_database(database: OpenDatabase) -> list[Finding]:
    """List the findings of one database, as ``check`` does, against its part of the map.

    Places are named as that part has them. Raises what psycopg raises.
    """
    connection, data_map = database.connection, database.data_map
    sampled_paths = json_sampling.sample(connection, data_map, database.catalogue)
    findings = set(coverage.check(data_map, database.catalogue, sampled_paths))
    catalogue = database.with_subject
    for of_kind in kinds.every(data_map):
        findings |= {
            *feasibility.check(of_kind, catalogue),
            *where_values.check(connection, of_kind, catalogue),
            *type_pairs.check(connection, of_kind, catalogue),
            *accepted_places.check(of_kind, catalogue),
            *undecided_columns.check(of_kind, catalogue),
            *declared_references.check(connection, of_kind, catalogue),
            *shared_handling.check(of_kind, catalogue),
        }
    return sorted(findings)


def doubts(connection: Connection, data_map: DataMap) -> list[Finding]:
    """List, sorted, what whoever writes the map should correct, and what keeps no erasure waiting.

    Raises what psycopg raises.
    """
    catalogue = schema.read(connection)
    return sorted(
        {
            finding
            for of_kind in kinds.every(data_map)
            for finding in declared_references.doubts(connection, of_kind, catalogue)
        }
    )
