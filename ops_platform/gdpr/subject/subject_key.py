"""The subject's key as tombstones, holds and certificates write it: text in PostgreSQL's own spelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.schema import Catalogue


@dataclass(frozen=True)
class SubjectKey:
    """A subject's key. ``kind``: the data map's word for subjects; ``key_type`` in PostgreSQL's words."""

    stanza: str
    kind: str
    key: str
    key_type: str


def parse(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, stanza: str, text: str
) -> SubjectKey:
    """Parse ``text`` as a key; whether there is such a subject is not checked.

    Raises ConfigurationError, which does not quote the text, when the key's type cannot hold it.
    """
    key_type = catalogue.relations[data_map.subject.table].columns[data_map.subject.key].type
    query = sql.SQL("SELECT CAST(CAST(%s AS {type}) AS text) AS key").format(type=sql.SQL(key_type))
    try:
        with connection.transaction():
            row = connection.execute(query, (text,)).fetchone()
    except psycopg.DataError:
        row = None
    if row is None:
        raise ConfigurationError(
            f"a key of a {data_map.subject.kind} must be of the type {key_type}: correct the key"
        )
    return SubjectKey(stanza, data_map.subject.kind, row["key"], key_type)


def value(connection: Connection, subject_key: SubjectKey) -> Any:
    """Convert the key to the database's own value. ``key_type`` is trusted: it came from a catalogue."""
    query = sql.SQL("SELECT CAST(%s AS {type}) AS value").format(type=sql.SQL(subject_key.key_type))
    row = one_row(connection, query, (subject_key.key,))
    return row["value"]
