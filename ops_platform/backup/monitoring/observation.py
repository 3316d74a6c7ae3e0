"""Observation of a stanza's repository: sets, archive, gaps, and how far recovery reaches.

The status, the checks, the agent and the cleanup all read it, so they cannot disagree. It needs the
repository only: no server, no ops database, no Dagster.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ops_platform.backup.proof import damage_of_segments, damage_of_sets
from ops_platform.backup.recovery_point import RecoveryPoint, rpo
from ops_platform.backup.repository import (
    Archive,
    ArchiveReader,
    BackupSet,
    Database,
    Repository,
    StoredFiles,
    geometry_of,
    segment_probe,
)
from ops_platform.backup.stanza import BackupContext
from ops_platform.backup.wal import ArchiveState, Geometry, Written
from ops_platform.clients.postgres import Connection
from ops_platform.errors import CheckFailed, OpsError

LISTINGS = "archive-listings"
"""Directory below the state directory; see ``repository.listing_cache``."""
INFO_SECONDS = 900.0
"""Age at which the sets are read again although the files that list them look the same."""


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
        return tuple(backup_set for backup_set in self.whole_chains() if self.has_own_wal(backup_set))

    def whole_chains(self) -> tuple[BackupSet, ...]:
        """List the sets that have a whole chain without page errors, oldest first."""
        return tuple(reversed(rpo.sound_sets(self.repository)))

    def has_own_wal(self, backup_set: BackupSet) -> bool:
        """Tell whether the WAL that was written while the set was taken is archived."""
        return self.archive is not None and not self.archive.missing_segments(backup_set)

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


@dataclass
class Observer:
    """Observer of one stanza's repository, again and again: it lists and parses only what can have changed.

    Where the repository is known, it does so with requests of its own, which cost less than pgBackRest's. Not
    for two threads at once.
    """

    ctx: BackupContext
    index_etag: str | None = field(init=False, default=None)
    """ETag of backup.info at the newest look; None where there is none, or it was not asked for."""
    has_listed: bool = field(init=False, default=False)
    """The newest look listed the archive."""
    _stored: StoredFiles | None = field(init=False)
    _reader: ArchiveReader | None = None
    _repository: Repository | None = None
    _info: tuple[str, float] | None = None
    """Mark of the info files that ``_repository`` was read of, and when (monotonic seconds)."""
    _geometry: tuple[Repository, Geometry] | None = None
    """The segment size that fits the sets of a repository."""
    _earlier: Observation | None = None
    _archive: tuple[Database, Archive] | None = None
    """The archive as it was seen last, unreadable segments included."""

    def __post_init__(self) -> None:
        self._stored = StoredFiles.of_live(self.ctx)

    @property
    def sees_what_is_new(self) -> bool:
        """Tell whether each look finds new folders of the archive, whatever ``names_age`` is."""
        return self._stored is not None

    def look(
        self,
        *,
        written: Written | None = None,
        names_age: float = 0.0,
        damage_of: Callable[[Repository], Mapping[str, str]] | None = None,
        unreadable: Mapping[str, Mapping[str, str]] | None = None,
        arrived: str | None = None,
    ) -> Observation:
        """Observe the repository now.

        ``written`` is what the server said of its timeline, None when it was not asked; ``names_age``: see
        ``ArchiveReader.read``. ``damage_of`` says what is wrong with the stored files of sets (label ->
        text); by default the files of every set are looked at now. ``unreadable`` segments count as missing
        (archive id -> segment -> why); by default those that the ops database knows of now, none while it is
        away. ``arrived``: what the server says it archived last; where the earlier look knew it, or it comes
        next and is stored with the server's own bytes, the archive is not listed. Raises PgBackRestError when
        the repository cannot be read, CheckFailed when no WAL segment size fits its sets.
        """
        ctx, listed = self.ctx, self._read_info()
        damage = damage_of_sets(ctx, listed) if damage_of is None else damage_of(listed)
        repository = listed.with_damage(damage)
        current, current_sets = _current(repository)
        if current is None or not current_sets:
            self._earlier = self._archive = None
            return Observation(repository, None, None, None)
        if self._geometry is None or self._geometry[0] is not listed:
            self._geometry = listed, _geometry(ctx, current_sets)
        geometry = self._geometry[1]
        if self._reader is None:
            flat = None if self._stored is None else self._stored.listing
            self._reader = ArchiveReader(ctx.pgbackrest, _listings(ctx), flat=flat)
        archive = None if arrived is None else self._unlisted(current, geometry, arrived, written)
        self.has_listed = archive is None
        if archive is None:
            gaps = self._earlier.from_oldest.gaps if self._earlier and self._earlier.from_oldest else ()
            archive = self._reader.read(current, geometry, gaps=gaps, written=written, names_age=names_age)
        self._archive = current, archive
        known = damage_of_segments(ctx) if unreadable is None else unreadable
        archive = archive.without(known.get(current.archive_id, {}))
        self._earlier = judge(repository, current_sets, archive)
        return self._earlier

    def _unlisted(
        self, current: Database, geometry: Geometry, arrived: str, written: Written | None
    ) -> Archive | None:
        """Return the archive as it is now without listing it; None where that cannot be."""
        if self._archive is None or self._stored is None or self._archive[0] != current:
            return None
        archive = self._archive[1]
        if archive.geometry != geometry or written is None or written.timeline != archive.lineage.living:
            return None
        if archive.holds(arrived):
            return archive
        if not archive.expects(arrived):
            return None
        entry = segment_probe.find(self.ctx, self._stored, current, arrived, geometry)
        return None if entry is None else archive.with_arrived(arrived, entry)

    def _read_info(self) -> Repository:
        """Read the sets, unless the files that list them are still the same: ``info`` lists the archive too.

        Without one of the files, or with one that cannot be read, ``info`` says what is wrong.
        """
        mark, self.index_etag = None, None
        if self._repository is not None and self._info is not None:
            with suppress(OpsError):
                mark = self._mark()
            known, at = self._info
            if mark is not None and mark == known and time.monotonic() - at < INFO_SECONDS:
                return self._repository
        self._repository = Repository.parse(self.ctx.stanza.name, self.ctx.pgbackrest.info())
        # An info file that changes between the two reads is read once more at the next look.
        self._info = (mark or "", time.monotonic())
        return self._repository

    def _mark(self) -> str | None:
        """Mark the contents of the info files; None without one of them."""
        paths = self.ctx.pgbackrest.layout
        if self._stored is None:
            return _digest(
                self.ctx.pgbackrest.repo_get(path) for path in (paths.backup_info, paths.archive_info)
            )
        # What changes archive.info, an upgrade of the stanza, changes backup.info too.
        head = self._stored.head(paths.backup_info)
        self.index_etag = None if head is None else head.etag
        return self.index_etag


def glance(ctx: BackupContext, *, written: Written | None = None) -> Observation:
    """Observe for a restore: the sets, and of the archive what is asked of it when it is asked.

    The files of the set that is chosen are for the caller to look at, not those of every other one.

    Nothing is judged: neither gaps nor the best set are there. Raises like ``Observer.look``, and so may
    every use of the archive.
    """
    repository = Repository.parse(ctx.stanza.name, ctx.pgbackrest.info())
    current, current_sets = _current(repository)
    if current is None or not current_sets:
        return Observation(repository, None, None, None)
    geometry = _geometry(ctx, current_sets)
    archive = ArchiveReader(ctx.pgbackrest).glance(current, geometry, written=written)
    return Observation(repository, archive, None, None)


def _current(repository: Repository) -> tuple[Database | None, list[BackupSet]]:
    """Find the cluster that the stanza stands for now, and its sets."""
    current = repository.current
    return current, [
        backup_set
        for backup_set in repository.sets
        if current is not None and backup_set.database_id == current.id
    ]


def _geometry(ctx: BackupContext, sets: Sequence[BackupSet]) -> Geometry:
    try:
        return geometry_of(sets)
    except ValueError as error:
        raise CheckFailed(f"stanza {ctx.stanza.name}: {error}: look at 'pgbackrest info'") from None


def observe(ctx: BackupContext, *, written: Written | None = None, older_age: float = 0.0) -> Observation:
    """Observe the repository once; raises like ``Observer.look``.

    The files of the sets before the newest full may be known from a listing of the agent's, ``older_age``
    seconds ago.
    """
    return Observer(ctx).look(
        written=written, damage_of=lambda repository: damage_of_sets(ctx, repository, older_age)
    )


def _listings(ctx: BackupContext) -> Path | None:
    """Name the directory for listings of this repository; None for one that is not the stanza's own."""
    if not ctx.reads_live:
        return None
    theirs = ctx.settings.pgbackrest.config_file
    where = f"{ctx.settings.s3_place('backup').endpoint_url} {theirs or ctx.repository_uri('')}"
    return ctx.settings.state_dir / LISTINGS / f"{ctx.stanza.name}-{_digest([where])[:12]}"


def _digest(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode(errors="surrogateescape"))
    return digest.hexdigest()


def judge(repository: Repository, current_sets: Sequence[BackupSet], archive: Archive) -> Observation:
    """Judge what was read: the gaps since the oldest set that lives, and the best set."""
    living = [backup_set for backup_set in current_sets if backup_set.lives(archive.lineage)]
    needed = rpo.needed_range(living)
    from_oldest = None if needed is None else archive.state_from(*needed)
    return Observation(repository, archive, from_oldest, rpo.best_state(repository, archive))
