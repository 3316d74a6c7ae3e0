"""The recovery point now: the age of the newest heartbeat that can be recovered.

That much would be lost if the cluster died now.

A heartbeat's LSN is read after its commit. It can be recovered when the archive has all WAL from
the start of some sound set up to that LSN. Nothing here assumes zero: what is not known is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops_platform.backup.repository import Archive, BackupSet, Repository
from ops_platform.backup.stanza import cluster_of
from ops_platform.backup.wal import ArchiveState, format_lsn, parse_lsn
from ops_platform.clients.postgres import Connection, one_row
from ops_platform.errors import CheckFailed

CLOCK_SLACK = timedelta(seconds=60)
"""The difference of two hosts' clocks that is borne; a time further ahead of ours is no age of zero."""
_PAGE = 500


@dataclass(frozen=True)
class Heartbeat:
    """One row of heartbeat_positions; ``lsn`` in bytes since the beginning of the WAL."""

    at: datetime
    lsn: int
    timeline: int


@dataclass(frozen=True)
class RecoveryPoint:
    """The newest heartbeat that can be recovered; ``rpo_seconds`` is its age when it was determined."""

    rpo_seconds: float
    heartbeat_at: datetime
    lsn: str


def sound_sets(repository: Repository) -> list[BackupSet]:
    """List the current cluster's sets, newest first, whose files and chain are whole, without page errors."""
    current = repository.current
    return [
        backup_set
        for backup_set in reversed(repository.sets)
        if current is not None and backup_set.database_id == current.id and _is_sound(repository, backup_set)
    ]


def best_state(repository: Repository, archive: Archive) -> tuple[BackupSet, ArchiveState] | None:
    """Find the newest sound set of the living timeline whose own WAL is complete, and how far it leads.

    Gaps before that set do not matter. None when there is no such set.
    """
    for backup_set in sound_sets(repository):
        if backup_set.lives(archive.lineage) and not archive.missing_segments(backup_set):
            return backup_set, archive.state_from(backup_set.wal_start)
    return None


def newest_covered(state: ArchiveState, heartbeats: Iterable[Heartbeat]) -> Heartbeat | None:
    """Find the first of ``heartbeats`` (newest first) that ``state`` covers; None when it covers none."""
    return next(
        (heartbeat for heartbeat in heartbeats if state.covers(heartbeat.timeline, heartbeat.lsn)), None
    )


def recovery_point(
    state: ArchiveState, heartbeats: Iterable[Heartbeat], now: datetime
) -> RecoveryPoint | None:
    """Measure the age of the newest of ``heartbeats`` that ``state`` covers; None when it covers none.

    Raises CheckFailed when it is of the future: the server's clock is ahead, and no age is known.
    """
    heartbeat = newest_covered(state, heartbeats)
    if heartbeat is None:
        return None
    ahead = heartbeat.at - now
    if ahead > CLOCK_SLACK:
        raise CheckFailed(
            f"the newest heartbeat in the archive is of {heartbeat.at:%Y-%m-%d %H:%M:%S} UTC, "
            f"{ahead.total_seconds():.0f} s ahead of this host: correct the clock of either"
        )
    return RecoveryPoint(max(0.0, -ahead.total_seconds()), heartbeat.at, format_lsn(heartbeat.lsn))


def heartbeats(connection: Connection, stanza: str) -> Iterable[Heartbeat]:
    """Read the heartbeats of a stanza's cluster, newest first, page by page: usually one row decides.

    They are the same for each repository. ``connection`` is to the ops database.
    """
    before: datetime | None = None
    while True:
        rows = connection.execute(
            """
            SELECT beat_at, lsn::text AS lsn, timeline FROM heartbeat_positions
            WHERE stanza = %s AND (%s::timestamptz IS NULL OR beat_at < %s)
            ORDER BY beat_at DESC LIMIT %s
            """,
            (cluster_of(stanza), before, before, _PAGE),
        ).fetchall()
        for row in rows:
            yield Heartbeat(row["beat_at"], parse_lsn(row["lsn"]), row["timeline"])
        if len(rows) < _PAGE:
            return
        before = rows[-1]["beat_at"]


def newest_on(connection: Connection, stanza: str, timeline: int, lsn: int) -> datetime | None:
    """Tell when the newest heartbeat was written that lies on ``timeline`` at or before ``lsn``.

    None without one. ``connection`` is to the ops database.
    """
    newest: datetime | None = one_row(
        connection,
        """
        SELECT max(beat_at) AS newest FROM heartbeat_positions
        WHERE stanza = %s AND timeline = %s AND lsn <= %s::pg_lsn
        """,
        (cluster_of(stanza), timeline, format_lsn(lsn)),
    )["newest"]
    return newest


def needed_range(sets: Sequence[BackupSet]) -> tuple[str, str] | None:
    """Name the first and the last WAL segment that any set needs; gaps count from the first.

    None without sets.
    """
    if not sets:
        return None
    first = min((backup_set.wal_start for backup_set in sets), key=_position)
    return first, max((backup_set.wal_stop for backup_set in sets), key=_position)


def _position(name: str) -> tuple[str, str]:
    return name[8:], name


def _is_sound(repository: Repository, backup_set: BackupSet) -> bool:
    if backup_set.damage is not None:
        return False
    try:
        chain = repository.chain(backup_set.label)
    except CheckFailed:
        return False
    return not any(member.error for member in chain)
