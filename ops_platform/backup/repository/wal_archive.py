"""WAL archive of a stanza as the repository lists it, listed again only where it can have grown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from ops_platform.backup.repository.backup_sets import BackupSet, Database
from ops_platform.backup.wal import (
    ArchiveState,
    Geometry,
    History,
    Lineage,
    Segment,
    archive_state,
    infer_geometry,
)
from ops_platform.clients.pgbackrest import PgBackRest, SegmentFile, layout

Entry = Mapping[str, Any]
"""One file in the output of repo-ls."""


@dataclass(frozen=True)
class ArchivedSegment:
    """A segment in the archive; ``size`` in bytes as stored, ``archived_at`` when S3 received it."""

    segment: Segment
    size: int
    archived_at: datetime


@dataclass(frozen=True)
class Archive:
    """All segments of one cluster in the archive, and the timelines known there.

    ``began_at``: timeline -> when S3 received its history file.
    """

    geometry: Geometry
    segments: tuple[ArchivedSegment, ...]
    histories: Mapping[int, History]
    began_at: Mapping[int, datetime] = field(default_factory=dict)

    @cached_property
    def lineage(self) -> Lineage:
        """Which timeline lives, and how it descends from the others."""
        return Lineage.of(self.histories, (archived.segment.timeline for archived in self.segments))

    def state_from(self, name: str, known: str | None = None, timeline: int | None = None) -> ArchiveState:
        """Tell what a recovery would find that begins in the segment ``name`` and follows ``timeline``.

        By default it follows the living timeline. ``known`` names a segment that was archived once; see
        ``archive_state``. Raises ValueError when ``name`` does not lie on that timeline's way.
        """
        start, history = self.geometry.parse(name), self.lineage.history(timeline)
        if not history.holds(start, self.geometry):
            raise ValueError(f"{name} does not lie on the way of timeline {history.timeline}")
        known_segment = None if known is None else self.geometry.parse(known)
        return archive_state(self._present, history, self.geometry, start, known_segment)

    def at(self, moment: datetime) -> Archive:
        """Return the archive as it was at ``moment``."""
        segments = tuple(archived for archived in self.segments if archived.archived_at < moment)
        histories = {
            timeline: history
            for timeline, history in self.histories.items()
            if timeline not in self.began_at or self.began_at[timeline] < moment
        }
        return Archive(self.geometry, segments, histories, self.began_at)

    def missing_segments(self, backup_set: BackupSet) -> list[str]:
        """Name the segments that the set needs to become consistent and that are not archived."""
        return [
            self.geometry.name(segment)
            for segment in needed_segments(backup_set, self.geometry)
            if segment not in self._present
        ]

    def holds(self, name: str) -> bool:
        """Tell whether the segment ``name`` is archived; False for no segment of this cluster's size."""
        try:
            return self.geometry.parse(name) in self._present
        except ValueError:
            return False

    def newest_on(self, timeline: int) -> Segment | None:
        """Find the newest archived segment of ``timeline``; None when none is."""
        return max((segment for segment in self._present if segment.timeline == timeline), default=None)

    @cached_property
    def _present(self) -> frozenset[Segment]:
        return frozenset(archived.segment for archived in self.segments)

    def between(self, since: datetime, until: datetime) -> list[ArchivedSegment]:
        """List the segments that arrived from ``since`` (included) to ``until`` (excluded)."""
        return [archived for archived in self.segments if since <= archived.archived_at < until]

    def newest_at(self) -> datetime | None:
        """Tell when the newest segment arrived; None when the archive is empty."""
        return max((archived.archived_at for archived in self.segments), default=None)


def needed_segments(backup_set: BackupSet, geometry: Geometry) -> list[Segment]:
    """List the WAL written while a set was taken, from its start to its stop; a backup keeps its timeline."""
    first, last = geometry.parse(backup_set.wal_start), geometry.parse(backup_set.wal_stop)
    return [Segment(first.timeline, number) for number in range(first.number, last.number + 1)]


def geometry_of(sets: Sequence[BackupSet]) -> Geometry:
    """Infer the segment size of the cluster that made these sets, without its server.

    Raises ValueError when none fits.
    """
    return infer_geometry((backup_set.wal_start, backup_set.lsn_start) for backup_set in sets)


@dataclass
class ArchiveReader:
    """Lister of a stanza's archive. A reader that is kept costs two small listings each time."""

    pgbackrest: PgBackRest
    _folders: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    """Folder -> segment name -> (size, Unix seconds)."""
    _histories: dict[int, History] = field(default_factory=dict)
    _began_at: dict[int, datetime] = field(default_factory=dict)
    _seen: Database | None = None

    def read(self, database: Database, geometry: Geometry, *, settled: Segment | None = None) -> Archive:
        """List the archive of ``database``.

        Folders before that of ``settled`` (up to which an earlier listing found nothing missing) are
        not listed again; without ``settled`` everything is, in one go. Raises PgBackRestError.
        """
        base = self.pgbackrest.layout.archive(database.archive_id)
        if settled is None or database != self._seen:
            self._histories, self._began_at, self._seen = {}, {}, database
            names = self.pgbackrest.repo_ls(base, recurse=True)
            self._folders = _by_folder(names)
        else:
            names = self.pgbackrest.repo_ls(base)
            known = layout.log_of(geometry.folder(settled))
            self._folders = {
                name: self._folders[name]
                if name in self._folders and layout.log_of(name) < known
                else self._list(f"{base}/{name}")
                for name in names
                if layout.is_folder(name)
            }
        self._read_histories(base, names)
        return Archive(geometry, self._segments(geometry), dict(self._histories), dict(self._began_at))

    def _read_histories(self, base: str, names: Mapping[str, Entry]) -> None:
        for name, entry in names.items():
            timeline = layout.history_timeline(name)
            if timeline is None or timeline in self._histories:
                continue
            self._histories[timeline] = History.parse(timeline, self.pgbackrest.repo_get(f"{base}/{name}"))
            self._began_at[timeline] = datetime.fromtimestamp(int(entry.get("time", 0)), UTC)

    def names(self, database: Database, folders: Sequence[str]) -> set[str]:
        """List the segment names in some folders only. Raises PgBackRestError."""
        base = self.pgbackrest.layout.archive(database.archive_id)
        return {name for folder in folders for name in self._list(f"{base}/{folder}")}

    def _list(self, path: str) -> dict[str, tuple[int, int]]:
        return dict(_files(self.pgbackrest.repo_ls(path).items()))

    def _segments(self, geometry: Geometry) -> tuple[ArchivedSegment, ...]:
        return tuple(
            ArchivedSegment(geometry.parse(name), size, datetime.fromtimestamp(when, UTC))
            for folder in self._folders.values()
            for name, (size, when) in folder.items()
        )


def _files(listing: Iterable[tuple[str, Entry]]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield (segment name, (size, Unix seconds)) of the files in a folder's listing that are segments."""
    for name, entry in listing:
        if segment_file := SegmentFile.parse(name):
            yield segment_file.segment, (int(entry.get("size", 0)), int(entry.get("time", 0)))


def _by_folder(listing: Mapping[str, Entry]) -> dict[str, dict[str, tuple[int, int]]]:
    """Sort a listing of all folders: folder -> segment name -> (size, Unix seconds)."""
    inside: dict[str, list[tuple[str, Entry]]] = {}
    for path, entry in listing.items():
        folder, _, name = path.rpartition("/")
        if layout.is_folder(folder):
            inside.setdefault(folder, []).append((name, entry))
    return {folder: dict(_files(entries)) for folder, entries in inside.items()}
