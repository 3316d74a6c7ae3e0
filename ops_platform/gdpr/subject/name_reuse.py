"""Reuse of a subject's names: rows of people who came later, or who have one of the names by now, are spared.

After a restore that is everybody who came since. While an erasure is under way a name can change hands: as
soon as the subject's row is gone, or renamed, somebody else may register with the address or take the
handle. The rule for a name (any identifier but the key) that a row with another key holds now:

- Until the first erasure of the subject's rows has ended, rows by this name are the subject's when they are
  not newer than the last moment at which the name surely was theirs (``Times.cutoff``).
- After it no such row is left. Rows that hold the name since then are the other person's, whatever their age.
- Rows that do not say when they were created are left alone. Where somebody else had the name before that
  erasure had ended, they may be either person's: the residue scan finds them, and nothing is completed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.subject.row_predicates import Identity, SparedRows


@dataclass(frozen=True)
class FirstErasure:
    """The first complete erasure of the subject's rows; newer rows name somebody else.

    ``at``: when it had ended. ``reused_names``: the identifiers that others had by then; None when it used
    another data map, so that rows which the current one names may be left.
    """

    at: datetime
    reused_names: frozenset[str] | None


@dataclass(frozen=True)
class Times:
    """The times that decide whose a row is.

    ``cutoff``: until then the names were the subject's. ``replay``: the erasure is repeated after a restore.
    ``first_erasure``: the first complete erasure, None before its end.
    """

    cutoff: datetime
    replay: bool = False
    first_erasure: FirstErasure | None = None


def spared_rows(
    connection: Connection, data_map: DataMap, identity: Identity, times: Times
) -> SparedRows | None:
    """Determine the rows to spare, as the database is now; None: all that names the subject is theirs."""
    if times.replay:
        key_reused = _is_newer(connection, data_map, identity, times.cutoff)
        return SparedRows(times.cutoff, key_reused=key_reused)
    names = reused_names(data_map, identity, successors(connection, data_map, identity, times.cutoff))
    if not names:
        return None
    erased_once = times.first_erasure is not None and times.first_erasure.reused_names is not None
    return SparedRows(times.cutoff, key_reused=False, reused_names=names, erased_once=erased_once)


def successors(
    connection: Connection, data_map: DataMap, identity: Identity, cutoff: datetime
) -> tuple[Identity, ...]:
    """Find others who have an identifier that was the subject's and is not any more, whenever they came.

    Those who share one with the subject and came after ``cutoff`` are found too, where the subject table
    says when. Texts are compared without regard to case, as in the residue scan.
    """
    subject = data_map.subject
    names = [
        name
        for name in subject.identifiers
        if name != subject.key and str(identity.values.get(name, "")).strip() != ""
    ]
    tests = [*_reuse_tests(connection, data_map, identity, names, cutoff)]
    if not tests:
        return ()
    query = sql.SQL("SELECT {columns} FROM {table} AS t WHERE ({tests}) AND t.{key} <> {own}").format(
        columns=sql.SQL(", ").join(sql.Identifier("t", name) for name in subject.identifiers),
        table=subject.table.identifier,
        tests=sql.SQL(" OR ").join(tests),
        key=sql.Identifier(subject.key),
        own=sql.Literal(identity.values[subject.key]),
    )
    return tuple(
        Identity({name: value for name, value in row.items() if value is not None})
        for row in connection.execute(query)
    )


def _reuse_tests(
    connection: Connection, data_map: DataMap, identity: Identity, names: Iterable[str], cutoff: datetime
) -> Iterable[sql.Composable]:
    subject = data_map.subject
    created = data_map.tables[subject.table].created
    current = _current_values(connection, data_map, identity)
    for name in names:
        value, column = identity.values[name], sql.Identifier("t", name)
        if _folded(current.get(name)) != _folded(value):
            is_text = isinstance(value, str)
            yield sql.SQL(
                "lower(CAST({} AS text)) = lower(CAST({} AS text))" if is_text else "{} = {}"
            ).format(column, sql.Literal(value))
        elif created is not None:
            yield sql.SQL("({} = {} AND {} > {})").format(
                column, sql.Literal(value), sql.Identifier("t", created), sql.Literal(cutoff)
            )


def reused_names(data_map: DataMap, identity: Identity, others: Iterable[Identity]) -> frozenset[str]:
    """Name the subject's identifiers whose values one of ``others`` has now."""
    key = data_map.subject.key
    theirs = {_folded(value) for other in others for name, value in other.values.items() if name != key}
    return frozenset(
        name for name, value in identity.values.items() if name != key and _folded(value) in theirs
    )


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _current_values(connection: Connection, data_map: DataMap, identity: Identity) -> Mapping[str, Any]:
    """Read the identifiers from the row that has the subject's key now; empty when there is none."""
    subject = data_map.subject
    query = sql.SQL("SELECT {} FROM {} AS t WHERE t.{} = {}").format(
        sql.SQL(", ").join(sql.Identifier("t", name) for name in subject.identifiers),
        subject.table.identifier,
        sql.Identifier(subject.key),
        sql.Literal(identity.values[subject.key]),
    )
    return connection.execute(query).fetchone() or {}


def _is_newer(connection: Connection, data_map: DataMap, identity: Identity, cutoff: datetime) -> bool:
    """Tell whether the row that has the subject's key was created after ``cutoff``."""
    subject = data_map.subject
    created = data_map.tables[subject.table].created
    if created is None:
        return False
    query = sql.SQL("SELECT coalesce(t.{} > {}, false) AS anew FROM {} AS t WHERE t.{} = {}").format(
        sql.Identifier(created),
        sql.Literal(cutoff),
        subject.table.identifier,
        sql.Identifier(subject.key),
        sql.Literal(identity.values[subject.key]),
    )
    return any(row["anew"] for row in connection.execute(query))
