"""The subject's key as tombstones, holds and certificates write it: text in PostgreSQL's own spelling.

A key of several columns is a JSON array of such texts, and its type one of their types.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.data_map import DataMap, Subject
from ops_platform.gdpr.schema import Catalogue


@dataclass(frozen=True)
class SubjectKey:
    """A subject's key. ``kind``: the data map's word for subjects; ``key_type`` in PostgreSQL's words.

    ``requestable``: requests of the API are about this kind. The same key of another kind is somebody else's.
    """

    stanza: str
    kind: str
    key: str
    key_type: str
    requestable: bool = True

    @property
    def creator(self) -> UUID | None:
        """The key, by which requests and exports name their subject; None for those who can have none."""
        return UUID(self.key) if self.requestable and self.key_type == "uuid" else None


def texts(subject: Subject, key: str) -> list[str]:
    """Split a key into the text of each of its columns: ``["7", "0f5b2c"]``.

    Raises ConfigurationError, which does not quote the key, when it is not an array of as many texts or
    whole numbers. The key of one column is the text itself.
    """
    width = len(subject.key)
    if width == 1:
        return [key]
    try:
        parts = json.loads(key)
    except ValueError:
        parts = None
    if (
        not isinstance(parts, list)
        or len(parts) != width
        or not all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts)
    ):
        raise ConfigurationError(
            f"the key of a {subject.kind} is {' and '.join(subject.key)}: write it as a JSON array of "
            f'{width} texts, as in ["7", "42"]; the API, whose subjects are one UUID each, cannot serve them'
        )
    return [str(part) for part in parts]


def join(parts: Sequence[str]) -> str:
    """Write the texts of a key's columns as one text; ``texts`` splits it again."""
    return parts[0] if len(parts) == 1 else json.dumps(list(parts), ensure_ascii=False, separators=(",", ":"))


def parse(
    connection: Connection, data_map: DataMap, catalogue: Catalogue, stanza: str, text: str
) -> SubjectKey:
    """Parse ``text`` as a key; whether there is such a subject is not checked.

    Raises ConfigurationError, which does not quote the text, when the key's type cannot hold it.
    """
    subject = data_map.subject
    columns = catalogue.relations[subject.table].columns
    types = [columns[column].type for column in subject.key]
    spelled = [sql.SQL("CAST(CAST(%s AS {type}) AS text)").format(type=sql.SQL(each)) for each in types]
    query = sql.SQL("SELECT ARRAY[{}] AS key").format(sql.SQL(", ").join(spelled))
    try:
        with connection.transaction():
            row = connection.execute(query, texts(subject, text)).fetchone()
    except psycopg.DataError:
        row = None
    if row is None:
        raise ConfigurationError(
            f"a key of a {subject.kind} must be of the type {' and '.join(types)}: correct the key"
        )
    return SubjectKey(stanza, subject.kind, join(row["key"]), join(types), data_map.requestable)


def values(connection: Connection, subject: Subject, subject_key: SubjectKey) -> dict[str, Any]:
    """Convert the key to the database's own values, by column.

    ``key_type`` is trusted: it came from a catalogue. Raises CheckFailed when the key had other columns.
    """
    width = len(subject.key)
    try:
        types = [subject_key.key_type] if width == 1 else json.loads(subject_key.key_type)
    except ValueError:
        types = []
    if len(types) != width or (width == 1 and subject_key.key_type.startswith("[")):
        raise CheckFailed(
            f"a {subject_key.kind} was recorded by a key of the type {subject_key.key_type}, but the key in "
            f"the data map is {' and '.join(subject.key)}: use the map that it was recorded with"
        )
    row = one_row(
        connection,
        sql.SQL("SELECT {}").format(
            sql.SQL(", ").join(
                sql.SQL("CAST(%s AS {}) AS {}").format(sql.SQL(each), sql.Identifier(column))
                for each, column in zip(types, subject.key, strict=True)
            )
        ),
        texts(subject, subject_key.key),
    )
    return dict(row)
