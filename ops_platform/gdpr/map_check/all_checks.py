"""A data map against a live database: all that is wrong with it, in one look."""

from __future__ import annotations

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr import schema
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.map_check import coverage
from ops_platform.gdpr.map_check import feasibility as soundness
from ops_platform.gdpr.map_check import json_sampling as documents
from ops_platform.gdpr.map_check.finding import Finding


def check(connection: Connection, data_map: DataMap) -> list[Finding]:
    """None: every column is classified, and the map can be carried out. Raises what psycopg raises."""
    found = schema.read(connection)
    seen = documents.sample(connection, data_map, found)
    return sorted({*coverage.check(data_map, found, seen), *soundness.check(data_map, found)})
