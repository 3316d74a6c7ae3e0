"""Observation of a stanza's repository: sets, archive, gaps, and how far recovery reaches.

The status, the checks, the agent and the cleanup all read it, so they cannot disagree. It needs the
repository only: no server, no ops database, no Dagster.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ops_platform.backup.recovery_point import RecoveryPoint, rpo
from ops_platform.backup.repository import Archive, ArchiveReader, BackupSet, Repository, geometry_of
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.wal import ArchiveState
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed


@dataclass(frozen=True)
class Observation:
    """State of a stanza's repository at one moment.

    ``archive`` and what follows from it are None while the stanza has no set to measure from.
    """

    repository: Repository
    archive: Archive | None
    from_oldest: ArchiveState | None
    """The archive since the oldest set of the current cluster; its gaps are the stanza's gaps."""
    best: tuple[BackupSet, ArchiveState] | None
    """The newest set that can be restored, and how far recovery from it goes."""

    @property
    def gap_segments(self) -> int | None:
        """WAL segments missing since the oldest set; None when there is nothing to measure from."""
        return None if self.from_oldest is None else self.from_oldest.gap_segments

    def restorable(self) -> tuple[BackupSet, ...]:
        """List the sets that are sound and have their own WAL, oldest first."""
        if self.archive is None:
            return ()
        archive = self.archive
        return tuple(
            backup_set
            for backup_set in reversed(rpo.sound_sets(self.repository))
            if not archive.missing_segments(backup_set)
        )

    def recovery_point(self, connection: Connection, now: datetime) -> RecoveryPoint | None:
        """Find the newest heartbeat that can be recovered; None when none can, or there is no set.

        ``connection`` is to the ops database.
        """
        if self.best is None:
            return None
        return rpo.recovery_point(self.best[1], rpo.heartbeats(connection, self.repository.stanza), now)


def observe(
    ctx: BackupContext, reader: ArchiveReader | None = None, earlier: Observation | None = None
) -> Observation:
    """Observe the repository. A kept ``reader`` and its ``earlier`` observation list only what is new.

    Raises PgBackRestError when the repository cannot be read, CheckFailed when no WAL segment size fits
    its sets.
    """
    repository = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info())
    current = repository.current
    current_sets = [
        backup_set
        for backup_set in repository.sets
        if current is not None and backup_set.database_id == current.id
    ]
    needed = rpo.needed_range(current_sets)
    if current is None or needed is None:
        return Observation(repository, None, None, None)
    try:
        geometry = geometry_of(current_sets)
    except ValueError as error:
        raise CheckFailed(f"stanza {ctx.stanza.name}: {error}: look at 'pgbackrest info'") from None
    settled = None
    if reader is not None and earlier is not None and earlier.from_oldest is not None:
        settled = earlier.from_oldest.contiguous_last
    archive = (reader or ArchiveReader(ctx.pgbackrest)).read(current, geometry, settled=settled)
    return Observation(repository, archive, archive.state_from(*needed), rpo.best_state(repository, archive))
