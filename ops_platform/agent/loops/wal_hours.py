"""The hourly ``wal_archive`` rows: what arrived in each closed hour, and the archive's lag at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ops_platform.agent.loops.reconnecting_session import Link
from ops_platform.backup.monitoring import Observation
from ops_platform.backup.recovery_point import rpo
from ops_platform.backup.repository import Archive, Repository
from ops_platform.backup.taking import report_store
from ops_platform.clients.postgres import Connection

HOUR = timedelta(hours=1)
SETTLE = timedelta(minutes=3)
"""An hour is closed this long after its end: until then a listing may be older than it."""
REACH_BACK = timedelta(days=2)
"""Hours that passed without an agent are filled in this far back, while their segments are there."""

Look = Callable[[], Observation | None]


class WalHours:
    """Writes the rows that are missing. Repeating an hour changes nothing."""

    def __init__(self, stanza: str, ops: Link, latest: Look) -> None:
        self._stanza, self._ops, self._latest = stanza, ops, latest

    def step(self) -> None:
        seen = self._latest()
        if seen is None or seen.archive is None:
            return
        repository, archive = seen.repository, seen.archive
        with self._ops.use() as connection:
            newest = report_store.newest_wal_hour(connection, self._stanza)
            for hour in missing_hours(newest, oldest_of(archive), datetime.now(UTC)):
                record(connection, self._stanza, repository, archive, hour)


def oldest_of(archive: Archive) -> datetime | None:
    return min((one.archived_at for one in archive.segments), default=None)


def missing_hours(newest: datetime | None, oldest: datetime | None, now: datetime) -> list[datetime]:
    """The closed hours after ``newest``, or since ``oldest`` when there is no row yet; at most two days."""
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
    """One hour's row, in the caller's transaction."""
    arrived = archive.between(hour, hour + HOUR)
    report_store.record_wal_hour(
        connection,
        stanza,
        hour,
        segments=len(arrived),
        size_bytes=sum(one.size for one in arrived),
        lag_seconds=lag_at(hour + HOUR, repository, archive, rpo.beats(connection, stanza)),
    )


def lag_at(
    moment: datetime, repository: Repository, archive: Archive, beats: Iterable[rpo.Beat]
) -> float | None:
    """What would have been lost at ``moment``, in seconds, by what the repository held then."""
    then = replace(archive, segments=tuple(one for one in archive.segments if one.archived_at < moment))
    sets = tuple(one for one in repository.sets if one.completed_at <= moment)
    found = rpo.best_state(replace(repository, sets=sets), then)
    if found is None:
        return None
    point = rpo.recovery_point(found[1], (beat for beat in beats if beat.at <= moment), moment)
    return None if point is None else point.rpo_seconds
