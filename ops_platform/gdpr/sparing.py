"""Whose rows must not be taken for the subject's: people who came later and are called the same.

After a restore, and when somebody registers again with the same address before the erasure has ended.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.subject_rows import Identity, Sparing


def sparing(
    connection: Connection, data_map: DataMap, who: Identity, cutoff: datetime, *, replay: bool
) -> Sparing | None:
    """What is not to be touched, as the database is now; None: all that names the subject is theirs."""
    if replay:
        return Sparing(cutoff, anew=_is_newer(connection, data_map, who, cutoff))
    return Sparing(cutoff, anew=False) if successors(connection, data_map, who, cutoff) else None


def successors(connection: Connection, data_map: DataMap, who: Identity, cutoff: datetime) -> list[Any]:
    """Keys of others who came after ``cutoff`` and have an identifier of the subject's.

    Nobody, where the subject table does not say when somebody came.
    """
    subject = data_map.subject
    created = data_map.tables[subject.table].created
    names = [name for name in who.values if name != subject.key]
    if created is None or not names:
        return []
    query = sql.SQL(
        "SELECT t.{key} AS key FROM {table} AS t WHERE ({same}) AND t.{created} > {cutoff} "
        "AND t.{key} <> {own}"
    ).format(
        key=sql.Identifier(subject.key),
        table=subject.table.identifier,
        same=sql.SQL(" OR ").join(
            sql.SQL("t.{} = {}").format(sql.Identifier(name), sql.Literal(who.values[name])) for name in names
        ),
        created=sql.Identifier(created),
        cutoff=sql.Literal(cutoff),
        own=sql.Literal(who.values[subject.key]),
    )
    return [row["key"] for row in connection.execute(query)]


def _is_newer(connection: Connection, data_map: DataMap, who: Identity, cutoff: datetime) -> bool:
    """Whether the row that has the subject's key came after ``cutoff``."""
    subject = data_map.subject
    created = data_map.tables[subject.table].created
    if created is None:
        return False
    query = sql.SQL("SELECT coalesce(t.{} > {}, false) AS anew FROM {} AS t WHERE t.{} = {}").format(
        sql.Identifier(created),
        sql.Literal(cutoff),
        subject.table.identifier,
        sql.Identifier(subject.key),
        sql.Literal(who.values[subject.key]),
    )
    return any(row["anew"] for row in connection.execute(query))
