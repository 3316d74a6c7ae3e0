"""Whose rows must not be taken for the subject's: people who came later, or are called the same by now.

After a restore that is everybody who came since. While an erasure is under way a name can change hands: as
soon as the subject's row is gone, or renamed, somebody else may register with the address or take the
handle. The rule for a name, any identifier but the key, that a row with another key holds now:

- Until the first erasure of the subject's rows has ended, rows by this name are the subject's when they are
  not newer than the last moment at which the name surely was theirs (``Times.cutoff``).
- After it no such row is left. What holds the name since then is the other's, whatever its age.
- Rows that do not say when they came into being are left alone. Where somebody else had the name before
  that erasure had ended they may be either's: the residue scan finds them, and nothing is completed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.gdpr.data_map import DataMap
from ops_platform.gdpr.subject.row_predicates import Identity, Sparing


@dataclass(frozen=True)
class Gone:
    """That all rows of the subject have been erased once; whoever is named in newer ones is somebody else.

    ``at``: when that had ended. ``taken``: identifiers that others had by then; None: it went by another
    data map, and rows that this one names may be left.
    """

    at: datetime
    taken: frozenset[str] | None


@dataclass(frozen=True)
class Times:
    """``cutoff``: until then the names were the subject's. ``replay``: it is done again after a restore."""

    cutoff: datetime
    replay: bool = False
    gone: Gone | None = None


def sparing(connection: Connection, data_map: DataMap, who: Identity, times: Times) -> Sparing | None:
    """What is not to be touched, as the database is now; None: all that names the subject is theirs."""
    if times.replay:
        return Sparing(times.cutoff, anew=_is_newer(connection, data_map, who, times.cutoff))
    names = taken(data_map, who, successors(connection, data_map, who, times.cutoff))
    if not names:
        return None
    swept = times.gone is not None and times.gone.taken is not None
    return Sparing(times.cutoff, anew=False, names=names, swept=swept)


def successors(
    connection: Connection, data_map: DataMap, who: Identity, cutoff: datetime
) -> tuple[Identity, ...]:
    """Others who have an identifier that was the subject's and is not any more, whenever they came.

    Also those who share one with the subject and came after ``cutoff``, where the subject table says so.
    Texts are compared without regard to case, as the residue scan does.
    """
    subject = data_map.subject
    names = [
        name
        for name in subject.identifiers
        if name != subject.key and str(who.values.get(name, "")).strip() != ""
    ]
    tests = [*_tests(connection, data_map, who, names, cutoff)]
    if not tests:
        return ()
    query = sql.SQL("SELECT {columns} FROM {table} AS t WHERE ({tests}) AND t.{key} <> {own}").format(
        columns=sql.SQL(", ").join(sql.Identifier("t", one) for one in subject.identifiers),
        table=subject.table.identifier,
        tests=sql.SQL(" OR ").join(tests),
        key=sql.Identifier(subject.key),
        own=sql.Literal(who.values[subject.key]),
    )
    return tuple(
        Identity({name: value for name, value in row.items() if value is not None})
        for row in connection.execute(query)
    )


def _tests(
    connection: Connection, data_map: DataMap, who: Identity, names: Iterable[str], cutoff: datetime
) -> Iterable[sql.Composable]:
    subject = data_map.subject
    created = data_map.tables[subject.table].created
    own = _now(connection, data_map, who)
    for name in names:
        value, column = who.values[name], sql.Identifier("t", name)
        if _folded(own.get(name)) != _folded(value):
            text = isinstance(value, str)
            yield sql.SQL("lower(CAST({} AS text)) = lower(CAST({} AS text))" if text else "{} = {}").format(
                column, sql.Literal(value)
            )
        elif created is not None:
            yield sql.SQL("({} = {} AND {} > {})").format(
                column, sql.Literal(value), sql.Identifier("t", created), sql.Literal(cutoff)
            )


def taken(data_map: DataMap, who: Identity, others: Iterable[Identity]) -> frozenset[str]:
    """The subject's identifiers whose values one of ``others`` has now."""
    key = data_map.subject.key
    theirs = {_folded(value) for one in others for name, value in one.values.items() if name != key}
    return frozenset(name for name, value in who.values.items() if name != key and _folded(value) in theirs)


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _now(connection: Connection, data_map: DataMap, who: Identity) -> Mapping[str, Any]:
    """What the row that has the subject's key says; nothing when there is none."""
    subject = data_map.subject
    query = sql.SQL("SELECT {} FROM {} AS t WHERE t.{} = {}").format(
        sql.SQL(", ").join(sql.Identifier("t", one) for one in subject.identifiers),
        subject.table.identifier,
        sql.Identifier(subject.key),
        sql.Literal(who.values[subject.key]),
    )
    return connection.execute(query).fetchone() or {}


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
