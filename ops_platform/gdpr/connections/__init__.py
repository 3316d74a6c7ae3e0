"""Connections to the databases of one subject: the home database, and those that the data map names.

Not here: what a map says of them (``gdpr.data_map``), and clients of PostgreSQL (``clients.postgres``).
"""

from ops_platform.gdpr.connections import server_stanzas
from ops_platform.gdpr.connections.database_urls import Connect, Living, connect, living, of_settings
from ops_platform.gdpr.connections.open_database import OpenDatabase, connected, read, server_of

__all__ = [
    "Connect",
    "Living",
    "OpenDatabase",
    "connect",
    "connected",
    "living",
    "of_settings",
    "read",
    "server_of",
    "server_stanzas",
]
