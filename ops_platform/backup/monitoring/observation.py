"""Observation of a stanza's repository: sets, archive, gaps, and how far recovery reaches.

The status, the checks, the agent and the cleanup all read it, so they cannot disagree. It needs the
repository only: no server, no ops database, no Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ops_platform.backup.proof import missing_files
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
    """The archive since the oldest set of the living timeline; its gaps are the stanza's gaps."""
    best: tuple[BackupSet, ArchiveState] | None
    """The newest set that can be restored, and how far recovery from it goes."""

    @property
    def gap_segments(self) -> int | None:
        """WAL segments missing since the oldest set; None when there is nothing to measure from."""
        return None if self.from_oldest is None else self.from_oldest.gap_segments

    def restorable(self) -> tuple[BackupSet, ...]:
        """List the sets of the living timeline that are sound and have their own WAL, oldest first."""
        return tuple(backup_set for backup_set in self.sound() if not self.is_abandoned(backup_set))

    def sound(self) -> tuple[BackupSet, ...]:
        """List the sets that are sound and have their own WAL, abandoned ones too, oldest first."""
        if self.archive is None:
            return ()
        archive = self.archive
        return tuple(
            backup_set
            for backup_set in reversed(rpo.sound_sets(self.repository))
            if not archive.missing_segments(backup_set)
        )

    def is_abandoned(self, backup_set: BackupSet) -> bool:
        """Tell whether the set lies on what a restore left behind.

        False where there is no archive, and for a set of an earlier cluster: it has timelines of its own.
        """
        current = self.repository.current
        if self.archive is None or current is None or backup_set.database_id != current.id:
            return False
        return not backup_set.lives(self.archive.lineage)

    def recovery_point(self, connection: Connection, now: datetime) -> RecoveryPoint | None:
        """Find the newest heartbeat that can be recovered; None when none can, or there is no set.

        ``connection`` is to the ops database.
        """
        if self.best is None:
            return None
        return rpo.recovery_point(self.best[1], rpo.heartbeats(connection, self.repository.stanza), now)


def observe(
    ctx: BackupContext,
    reader: ArchiveReader | None = None,
    earlier: Observation | None = None,
    damage_of: Callable[[Repository], Mapping[str, str]] | None = None,
) -> Observation:
    """Observe the repository. A kept ``reader`` and its ``earlier`` observation list only what is new.

    ``damage_of`` says what is wrong with the stored files of sets (label -> text); by default the files of
    every set are looked at now.

    Raises PgBackRestError when the repository cannot be read, CheckFailed when no WAL segment size fits
    its sets.
    """
    repository = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info())
    repository = repository.with_damage(
        missing_files(ctx, repository) if damage_of is None else damage_of(repository)
    )
    current = repository.current
    current_sets = [
        backup_set
        for backup_set in repository.sets
        if current is not None and backup_set.database_id == current.id
    ]
    if current is None or not current_sets:
        return Observation(repository, None, None, None)
    try:
        geometry = geometry_of(current_sets)
    except ValueError as error:
        raise CheckFailed(f"stanza {ctx.stanza.name}: {error}: look at 'pgbackrest info'") from None
    settled = None
    if reader is not None and earlier is not None and earlier.from_oldest is not None:
        settled = earlier.from_oldest.contiguous_last
    archive = (reader or ArchiveReader(ctx.pgbackrest)).read(current, geometry, settled=settled)
    return judge(repository, current_sets, archive)


def judge(repository: Repository, current_sets: Sequence[BackupSet], archive: Archive) -> Observation:
    """Judge what was read: the gaps since the oldest set that lives, and the best set."""
    living = [backup_set for backup_set in current_sets if backup_set.lives(archive.lineage)]
    needed = rpo.needed_range(living)
    from_oldest = None if needed is None else archive.state_from(*needed)
    return Observation(repository, archive, from_oldest, rpo.best_state(repository, archive))
