"""The newest part of a stanza's archive, listed cheaply: the recovery point depends on it alone.

The whole archive, for gaps, is read by ``backup.repository.wal_archive``; after 35 days that is tens of
thousands of segments, too many to look at every few seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ops_platform.backup.monitoring import ArchiveEnd
from ops_platform.backup.recovery_point import best_state, sound_sets
from ops_platform.backup.repository import (
    Archive,
    ArchivedSegment,
    ArchiveReader,
    Database,
    Repository,
    geometry_of,
)
from ops_platform.backup.wal import ArchiveState, Geometry, History, Lineage
from ops_platform.clients.pgbackrest import PgBackRest, layout

_NO_TIME = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class TailState:
    """The archive's timelines, and how far recovery goes from the newest set that lives and is whole.

    ``state`` is None without such a set.
    """

    lineage: Lineage
    state: ArchiveState | None
    end: ArchiveEnd | None = None
    """What was listed for it; None without a set that lives."""


class ArchiveTail:
    """Lister of one stanza's archive from a sound set on."""

    def __init__(self, pgbackrest: PgBackRest) -> None:
        self._pgbackrest = pgbackrest
        self._reader = ArchiveReader(pgbackrest)
        self._histories: dict[tuple[Database, int], History] = {}

    def look(self, repository: Repository) -> TailState | None:
        """Tell which timeline lives and how far recovery goes; None without a sound set.

        Raises PgBackRestError when the repository cannot be read.
        """
        database, sets = repository.current, sound_sets(repository)
        if database is None or not sets:
            return None
        geometry = geometry_of(sets)
        base = self._pgbackrest.layout.archive(database.archive_id)
        names = self._pgbackrest.repo_ls(base)
        histories = {
            timeline: self._history(database, timeline, f"{base}/{name}")
            for name in names
            if (timeline := layout.history_timeline(name)) is not None
        }
        folders = [name for name in names if layout.is_folder(name)]
        lineage = Lineage.of(histories, (layout.timeline_of(folder) for folder in folders))
        living = [backup_set for backup_set in sets if backup_set.lives(lineage)]
        end = None
        # The newest set decides nearly always; more is listed only when its own WAL is incomplete.
        for first in dict.fromkeys(chosen.wal_start for chosen in (*living[:1], *living[-1:])):
            oldest = layout.log_of(layout.folder_of(first))
            segments = self._segments(
                database, geometry, [name for name in folders if layout.log_of(name) >= oldest]
            )
            # The folders that are not listed may hold the only segments of the living timeline.
            archive = Archive(geometry, segments, histories | {lineage.living: lineage.history()})
            end = ArchiveEnd(archive, frozenset(histories), oldest)
            best = best_state(repository, archive)
            if best is not None:
                return TailState(lineage, best[1], end)
        return TailState(lineage, None, end)

    def _segments(
        self, database: Database, geometry: Geometry, folders: Sequence[str]
    ) -> tuple[ArchivedSegment, ...]:
        return tuple(
            ArchivedSegment(geometry.parse(name), 0, _NO_TIME)
            for name in self._reader.names(database, folders)
        )

    def _history(self, database: Database, timeline: int, path: str) -> History:
        key = (database, timeline)
        if key not in self._histories:
            self._histories[key] = History.parse(timeline, self._pgbackrest.repo_get(path))
        return self._histories[key]
