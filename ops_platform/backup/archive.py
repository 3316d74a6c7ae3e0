"""The WAL archive of a stanza as the repository lists it, read again only where it can have grown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from ops_platform.backup.repository import BackupSet, Database
from ops_platform.backup.wal import (
    ArchiveState,
    Geometry,
    History,
    Segment,
    archive_state,
    infer_geometry,
)
from ops_platform.clients.pgbackrest import PgBackRest

# Names end in the SHA-1 of the segment and the codec. Partial segments and backup labels are
# archived too; recovery does not read them.
_SEGMENT_FILE = re.compile(r"(?P<segment>[0-9A-F]{24})-[0-9a-f]{40}(\.[a-z0-9]+)?")
_FOLDER = re.compile(r"[0-9A-F]{16}")
_HISTORY_FILE = re.compile(r"(?P<timeline>[0-9A-F]{8})\.history")


@dataclass(frozen=True)
class ArchivedSegment:
    """``size`` in bytes as stored, ``archived_at`` when S3 got it."""

    segment: Segment
    size: int
    archived_at: datetime


@dataclass(frozen=True)
class Archive:
    """All segments of one cluster in the archive, and the timelines known there."""

    geometry: Geometry
    segments: tuple[ArchivedSegment, ...]
    histories: Mapping[int, History]

    def state_from(self, name: str) -> ArchiveState:
        """What recovery that begins in the segment ``name`` would find."""
        return archive_state(self._present, self.histories, self.geometry, self.geometry.parse(name))

    def lacks(self, one: BackupSet) -> list[str]:
        """The segments that a set cannot become consistent without and that are not here."""
        return [
            self.geometry.name(segment)
            for segment in needed_segments(one, self.geometry)
            if segment not in self._present
        ]

    @cached_property
    def _present(self) -> frozenset[Segment]:
        return frozenset(one.segment for one in self.segments)

    def between(self, since: datetime, until: datetime) -> list[ArchivedSegment]:
        return [one for one in self.segments if since <= one.archived_at < until]

    def newest_at(self) -> datetime | None:
        """When the newest segment came in."""
        return max((one.archived_at for one in self.segments), default=None)


def needed_segments(one: BackupSet, geometry: Geometry) -> list[Segment]:
    """The WAL written while a set was taken, from its start to its stop; a backup keeps its timeline."""
    first, last = geometry.parse(one.wal_start), geometry.parse(one.wal_stop)
    return [Segment(first.timeline, number) for number in range(first.number, last.number + 1)]


def geometry_of(sets: Sequence[BackupSet]) -> Geometry:
    """The segment size of the cluster that made these sets; needs no server."""
    return infer_geometry((one.wal_start, one.lsn_start) for one in sets)


@dataclass
class ArchiveReader:
    """Lists a stanza's archive. A reader that is kept costs two small listings a look."""

    pgbackrest: PgBackRest
    _folders: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    """Per folder: segment name -> (size, Unix seconds)."""
    _histories: dict[int, History] = field(default_factory=dict)
    _seen: Database | None = None

    def read(self, database: Database, geometry: Geometry, *, settled: Segment | None = None) -> Archive:
        """The archive of ``database``.

        Folders before that of ``settled`` (up to which an earlier look found nothing missing) are
        not listed again; without it everything is. Raises PgBackRestError.
        """
        if settled is None or database != self._seen:
            self._folders, self._histories, self._seen = {}, {}, database
        base = f"archive/{self.pgbackrest.stanza}/{database.archive_id}"
        names = self.pgbackrest.repo_ls(base)
        folders = sorted(name for name in names if _FOLDER.fullmatch(name))
        known = "" if settled is None else geometry.folder(settled)
        self._folders = {
            name: self._folders[name]
            if name in self._folders and name[8:] < known[8:]
            else self._list(f"{base}/{name}")
            for name in folders
        }
        for name in names:
            if (found := _HISTORY_FILE.fullmatch(name)) and int(found["timeline"], 16) not in self._histories:
                timeline = int(found["timeline"], 16)
                self._histories[timeline] = History.parse(
                    timeline, self.pgbackrest.repo_get(f"{base}/{name}")
                )
        return Archive(geometry, self._segments(geometry), dict(self._histories))

    def names(self, database: Database, folders: Sequence[str]) -> set[str]:
        """The segment names in some folders only."""
        base = f"archive/{self.pgbackrest.stanza}/{database.archive_id}"
        return {name for folder in folders for name in self._list(f"{base}/{folder}")}

    def _list(self, path: str) -> dict[str, tuple[int, int]]:
        return {
            found["segment"]: (int(entry.get("size", 0)), int(entry.get("time", 0)))
            for name, entry in self.pgbackrest.repo_ls(path).items()
            if (found := _SEGMENT_FILE.fullmatch(name))
        }

    def _segments(self, geometry: Geometry) -> tuple[ArchivedSegment, ...]:
        return tuple(
            ArchivedSegment(geometry.parse(name), size, datetime.fromtimestamp(when, UTC))
            for folder in self._folders.values()
            for name, (size, when) in folder.items()
        )
