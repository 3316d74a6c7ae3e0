"""The newest part of a stanza's archive, listed cheaply: the recovery point depends on it alone.

The whole archive, for gaps, is read by ``backup.repository.wal_archive``; after 35 days that is tens of
thousands of segments, too many to look at every few seconds.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ops_platform.backup.recovery_point import best_state, sound_sets
from ops_platform.backup.repository import (
    Archive,
    ArchivedSegment,
    ArchiveReader,
    Database,
    Repository,
    geometry_of,
)
from ops_platform.backup.wal import ArchiveState, Geometry, History, Segment
from ops_platform.clients.pgbackrest import PgBackRest

_FOLDER = re.compile(r"[0-9A-F]{16}")
_HISTORY_FILE = re.compile(r"([0-9A-F]{8})\.history")
_NO_TIME = datetime.fromtimestamp(0, UTC)


class ArchiveTail:
    """Lister of one stanza's archive from a sound set on."""

    def __init__(self, pgbackrest: PgBackRest) -> None:
        self._pgbackrest = pgbackrest
        self._reader = ArchiveReader(pgbackrest)
        self._histories: dict[tuple[Database, int], History] = {}

    def state(self, repository: Repository) -> ArchiveState | None:
        """Tell how far recovery goes from the newest set that is sound and complete; None without one.

        Raises PgBackRestError when the repository cannot be read.
        """
        database, sets = repository.current, sound_sets(repository)
        if database is None or not sets:
            return None
        geometry = geometry_of(sets)
        # The newest set decides nearly always; more is listed only when its own WAL is incomplete.
        for first in dict.fromkeys((sets[0].wal_start, sets[-1].wal_start)):
            archive = self._since(database, geometry, geometry.parse(first))
            best = best_state(repository, archive)
            if best is not None:
                return best[1]
        return None

    def _since(self, database: Database, geometry: Geometry, first: Segment) -> Archive:
        base = f"archive/{self._pgbackrest.stanza}/{database.archive_id}"
        names = self._pgbackrest.repo_ls(base)
        oldest = geometry.folder(first)[8:]
        folders = [name for name in names if _FOLDER.fullmatch(name) and name[8:] >= oldest]
        histories = {}
        for name in names:
            if match := _HISTORY_FILE.fullmatch(name):
                timeline = int(match[1], 16)
                histories[timeline] = self._history(database, timeline, f"{base}/{name}")
        segments = tuple(
            ArchivedSegment(geometry.parse(name), 0, _NO_TIME)
            for name in self._reader.names(database, folders)
        )
        return Archive(geometry, segments, histories)

    def _history(self, database: Database, timeline: int, path: str) -> History:
        key = (database, timeline)
        if key not in self._histories:
            self._histories[key] = History.parse(timeline, self._pgbackrest.repo_get(path))
        return self._histories[key]
