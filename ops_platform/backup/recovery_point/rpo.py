"""What would be lost if the cluster died now: the age of the newest heartbeat that can be recovered.

A heartbeat's LSN is read after its commit. It can be recovered when the archive has all WAL from
the start of some sound set up to that LSN. Nothing here assumes zero: what cannot be told is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops_platform.backup.repository import Archive, BackupSet, Repository
from ops_platform.backup.wal import ArchiveState, format_lsn, parse_lsn
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed

_PAGE = 500


@dataclass(frozen=True)
class Beat:
    """One row of heartbeat_positions."""

    at: datetime
    lsn: int
    timeline: int


@dataclass(frozen=True)
class RecoveryPoint:
    """The newest moment that can be recovered; ``rpo_seconds`` is its age at the time of asking."""

    rpo_seconds: float
    beat_at: datetime
    lsn: str


def sound_sets(repository: Repository) -> list[BackupSet]:
    """The current cluster's sets without page errors whose chain is listed whole, newest first."""
    current = repository.current
    return [
        one
        for one in reversed(repository.sets)
        if current is not None and one.database_id == current.id and _is_sound(repository, one)
    ]


def best_state(repository: Repository, archive: Archive) -> tuple[BackupSet, ArchiveState] | None:
    """The newest set that is sound and whose own WAL is complete, and how far recovery from it goes.

    A gap before it does not matter to it; None when there is no such set.
    """
    for one in sound_sets(repository):
        if not archive.lacks(one):
            return one, archive.state_from(one.wal_start)
    return None


def recovery_point(state: ArchiveState, beats: Iterable[Beat], now: datetime) -> RecoveryPoint | None:
    """The newest of ``beats`` (newest first) that ``state`` covers; None when it covers none of them."""
    for beat in beats:
        if state.covers(beat.timeline, beat.lsn):
            age = max(0.0, (now - beat.at).total_seconds())
            return RecoveryPoint(age, beat.at, format_lsn(beat.lsn))
    return None


def beats(connection: Connection, stanza: str) -> Iterable[Beat]:
    """A stanza's heartbeats, newest first, read page by page: usually one row decides."""
    before: datetime | None = None
    while True:
        rows = connection.execute(
            """
            SELECT beat_at, lsn::text AS lsn, timeline FROM heartbeat_positions
            WHERE stanza = %s AND (%s::timestamptz IS NULL OR beat_at < %s)
            ORDER BY beat_at DESC LIMIT %s
            """,
            (stanza, before, before, _PAGE),
        ).fetchall()
        for row in rows:
            yield Beat(row["beat_at"], parse_lsn(row["lsn"]), row["timeline"])
        if len(rows) < _PAGE:
            return
        before = rows[-1]["beat_at"]


def needed_range(sets: Sequence[BackupSet]) -> tuple[str, str] | None:
    """The first WAL segment that any set needs, from which gaps count, and the last."""
    if not sets:
        return None
    first = min((one.wal_start for one in sets), key=_position)
    return first, max((one.wal_stop for one in sets), key=_position)


def _position(name: str) -> tuple[str, str]:
    return name[8:], name


def _is_sound(repository: Repository, one: BackupSet) -> bool:
    try:
        chain = repository.chain(one.label)
    except CheckFailed:
        return False
    return not any(member.error for member in chain)
