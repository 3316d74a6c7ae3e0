"""Hourly ``wal_archive`` rows: what arrived in each closed hour, and the archive's lag at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ops_platform.agent.loops.session_pool import Session
from ops_platform.backup.monitoring import Observation
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.repository import Archive, Repository
from ops_platform.backup.taking import report_store
from ops_platform.clients.postgres import Connection

HOUR = timedelta(hours=1)
SETTLE = timedelta(minutes=3)
"""An hour is closed this long after its end: until then a listing may be older than it."""
REACH_BACK = timedelta(days=2)
"""Hours without an agent are filled in this far back, as long as their segments are there."""

Look = Callable[[], Observation | None]


class WalHours:
    """Writer of the rows that are missing. Repeating an hour changes nothing."""

    def __init__(self, stanza: str, ops: Session, latest: Look) -> None:
        self._stanza, self._ops, self._latest = stanza, ops, latest

    def step(self) -> None:
        """Write the rows of closed hours that have none. Raises Unavailable when the ops database is away."""
        observation = self._latest()
        if observation is None or observation.archive is None:
            return
        repository, archive = observation.repository, observation.archive
        with self._ops.use() as connection:
            newest = report_store.newest_wal_hour(connection, self._stanza)
            for hour in missing_hours(newest, archive.oldest_at(), datetime.now(UTC)):
                record(connection, self._stanza, repository, archive, hour)


def missing_hours(newest: datetime | None, oldest: datetime | None, now: datetime) -> list[datetime]:
    """List the closed hours after ``newest``, or since ``oldest`` when there is no row; at most two days."""
    first = newest + HOUR if newest is not None else oldest
    if first is None:
        return []
    hour = max(first, now - REACH_BACK).replace(minute=0, second=0, microsecond=0)
    hours = []
    while hour + HOUR + SETTLE <= now:
        hours.append(hour)
        hour += HOUR
    return hours


def record(
    connection: Connection, stanza: str, repository: Repository, archive: Archive, hour: datetime
) -> None:
    """Record one hour's row, in the caller's transaction."""
    arrived = archive.between(hour, hour + HOUR)
    report_store.record_wal_hour(
        connection,
        stanza,
        hour,
        segments=len(arrived),
        size_bytes=sum(archived.size for archived in arrived),
        lag_seconds=lag_at(hour + HOUR, repository, archive, rpo.heartbeats(connection, stanza)),
    )


def lag_at(
    moment: datetime, repository: Repository, archive: Archive, heartbeats: Iterable[rpo.Heartbeat]
) -> float | None:
    """Compute how many seconds would have been lost at ``moment``, given what the repository held then.

    ``heartbeats`` are newest first. None when it is not known.
    """
    sets = tuple(backup_set for backup_set in repository.sets if backup_set.completed_at <= moment)
    best = rpo.best_state(replace(repository, sets=sets), archive.at(moment))
    if best is None:
        return None
    point = rpo.recovery_point(
        best[1], (heartbeat for heartbeat in heartbeats if heartbeat.at <= moment), moment
    )
    return None if point is None else point.rpo_seconds
